//! Writes means and maxima over whole images as global pools, whatever the exporter called them.
//!
//! ```text
//! before  %m = reduce_mean(%x) {axes=[2,3], keep_dims=false} : f32[N,8]
//! after   %m.pool = global_average_pool(%x) : f32[N,8,1,1]
//!         %m = reshape(%m.pool) {shape=[N,8]} : f32[N,8]
//!
//! before  %p = average_pool(%x) {kernel=7} : f32[N,8,1,1]      where %x is f32[N,8,7,7]
//! after   %p = global_average_pool(%x) : f32[N,8,1,1]
//! ```
//!
//! A mean over the axes H and W *is* the global average pool; so is the mean over one window that covers the image without
//! padding (padding would count in the divisor, or be a second thing to say). The same holds for maxima.

use rnc_ir::op::{Pool, Reduce, ReduceKind, Reshape};
use rnc_ir::{Dim, Graph, NodeId, Op, Shape};

use crate::edit::{insert, rewrite};
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, sweep};

/// Rewrites `Reduce`, `AveragePool` and `MaxPool` nodes over whole images as `GlobalAveragePool` and `GlobalMaxPool`.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, apply)
}

/// The global pool that computes a node, but for the shape.
fn find(graph: &Graph, id: NodeId) -> Match<Op> {
    match graph.op(id) {
        Op::Reduce(reduce) => from_reduce(graph, id, reduce),
        Op::AveragePool(average) => from_window(graph, id, &average.pool).map(|()| Op::GlobalAveragePool),
        Op::MaxPool(pool) => from_window(graph, id, pool).map(|()| Op::GlobalMaxPool),
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Softmax(_)
        | Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Resize(_)
        | Op::Identity => Err(Miss::NoMatch),
    }
}

fn from_reduce(graph: &Graph, id: NodeId, reduce: &Reduce) -> Match<Op> {
    let pool = match reduce.kind {
        ReduceKind::Mean => Op::GlobalAveragePool,
        ReduceKind::Max => Op::GlobalMaxPool,
        ReduceKind::Sum => return Err(Miss::NoMatch),
    };
    let input = graph.ty(graph.operands(id)[0]);
    let [_, Dim::Fixed(_), Dim::Fixed(_), Dim::Fixed(_)] = input.shape.dims() else { return Err(Miss::NoMatch) };
    if reduce.axes != [2, 3] {
        return refuse(format!("the reduction is over the axes {:?} and not over H and W, [2, 3]", reduce.axes));
    }
    Ok(pool)
}

fn from_window(graph: &Graph, id: NodeId, pool: &Pool) -> Match<()> {
    let &[_, Dim::Fixed(_), Dim::Fixed(h), Dim::Fixed(w)] = graph.ty(graph.operands(id)[0]).shape.dims() else {
        return Err(Miss::NoMatch);
    };
    let [_, _, Dim::Fixed(1), Dim::Fixed(1)] = graph.ty(id).shape.dims() else { return Err(Miss::NoMatch) };
    let window = &pool.window;
    if window.pad_begin != [0, 0] || window.pad_end != [0, 0] {
        return refuse("the window covers padding");
    }
    if window.kernel != [h, w] || window.dilation != [1, 1] {
        return refuse(format!("the one window reads {}x{} of {h}x{w} elements", window.kernel[0], window.kernel[1]));
    }
    Ok(())
}

fn apply(graph: &mut Graph, id: NodeId, pool: Op) -> Result<String, PassError> {
    let operand = graph.operands(id)[0];
    let what = format!("`{}` over the whole image is `{}`", graph.op(id).name(), pool.name());
    let ty = graph.ty(id).clone();
    if ty.shape.rank() == 4 {
        rewrite(graph, id, pool, &[operand])?;
    } else {
        let name = format!("{}.pool", graph.node(id).name());
        let pooled = insert(graph, id, &name, pool, &[operand])?;
        let shape = Shape::new(ty.shape.dims().iter().copied());
        rewrite(graph, id, Op::Reshape(Reshape { shape }), &[pooled])?;
    }
    Ok(what)
}

#[cfg(test)]
mod tests {
    use crate::testing::{ops, refusal, rewritten};

    #[test]
    fn rewrites_reductions_that_keep_their_axes() {
        let (graph, _) = rewritten(
            super::run,
            "graph @g(%x: f32[N,3,4,5]) -> (%a, %b) {
               %a = reduce_mean(%x) {axes=[2,3], keep_dims=true} : f32[N,3,1,1]
               %b = reduce_max(%x) {axes=[2,3], keep_dims=true} : f32[N,3,1,1]
             }",
        );
        assert_eq!(ops(&graph), ["global_average_pool", "global_max_pool"]);
    }

    #[test]
    fn adds_a_reshape_where_a_reduction_drops_its_axes() {
        let (graph, _) = rewritten(
            super::run,
            "graph @g(%x: f32[N,3,4,5]) -> (%a) {
               %a = reduce_mean(%x) {axes=[2,3], keep_dims=false} : f32[N,3]
             }",
        );
        assert_eq!(ops(&graph), ["global_average_pool", "reshape"]);
        assert_eq!(graph.node(graph.outputs()[0].value).name(), "a");
    }

    #[test]
    fn rewrites_pools_whose_one_window_is_the_image() {
        let (graph, _) = rewritten(
            super::run,
            "graph @g(%x: f32[N,3,4,4]) -> (%a, %b) {
               %a = average_pool(%x) {kernel=4, stride=2} : f32[N,3,1,1]
               %b = max_pool(%x) {kernel=4} : f32[N,3,1,1]
             }",
        );
        assert_eq!(ops(&graph), ["global_average_pool", "global_max_pool"]);
    }

    #[test]
    fn refuses_a_window_that_leaves_out_a_row_or_covers_padding() {
        let text = |attributes: &str, size: &str| {
            format!("graph @g(%x: f32[N,3,{size}]) -> (%a) {{ %a = average_pool(%x) {{{attributes}}} : f32[N,3,1,1] }}")
        };
        assert!(refusal(super::run, &text("kernel=4, stride=3", "6,6")).unwrap().contains("4x4 of 6x6"));
        assert!(refusal(super::run, &text("kernel=4, stride=4, pad=1", "3,3")).unwrap().contains("padding"));
    }

    #[test]
    fn refuses_a_mean_over_other_axes() {
        let text = "graph @g(%x: f32[N,3,4,5]) -> (%a) {
               %a = reduce_mean(%x) {axes=[1,2], keep_dims=true} : f32[N,1,1,5]
             }";
        assert!(refusal(super::run, text).unwrap().contains("[1, 2]"));
    }
}
