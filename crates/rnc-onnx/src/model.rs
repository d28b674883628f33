//! The model's bytes, and the checks that concern it as a whole.

use std::collections::HashSet;

use onnx_protobuf::{GraphProto, Message, ModelProto};

use crate::error::{Fault, ImportError, Place, Problem};
use crate::node::place;
use crate::wire;

/// Versions of the default operator set that are understood.
pub(crate) const OPSETS: std::ops::RangeInclusive<i64> = 6..=27;

/// Parses a model.
pub(crate) fn parse(bytes: &[u8]) -> Result<ModelProto, ImportError> {
    let not_onnx = |reason: String| ImportError::NotOnnx { reason };
    if bytes.is_empty() {
        return Err(not_onnx("it is empty".into()));
    }
    wire::check(bytes).map_err(not_onnx)?;
    let model = ModelProto::parse_from_bytes(bytes).map_err(|e| not_onnx(e.to_string()))?;
    if model.graph.is_none() {
        return Err(not_onnx("it has no graph".into()));
    }
    Ok(model)
}

/// The version of the default operator set.
pub(crate) fn opset(model: &ModelProto) -> Result<i64, ImportError> {
    let default = model.opset_import.iter().filter(|o| matches!(o.domain.as_str(), "" | "ai.onnx"));
    let versions: Vec<i64> = default.map(|o| o.version).collect();
    match versions.as_slice() {
        [first, rest @ ..] if OPSETS.contains(first) && rest.iter().all(|v| v == first) => Ok(*first),
        [] => Err(ImportError::Opset { found: "no opset of the default domain".into() }),
        [one] => Err(ImportError::Opset { found: format!("opset {one}") }),
        [first, second, ..] => Err(ImportError::Opset { found: format!("opsets {first} and {second} at once") }),
    }
}

/// Problems of the model that are not a single node's: what it may not have at all, and names that are not clear.
pub(crate) fn problems(model: &ModelProto, graph: &GraphProto, opset: i64) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut report = |place: Place, fault: Fault| problems.extend(fault.at(place));
    if let Some(function) = model.functions.first() {
        let found = format!("{} (`{}`, …)", model.functions.len(), function.name);
        report(
            Place::Model,
            Fault::new("functions", found, "models without functions (inline them with onnx.inliner)"),
        );
    }
    for sparse in &graph.sparse_initializer {
        let name = sparse.values.as_ref().map_or_else(String::new, |v| v.name.clone());
        report(Place::Initializer(name), Fault::new("data", "a sparse tensor", "a dense tensor"));
    }
    if graph.output.is_empty() {
        report(Place::Model, Fault::new("outputs", "none", "one or more"));
    }

    let unclear = |name: &str, fresh: bool| match (name, fresh) {
        ("", _) => Some(Fault::new("name", "an empty name", "a name")),
        (_, false) => Some(Fault::new("name", format!("`{name}` a second time"), "names that are unique in the model")),
        (_, true) => None,
    };
    let mut defined = HashSet::new();
    for tensor in &graph.initializer {
        if let Some(fault) = unclear(&tensor.name, defined.insert(tensor.name.as_str())) {
            report(Place::Initializer(tensor.name.clone()), fault);
        }
    }
    // Up to IR version 3, initializers are inputs too.
    let mut inputs = HashSet::new();
    for input in &graph.input {
        if let Some(fault) = unclear(&input.name, inputs.insert(input.name.as_str())) {
            report(Place::Input(input.name.clone()), fault);
        }
    }
    defined.extend(inputs);
    for node in &graph.node {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if let Some(fault) = unclear(output, defined.insert(output)) {
                report(place(node, opset), fault);
            }
        }
    }
    let mut outputs = HashSet::new();
    for output in &graph.output {
        if let Some(fault) = unclear(&output.name, outputs.insert(output.name.as_str())) {
            report(Place::Output(output.name.clone()), fault);
        }
    }
    problems
}
