//! A pass of one's own: rounds all weights to bfloat16, to see what that would do to a model's results before anyone builds it.
//!
//! ```sh
//! cargo run --release -p rnc --example custom_pass -- resnet50.onnx
//! ```

use std::error::Error;

use ndarray::ArrayD;
use rnc::compare::{Difference, Random};
use rnc::ir::{Graph, Op, Tensor};
use rnc::passes::{Log, Pass, PassError, Stats};
use rnc::plan::Port;
use rnc::{CompileOptions, Options, Session};

const ROUND_WEIGHTS: Pass = Pass { name: "round_weights", about: "rounds weights to bfloat16", run: round_weights };

/// Rounds every constant of more than one dimension.
fn round_weights(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    let mut stats = Stats::default();
    for id in graph.ids().collect::<Vec<_>>() {
        let Op::Constant(tensor) = graph.op(id) else { continue };
        let Some(data) = tensor.as_f32() else { continue };
        let node = graph.node(id).name().to_owned();
        if tensor.dims().len() < 2 {
            stats.refused += 1;
            log.refused(node, "it is a vector: biases stay exact");
            continue;
        }
        let rounded = Tensor::f32(tensor.dims(), data.iter().copied().map(bfloat16).collect::<Vec<_>>());
        let replaced = graph.replace_op(id, Op::Constant(rounded), &[]);
        replaced.map_err(|error| PassError { node: node.clone(), source: Box::new(error) })?;
        stats.applied += 1;
        log.applied(node, "rounded");
    }
    Ok(stats)
}

/// The nearest number with 8 bits of significand, of two the even one. NaN and infinities stay.
fn bfloat16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    if x.is_finite() { f32::from_bits(rounded) } else { x }
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args_os().nth(1).ok_or("usage: custom_pass MODEL.onnx")?;
    let options = CompileOptions::default();
    let imported = rnc::import_file(model, &options)?;
    let mut rounded = imported.clone();
    // The verifier looks at the graph before and after it.
    let report = rnc::passes::run(&mut rounded, &[ROUND_WEIGHTS], &mut |_, _| {})?;
    println!("{} constants rounded, {} left alone", report.passes[0].stats.applied, report.passes[0].stats.refused);

    let [before, after] = [imported, rounded].map(|graph| -> Result<_, Box<dyn Error>> {
        Ok(Session::new(rnc::compile_graph(graph, &options)?, &Options::default())?)
    });
    let (before, after) = (before?, after?);
    let plan = before.plan();
    let mut random = Random::new(1);
    let input = |port: &Port| (port.name.clone(), random.array(&plan.batch.shape(&port.dims, 1)));
    let inputs: Vec<(String, ArrayD<f32>)> = plan.inputs.iter().map(input).collect();
    let views: Vec<_> = inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    for ((name, expected), (_, found)) in before.run(&views)?.iter().zip(&after.run(&views)?) {
        println!(
            "output {name}: off by {:.2e} of the largest magnitude",
            Difference::between(found, expected).relative()
        );
    }
    Ok(())
}
