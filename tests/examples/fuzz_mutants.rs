//! Feeds mutants for a long time: `cargo run --release -p rnc-tests --example fuzz_mutants -- plan|model|text [SECONDS] [FIRST SEED]`.
//!
//! What is tried is kept in the folder for temporary files first, as `rnc-last-KIND`, since a fault ends the process. What panics is kept there, too, and the next one is tried.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use std::{fs, process};

use fastrand::Rng;
use rnc_tests::fuzz::Kind;
use rnc_tests::random::program;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or("which? plan, model or text")?;
    let seconds: u64 = arguments.next().map_or(Ok(60), |n| n.parse())?;
    let first: u64 = arguments.next().map_or(Ok(1 << 32), |n| n.parse())?;
    let last = std::env::temp_dir().join(format!("rnc-last-{name}"));
    let (start, budget) = (Instant::now(), Duration::from_secs(seconds));
    let (mut tried, mut accepted, mut panics, mut slowest) = (0u64, 0u64, 0u64, Duration::ZERO);
    for seed in first.. {
        if start.elapsed() > budget {
            break;
        }
        let Some(mut mutant) = kind.sound(&program(seed).graph) else { continue };
        let mut rng = Rng::with_seed(seed);
        // Some are mutants of mutants.
        for _ in 0..40 {
            let parent = mutant.clone();
            mutant = kind.mutant(&parent, &mut rng);
            fs::write(&last, &mutant)?;
            let before = Instant::now();
            let taken = catch_unwind(AssertUnwindSafe(|| kind.feed(&mutant)));
            slowest = slowest.max(before.elapsed());
            tried += 1;
            match taken {
                Ok(true) => accepted += 1,
                Ok(false) => mutant = parent,
                Err(_) => {
                    panics += 1;
                    fs::write(last.with_file_name(format!("rnc-panic-{name}-{panics}")), &mutant)?;
                    mutant = parent;
                }
            }
        }
    }
    let _ = fs::remove_file(&last);
    println!("{name}: {tried} mutants, {accepted} accepted, {panics} panics, the slowest took {slowest:.1?}");
    process::exit(i32::from(panics > 0));
}
