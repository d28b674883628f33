//! Times RTen: `peer-rten MODEL.onnx INPUT.f32 BATCH THREADS RUNS OUTPUT.f32` prints JSON for `bench.py`.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use rten::{ModelOptions, RunOptions, ThreadPool};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, input, batch, threads, runs, output] = arguments.as_slice() else {
        return Err("usage: peer-rten MODEL INPUT BATCH THREADS RUNS OUTPUT".into());
    };
    let (batch, threads, runs): (usize, usize, usize) = (batch.parse()?, threads.parse()?, runs.parse()?);
    let floats: Vec<f32> =
        std::fs::read(input)?.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let x = NdTensor::from_data([batch, 3, 224, 224], floats);

    let start = Instant::now();
    let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(model)?;
    let load = start.elapsed().as_secs_f64() * 1e3;
    let pool = Arc::new(ThreadPool::with_num_threads(threads));

    let mut times = Vec::with_capacity(runs);
    let mut result = Vec::new();
    for _ in 0..runs {
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&pool)));
        let start = Instant::now();
        let outcome: NdTensor<f32, 2> = model.run_one(x.view().into(), Some(options))?.try_into()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        result = outcome.to_vec();
    }
    std::fs::write(output, result.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    println!("{{\"load_ms\": {load}, \"times_ms\": {times:?}}}");
    Ok(())
}
