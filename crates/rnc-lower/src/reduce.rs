//! Reductions, as pools: neighbouring axes are joined and reduced by windows that cover them.
//!
//! A mean over several axes is a mean of means, a sum is a mean times the number of elements. The passes have made
//! global pools of the reductions that matter; these are for the rest.

use rnc_ir::NodeId;
use rnc_ir::op::{Reduce, ReduceKind};
use rnc_plan::kernel::{Access, Binary, Elementwise, Instruction, KernelSpec, PoolKind, Space};

use crate::context::{Context, ValueId};
use crate::error::Reason;
use crate::layout::{Layout, len};
use crate::pool;

/// Lowers a reduction over axes of the sample.
pub(crate) fn lower(cx: &mut Context<'_>, node: NodeId, reduce: &Reduce) -> Result<(), Reason> {
    let axes = reduce.axes.iter().map(|axis| cx.sample_axis(*axis)).collect::<Result<Vec<_>, _>>()?;
    let mut value = cx.value(cx.graph.operands(node)[0])?;
    let kind = match reduce.kind {
        ReduceKind::Mean | ReduceKind::Sum => PoolKind::Average,
        ReduceKind::Max => PoolKind::Max,
    };
    let reduced: usize = axes.iter().map(|axis| cx.dims(value)[*axis]).product();
    // Neighbours form a group; groups are reduced from the last to the first.
    for group in axes.chunk_by(|a, b| a + 1 == *b).rev() {
        value = pool_axes(cx, node, value, (group[0], group.len()), kind)?;
    }
    if reduce.kind == ReduceKind::Sum {
        value = scale(cx, node, value, reduced as f32)?;
    }
    cx.define_alias(node, value)?;
    Ok(())
}

/// Reduces `count` axes from `first`; they keep the size 1.
fn pool_axes(
    cx: &mut Context<'_>,
    node: NodeId,
    value: ValueId,
    (first, count): (usize, usize),
    kind: PoolKind,
) -> Result<ValueId, Reason> {
    let name = cx.name(node);
    let dims = cx.dims(value).to_vec();
    let mut kept = dims.clone();
    kept[first..first + count].fill(1);
    let (view, kernel, pooled) = if dims.len() == 3 && first > 0 {
        // Rows, columns or both of an image.
        let kernel = if count == 2 {
            [dims[1], dims[2]]
        } else if first == 1 {
            [dims[1], 1]
        } else {
            [1, dims[2]]
        };
        (dims.clone(), kernel, kept.clone())
    } else {
        let product = |dims: &[usize]| dims.iter().product::<usize>();
        let (before, inside, behind) =
            (product(&dims[..first]), product(&dims[first..first + count]), product(&dims[first + count..]));
        (vec![before, inside, behind], [inside, 1], vec![before, 1, behind])
    };
    let source = cx.alias(value, view)?;
    cx.place(source, Layout::Blocked)?;
    let result = cx.buffer(name, &pooled, Layout::Blocked)?;
    pool::emit(cx, name, source, (kind, pool::whole(kernel), [pooled[1], pooled[2]]), result)?;
    let pooled = cx.temporary(name, pooled, Layout::Blocked, result);
    cx.alias(pooled, kept)
}

/// Multiplies a value in place.
fn scale(cx: &mut Context<'_>, node: NodeId, value: ValueId, factor: f32) -> Result<ValueId, Reason> {
    let (layout, place) = cx.any_place(value);
    let len = len(cx.dims(value), layout).ok_or_else(|| Reason::new("the sample overflows", "smaller samples"))?;
    let kernel = Elementwise {
        space: Space::Flat { len },
        operands: vec![Access::Full],
        program: vec![
            Instruction::Operand(0),
            Instruction::Constant(factor.into()),
            Instruction::Binary(Binary::Mul, 0, 1),
        ],
    };
    cx.emit(cx.name(node), KernelSpec::Elementwise(kernel), vec![place, place])?;
    Ok(value)
}
