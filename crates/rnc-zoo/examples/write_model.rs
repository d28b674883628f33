//! Writes a model of the zoo as ONNX: `cargo run --release -p rnc-zoo --example write_model -- resnet50 resnet50.onnx [SEED]`

use std::process::ExitCode;

use rnc_zoo::{ZooOptions, build_onnx, names};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.as_slice() {
        [name, path] => write(name, path, "0"),
        [name, path, seed] => write(name, path, seed),
        _ => Err(format!("usage: write_model NAME OUTPUT.onnx [SEED]; NAME is one of {}", known())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("write_model: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn write(name: &str, path: &str, seed: &str) -> Result<(), String> {
    let seed = seed.parse().map_err(|_| format!("seed `{seed}` is no number from 0 to {}", u64::MAX))?;
    let bytes = build_onnx(name, &ZooOptions { seed, ..ZooOptions::default() }).map_err(|error| error.to_string())?;
    std::fs::write(path, bytes).map_err(|error| format!("{path} could not be written: {error}"))
}

fn known() -> String {
    names().collect::<Vec<_>>().join(", ")
}
