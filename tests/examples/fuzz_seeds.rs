//! Writes what libFuzzer starts from: `cargo run --release -p rnc-tests --example fuzz_seeds -- FOLDER [PROGRAMS]` makes `FOLDER/plan`, `FOLDER/model` and `FOLDER/text`, with random programs
//! as each.

use std::fs;
use std::path::PathBuf;

use rnc_tests::fuzz::Kind;
use rnc_tests::random::program;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("into which folder?")?);
    let programs: u64 = arguments.next().map_or(Ok(200), |n| n.parse())?;
    for kind in Kind::ALL {
        let folder = folder.join(kind.name());
        fs::create_dir_all(&folder)?;
        for seed in 0..programs {
            if let Some(sound) = kind.sound(&program(seed).graph) {
                fs::write(folder.join(format!("program-{seed}")), sound)?;
            }
        }
    }
    Ok(())
}
