//! Where the boxes and lines of a graph's picture lie: in layers from top to bottom, by Sugiyama's method.

use std::collections::HashMap;

use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use rust_sugiyama::configure::{Config, RankingType};

/// Space between boxes.
const SPACING: f64 = 22.0;
/// Width of the lane that a line takes where it passes beside boxes.
const LANE: f64 = 16.0;

/// A picture's geometry; x to the right, y down, from the upper left corner.
pub(super) struct Layout {
    /// Centres of the boxes.
    pub nodes: Vec<[f64; 2]>,
    /// By edge: the points that its line goes through between the two boxes, from top to bottom.
    pub edges: Vec<Vec<[f64; 2]>>,
    pub size: [f64; 2],
}

/// Places boxes of these sizes. Each edge goes from a box to one that stands later in the list.
pub(super) fn place(sizes: &[[f64; 2]], edges: &[[usize; 2]]) -> Layout {
    let ranks = ranks(sizes.len(), edges);
    let mut graph = StableDiGraph::<(f64, f64), ()>::new();
    let nodes: Vec<NodeIndex> = sizes.iter().map(|[width, height]| graph.add_node((*width, *height))).collect();
    // An edge over several layers passes through a lane of its own in each between; edges from one box share theirs.
    let mut lanes: HashMap<(usize, usize), NodeIndex> = HashMap::new();
    let routes: Vec<Vec<NodeIndex>> = edges
        .iter()
        .map(|&[from, to]| {
            let mut route = Vec::new();
            let mut last = nodes[from];
            for rank in ranks[from] + 1..ranks[to] {
                let before = last;
                last = *lanes.entry((from, rank)).or_insert_with(|| {
                    let lane = graph.add_node((LANE, SPACING));
                    graph.add_edge(before, lane, ());
                    lane
                });
                route.push(last);
            }
            graph.update_edge(last, nodes[to], ());
            route
        })
        .collect();
    let (places, size) = coordinates(&graph);
    let at = |node: &NodeIndex| places[node];
    Layout {
        nodes: nodes.iter().map(at).collect(),
        edges: routes.iter().map(|route| route.iter().map(at).collect()).collect(),
        size,
    }
}

/// The layer of each box: the length of the longest way to it.
fn ranks(nodes: usize, edges: &[[usize; 2]]) -> Vec<usize> {
    let mut ranks = vec![0; nodes];
    let mut edges = edges.to_vec();
    edges.sort_unstable();
    for [from, to] in edges {
        ranks[to] = ranks[to].max(ranks[from] + 1);
    }
    ranks
}

/// Centres of all boxes and lanes, and the size of what they span. Parts that nothing connects stand beside each other.
fn coordinates(graph: &StableDiGraph<(f64, f64), ()>) -> (HashMap<NodeIndex, [f64; 2]>, [f64; 2]) {
    let config =
        Config { dummy_vertices: false, vertex_spacing: SPACING, ranking_type: RankingType::Up, ..Config::default() };
    let mut places = HashMap::new();
    let mut size = [0.0, 0.0f64];
    for (part, ..) in rust_sugiyama::from_graph(graph, &|_, size| *size, &config) {
        let corner = |sign: f64| {
            let corners = part.iter().map(move |(node, (x, y))| {
                let (width, height) = graph[*node];
                [x + sign * width / 2.0, y + sign * height / 2.0]
            });
            corners.reduce(|[ax, ay], [bx, by]| [(sign * ax).max(sign * bx) * sign, (sign * ay).max(sign * by) * sign])
        };
        let (Some([left, top]), Some([right, bottom])) = (corner(-1.0), corner(1.0)) else { continue };
        places.extend(part.iter().map(|(node, (x, y))| (*node, [x - left + size[0], y - top])));
        size = [size[0] + right - left + SPACING, size[1].max(bottom - top)];
    }
    (places, size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any two boxes, as `[left, top, right, bottom]`.
    fn overlap(a: [f64; 4], b: [f64; 4]) -> bool {
        a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn boxes_do_not_overlap_and_lines_go_down(
            widths in prop::collection::vec(30.0..200.0f64, 1..40),
            ends in prop::collection::vec((0..40usize, 0..40usize), 0..60),
        ) {
            let count = widths.len();
            let ends = ends.into_iter().map(|(a, b)| [a.min(b) % count, a.max(b) % count]);
            let edges: Vec<[usize; 2]> = ends.filter(|[from, to]| from < to).collect();
            let sizes: Vec<_> = widths.iter().map(|width| [*width, 40.0]).collect();
            let layout = place(&sizes, &edges);
            let boxes: Vec<_> = layout.nodes.iter().zip(&sizes)
                .map(|([x, y], [w, h])| [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]).collect();
            for (i, a) in boxes.iter().enumerate() {
                prop_assert!(a[0] >= -1e-6 && a[1] >= -1e-6 && a[2] <= layout.size[0] && a[3] <= layout.size[1] + 1e-6);
                prop_assert!(boxes[..i].iter().all(|b| !overlap(*a, *b)), "{boxes:?}");
            }
            for (points, [from, to]) in layout.edges.iter().zip(&edges) {
                let ys = [layout.nodes[*from][1]].into_iter().chain(points.iter().map(|p| p[1]));
                let ys: Vec<_> = ys.chain([layout.nodes[*to][1]]).collect();
                prop_assert!(ys.is_sorted_by(|a, b| a < b), "{ys:?}");
            }
        }
    }
}
