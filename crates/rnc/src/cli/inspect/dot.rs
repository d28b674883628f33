//! A graph in the language of Graphviz.

use std::fmt::Write;

use rnc::ir::{Graph, NodeId, Op, print};

/// The graph as a picture: a box an operator with its attributes, name and type, an arrow a value. Constants are not drawn.
pub(super) fn dot(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n", quoted(graph.name()));
    text.push_str("  node [shape=box, style=filled, fillcolor=white, fontname=\"sans-serif\", fontsize=11];\n");
    text.push_str("  edge [fontname=\"sans-serif\", fontsize=9];\n");
    for id in graph.topological_order().into_iter().filter(|id| is_drawn(graph, *id)) {
        writeln!(text, "  n{} [label={}, fillcolor={}];", id.index(), label(graph, id), color(graph.op(id)))
            .expect("a string grows");
        let labels = print::operand_labels(graph.op(id));
        let operands = graph.operands(id);
        let plain = operands.len().saturating_sub(labels.len());
        for (i, operand) in operands.iter().enumerate().filter(|(_, operand)| is_drawn(graph, **operand)) {
            let role = i.checked_sub(plain).and_then(|i| labels.get(i));
            let role = role.map_or_else(String::new, |role| format!(" [label={}, style=dashed]", quoted(role)));
            writeln!(text, "  n{} -> n{}{role};", operand.index(), id.index()).expect("a string grows");
        }
    }
    for (i, output) in graph.outputs().iter().enumerate() {
        writeln!(text, "  out{i} [label={}, shape=ellipse];", quoted(&output.name)).expect("a string grows");
        writeln!(text, "  n{} -> out{i};", output.value.index()).expect("a string grows");
    }
    text.push_str("}\n");
    text
}

fn is_drawn(graph: &Graph, id: NodeId) -> bool {
    !matches!(graph.op(id), Op::Constant(_))
}

/// Operator and attributes, name, type.
fn label(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let attributes = print::attributes(node.op());
    let attributes: Vec<String> = attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut operator = node.op().name().to_owned();
    if let (Op::Conv2d(_), Some(weights)) = (node.op(), node.operands().get(1)) {
        let window: Vec<String> = graph.ty(*weights).shape.dims().iter().skip(2).map(ToString::to_string).collect();
        write!(operator, " {}", window.join("×")).expect("a string grows");
    }
    let operator = format!("{operator} {}", attributes.join(" "));
    quoted(&format!("{}\n{}\n{}", operator.trim_end(), node.name(), node.ty()))
}

/// Kinds of operators by colour: what computes, what pools, what only moves.
fn color(op: &Op) -> &'static str {
    match op {
        Op::Conv2d(_) | Op::Gemm(_) | Op::MatMul => "lightskyblue",
        Op::BatchNorm(_) => "khaki",
        Op::MaxPool(_) | Op::AveragePool(_) | Op::GlobalAveragePool | Op::GlobalMaxPool | Op::Reduce(_) => "palegreen",
        Op::Unary(_) | Op::Binary(_) | Op::Softmax(_) => "lightsalmon",
        Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Identity => "lightgray",
        Op::Input | Op::Constant(_) => "white",
    }
}

/// A quoted string; a line break is centred.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_operators_and_the_values_between_them() {
        let text = "graph @g(%x: f32[N,3,4,4]) -> (%\"a\\\"b\" as \"out\") {
           @w = random(1) : f32[3,3,1,1]
           %c = conv2d(%x, @w) {stride=2}
           %d = conv2d(%x, @w, residual=%c) {stride=2, activation=relu}
           %\"a\\\"b\" = relu(%d)
         }";
        let graph = rnc::ir::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let dot = dot(&graph);
        let id = |name: &str| format!("n{}", graph.find(name).unwrap().index());
        assert!(dot.starts_with("digraph \"g\" {\n") && dot.ends_with("}\n"), "{dot}");
        assert!(dot.contains(r#"[label="conv2d 1×1 stride=2\nc\nf32[N,3,2,2]", fillcolor=lightskyblue];"#), "{dot}");
        assert!(dot.contains(&format!("{} -> {};", id("x"), id("c"))), "{dot}");
        assert!(dot.contains(&format!("{} -> {} [label=\"residual\", style=dashed];", id("c"), id("d"))), "{dot}");
        assert!(dot.contains(r#"\na\"b\n"#) && dot.contains("out0 [label=\"out\""), "{dot}");
        assert!(!dot.contains("random") && !dot.contains("constant"), "{dot}");
    }
}
