//! What is odd about a model as a file, and does no harm: it is gone when there is a graph.

use std::collections::HashSet;

use onnx_protobuf::{GraphProto, ModelProto, TensorProto};

/// An oddity: what was found, with numbers, and what it means or what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// What was found.
    pub found: String,
    /// What it means, or what to do about it.
    pub remedy: &'static str,
}

/// Up to this IR version, initializers had to be inputs as well.
const LAST_IR_WITH_INITIALIZERS_AS_INPUTS: i64 = 3;
/// Before this opset (2018), operators still had attributes that were dropped soon, and models are hard to read for tools of today.
const FIRST_SETTLED_OPSET: i64 = 9;

/// Looks a model over.
pub(crate) fn find(model: &ModelProto, graph: &GraphProto, opset: i64) -> Vec<Oddity> {
    [old_opset(opset), unused_initializers(graph), overridable_initializers(model, graph)]
        .into_iter()
        .flatten()
        .collect()
}

fn old_opset(opset: i64) -> Option<Oddity> {
    (opset < FIRST_SETTLED_OPSET).then(|| Oddity {
        found: format!("opset {opset} is older than {FIRST_SETTLED_OPSET}"),
        remedy: "onnx.version_converter makes a newer one of it",
    })
}

fn unused_initializers(graph: &GraphProto) -> Option<Oddity> {
    let nodes = graph.node.iter().flat_map(|node| node.input.iter());
    let used: HashSet<&str> = nodes.chain(graph.output.iter().map(|output| &output.name)).map(String::as_str).collect();
    // Nodes of inner graphs may read names of the outer one.
    if graph.node.iter().any(|node| node.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty())) {
        return None;
    }
    let unused: Vec<_> = graph.initializer.iter().filter(|tensor| !used.contains(tensor.name.as_str())).collect();
    let first = unused.first()?;
    let elements: u64 = unused.iter().map(|tensor| elements(tensor)).fold(0, u64::saturating_add);
    Some(Oddity {
        found: format!(
            "initializers that no node reads: {} with {elements} elements, the first is `{}`",
            unused.len(),
            first.name
        ),
        remedy: "they only make the file larger",
    })
}

fn elements(tensor: &TensorProto) -> u64 {
    tensor.dims.iter().map(|dim| u64::try_from(*dim).unwrap_or(0)).fold(1, u64::saturating_mul)
}

fn overridable_initializers(model: &ModelProto, graph: &GraphProto) -> Option<Oddity> {
    if model.ir_version <= LAST_IR_WITH_INITIALIZERS_AS_INPUTS {
        return None;
    }
    let initialized: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let both: Vec<_> = graph.input.iter().filter(|input| initialized.contains(input.name.as_str())).collect();
    both.first().map(|first| Oddity {
        found: format!("initializers that are inputs as well: {}, the first is `{}`", both.len(), first.name),
        remedy: "here they are constants: a run cannot give them other values",
    })
}

#[cfg(test)]
mod tests {
    use onnx_protobuf::{NodeProto, ValueInfoProto};

    use super::*;

    fn tensor(name: &str, dims: &[i64]) -> TensorProto {
        TensorProto { name: name.into(), dims: dims.to_vec(), ..TensorProto::default() }
    }

    fn value(name: &str) -> ValueInfoProto {
        ValueInfoProto { name: name.into(), ..ValueInfoProto::default() }
    }

    fn graph() -> GraphProto {
        GraphProto {
            node: vec![NodeProto { input: vec!["x".into(), "w".into()], ..NodeProto::default() }],
            initializer: vec![tensor("w", &[2, 3])],
            input: vec![value("x")],
            output: vec![value("y")],
            ..GraphProto::default()
        }
    }

    fn found(ir_version: i64, graph: &GraphProto, opset: i64) -> Vec<String> {
        let model = ModelProto { ir_version, ..ModelProto::default() };
        find(&model, graph, opset).into_iter().map(|oddity| oddity.found).collect()
    }

    #[test]
    fn ordinary_models_have_none() {
        assert_eq!(found(8, &graph(), 17), Vec::<String>::new());
    }

    #[test]
    fn old_opsets_are_told() {
        assert_eq!(found(8, &graph(), 8), ["opset 8 is older than 9"]);
    }

    #[test]
    fn initializers_that_nothing_reads_are_counted() {
        let mut graph = graph();
        graph.initializer.extend([tensor("a", &[4, 5]), tensor("b", &[]), tensor("y", &[7])]);
        assert_eq!(found(8, &graph, 17), ["initializers that no node reads: 2 with 21 elements, the first is `a`"]);
    }

    #[test]
    fn initializers_that_are_inputs_as_well_are_told_unless_the_ir_asks_for_it() {
        let mut graph = graph();
        graph.input.push(value("w"));
        assert_eq!(found(4, &graph, 17), ["initializers that are inputs as well: 1, the first is `w`"]);
        assert_eq!(found(3, &graph, 17), Vec::<String>::new());
    }
}
