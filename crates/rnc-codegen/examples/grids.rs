//! Predicts how the layers of ResNet-50 spread over threads: `cargo run --release -p rnc-codegen --example grids [ISA]`.
//!
//! Kernels are compiled for each number of threads from 1 to 64 and their tasks counted: efficiency is the mean number of tasks a thread over the largest. The last line
//! weights layers with their multiply-adds, the last columns are the mean and the least of all 64. What cores share (memory, clock) is not in it.

mod resnet50;

use resnet50::{LAYERS, spec};
use rnc_codegen::{Code, Isa, Target};
use rnc_plan::cost::cost;
use rnc_plan::kernel::{Activation, Gemm, KernelSpec};

/// Numbers of threads that have a column.
const SHOWN: [usize; 14] = [1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = std::env::args().nth(1).map_or(Ok(Isa::best()), |name| name.parse())?;
    let mut specs: Vec<_> = LAYERS.into_iter().map(|layer| (spec(layer, false), layer[5])).collect();
    specs.push((KernelSpec::Gemm(Gemm { features: 2048, out: 1000, activation: Activation::None }), 1));
    // By number of threads, then by layer.
    let mut efficiencies: Vec<Vec<f64>> = Vec::new();
    for threads in 1..=64 {
        let code = Code::compile(specs.iter().map(|(spec, _)| spec), Target { isa, threads })?;
        let efficiency = |index: usize| {
            let tasks = code.kernel(index).tasks().count(1);
            tasks as f64 / (threads * tasks.div_ceil(threads)) as f64
        };
        efficiencies.push((0..specs.len()).map(efficiency).collect());
    }
    let header: Vec<String> = SHOWN.iter().map(|threads| format!("{threads:4}")).collect();
    println!("{:36} {} mean least", "percent at so many threads", header.join(" "));
    for (index, (spec, _)) in specs.iter().enumerate() {
        line(&name(spec), &efficiencies.iter().map(|layers| layers[index]).collect::<Vec<_>>());
    }
    let work: Vec<f64> = specs.iter().map(|(spec, count)| cost(spec).flops as f64 * *count as f64).collect();
    let network = |layers: &Vec<f64>| {
        work.iter().sum::<f64>() / work.iter().zip(layers).map(|(work, efficiency)| work / efficiency).sum::<f64>()
    };
    line("all", &efficiencies.iter().map(network).collect::<Vec<_>>());
    Ok(())
}

fn name(spec: &KernelSpec) -> String {
    let (kind, conv) = match spec {
        KernelSpec::Conv(conv) => ("direct", conv),
        KernelSpec::Winograd(winograd) => ("winograd", &winograd.conv),
        KernelSpec::Strassen(strassen) => ("strassen", &strassen.conv),
        _ => return "classifier".to_owned(),
    };
    let (window, output) = (&conv.window, conv.output);
    let [kernel, stride] = [window.kernel[0], window.stride[0]];
    format!("{kernel}x{kernel}/{stride} {} to {} at {} {kind}", conv.input.channels, output.channels, output.width)
}

fn line(name: &str, of_threads: &[f64]) {
    let percent = |efficiency: f64| format!("{:4.0}", efficiency * 100.0);
    let shown: Vec<String> = SHOWN.iter().map(|threads| percent(of_threads[threads - 1])).collect();
    let mean = of_threads.iter().sum::<f64>() / of_threads.len() as f64;
    let least = of_threads.iter().copied().fold(1.0, f64::min);
    println!("{name:36} {} {} {}", shown.join(" "), percent(mean), percent(least));
}
