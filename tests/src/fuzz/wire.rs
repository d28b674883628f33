//! Changes protobuf messages as trees of fields, without their schema: what comes out is still a message, which a change of single bytes seldom is.

use fastrand::Rng;

/// A field of a message: its number and its content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Varint(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    /// What is length-delimited and no message: a string, bytes, packed numbers.
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// Messages in messages deeper than this stay bytes.
const DEPTH: usize = 12;

/// The message with one to four changes. Bytes that are no message are changed as bytes.
pub(super) fn mutant(message: &[u8], rng: &mut Rng) -> Vec<u8> {
    let Some(mut fields) = parse(message, 0) else { return bytes(message, rng) };
    for _ in 0..rng.usize(1..5) {
        let places = count(&fields);
        if places == 0 {
            break;
        }
        change(&mut fields, rng.usize(..places), rng);
    }
    let mut out = Vec::new();
    write(&fields, &mut out);
    out
}

pub(super) fn parse(mut from: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !from.is_empty() {
        let key = varint(&mut from)?;
        let content = match key & 7 {
            0 => Content::Varint(varint(&mut from)?),
            1 => Content::Eight(take(&mut from, 8)?.try_into().ok()?),
            5 => Content::Four(take(&mut from, 4)?.try_into().ok()?),
            2 => {
                let len = usize::try_from(varint(&mut from)?).ok()?;
                let bytes = take(&mut from, len)?;
                match parse(bytes, depth + 1).filter(|fields| depth < DEPTH && !fields.is_empty()) {
                    Some(fields) => Content::Message(fields),
                    None => Content::Bytes(bytes.to_vec()),
                }
            }
            _ => return None,
        };
        let number = key >> 3;
        (number > 0).then_some(())?;
        fields.push(Field { number, content });
    }
    Some(fields)
}

fn take<'a>(from: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(taken)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(from, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

pub(super) fn write(fields: &[Field], out: &mut Vec<u8>) {
    for Field { number, content } in fields {
        let key = |kind: u64, out: &mut Vec<u8>| write_varint(number << 3 | kind, out);
        match content {
            Content::Varint(value) => {
                key(0, out);
                write_varint(*value, out);
            }
            Content::Eight(bytes) => {
                key(1, out);
                out.extend(bytes);
            }
            Content::Four(bytes) => {
                key(5, out);
                out.extend(bytes);
            }
            Content::Bytes(bytes) => {
                key(2, out);
                write_varint(bytes.len() as u64, out);
                out.extend(bytes);
            }
            Content::Message(fields) => {
                key(2, out);
                let mut inner = Vec::new();
                write(fields, &mut inner);
                write_varint(inner.len() as u64, out);
                out.extend(inner);
            }
        }
    }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Fields of a message and of those in it.
pub(super) fn count(fields: &[Field]) -> usize {
    let inner = |field: &Field| if let Content::Message(fields) = &field.content { count(fields) } else { 0 };
    fields.iter().map(|field| 1 + inner(field)).sum()
}

/// Changes the field at a place, counted depth first.
fn change(fields: &mut Vec<Field>, place: usize, rng: &mut Rng) {
    find(fields, place, &mut |fields, i| change_at(fields, i, rng));
}

/// Calls `act` with the fields among which the one at a place is, counted depth first, and where it is among them.
pub(super) fn find(fields: &mut Vec<Field>, mut place: usize, act: &mut dyn FnMut(&mut Vec<Field>, usize)) {
    for i in 0..fields.len() {
        if place == 0 {
            return act(fields, i);
        }
        place -= 1;
        if let Content::Message(inner) = &mut fields[i].content {
            let inside = count(inner);
            if place < inside {
                return find(inner, place, act);
            }
            place -= inside;
        }
    }
}

fn change_at(fields: &mut Vec<Field>, i: usize, rng: &mut Rng) {
    match rng.u32(..20) {
        0 => drop(fields.remove(i)),
        1 => fields.insert(i, fields[i].clone()),
        2 => {
            let other = rng.usize(..fields.len());
            fields.swap(i, other);
        }
        // The content of a field of the same number.
        3 | 4 => {
            let like: Vec<usize> = (0..fields.len()).filter(|k| fields[*k].number == fields[i].number).collect();
            let other = like[rng.usize(..like.len())];
            fields[i].content = fields[other].content.clone();
        }
        5 => fields[i].number = rng.u64(1..20),
        _ => change_content(&mut fields[i].content, rng),
    }
}

fn change_content(content: &mut Content, rng: &mut Rng) {
    match content {
        Content::Varint(value) => *value = number(*value, rng),
        Content::Eight(bytes) => *bytes = number(u64::from_le_bytes(*bytes), rng).to_le_bytes(),
        Content::Four(four) => {
            let floats = [0.0, -0.0, 1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, 1e30];
            *four = floats[rng.usize(..floats.len())].to_le_bytes();
        }
        Content::Bytes(old) => *old = packed(old, rng).unwrap_or_else(|| bytes(old, rng)),
        Content::Message(fields) => match count(fields) {
            0 => {}
            places => change(fields, rng.usize(..places), rng),
        },
    }
}

/// Packed numbers with one changed, if the bytes can be such.
fn packed(old: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let mut from = old;
    let mut numbers = Vec::new();
    while !from.is_empty() {
        numbers.push(varint(&mut from)?);
    }
    let i = (!numbers.is_empty()).then(|| rng.usize(..numbers.len()))?;
    match rng.u32(..8) {
        0 => drop(numbers.remove(i)),
        1 => numbers.insert(i, numbers[i]),
        _ => numbers[i] = number(numbers[i], rng),
    }
    let mut out = Vec::new();
    for number in numbers {
        write_varint(number, &mut out);
    }
    Some(out)
}

/// A number near this one, or one of those that programs trip over.
fn number(value: u64, rng: &mut Rng) -> u64 {
    match rng.u32(..12) {
        0 => 0,
        1 => 1,
        2 => value.wrapping_add(1),
        3 => value.wrapping_sub(1),
        4 => value.wrapping_mul(2),
        5 => value / 2,
        6 => rng.u64(..20),
        7 => 1 << rng.u32(..64),
        8 => (1u64 << rng.u32(..64)).wrapping_sub(1),
        9 => value.wrapping_neg(),
        10 => value.wrapping_add(rng.u64(..256)),
        _ => rng.u64(..),
    }
}

fn bytes(old: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut new = old.to_vec();
    match rng.u32(..4) {
        0 => new.truncate(rng.usize(..=old.len())),
        1 => new.insert(rng.usize(..=old.len()), rng.u8(..)),
        _ if !new.is_empty() => new[rng.usize(..old.len())] = rng.u8(..),
        _ => {}
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Kind;

    #[test]
    fn a_message_comes_back_as_it_was() {
        let header = Kind::Plan.sound(&crate::random::program(3).graph).unwrap();
        let mut out = Vec::new();
        write(&parse(&header, 0).unwrap(), &mut out);
        assert_eq!(out, header);
    }

    #[test]
    fn mutants_are_messages_and_differ() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x04, 0x08, 0x01, 0x10, 0x02];
        let mut rng = Rng::with_seed(1);
        let mutants: Vec<Vec<u8>> = (0..200).map(|_| mutant(&message, &mut rng)).collect();
        assert!(mutants.iter().all(|mutant| parse(mutant, 0).is_some()));
        assert!(mutants.iter().filter(|mutant| **mutant != message).count() > 150);
    }
}
