//! Removes operators that change nothing.
//!
//! ```text
//! before  %a = reshape(%x) {shape=[N,8]} : f32[N,8]      after  %b = relu(%x) : f32[N,8]
//!         %b = relu(%a) : f32[N,8]
//! ```
//!
//! An operator is the identity if its result has the operand's type and, by its attributes, the operand's elements in
//! the operand's order. Users of the result read the operand instead.

use rnc_ir::op::{Slice, Window};
use rnc_ir::{Graph, NodeId, Op};

use crate::edit::bypass;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, shown, sweep};

/// Removes identities: `Identity`, and the operators whose attributes make them one.
///
/// # Errors
/// None.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, |graph, id, operand| {
        let what = format!("`{}` changes nothing; users read {}", graph.op(id).name(), shown(graph, operand));
        bypass(graph, id, operand);
        Ok(what)
    })
}

fn find(graph: &Graph, id: NodeId) -> Match<NodeId> {
    let &[operand] = graph.operands(id) else { return Err(Miss::NoMatch) };
    if graph.ty(operand) == graph.ty(id) && changes_nothing(graph.op(id)) { Ok(operand) } else { Err(Miss::NoMatch) }
}

/// Whether the operator is the identity on its one operand, given that the types of operand and result are equal.
pub(crate) fn changes_nothing(op: &Op) -> bool {
    match op {
        // Same type, same elements in the same order.
        Op::Identity | Op::Reshape(_) | Op::Expand(_) | Op::Concat(_) => true,
        Op::Transpose(transpose) => transpose.perm.iter().enumerate().all(|(i, axis)| i == *axis),
        // With equal types every axis is taken whole; only its direction is left to ask for.
        Op::Slice(Slice { starts, steps, sizes: _ }) => starts.iter().all(|s| *s == 0) && steps.iter().all(|s| *s == 1),
        Op::Pad(pad) => pad.begin.iter().chain(&pad.end).all(|amount| *amount == 0),
        Op::Unary(unary) => {
            matches!(unary, rnc_ir::op::Unary::Clip { min, max } if *min == f32::NEG_INFINITY && *max == f32::INFINITY)
        }
        Op::MaxPool(pool) => is_one_tap(&pool.window),
        Op::AveragePool(average) => is_one_tap(&average.pool.window),
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::Binary(_)
        | Op::Where
        | Op::Resize(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Softmax(_)
        | Op::Reduce(_) => false,
    }
}

fn is_one_tap(window: &Window) -> bool {
    window.kernel == [1, 1] && window.stride == [1, 1] && window.pad_begin == [0, 0] && window.pad_end == [0, 0]
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, rewritten};

    #[test]
    fn removes_every_kind_of_identity() {
        let (graph, log) = rewritten(
            super::run,
            "graph @g(%x: f32[N,4,6,6]) -> (%end) {
               %a = identity(%x) : f32[N,4,6,6]
               %b = reshape(%a) {shape=[N,4,6,6]} : f32[N,4,6,6]
               %c = transpose(%b) {perm=[0,1,2,3]} : f32[N,4,6,6]
               %d = pad(%c) {begin=[0,0,0,0], end=[0,0,0,0]} : f32[N,4,6,6]
               %e = concat(%d) {axis=1} : f32[N,4,6,6]
               %f = expand(%e) {shape=[N,4,6,6]} : f32[N,4,6,6]
               %g = clip(%f) {min=-inf, max=inf} : f32[N,4,6,6]
               %h = max_pool(%g) {kernel=1} : f32[N,4,6,6]
               %i = average_pool(%h) {kernel=1} : f32[N,4,6,6]
               %end = relu(%i) : f32[N,4,6,6]
             }",
        );
        assert_eq!(names(&graph), ["x", "end"]);
        assert_eq!(log.entries().len(), 9);
    }

    #[test]
    fn removes_an_identity_that_is_an_output_and_keeps_the_output_s_name() {
        let (graph, _) = rewritten(
            super::run,
            "graph @g(%x: f32[N,4]) -> (%end) { %a = relu(%x) : f32[N,4] %end = identity(%a) : f32[N,4] }",
        );
        assert_eq!(names(&graph), ["x", "a"]);
        assert_eq!(graph.outputs()[0].name, "end");
    }

    #[test]
    fn keeps_operators_that_only_keep_the_type() {
        let text = "graph @g(%x: f32[4,4]) -> (%end) {
               %a = transpose(%x) {perm=[1,0]} : f32[4,4]
               %b = clip(%a) {min=0.0, max=inf} : f32[4,4]
               %c = softmax(%b) {axis=1} : f32[4,4]
               %end = relu(%c) : f32[4,4]
             }";
        let (graph, log) = rewritten(super::run, text);
        assert_eq!(names(&graph), ["x", "a", "b", "c", "end"]);
        assert!(log.entries().is_empty());
    }
}
