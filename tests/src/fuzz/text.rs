//! Graphs as text.

use fastrand::Rng;
use rnc_ir::Graph;

/// Parses; what is printed reads back as the same.
pub(super) fn parse(bytes: &[u8]) -> Option<Graph> {
    let graph = std::str::from_utf8(bytes).ok().and_then(|text| rnc_ir::parse(text).ok())?;
    let printed = rnc_ir::print(&graph);
    let again = rnc_ir::parse(&printed).unwrap_or_else(|error| panic!("{error}, in what was printed:\n{printed}"));
    assert_eq!(without_hashes(&rnc_ir::print(&again)), without_hashes(&printed));
    Some(graph)
}

/// Printed constants without their hashes: reading makes elements up, which have others.
fn without_hashes(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once("hash=").map_or(line, |(before, _)| before)).collect()
}

/// Text with a word replaced by another of its words or by a number, removed, or repeated.
pub(super) fn mutant(text: &[u8], rng: &mut Rng) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let is_word = |c: char| c.is_alphanumeric() || "%@._-".contains(c);
    let mut parts: Vec<&str> = text.split_inclusive(|c| !is_word(c)).collect();
    if parts.is_empty() {
        return b"graph".to_vec();
    }
    let (i, other) = (rng.usize(..parts.len()), rng.usize(..parts.len()));
    let numbers = ["0 ", "1,", "-1,", "2]", "65536,", "18446744073709551615,", "nan ", "1e400,", "N,"];
    match rng.u32(..4) {
        0 => parts[i] = parts[other],
        1 => parts[i] = numbers[rng.usize(..numbers.len())],
        2 => drop(parts.remove(i)),
        _ => parts.insert(i, parts[other]),
    }
    parts.concat().into_bytes()
}
