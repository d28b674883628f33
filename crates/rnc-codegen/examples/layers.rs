//! Times the convolutions of ResNet-50 one by one on one thread: `cargo run --release -p rnc-codegen --example layers [ISA] [ROUNDS] [exact]`.
//!
//! Weights and pixels are as hot as the caches keep them. Prints GFLOP/s of the best round, and the sum over the network's 53 layers.

mod resnet50;

use std::time::Instant;

use resnet50::{LAYERS, spec};
use rnc_codegen::{Code, Isa};
use rnc_plan::cost::cost;
use rnc_plan::footprint;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let isa = arguments.next().map_or(Ok(Isa::best()), |name| name.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(15), |n| n.parse())?;
    let exact = arguments.next().is_some_and(|word| word == "exact");
    let specs: Vec<_> = LAYERS.into_iter().map(|layer| spec(layer, exact)).collect();
    let start = Instant::now();
    let code = Code::compile(&specs, isa)?;
    println!("{isa}: {} kernels compiled in {:.1} ms", specs.len(), start.elapsed().as_secs_f64() * 1e3);
    let (mut total_time, mut total_flops) = (0.0, 0.0);
    for (i, (spec, layer)) in specs.iter().zip(LAYERS).enumerate() {
        let sizes: Vec<_> = footprint::operands(spec)?.iter().map(|o| o.elements_per_sample).collect();
        let mut operands: Vec<Vec<f32>> = sizes.iter().map(|size| vec![0.5; *size]).collect();
        let addresses: Vec<*mut u8> = operands.iter_mut().map(|operand| operand.as_mut_ptr().cast()).collect();
        let kernel = code.kernel(i);
        let tasks = kernel.tasks().count(1);
        let mut scratch = vec![0f32; kernel.scratch() / 4];
        let mut best = f64::INFINITY;
        for _ in 0..rounds {
            let start = Instant::now();
            // SAFETY: every operand has the size of its footprint.
            #[allow(unsafe_code, reason = "the call into generated code")]
            unsafe {
                kernel.run(&addresses, 1, 0..tasks, scratch.as_mut_ptr().cast());
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let [inputs, outputs, size, stride, width, count] = layer;
        let flops = cost(spec).flops as f64;
        println!(
            "{size}x{size} s{stride} {inputs:4} -> {outputs:4} @ {width:3} x{count}: {:7.3} ms {:6.1} GFLOP/s",
            best * 1e3,
            flops / best / 1e9
        );
        total_time += best * count as f64;
        total_flops += flops * count as f64;
    }
    println!("all 53: {:.2} ms, {:.1} GFLOP/s", total_time * 1e3, total_flops / total_time / 1e9);
    Ok(())
}
