//! A graph as data for the page: boxes and lines with their places, and all that a click on a box shows.

use std::collections::HashMap;

use rnc::ir::{Graph, NodeId, print};
use serde::Serialize;

use super::layout;
use super::statistics::Statistics;
use crate::cli::inspect::drawing::{self, Kind, is_drawn};

/// Letters of a box's lines; longer ones are cut.
const LETTERS: usize = 34;
/// Width of a letter and height of a box, as the style sheet has them.
const LETTER: f64 = 6.3;
const HEIGHT: f64 = 54.0;

/// Whether constants are those of the model, or made up by the parser of a plan's listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    Known,
    MadeUp,
}

#[derive(Serialize)]
pub(super) struct Picture {
    size: [f64; 2],
    pub nodes: Vec<Drawn>,
    edges: Vec<Line>,
}

/// An operator.
#[derive(Serialize)]
pub(super) struct Drawn {
    pub name: String,
    operator: &'static str,
    attributes: print::Attributes,
    kind: Kind,
    #[serde(rename = "type")]
    ty: String,
    /// Names under which callers get it.
    outputs: Vec<String>,
    operands: Vec<Shown>,
    /// What stands in the box.
    lines: [String; 3],
    at: [f64; 2],
    size: [f64; 2],
    /// The nodes that it is made of, or (in the graph before the passes) those that it became part of.
    pub related: Vec<String>,
    /// Passes that made it what it is.
    pub passes: Vec<String>,
    /// Names that it and its parts had in the log.
    pub names: Vec<String>,
}

/// An operand, as a click shows it.
#[derive(Serialize)]
struct Shown {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'static str>,
    constant: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<Statistics>,
}

/// A value that one box hands to another.
#[derive(Serialize)]
struct Line {
    from: usize,
    to: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'static str>,
    through: Vec<[f64; 2]>,
}

impl Picture {
    pub fn new(graph: &Graph, weights: Weights) -> Self {
        let order: Vec<NodeId> = graph.topological_order().into_iter().filter(|id| is_drawn(graph, *id)).collect();
        let index: HashMap<NodeId, usize> = order.iter().enumerate().map(|(index, id)| (*id, index)).collect();
        let mut edges = Vec::new();
        for (to, id) in order.iter().enumerate() {
            let operands = graph.operands(*id).iter().zip(drawing::labels(graph, *id));
            let drawn = operands.filter_map(|(operand, label)| Some((*index.get(operand)?, label)));
            edges.extend(drawn.map(|(from, label)| Line { from, to, label, through: Vec::new() }));
        }
        let mut nodes: Vec<Drawn> = order.iter().map(|id| drawn(graph, *id, weights)).collect();
        let sizes: Vec<[f64; 2]> = nodes.iter().map(|node| node.size).collect();
        let ends: Vec<[usize; 2]> = edges.iter().map(|edge| [edge.from, edge.to]).collect();
        let layout = layout::place(&sizes, &ends);
        nodes.iter_mut().zip(layout.nodes).for_each(|(node, at)| node.at = at.map(rounded));
        for (edge, through) in edges.iter_mut().zip(layout.edges) {
            edge.through = through.into_iter().map(|at| at.map(rounded)).collect();
        }
        Self { size: layout.size.map(rounded), nodes, edges }
    }
}

fn drawn(graph: &Graph, id: NodeId, weights: Weights) -> Drawn {
    let node = graph.node(id);
    let lines = [drawing::operator(graph, id), node.name().to_owned(), node.ty().to_string()];
    let lines = [cut_end(&lines[0]), cut_start(&lines[1]), cut_end(&lines[2])];
    let letters = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let operands = graph.operands(id).iter().zip(drawing::labels(graph, id));
    let outputs = graph.outputs().iter().filter(|output| output.value == id).map(|output| output.name.clone());
    Drawn {
        name: node.name().to_owned(),
        operator: node.op().name(),
        attributes: print::attributes(node.op()),
        kind: drawing::kind(node.op()),
        ty: node.ty().to_string(),
        outputs: outputs.collect(),
        operands: operands.map(|(operand, label)| shown(graph, *operand, label, weights)).collect(),
        lines,
        at: [0.0, 0.0],
        size: [letters as f64 * LETTER + 20.0, HEIGHT],
        related: Vec::new(),
        passes: Vec::new(),
        names: Vec::new(),
    }
}

fn shown(graph: &Graph, id: NodeId, label: Option<&'static str>, weights: Weights) -> Shown {
    let node = graph.node(id);
    let tensor = node.constant();
    let values = tensor.filter(|_| weights == Weights::Known).and_then(|tensor| tensor.as_f32());
    Shown {
        name: node.name().to_owned(),
        ty: node.ty().to_string(),
        label,
        constant: tensor.is_some(),
        statistics: values.and_then(Statistics::of),
    }
}

/// The end of a name tells more than its start.
fn cut_start(text: &str) -> String {
    match text.chars().count().checked_sub(LETTERS) {
        Some(1..) => format!("…{}", text.chars().skip(text.chars().count() - LETTERS + 1).collect::<String>()),
        Some(0) | None => text.to_owned(),
    }
}

fn cut_end(text: &str) -> String {
    match text.chars().count().checked_sub(LETTERS) {
        Some(1..) => format!("{}…", text.chars().take(LETTERS - 1).collect::<String>()),
        Some(0) | None => text.to_owned(),
    }
}

/// Tenths of a pixel are enough, and short.
fn rounded(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_where_they_tell_least() {
        let long: String = ('a'..='z').chain('a'..='z').collect();
        assert_eq!(cut_end(&long), format!("{}…", &long[..LETTERS - 1]));
        assert_eq!(cut_start(&long), format!("…{}", &long[52 - LETTERS + 1..]));
        assert_eq!(cut_start(&cut_end(&long)), cut_end(&long));
    }

    #[test]
    fn constants_of_a_plans_listing_have_no_statistics() {
        let text = "graph @g(%x: f32[N,3,4,4]) -> (%c as \"out\") {
           @w = random(1) : f32[3,3,1,1]
           %c = conv2d(%x, @w, residual=%x) {stride=1}
         }";
        let graph = rnc::ir::parse(text).unwrap();
        let picture = Picture::new(&graph, Weights::Known);
        assert_eq!((picture.nodes.len(), picture.edges.len()), (2, 2));
        let [x, c] = picture.nodes.as_slice() else { panic!("two nodes") };
        assert!(x.at[1] < c.at[1] && c.outputs == ["out"] && c.lines[0] == "conv2d 1×1");
        let [_, w, residual] = c.operands.as_slice() else { panic!("three operands") };
        assert!(w.constant && w.statistics.is_some() && residual.label == Some("residual"));
        let picture = Picture::new(&graph, Weights::MadeUp);
        assert!(picture.nodes[1].operands.iter().all(|operand| operand.statistics.is_none()));
    }
}
