//! Mutants of sound plans, models and texts: nothing that rnc is fed makes it panic, fault or hang. `fuzz/` does the same for hours, led by coverage.

use fastrand::Rng;
use rnc::CompileOptions;
use rnc_tests::fuzz::{self, wire};
use rnc_tests::random::program;

/// Programs, and mutants of each.
const PROGRAMS: u64 = 60;
const MUTANTS: usize = 25;

/// Feeds mutants, and tells how many of them were accepted. What is tried last is kept in a file, since a fault ends the process.
fn feed(
    what: &str,
    make: impl Fn(u64) -> Option<Vec<u8>>,
    mutate: fn(&[u8], &mut Rng) -> Vec<u8>,
    to: fn(&[u8]) -> bool,
) {
    let last = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("last-{what}"));
    let (mut tried, mut accepted) = (0, 0);
    for seed in 0..PROGRAMS {
        let Some(sound) = make(seed) else { continue };
        let mut rng = Rng::with_seed(seed);
        // Some programs are refused as they are.
        if !to(&sound) {
            continue;
        }
        for _ in 0..MUTANTS {
            let mutant = mutate(&sound, &mut rng);
            std::fs::write(&last, &mutant).unwrap();
            tried += 1;
            accepted += usize::from(to(&mutant));
        }
    }
    std::fs::remove_file(&last).unwrap();
    // Else they would show nothing: neither of what is checked, nor of what is let through.
    assert!(tried > 500 && accepted * 20 > tried && accepted < tried, "{what}: {accepted} of {tried} accepted");
}

#[test]
fn no_plan_makes_rnc_touch_what_is_not_its_own() {
    let make = |seed| fuzz::header(&rnc::compile_graph(program(seed).graph, &CompileOptions::default()).ok()?);
    feed("plan", make, wire::mutate, fuzz::plan);
}

#[test]
fn no_model_makes_the_importer_or_the_compiler_panic() {
    feed("model", |seed| rnc_onnx::export(&program(seed).graph).ok(), wire::mutate, fuzz::onnx);
}

#[test]
fn no_text_makes_the_parser_or_the_compiler_panic() {
    feed("text", |seed| Some(program(seed).graph.to_string().into_bytes()), text_mutant, fuzz::text);
}

/// Text with a word replaced by another of its words, a number by another number, or a character changed.
fn text_mutant(text: &[u8], rng: &mut Rng) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let is_word = |c: char| c.is_alphanumeric() || "%@._-".contains(c);
    let mut parts: Vec<&str> = text.split_inclusive(|c| !is_word(c)).collect();
    let i = rng.usize(..parts.len());
    let numbers = ["0 ", "1,", "-1,", "2]", "65536,", "18446744073709551615,", "nan ", "1e400,", "N,"];
    match rng.u32(..4) {
        0 => parts[i] = parts[rng.usize(..parts.len())],
        1 => parts[i] = numbers[rng.usize(..numbers.len())],
        2 => drop(parts.remove(i)),
        _ => parts.insert(i, parts[rng.usize(..parts.len())]),
    }
    parts.concat().into_bytes()
}
