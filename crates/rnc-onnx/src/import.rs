//! The import from bytes to graph: parse, check, inputs and initializers, nodes in order, outputs.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use onnx_protobuf::{GraphProto, ModelProto, NodeProto};
use rnc_ir::{DType, Graph};

use crate::attributes::Attributes;
use crate::error::{Fault, ImportError, Place, Problem};
use crate::node::{NodeCx, place};
use crate::oddities::{self, Oddity};
use crate::order::{self, Order};
use crate::state::{State, Value};
use crate::{model, ops, signature, tensors};

/// What the user says beside the model.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Sizes of symbolic dimensions by name, as in `--dim N=4`. A dimension without a name is called `input[axis]`.
    /// The leading dimension of an input that is symbolic and has no size here is the batch.
    pub dims: BTreeMap<String, usize>,
}

/// Imports the model in a file. External data is read from files beside it.
///
/// # Errors
/// If the file cannot be read, is no ONNX model, or uses what rnc does not know.
pub fn import_file(path: &Path, options: &ImportOptions) -> Result<Graph, ImportError> {
    import_file_noting(path, options, &mut Vec::new())
}

/// Imports as [`import_file`] does, and notes what is odd about the file.
///
/// # Errors
/// As [`import_file`].
pub fn import_file_noting(
    path: &Path,
    options: &ImportOptions,
    oddities: &mut Vec<Oddity>,
) -> Result<Graph, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    let model = model::parse(&bytes)?;
    // The parsed model holds a copy of the weights, the graph will hold another.
    drop(bytes);
    import_model(model, path.parent(), options, oddities)
}

/// Imports a model from bytes. `base_dir` is the folder for external data, if it may be read.
///
/// # Errors
/// If the bytes are no ONNX model, or it uses what rnc does not know. Never panics, whatever the bytes.
pub fn import_bytes(bytes: &[u8], base_dir: Option<&Path>, options: &ImportOptions) -> Result<Graph, ImportError> {
    import_model(model::parse(bytes)?, base_dir, options, &mut Vec::new())
}

fn import_model(
    mut model: ModelProto,
    base_dir: Option<&Path>,
    options: &ImportOptions,
    oddities: &mut Vec<Oddity>,
) -> Result<Graph, ImportError> {
    let opset = model::opset(&model)?;
    let mut proto = model.graph.take().unwrap_or_default();
    let mut problems = model::problems(&model, &proto, opset);
    oddities.extend(oddities::find(&model, &proto, opset));
    let name = if proto.name.is_empty() { "model" } else { &proto.name };
    let mut state = State::new(Graph::new(name), opset, base_dir.map(Path::to_owned));
    collect_names(&proto, &mut state);
    add_inputs(&proto, options, &mut state, &mut problems)?;
    add_initializers(&mut proto, &mut state, &mut problems);
    add_nodes(&proto, &mut state, &mut problems);
    add_outputs(&proto, &mut state, &mut problems);
    if problems.is_empty()
        && let Err(error) = rnc_ir::verify(&state.graph)
    {
        problems.extend(Fault::new("graph", error.to_string(), "a graph that the verifier accepts").at(Place::Model));
    }
    if problems.is_empty() { Ok(state.graph) } else { Err(ImportError::Unsupported { problems }) }
}

fn collect_names(proto: &GraphProto, state: &mut State) {
    let operands = proto.node.iter().flat_map(|n| n.input.iter());
    state.used.extend(operands.chain(proto.output.iter().map(|o| &o.name)).cloned());
    let outputs = proto.node.iter().flat_map(|n| n.output.iter());
    let given = proto.input.iter().map(|i| &i.name).chain(proto.initializer.iter().map(|t| &t.name));
    state.names.extend(outputs.chain(given).cloned());
}

fn add_inputs(
    proto: &GraphProto,
    options: &ImportOptions,
    state: &mut State,
    problems: &mut Vec<Problem>,
) -> Result<(), ImportError> {
    let initialized: HashSet<_> = proto.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs: Vec<_> = proto.input.iter().filter(|i| !initialized.contains(i.name.as_str())).collect();
    for (input, ty) in inputs.iter().zip(signature::types(&inputs, &options.dims)?) {
        let value = match ty {
            Ok(ty) => Value::Node(state.graph.add_input(&input.name, ty)),
            Err(found) => {
                problems.extend(found);
                Value::Unknown
            }
        };
        state.values.insert(input.name.clone(), value);
    }
    Ok(())
}

/// Loads the initializers that something uses, and lets go of each as soon as it is loaded.
fn add_initializers(proto: &mut GraphProto, state: &mut State, problems: &mut Vec<Problem>) {
    for tensor in std::mem::take(&mut proto.initializer) {
        if !state.used.contains(&tensor.name) {
            continue;
        }
        let value = match tensors::load(&tensor, state.base_dir.as_deref()) {
            Ok(known) => state.add_constant(&tensor.name, known),
            Err(fault) => {
                problems.extend(fault.at(Place::Initializer(tensor.name.clone())));
                Value::Unknown
            }
        };
        state.values.insert(tensor.name, value);
    }
}

fn add_nodes(proto: &GraphProto, state: &mut State, problems: &mut Vec<Problem>) {
    let Order { sorted, cycle } = order::sort(&proto.node);
    if let Some(cycle) = cycle {
        let outputs =
            cycle.iter().take(8).map(|i| format!("{:?}", proto.node[*i].output.first().map_or("", String::as_str)));
        let found = format!("a cycle of {} nodes: {}", cycle.len(), outputs.collect::<Vec<_>>().join(" → "));
        let at = cycle.first().map_or(Place::Model, |i| place(&proto.node[*i], state.opset));
        problems.extend(Fault::new("operands", found, "nodes that do not depend on themselves").at(at));
    }
    for i in sorted {
        add_node(&proto.node[i], state, problems);
    }
}

fn add_node(node: &NodeProto, state: &mut State, problems: &mut Vec<Problem>) {
    let at = place(node, state.opset);
    let mut report = |fault: Fault| problems.extend(fault.at(at.clone()));
    let is_missing = |name: &&String| !name.is_empty() && !state.names.contains(*name);
    let mut missing = node.input.iter().filter(is_missing);
    if let Some(first) = missing.next() {
        let found = match missing.count() {
            0 => format!("`{first}`, which nothing computes"),
            n => format!("`{first}` and {n} more names that nothing computes"),
        };
        report(Fault::new("operands", found, "names of values"));
    }
    // Nobody can see what a node without named outputs does.
    if node.output.iter().all(String::is_empty) {
        return;
    }
    let mut cx = NodeCx { state, node, attributes: Attributes::new(&node.attribute), helpers: Vec::new() };
    let values = match ops::import(&mut cx) {
        Ok(values) => {
            cx.attributes.unread().into_iter().for_each(&mut report);
            values
        }
        Err(fault) => {
            report(fault);
            vec![Value::Unknown; node.output.len()]
        }
    };
    for (i, name) in node.output.iter().enumerate() {
        let value = values.get(i).copied().unwrap_or(Value::Unknown);
        if i >= values.len() && state.used.contains(name) && !name.is_empty() {
            let supported = format!("only the first {} of this operator's outputs", values.len());
            report(Fault::new(format!("output {i}"), format!("`{name}`, which is used"), supported));
        }
        state.values.insert(name.clone(), value);
    }
}

fn add_outputs(proto: &GraphProto, state: &mut State, problems: &mut Vec<Problem>) {
    for output in &proto.output {
        let fault = match state.values.get(&output.name).copied() {
            Some(value) => match state.node(value) {
                // Truth values are numbers in the graph, and nobody who asks for truth values wants those.
                Ok(id) if state.graph.ty(id).dtype == DType::F32 && signature::is_integral(output) => {
                    Fault::new("element type", "bool or an integer", "float32")
                }
                Ok(id) => {
                    state.graph.add_output(&output.name, id);
                    continue;
                }
                Err(fault) => fault,
            },
            // On a cycle, or behind it.
            None if state.names.contains(&output.name) => Fault::Poisoned,
            None => Fault::new("value", "a name that nothing computes", "the name of a value"),
        };
        problems.extend(fault.at(Place::Output(output.name.clone())));
    }
}

#[cfg(test)]
mod tests;
