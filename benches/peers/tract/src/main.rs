//! Times tract: `peer-tract MODEL.onnx INPUT.f32 BATCH THREADS RUNS OUTPUT.f32` prints JSON for `bench.py`.

use std::error::Error;
use std::time::Instant;

use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, input, batch, threads, runs, output] = arguments.as_slice() else {
        return Err("usage: peer-tract MODEL INPUT BATCH THREADS RUNS OUTPUT".into());
    };
    let (batch, threads, runs): (usize, usize, usize) = (batch.parse()?, threads.parse()?, runs.parse()?);
    if threads > 1 {
        set_default_executor(Executor::multithread(threads));
    }
    let floats: Vec<f32> =
        std::fs::read(input)?.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let x: Tensor = tract_ndarray::Array4::from_shape_vec((batch, 3, 224, 224), floats)?.into();

    let start = Instant::now();
    let shape = InferenceFact::dt_shape(f32::datum_type(), [batch, 3, 224, 224]);
    let plan = tract_onnx::onnx().model_for_path(model)?.with_input_fact(0, shape)?.into_optimized()?.into_runnable()?;
    let load = start.elapsed().as_secs_f64() * 1e3;

    let mut times = Vec::with_capacity(runs);
    let mut result = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        let outputs = plan.run(tvec!(x.clone().into()))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        result = outputs[0].to_plain_array_view::<f32>()?.iter().copied().collect();
    }
    std::fs::write(output, result.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    println!("{{\"load_ms\": {load}, \"times_ms\": {times:?}}}");
    Ok(())
}
