//! Operators that move elements: they become copies, or nothing.

use rnc_ir::op::{Pad, Slice};
use rnc_ir::{NodeId, Op};
use rnc_plan::Batch;
use rnc_plan::kernel::KernelSpec;

use crate::batch::leading_dims;
use crate::context::{Context, ValueId};
use crate::conv::PLANAR_CHANNELS;
use crate::error::Reason;
use crate::layout::{Layout, extent, same_blocked};
use crate::view::{self, Axis, View, Walk};

/// Lowers a reshape, or an identity: no step, unless the layout has to change.
pub(crate) fn alias(cx: &mut Context<'_>, node: NodeId) -> Result<(), Reason> {
    let x = cx.value(cx.graph.operands(node)[0])?;
    cx.define_alias(node, x)?;
    Ok(())
}

/// Lowers a broadcast to a larger shape.
pub(crate) fn expand(cx: &mut Context<'_>, node: NodeId) -> Result<(), Reason> {
    let x = cx.value(cx.graph.operands(node)[0])?;
    let dims = cx.sample(node);
    let axes = broadcast(cx.dims(x), &dims, cx.batch)?;
    copy(cx, node, x, &axes, None)
}

/// Lowers a permutation of the axes of the sample.
pub(crate) fn transpose(cx: &mut Context<'_>, node: NodeId, perm: &[usize]) -> Result<(), Reason> {
    let leading = leading_dims(cx.batch);
    if leading == 1 && perm.first() != Some(&0) {
        return Err(Reason::new(format!("the permutation {perm:?} moves the batch"), "permutations that start with 0"));
    }
    let x = cx.value(cx.graph.operands(node)[0])?;
    let axis = |(result, from): (usize, &usize)| {
        let source = from - leading;
        Axis { count: cx.dims(x)[source], source: Walk::whole(source), result: Walk::whole(result) }
    };
    let axes: Vec<_> = perm[leading..].iter().enumerate().map(axis).collect();
    copy(cx, node, x, &axes, None)
}

/// Lowers a strided box.
pub(crate) fn slice(cx: &mut Context<'_>, node: NodeId, slice: &Slice) -> Result<(), Reason> {
    let x = cx.value(cx.graph.operands(node)[0])?;
    // With `None` for its size the whole axis is taken; else its size is the same, as the value's leading dimension is the batch.
    let leading = leading_dims(cx.batch);
    if leading == 1 && (slice.starts[0] != 0 || slice.steps[0] != 1) {
        return Err(Reason::new(
            "the samples of the batch are cut or reordered",
            "slices that take the whole leading axis in order",
        ));
    }
    let axis = |(axis, count): (usize, &usize)| {
        let (start, step) = match slice.sizes[axis + leading] {
            Some(_) => (slice.starts[axis + leading], slice.steps[axis + leading]),
            None => (0, 1),
        };
        Axis { count: *count, source: Walk { axis, start, step }, result: Walk::whole(axis) }
    };
    let axes: Vec<_> = cx.sample(node).iter().enumerate().map(axis).collect();
    copy(cx, node, x, &axes, None)
}

/// Lowers a border: the result is filled with its value, and the operand is copied into the middle.
pub(crate) fn pad(cx: &mut Context<'_>, node: NodeId, pad: &Pad) -> Result<(), Reason> {
    let leading = leading_dims(cx.batch);
    if leading == 1 && (pad.begin[0] != 0 || pad.end[0] != 0) {
        return Err(Reason::new("the batch is padded", "padding within samples"));
    }
    let x = cx.value(cx.graph.operands(node)[0])?;
    let axis = |(axis, count): (usize, &usize)| {
        let result = Walk { axis, start: pad.begin[axis + leading], step: 1 };
        Axis { count: *count, source: Walk::whole(axis), result }
    };
    let axes: Vec<_> = cx.dims(x).iter().enumerate().map(axis).collect();
    copy(cx, node, x, &axes, Some(pad.value))
}

/// Lowers a concatenation: each operand is copied to its place.
pub(crate) fn concat(cx: &mut Context<'_>, node: NodeId, axis: usize) -> Result<(), Reason> {
    let joined = cx.sample_axis(axis)?;
    let operands = cx.graph.operands(node);
    let values = operands.iter().map(|id| cx.value(*id)).collect::<Result<Vec<_>, _>>()?;
    let layout = layout(cx, node, &values);
    let dims = cx.sample(node);
    let result = cx.result(node, layout, None)?;
    let mut start = 0;
    for (value, operand) in values.iter().zip(operands) {
        let axis = |(axis, count): (usize, &usize)| {
            let result = Walk { axis, start: if axis == joined { start } else { 0 }, step: 1 };
            Axis { count: *count, source: Walk::whole(axis), result }
        };
        let axes: Vec<_> = cx.dims(*value).iter().enumerate().map(axis).collect();
        let (from, source) = cx.any_place(*value);
        let kernel =
            view::copy(View { dims: cx.dims(*value), layout: from }, View { dims: &dims, layout }, &axes, None);
        cx.emit(&format!("{}.{}", cx.name(node), cx.name(*operand)), KernelSpec::Copy(kernel), vec![result, source])?;
        start += cx.dims(*value)[joined];
    }
    cx.define(node, layout, result);
    Ok(())
}

/// Broadcasts a value to the dimensions of a larger sample, in a buffer of its own.
pub(crate) fn expanded(
    cx: &mut Context<'_>,
    x: ValueId,
    name: &str,
    dims: &[usize],
    layout: Layout,
) -> Result<ValueId, Reason> {
    let axes = broadcast(cx.dims(x), dims, cx.batch)?;
    let (from, source) = cx.any_place(x);
    let kernel = view::copy(View { dims: cx.dims(x), layout: from }, View { dims, layout }, &axes, None);
    let result = cx.buffer(name, dims, layout)?;
    cx.emit(name, KernelSpec::Copy(kernel), vec![result, source])?;
    Ok(cx.temporary(name, dims.to_vec(), layout, result))
}

/// The walks of a broadcast from one sample to another: axes are aligned to the right, and those of size 1 stand still.
///
/// Between different ranks the batch of the one would meet another axis of the other; that is harmless if it is 1.
fn broadcast(from: &[usize], to: &[usize], batch: Batch) -> Result<Vec<Axis>, Reason> {
    let meets = || format!("a sample of {from:?} meets one of {to:?}");
    let Some(lead) = to.len().checked_sub(from.len()).filter(|lead| *lead == 0 || batch.fixed() == Some(1)) else {
        return Err(Reason::new(meets(), "broadcasting between values of the same rank"));
    };
    let axis = |(result, count): (usize, &usize)| {
        let source = match result.checked_sub(lead) {
            Some(axis) if from[axis] == *count => Walk::whole(axis),
            Some(axis) if from[axis] == 1 => Walk::still(axis),
            Some(_) => return Err(Reason::new(meets(), "samples that broadcast")),
            None => Walk::still(0),
        };
        Ok(Axis { count: *count, source, result: Walk::whole(result) })
    };
    to.iter().enumerate().map(axis).collect()
}

fn copy(cx: &mut Context<'_>, node: NodeId, x: ValueId, axes: &[Axis], fill: Option<f32>) -> Result<(), Reason> {
    let layout = layout(cx, node, &[x]);
    let dims = cx.sample(node);
    let (from, source) = cx.any_place(x);
    let kernel = view::copy(View { dims: cx.dims(x), layout: from }, View { dims: &dims, layout }, axes, fill);
    let result = cx.result(node, layout, None)?;
    cx.emit(cx.name(node), KernelSpec::Copy(kernel), vec![result, source])?;
    cx.define(node, layout, result);
    Ok(())
}

/// The layout that the result of a movement is made in: what its users read.
fn layout(cx: &Context<'_>, node: NodeId, sources: &[ValueId]) -> Layout {
    let dims = &cx.samples[&node];
    let Some(extent) = extent(dims) else { return Layout::Planar };
    let users = cx.graph.users(node);
    let planar_users = users.iter().all(|user| match cx.graph.op(*user) {
        Op::Softmax(_) => true,
        Op::Reshape(_) => cx.samples.get(user).is_some_and(|reshaped| !same_blocked(dims, reshaped)),
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Concat(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Resize(_)
        | Op::Reduce(_)
        | Op::Identity => false,
    });
    // The model's input on its way to the first convolution stays planar.
    let stem = extent.channels <= PLANAR_CHANNELS && sources.iter().all(|x| !cx.has(*x, Layout::Blocked));
    if planar_users || stem { Layout::Planar } else { Layout::Blocked }
}
