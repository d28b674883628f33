//! A check of protobuf bytes before they are parsed.
//!
//! rust-protobuf 3.4 skips unknown groups by recursion without a limit (RUSTSEC-2024-0437), so a small hostile file
//! could overflow the stack. ONNX has no groups: this walk over the wire format refuses them, and deep nesting.

/// Messages nest at most this deep; the protobuf default.
const MAX_DEPTH: usize = 100;

/// The messages of ONNX, as onnx-protobuf 0.2.3 parses them.
#[derive(Clone, Copy)]
enum Message {
    Model,
    TrainingInfo,
    Function,
    Graph,
    Node,
    Attribute,
    ValueInfo,
    Type,
    /// The tensor types of `Type`.
    TensorType,
    /// The sequence and optional types of `Type`.
    ElementType,
    MapType,
    Shape,
    Tensor,
    SparseTensor,
    TensorAnnotation,
    /// A message without messages.
    Leaf,
}

impl Message {
    /// The message in a field of this number, if it is one.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::TrainingInfo, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::TrainingInfo,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Graph, 11..=13) | (Self::Function, 12) => Self::ValueInfo,
            (Self::Graph, 14) => Self::TensorAnnotation,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Attribute, 14 | 15) | (Self::ValueInfo | Self::MapType, 2) | (Self::ElementType, 1) => Self::Type,
            (Self::Type, 1 | 8) => Self::TensorType,
            (Self::Type, 4 | 9) => Self::ElementType,
            (Self::Type, 5) => Self::MapType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Model, 8 | 14)
            | (Self::TrainingInfo, 3 | 4)
            | (Self::Function, 9 | 14)
            | (Self::Graph, 16)
            | (Self::Node, 9)
            | (Self::ValueInfo, 4)
            | (Self::Tensor, 3 | 13 | 16)
            | (Self::TensorAnnotation, 2)
            | (Self::Shape, 1) => Self::Leaf,
            _ => return None,
        })
    }
}

/// Checks that `bytes` are fields of a `ModelProto` and of its messages, without groups.
///
/// # Errors
/// What is wrong, and at which offset.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    message(bytes, 0, Message::Model, 0)
}

/// Walks one message that starts at `base` in the file.
fn message(bytes: &[u8], base: usize, kind: Message, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("messages nest deeper than {MAX_DEPTH} at offset {base}"));
    }
    let mut at = 0;
    while at < bytes.len() {
        let start = base + at;
        let cut = || format!("the file ends inside of the field at offset {start}");
        let tag = varint(bytes, &mut at).ok_or_else(cut)?;
        // The parser reads 32 bits of tags and lengths: with more, it would see another field than this walk.
        if tag > u64::from(u32::MAX) {
            return Err(format!("a field number out of range at offset {start}"));
        }
        let body = match tag & 7 {
            0 => {
                varint(bytes, &mut at).ok_or_else(cut)?;
                continue;
            }
            1 => 8,
            2 => varint(bytes, &mut at).ok_or_else(cut)?,
            5 => 4,
            other => return Err(format!("wire type {other} at offset {start}, which ONNX does not use")),
        };
        let end = usize::try_from(body)
            .ok()
            .and_then(|n| at.checked_add(n))
            .filter(|end| *end <= bytes.len() && u32::try_from(body).is_ok());
        let end = end.ok_or_else(cut)?;
        if tag & 7 == 2
            && let Some(inner) = kind.field(tag >> 3)
        {
            message(&bytes[at..end], base + at, inner, depth + 1)?;
        }
        at = end;
    }
    Ok(())
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_groups_at_the_top_and_in_a_message() {
        // Field 15, start of a group, a million times: parsing it would overflow the stack.
        let groups = vec![(15 << 3) | 3; 1 << 20];
        assert!(check(&groups).unwrap_err().contains("wire type 3"));
        // Field 7 (graph) of three bytes, the last of which starts a group.
        assert!(check(&[(7 << 3) | 2, 3, 8 << 3, 1, (9 << 3) | 3]).unwrap_err().contains("offset 4"));
    }

    #[test]
    fn refuses_lengths_beyond_the_end() {
        assert!(check(&[(7 << 3) | 2, 5, 0]).unwrap_err().contains("ends inside"));
        assert!(check(&[(7 << 3) | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(check(&[0xff; 11]).is_err());
    }

    #[test]
    fn refuses_endless_nesting() {
        // graph.node.attribute.g.node.attribute.g…, each a message that holds nothing but the next.
        let mut bytes = Vec::new();
        for depth in 0..200 {
            let field: u8 = [6, 5, 1][depth % 3];
            let mut outer = vec![(field << 3) | 2];
            let mut length = bytes.len();
            while length >= 0x80 {
                outer.push(0x80 | (length & 0x7f) as u8);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.extend(&bytes);
            bytes = outer;
        }
        // The outermost field is number 5 (attribute of a node): wrap it as graph.node.
        let wrap = |field: u8, body: &[u8]| {
            let mut outer = vec![(field << 3) | 2, 0x80 | (body.len() & 0x7f) as u8, (body.len() >> 7) as u8];
            outer.extend(body);
            outer
        };
        let nested = wrap(7, &wrap(1, &bytes));
        assert!(check(&nested).unwrap_err().contains("deeper"), "{:?}", check(&nested));
    }
}
