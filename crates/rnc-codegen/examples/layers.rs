//! Times the convolutions of ResNet-50 one by one on one thread: `cargo run --release -p rnc-codegen --example layers [ISA] [ROUNDS] [exact]`.
//!
//! Weights and pixels are as hot as the caches keep them. Prints GFLOP/s of the best round, and the sum over the network's 53 layers.

use std::time::Instant;

use rnc_codegen::{Code, Isa};
use rnc_plan::cost::cost;
use rnc_plan::footprint;
use rnc_plan::kernel::{Activation, Conv, Extent, KernelSpec, Source, Strassen, Window, Winograd};

/// Channels in and out, kernel, stride, size of the result, how often the network has it.
const LAYERS: [[usize; 6]; 23] = [
    [3, 64, 7, 2, 112, 1],
    [64, 64, 1, 1, 56, 1],
    [256, 64, 1, 1, 56, 2],
    [64, 64, 3, 1, 56, 3],
    [64, 256, 1, 1, 56, 4],
    [256, 128, 1, 1, 56, 1],
    [128, 128, 3, 2, 28, 1],
    [512, 128, 1, 1, 28, 3],
    [128, 128, 3, 1, 28, 3],
    [128, 512, 1, 1, 28, 4],
    [256, 512, 1, 2, 28, 1],
    [512, 256, 1, 1, 28, 1],
    [256, 256, 3, 2, 14, 1],
    [1024, 256, 1, 1, 14, 5],
    [256, 256, 3, 1, 14, 5],
    [256, 1024, 1, 1, 14, 6],
    [512, 1024, 1, 2, 14, 1],
    [1024, 512, 1, 1, 14, 1],
    [512, 512, 3, 2, 7, 1],
    [2048, 512, 1, 1, 7, 2],
    [512, 512, 3, 1, 7, 2],
    [512, 2048, 1, 1, 7, 3],
    [1024, 2048, 1, 2, 7, 1],
];

fn spec([inputs, outputs, kernel, stride, size, _]: [usize; 6], exact: bool) -> KernelSpec {
    let input = size * stride;
    let conv = Conv {
        input: Extent { channels: inputs, height: input, width: input },
        source: if inputs == 3 { Source::Planar } else { Source::Blocked },
        output: Extent { channels: outputs, height: size, width: size },
        groups: 1,
        window: Window { kernel: [kernel; 2], stride: [stride; 2], pad: [kernel / 2; 2], dilation: [1; 2] },
        residual: false,
        activation: Activation::Relu,
    };
    // As `rnc-lower` chooses.
    let tile = match (kernel, stride, size) {
        (3, 1, 14..) | (3, 2, 28..) => Some(4),
        (3, 1, _) | (3, 2, 14..) => Some(2),
        _ => None,
    };
    let strassen = KernelSpec::Strassen(Strassen { conv: conv.clone() });
    if footprint::operands(&strassen).is_ok() && !exact {
        strassen
    } else if let Some(tile) = tile.filter(|_| !exact) {
        KernelSpec::Winograd(Winograd { conv, tile })
    } else {
        KernelSpec::Conv(conv)
    }
}

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
