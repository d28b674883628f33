//! Computes nodes whose operands are all constants.
//!
//! ```text
//! before  %t = transpose(@w) {perm=[1,0]} : f32[10,64]       after  @t = constant : f32[10,64]
//!         %y = matmul(%x, %t) : f32[64]                             %y = matmul(%x, @t) : f32[64]
//! ```
//!
//! What a constant expression computes does not depend on the input, so it is computed once, here (in `f64`, rounded to `f32` after
//! each node). Operators that move elements, elementwise ones, and reductions are folded; a chain folds in one sweep.
//!
//! A plan should not grow by it: a result may have as many elements as the largest operand, or [`SMALL`]; and all
//! results together are bounded by what the graph held before.

mod evaluate;
mod strided;

use rnc_ir::{Graph, NodeId, Op, Tensor};

use crate::edit::rewrite;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, sweep};

/// Results of this many elements are always made, even from smaller operands.
pub const SMALL: usize = 1 << 16;

/// All results together may have this many elements, and [`GROWTH`] times those of the constants before.
const BUDGET: usize = 1 << 24;

/// See [`BUDGET`]. Chains (a transpose of a reshape of a product…) make several results of one constant's size.
const GROWTH: usize = 8;

/// Replaces every node that has only constants as operands, and an operator that is folded, by a constant of its name.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    let before: usize = graph.ids().filter_map(|id| graph.node(id).constant()).map(elements).sum();
    let mut budget = before.saturating_mul(GROWTH).saturating_add(BUDGET);
    sweep(
        graph,
        log,
        |graph, id| {
            let tensor = find(graph, id, budget)?;
            budget -= elements(&tensor);
            Ok(tensor)
        },
        |graph, id, tensor| {
            let what = format!("computed `{}` of constants", graph.op(id).name());
            rewrite(graph, id, Op::Constant(tensor), &[])?;
            Ok(what)
        },
    )
}

/// The node's value.
fn find(graph: &Graph, id: NodeId, budget: usize) -> Match<Tensor> {
    let operands: Option<Vec<&Tensor>> = graph.operands(id).iter().map(|o| graph.node(*o).constant()).collect();
    let operands = operands.filter(|operands| !operands.is_empty()).ok_or(Miss::NoMatch)?;
    if !evaluate::is_folded(graph.op(id)) {
        return Err(Miss::NoMatch);
    }
    let ty = graph.ty(id);
    let (Some(dims), Some((count, false))) = (ty.shape.fixed(), ty.shape.elements()) else {
        return refuse(format!("its size, {}, depends on the batch", ty.shape));
    };
    let largest = operands.iter().map(|tensor| elements(tensor)).max().unwrap_or(0);
    if count > largest.max(SMALL) || count > budget {
        return refuse(format!("its {count} elements would make the model larger"));
    }
    evaluate::evaluate(graph.op(id), &operands, &dims)
}

fn elements(tensor: &Tensor) -> usize {
    tensor.dims().iter().product()
}

#[cfg(test)]
mod tests {
    use crate::testing::{ops, refusal, rewritten};

    #[test]
    fn folds_every_kind_of_node_it_knows() {
        for (node, ty) in [
            ("relu(@a)", "f32[2,3]"),
            ("leaky_relu(@a) {alpha=0.5}", "f32[2,3]"),
            ("clip(@a) {min=-0.25, max=0.5}", "f32[2,3]"),
            ("sigmoid(@a)", "f32[2,3]"),
            ("hard_sigmoid(@a) {alpha=0.25, beta=0.5}", "f32[2,3]"),
            ("hard_swish(@a)", "f32[2,3]"),
            ("silu(@a)", "f32[2,3]"),
            ("tanh(@a)", "f32[2,3]"),
            ("exp(@a)", "f32[2,3]"),
            ("sqrt(@p)", "f32[3]"),
            ("abs(@a)", "f32[2,3]"),
            ("neg(@a)", "f32[2,3]"),
            ("reciprocal(@p)", "f32[3]"),
            ("floor(@a)", "f32[2,3]"),
            ("ceil(@a)", "f32[2,3]"),
            ("add(@a, @p)", "f32[2,3]"),
            ("sub(@p, @a)", "f32[2,3]"),
            ("mul(@column, @p)", "f32[2,3]"),
            ("div(@a, @p)", "f32[2,3]"),
            ("max(@a, @column)", "f32[2,3]"),
            ("min(@p, @a)", "f32[2,3]"),
            ("concat(@a, @column, @a) {axis=1}", "f32[2,7]"),
            ("concat(@a, @a) {axis=0}", "f32[4,3]"),
            ("reshape(@a) {shape=[3,2]}", "f32[3,2]"),
            ("transpose(@a) {perm=[1,0]}", "f32[3,2]"),
            ("slice(@a) {starts=[0,2], sizes=[2,2], steps=[1,-1]}", "f32[2,2]"),
            ("pad(@a) {begin=[1,0], end=[0,2], value=7.0}", "f32[3,5]"),
            ("expand(@column) {shape=[2,2,4]}", "f32[2,2,4]"),
            ("reduce_mean(@a) {axes=[0], keep_dims=true}", "f32[1,3]"),
            ("reduce_sum(@a) {axes=[1], keep_dims=false}", "f32[2]"),
            ("reduce_max(@a) {axes=[0,1], keep_dims=false}", "f32[]"),
            ("identity(@a)", "f32[2,3]"),
        ] {
            let text = format!(
                "graph @g(%x: f32[N,1]) -> (%r, %y) {{
                   @a = random(1) : f32[2,3]
                   @p = random(2, 0.5, 1.5) : f32[3]
                   @column = random(3) : f32[2,1]
                   %r = {node} : {ty}
                   %y = relu(%x) : f32[N,1]
                 }}"
            );
            assert_eq!(ops(&rewritten(super::run, &text).0), ["relu"], "{node}");
        }
    }

    #[test]
    fn folds_integers_exactly() {
        for (op, expected) in [
            ("mul(@a, @b)", [27_021_597_764_222_979, -21]),
            ("div(@a, @b)", [3_002_399_751_580_331, -2]),
            ("concat(@b, @b) {axis=0}", [3, 3]),
            ("neg(@a)", [-9_007_199_254_740_993, 7]),
        ] {
            let text = format!(
                "graph @g(%x: f32[N,1]) -> (%r, %x) {{
                   @a = constant [9007199254740993, -7] : i64[2]
                   @b = constant [3] : i64[1]
                   %r = {op} : i64[2]
                 }}"
            );
            let (graph, _) = rewritten(super::run, &text);
            let result = graph.node(graph.find("r").unwrap()).constant().unwrap();
            assert_eq!(result.as_i64(), Some(&expected[..]), "{op}");
        }
    }

    #[test]
    fn folds_a_chain_in_one_sweep_and_drops_what_it_came_from() {
        let (graph, log) = rewritten(
            super::run,
            "graph @g(%x: f32[N,6]) -> (%y) {
               @a = random(1) : f32[2,3]
               %n = neg(@a) : f32[2,3]
               %t = transpose(%n) {perm=[1,0]} : f32[3,2]
               %r = reshape(%t) {shape=[6]} : f32[6]
               %y = add(%x, %r) : f32[N,6]
             }",
        );
        assert_eq!(ops(&graph), ["add"]);
        assert_eq!(graph.len(), 3);
        assert_eq!(log.entries().len(), 3);
    }

    #[test]
    fn refuses_what_would_make_the_model_larger_or_depends_on_the_batch() {
        let text = "graph @g(%x: f32[N,1]) -> (%y, %x) {
               @a = random(1) : f32[300,1]
               %y = expand(@a) {shape=[300,300]} : f32[300,300]
             }";
        assert!(refusal(super::run, text).unwrap().contains("90000 elements"));
        let text = "graph @g(%x: f32[N,3]) -> (%y, %x) {
               @a = random(1) : f32[1,3]
               %y = expand(@a) {shape=[N,3]} : f32[N,3]
             }";
        assert!(refusal(super::run, text).unwrap().contains("depends on the batch"));
    }

    #[test]
    fn leaves_products_and_inputs_alone() {
        let text = "graph @g(%x: f32[N,2]) -> (%y, %r) {
               @a = random(1) : f32[2,3]
               @b = random(2) : f32[3,2]
               %y = matmul(@a, @b) : f32[2,2]
               %r = relu(%x) : f32[N,2]
             }";
        let (graph, log) = rewritten(super::run, text);
        assert_eq!(ops(&graph).len(), 2);
        assert!(log.entries().is_empty());
    }
}
