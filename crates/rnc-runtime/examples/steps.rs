//! Times the steps of a plan as they follow each other in a run: `cargo run --release -p rnc-runtime --example steps PLAN [THREADS] [RUNS] [BATCH] [ISA]`.
//!
//! A step finds its weights as cold as the steps before it left them, which is what [`layers`](../../rnc-codegen/examples/layers.rs) does not show. Prints each step's
//! median and minimum, its GFLOP/s at the median, and their sums.

use rnc_plan::cost::cost;
use rnc_runtime::{Options, Session};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which plan?")?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |n| n.parse());
    let (threads, runs, batch) = (number(1)?, number(40)?, number(1)?);
    let isa = arguments.next().map(|name| name.parse()).transpose()?;
    let session = Session::load(path, &Options { threads: Some(threads), isa, ..Options::default() })?;
    let plan = session.plan();
    let batch = plan.batch.fixed().unwrap_or(batch);
    let len = |port: &rnc_plan::Port| port.sample_len().unwrap_or(0) * batch;
    let inputs: Vec<Vec<f32>> =
        plan.inputs.iter().map(|port| (0..len(port)).map(|i| (i as f32).sin()).collect()).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![0.0; len(port)]).collect();
    let mut workspace = session.measuring_workspace();
    let mut times = vec![Vec::new(); plan.steps.len()];
    let mut before = vec![0; plan.steps.len()];
    for _ in 0..runs {
        let mut outputs: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        session.run_into(&mut workspace, batch, &inputs, &mut outputs)?;
        let total = workspace.step_nanoseconds().ok_or("the workspace does not measure")?;
        for ((times, total), before) in times.iter_mut().zip(&total).zip(&mut before) {
            times.push((total - *before) as f64 / 1e6);
            *before = *total;
        }
    }
    let (mut medians, mut minima) = (0.0, 0.0);
    println!("median ms  min ms  GFLOP/s  step");
    for ((index, step), times) in plan.steps.iter().enumerate().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (median, min) = (times[times.len() / 2], times[0]);
        (medians, minima) = (medians + median, minima + min);
        let flops = cost(&step.kernel).flops as f64 * batch as f64;
        let kernel = session.code().kernel(index).name();
        println!("{median:9.3} {min:7.3}  {:7.1}  {} ({kernel})", flops / median / 1e6, step.name);
    }
    println!("{medians:9.3} {minima:7.3}           all {} steps", plan.steps.len());
    Ok(())
}
