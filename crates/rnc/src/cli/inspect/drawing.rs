//! What a picture of a graph shows of an operator, for Graphviz and for the HTML report.

use std::fmt::Write;

use rnc::ir::{Graph, NodeId, Op, print};

/// Whether a node is drawn: constants are not.
pub(super) fn is_drawn(graph: &Graph, id: NodeId) -> bool {
    !matches!(graph.op(id), Op::Constant(_))
}

/// The operator with its window and attributes: `conv2d 3×3 stride=2 pad=1`.
pub(super) fn operator(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let mut text = node.op().name().to_owned();
    if let (Op::Conv2d(_), Some(weights)) = (node.op(), node.operands().get(1)) {
        let window: Vec<String> = graph.ty(*weights).shape.dims().iter().skip(2).map(ToString::to_string).collect();
        write!(text, " {}", window.join("×")).expect("a string grows");
    }
    for (name, value) in print::attributes(node.op()) {
        write!(text, " {name}={value}").expect("a string grows");
    }
    text
}

/// The label of each operand that is there or not, in the order of all operands.
pub(super) fn labels(graph: &Graph, id: NodeId) -> Vec<Option<&'static str>> {
    let labels = print::operand_labels(graph.op(id));
    let plain = graph.operands(id).len().saturating_sub(labels.len());
    std::iter::repeat_n(None, plain).chain(labels.into_iter().map(Some)).collect()
}

/// Kinds of operators that a picture tells apart by colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Multiplies with weights.
    Linear,
    Norm,
    /// Makes few numbers of many.
    Pool,
    Elementwise,
    /// Only moves data.
    Movement,
    Input,
}

/// The kind of an operator.
pub(super) fn kind(op: &Op) -> Kind {
    match op {
        Op::Conv2d(_) | Op::Gemm(_) | Op::MatMul => Kind::Linear,
        Op::BatchNorm(_) => Kind::Norm,
        Op::MaxPool(_) | Op::AveragePool(_) | Op::GlobalAveragePool | Op::GlobalMaxPool | Op::Reduce(_) => Kind::Pool,
        Op::Unary(_) | Op::Binary(_) | Op::Where | Op::Softmax(_) => Kind::Elementwise,
        Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Resize(_)
        | Op::Identity => Kind::Movement,
        Op::Input | Op::Constant(_) => Kind::Input,
    }
}
