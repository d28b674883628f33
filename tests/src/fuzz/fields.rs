//! Every field of a message, changed in every way that programs trip over, one at a time.

use super::wire::{Content, Field, count, find, parse, write};

/// A network with all that the family's members have, as ONNX.
///
/// # Panics
/// Never: it is always the same.
pub fn small_model() -> Vec<u8> {
    let text = "graph @small(%x: f32[N,3,9,9]) -> (%y, %z) {
           @w = random(1, -0.3, 0.3) : f32[4,3,3,3]
           @b = random(2, -0.3, 0.3) : f32[4]
           @scale = random(3, 0.5, 1.5) : f32[4]
           @var = random(4, 0.5, 1.5) : f32[4]
           @g = random(5, -0.3, 0.3) : f32[4,2,3,3]
           @f = random(6, -0.3, 0.3) : f32[4,5]
           %c = conv2d(%x, @w) {stride=2, pad=1}
           %n = batch_norm(%c, @scale, @b, @b, @var) {epsilon=1e-5}
           %r = relu(%n)
           %d = conv2d(%r, @g, bias=@b) {pad=1, groups=2}
           %s = add(%d, %r)
           %p = max_pool(%s) {kernel=3, stride=2, pad=1}
           %t = sigmoid(%p)
           %z = mul(%t, %p)
           %a = global_average_pool(%z)
           %l = reshape(%a) {shape=[N,4]}
           %m = matmul(%l, @f)
           %y = softmax(%m) {axis=1}
         }";
    rnc_onnx::export(&rnc_ir::parse(text).unwrap()).unwrap()
}

/// All messages that differ from this one by one change of one field, wherever it is.
pub fn with_one_field_changed(message: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let fields = parse(message, 0).unwrap_or_default();
    let places = 0..count(&fields);
    places.flat_map(move |place| {
        let fields = fields.clone();
        (0..).map_while(move |way| {
            let mut fields = fields.clone();
            let mut changed = false;
            find(&mut fields, place, &mut |fields, i| changed = change(fields, i, way));
            let mut out = Vec::new();
            write(&fields, &mut out);
            changed.then_some(out)
        })
    })
}

/// Changes a field in one of the ways that there are. Whether there are so many.
fn change(fields: &mut Vec<Field>, i: usize, way: usize) -> bool {
    match way {
        0 => drop(fields.remove(i)),
        1 => fields.insert(i, fields[i].clone()),
        2 => fields[i].number += 1,
        3 => fields[i].number = 1000,
        _ => match changed(&fields[i].content, way - 4) {
            Some(content) => fields[i].content = content,
            None => return false,
        },
    }
    true
}

fn changed(content: &Content, way: usize) -> Option<Content> {
    match content {
        Content::Varint(value) => numbers(*value).get(way).map(|number| Content::Varint(*number)),
        Content::Eight(bytes) => {
            numbers(u64::from_le_bytes(*bytes)).get(way).map(|number| Content::Eight(number.to_le_bytes()))
        }
        Content::Four(_) => {
            let floats = [0.0, -0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-30, 1e30];
            floats.get(way).map(|float| Content::Four(float.to_le_bytes()))
        }
        Content::Bytes(bytes) => changed_bytes(bytes, way).map(Content::Bytes),
        Content::Message(fields) => {
            let mut bytes = Vec::new();
            write(fields, &mut bytes);
            changed_bytes(&bytes, way).map(Content::Bytes)
        }
    }
}

/// Sizes, enumerations, signs and limits.
fn numbers(value: u64) -> [u64; 13] {
    let near = [value.wrapping_add(1), value.wrapping_sub(1), value.wrapping_mul(2), value.wrapping_neg()];
    let [a, b, c, d] = near;
    [a, b, c, d, 0, 1, 2, 3, 11, i32::MAX as u64, i64::MAX as u64, i64::MIN as u64, u64::MAX]
}

fn changed_bytes(bytes: &[u8], way: usize) -> Option<Vec<u8>> {
    let end = bytes.len().saturating_sub(1);
    Some(match way {
        0 => Vec::new(),
        1 => bytes[..end].to_vec(),
        2 => [bytes, &[0]].concat(),
        3 => [bytes, bytes].concat(),
        // A string becomes another one, a packed number a neighbour, a float another one.
        4 => bytes.iter().enumerate().map(|(i, byte)| if i == 0 { byte ^ 1 } else { *byte }).collect(),
        5 => bytes.iter().enumerate().map(|(i, byte)| if i == end { byte ^ 0x80 } else { *byte }).collect(),
        6 => [&[0xff], bytes].concat(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_another_one() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x04, 0x08, 0x01, 0x10, 0x02];
        let all: Vec<_> = with_one_field_changed(&message).collect();
        // Four fields; three of them are numbers.
        assert_eq!(all.len(), 4 * 4 + 3 * 13 + 7);
        assert!(all.iter().filter(|other| **other == message).count() <= 3, "numbers that are among those tried");
    }
}
