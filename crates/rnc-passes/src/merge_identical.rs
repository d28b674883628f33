//! Computes equal values once.
//!
//! ```text
//! before  %a = relu(%x) : f32[N,64]                  after  %a = relu(%x) : f32[N,64]
//!         %b = relu(%x) : f32[N,64]                         %c = add(%a, %a) : f32[N,64]
//!         %c = add(%a, %b) : f32[N,64]
//! ```
//!
//! Two nodes are identical if they have the same operator with the same attributes, bit by bit, and the same operands (for `add` and
//! `mul` in either order); two constants, if they have the same type and bits. The one that comes first stays, with its name.
//! Operands come before users, so chains of identical nodes collapse in one sweep.

use std::collections::HashMap;

use rnc_ir::op::Binary;
use rnc_ir::{Graph, NodeId, Op, Tensor, TensorType};

use crate::edit::bypass;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, shown, sweep};

/// Merges identical nodes and constants. Inputs are all different.
///
/// # Errors
/// None.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    let mut seen = Seen::default();
    sweep(
        graph,
        log,
        |graph, id| seen.find(graph, id),
        |graph, id, first| {
            let what = format!("the same as {}", shown(graph, first));
            bypass(graph, id, first);
            Ok(what)
        },
    )
}

/// The first node of each kind so far.
#[derive(Default)]
struct Seen {
    nodes: HashMap<(String, Vec<NodeId>), NodeId>,
    constants: HashMap<(TensorType, u64), Vec<NodeId>>,
}

impl Seen {
    /// The earlier node that is identical to this one, which is remembered if there is none.
    fn find(&mut self, graph: &Graph, id: NodeId) -> Match<NodeId> {
        match graph.op(id) {
            Op::Input => Err(Miss::NoMatch),
            Op::Constant(tensor) => self.find_constant(graph, id, tensor),
            op => self.find_node(graph, id, op),
        }
    }

    fn find_constant(&mut self, graph: &Graph, id: NodeId, tensor: &Tensor) -> Match<NodeId> {
        let same_hash = self.constants.entry((tensor.ty(), tensor.content_hash())).or_default();
        let first = same_hash.iter().copied().find(|other| graph.node(*other).constant() == Some(tensor));
        first.ok_or_else(|| {
            same_hash.push(id);
            Miss::NoMatch
        })
    }

    fn find_node(&mut self, graph: &Graph, id: NodeId, op: &Op) -> Match<NodeId> {
        let mut operands = graph.operands(id).to_vec();
        if matches!(op, Op::Binary(Binary::Add | Binary::Mul)) {
            operands.sort_unstable();
        }
        // Attributes in Debug's form tell 0.0 from -0.0, and a NaN equals itself there.
        match self.nodes.entry((format!("{op:?}"), operands)) {
            std::collections::hash_map::Entry::Occupied(first) => Ok(*first.get()),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(id);
                Err(Miss::NoMatch)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, ops, rewritten};

    #[test]
    fn merges_chains_constants_and_sums_in_either_order() {
        let (graph, log) = rewritten(
            super::run,
            "graph @g(%x: f32[N,2]) -> (%c) {
               @k = constant [1.0, 2.0] : f32[2]
               @l = constant [1.0, 2.0] : f32[2]
               %a1 = add(%x, @k) : f32[N,2]
               %a2 = add(@l, %x) : f32[N,2]
               %b1 = relu(%a1) : f32[N,2]
               %b2 = relu(%a2) : f32[N,2]
               %c = sub(%b1, %b2) : f32[N,2]
             }",
        );
        assert_eq!(names(&graph), ["k", "x", "a1", "b1", "c"]);
        assert_eq!(log.entries().len(), 3);
    }

    #[test]
    fn keeps_both_names_of_outputs_that_are_the_same() {
        let (graph, _) = rewritten(
            super::run,
            "graph @g(%x: f32[N,2]) -> (%a, %b) { %a = relu(%x) : f32[N,2] %b = relu(%x) : f32[N,2] }",
        );
        let outputs: Vec<_> = graph.outputs().iter().map(|o| o.name.as_str()).collect();
        assert_eq!(outputs, ["a", "b"]);
        assert_eq!(ops(&graph), ["relu"]);
    }

    #[test]
    fn keeps_nodes_that_differ_in_attributes_operand_order_bits_or_shape() {
        let text = "graph @g(%x: f32[N,2], %y: f32[N,2]) -> (%a, %b, %c, %d, %e, %f, %g, %h) {
               @zero = constant [0.0, 0.0] : f32[2]
               @minus = constant [-0.0, -0.0] : f32[2]
               @row = constant [0.0, 0.0] : f32[1,2]
               %a = leaky_relu(%x) {alpha=0.1} : f32[N,2]
               %b = leaky_relu(%x) {alpha=0.2} : f32[N,2]
               %c = sub(%x, %y) : f32[N,2]
               %d = sub(%y, %x) : f32[N,2]
               %e = relu(%x) : f32[N,2]
               %f = add(%e, @zero) : f32[N,2]
               %g = add(%e, @minus) : f32[N,2]
               %h = add(%e, @row) : f32[N,2]
             }";
        let (_, log) = rewritten(super::run, text);
        assert!(log.entries().is_empty());
    }
}
