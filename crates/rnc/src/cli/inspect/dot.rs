//! A graph in the language of Graphviz.

use std::fmt::Write;

use rnc::ir::{Graph, NodeId};

use super::drawing::{self, Kind, is_drawn};

/// The graph as a picture: a box an operator with its attributes, name and type, an arrow a value. Constants are not drawn.
pub(super) fn dot(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n", quoted(graph.name()));
    text.push_str("  node [shape=box, style=filled, fillcolor=white, fontname=\"sans-serif\", fontsize=11];\n");
    text.push_str("  edge [fontname=\"sans-serif\", fontsize=9];\n");
    for id in graph.topological_order().into_iter().filter(|id| is_drawn(graph, *id)) {
        let color = color(drawing::kind(graph.op(id)));
        writeln!(text, "  n{} [label={}, fillcolor={color}];", id.index(), label(graph, id)).expect("a string grows");
        let operands = graph.operands(id).iter().zip(drawing::labels(graph, id));
        for (operand, role) in operands.filter(|(operand, _)| is_drawn(graph, **operand)) {
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

/// Operator and attributes, name, type.
fn label(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    quoted(&format!("{}\n{}\n{}", drawing::operator(graph, id), node.name(), node.ty()))
}

fn color(kind: Kind) -> &'static str {
    match kind {
        Kind::Linear => "lightskyblue",
        Kind::Norm => "khaki",
        Kind::Pool => "palegreen",
        Kind::Elementwise => "lightsalmon",
        Kind::Movement => "lightgray",
        Kind::Input => "white",
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
