//! Tests of the zoo through its public face.

mod activations;
mod determinism;
mod onnx;
mod options;
mod parameters;
mod structure;
mod weights;

use rnc_ir::{Dim, Graph, NodeId, Tensor};
use rnc_zoo::{ZooOptions, build};

/// Options for quick tests.
const SMALL: ZooOptions = ZooOptions { seed: 0, classes: 10, batch: Dim::Batch, image: 32, size: None };

fn small(name: &str) -> Graph {
    build(name, &SMALL).unwrap()
}

/// Names and values of the constants, in order.
fn constants(graph: &Graph) -> Vec<(&str, &Tensor)> {
    let node = |id: NodeId| graph.node(id);
    graph.ids().filter_map(|id| Some((node(id).name(), node(id).constant()?))).collect()
}

/// Names and types of the outputs.
fn outputs(graph: &Graph) -> Vec<(&str, String)> {
    graph.outputs().iter().map(|output| (output.name.as_str(), graph.ty(output.value).to_string())).collect()
}

/// Whether a constant is a parameter of training; the others are running statistics and filters that never change.
fn is_trained(name: &str) -> bool {
    !name.contains(".running_") && !is_fixed(name)
}

/// Whether a constant is a filter that never changes and that state dicts do not have.
fn is_fixed(name: &str) -> bool {
    name.strip_suffix(".filt").is_some()
}
