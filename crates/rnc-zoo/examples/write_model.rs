//! Writes a model of the zoo as ONNX:
//! `cargo run --release -p rnc-zoo --example write_model -- resnet50 resnet50.onnx [SEED [HEIGHTxWIDTH [WEIGHTS.safetensors]]]`

use std::process::ExitCode;

use rnc_zoo::{ZooOptions, build, build_with_weights, names};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match write(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("write_model: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn write(args: &[String]) -> Result<(), String> {
    let [name, path, rest @ ..] = args else { return Err(usage()) };
    let mut options = ZooOptions::for_model(name).map_err(|error| error.to_string())?;
    let mut weights = None;
    match rest {
        [] => {}
        [seed] => options.seed = number(seed)?,
        [seed, image] => (options.seed, options.size) = (number(seed)?, Some(size(image)?)),
        [seed, image, file] => {
            (options.seed, options.size) = (number(seed)?, Some(size(image)?));
            weights = Some(std::fs::read(file).map_err(|error| format!("{file} could not be read: {error}"))?);
        }
        _ => return Err(usage()),
    }
    let graph = match weights {
        None => build(name, &options),
        Some(weights) => build_with_weights(name, &options, &weights),
    };
    let bytes = rnc_onnx::export(&graph.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    std::fs::write(path, bytes).map_err(|error| format!("{path} could not be written: {error}"))
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let (height, width) = text.split_once('x').ok_or_else(|| format!("size `{text}` is not HEIGHTxWIDTH"))?;
    Ok([number(height)?, number(width)?])
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number that can be used here"))
}

fn usage() -> String {
    let known = names().collect::<Vec<_>>().join(", ");
    format!("usage: write_model NAME OUTPUT.onnx [SEED [HEIGHTxWIDTH [WEIGHTS.safetensors]]]; NAME is one of {known}")
}
