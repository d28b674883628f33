//! Mutants of sound plans, models and texts: nothing that rnc is fed makes it panic, fault or hang.

use fastrand::Rng;
use rnc_onnx::ImportOptions;
use rnc_tests::fuzz::{Kind, is_small, small_model, with_one_field_changed};
use rnc_tests::random::{Outcome, Program, check, program};

/// Programs, and mutants of each.
const PROGRAMS: u64 = 60;
const MUTANTS: usize = 25;

/// Feeds mutants. What is tried is kept in a file first, since a fault ends the process.
fn feed_mutants(kind: Kind) {
    let last = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("last-{}", kind.name()));
    let (mut tried, mut accepted) = (0, 0);
    for seed in 0..PROGRAMS {
        // Some programs are refused as they are.
        let Some(sound) = kind.sound(&program(seed).graph).filter(|sound| kind.feed(sound)) else { continue };
        let mut rng = Rng::with_seed(seed);
        for _ in 0..MUTANTS {
            let mutant = kind.mutant(&sound, &mut rng);
            std::fs::write(&last, &mutant).unwrap();
            tried += 1;
            accepted += usize::from(kind.feed(&mutant));
        }
    }
    std::fs::remove_file(&last).unwrap();
    // Else they would show nothing: neither of what is checked, nor of what is let through.
    assert!(tried > 500 && accepted * 20 > tried && accepted < tried, "{accepted} of {tried} accepted");
}

/// Some of what libFuzzer kept, since it reached code that nothing before it had, and what made rnc panic once (`found-*`).
#[test]
fn what_the_fuzzer_kept_makes_nothing_panic() {
    for kind in Kind::ALL {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(kind.name());
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 20, "{} for {kind:?}", files.len());
        for file in files {
            println!("{}", file.display());
            kind.feed(&std::fs::read(file).unwrap());
        }
    }
}

#[test]
fn no_plan_makes_rnc_touch_what_is_not_its_own() {
    feed_mutants(Kind::Plan);
}

#[test]
fn no_model_makes_the_importer_or_the_compiler_panic() {
    feed_mutants(Kind::Model);
}

#[test]
fn no_text_makes_the_parser_or_the_compiler_panic() {
    feed_mutants(Kind::Text);
}

#[test]
fn a_model_with_any_one_field_changed_is_refused_or_computed_as_it_says() {
    let (mut refused, mut right) = (0, 0);
    for model in with_one_field_changed(&small_model()) {
        let Some(graph) = rnc_onnx::import_bytes(&model, None, &ImportOptions::default()).ok().filter(is_small) else {
            refused += 1;
            continue;
        };
        match check(&Program { seed: 0, graph, batch: 2 }) {
            Ok(Outcome::Agrees) => right += 1,
            Ok(Outcome::Refused(_)) => refused += 1,
            Err(failure) => {
                let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong.onnx");
                std::fs::write(&file, model).unwrap();
                panic!("{}: {failure}", file.display());
            }
        }
    }
    assert!(refused > 500 && right > 500, "{refused} refused, {right} right");
}
