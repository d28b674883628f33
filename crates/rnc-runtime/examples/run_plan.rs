//! The smallest program that runs a plan: nothing of it but this file and the runtime.
//!
//! ```sh
//! cargo run --release -p rnc-runtime --example run_plan -- resnet50.plan < samples.f32 > scores.f32
//! ```
//!
//! Reads samples for a model with one input as numbers of 32 bits from standard input, planar and little-endian, and writes the outputs, one after the other.

use std::error::Error;
use std::io::{Read, Write};

use ndarray::ArrayView;
use rnc_runtime::{Options, Session};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: run_plan PLAN < SAMPLES > OUTPUTS")?;
    let session = Session::load(path, &Options::default())?;
    let plan = session.plan();
    let [input] = plan.inputs.as_slice() else { return Err("the model has several inputs".into()) };
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let samples = numbers.len() / input.sample_len().unwrap_or(0).max(1);
    let samples = ArrayView::from_shape(plan.batch.shape(&input.dims, samples), &numbers)?;
    let mut out = std::io::stdout().lock();
    for (_, array) in session.run(&[(input.name.as_str(), samples.view())])? {
        for number in &array {
            out.write_all(&number.to_le_bytes())?;
        }
    }
    out.flush()?;
    Ok(())
}
