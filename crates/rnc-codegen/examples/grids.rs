//! Predicts how the convolutions of ResNet-50 spread over threads: `cargo run --release -p rnc-codegen --example grids [ISA]`.
//!
//! Kernels are compiled for each number of threads and their tasks counted: efficiency is the mean number of tasks a thread over the largest. The last line weights layers with
//! their multiply-adds. What cores share (memory, clock) is not in it.

mod resnet50;

use resnet50::{LAYERS, spec};
use rnc_codegen::{Code, Isa, Target};
use rnc_plan::cost::cost;

const THREADS: [usize; 13] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 64];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = std::env::args().nth(1).map_or(Ok(Isa::best()), |name| name.parse())?;
    let specs: Vec<_> = LAYERS.into_iter().map(|layer| spec(layer, false)).collect();
    let mut efficiencies = Vec::new();
    for threads in THREADS {
        let code = Code::compile(&specs, Target { isa, threads })?;
        let efficiency = |index: usize| {
            let tasks = code.kernel(index).tasks().count(1);
            tasks as f64 / (threads * tasks.div_ceil(threads)) as f64
        };
        efficiencies.push((0..specs.len()).map(efficiency).collect::<Vec<f64>>());
    }
    let line = |name: &str, percent: &mut dyn Iterator<Item = f64>| {
        let numbers: Vec<String> = percent.map(|e| format!("{:4.0}", e * 100.0)).collect();
        println!("{name:28} {}", numbers.join(" "));
    };
    let header: Vec<String> = THREADS.iter().map(|threads| format!("{threads:4}")).collect();
    println!("{:28} {}", "percent at so many threads", header.join(" "));
    for (index, [inputs, outputs, kernel, stride, size, _]) in LAYERS.into_iter().enumerate() {
        let name = format!("{kernel}x{kernel}/{stride} {inputs} to {outputs} at {size}");
        line(&name, &mut efficiencies.iter().map(|of_layers| of_layers[index]));
    }
    let work: Vec<f64> =
        specs.iter().zip(LAYERS).map(|(spec, layer)| cost(spec).flops as f64 * layer[5] as f64).collect();
    let network = |of_layers: &Vec<f64>| {
        work.iter().sum::<f64>() / work.iter().zip(of_layers).map(|(work, efficiency)| work / efficiency).sum::<f64>()
    };
    line("all", &mut efficiencies.iter().map(network));
    Ok(())
}
