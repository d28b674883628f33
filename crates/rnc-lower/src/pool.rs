//! Pools.

use rnc_ir::NodeId;
use rnc_ir::op::{self, AveragePool};
use rnc_plan::Operand;
use rnc_plan::kernel::{KernelSpec, Pool, PoolKind, Window};

use crate::context::{Context, ValueId};
use crate::conv::{extent_of, window};
use crate::error::Reason;
use crate::layout::Layout;

/// Lowers a maximum over windows.
pub(crate) fn max(cx: &mut Context<'_>, node: NodeId, pool: &op::Pool) -> Result<(), Reason> {
    lower(cx, node, PoolKind::Max, window(&pool.window))
}

/// Lowers a mean over windows.
pub(crate) fn average(cx: &mut Context<'_>, node: NodeId, average: &AveragePool) -> Result<(), Reason> {
    let from = &average.pool.window;
    let padded = from.pad_begin != [0, 0] || from.pad_end != [0, 0];
    let kind = if average.count_include_pad && padded {
        PoolKind::AverageWithPadding { pad_end: from.pad_end }
    } else {
        PoolKind::Average
    };
    lower(cx, node, kind, window(from))
}

/// Lowers a pool with one window over all pixels.
pub(crate) fn global(cx: &mut Context<'_>, node: NodeId, kind: PoolKind) -> Result<(), Reason> {
    let x = cx.value(cx.graph.operands(node)[0])?;
    let extent = extent_of(cx.dims(x))?;
    lower(cx, node, kind, whole([extent.height, extent.width]))
}

/// A window of this size at the origin.
pub(crate) const fn whole(kernel: [usize; 2]) -> Window {
    Window { kernel, stride: [1, 1], pad: [0, 0], dilation: [1, 1] }
}

/// Emits a pool of a value into `result`, a sample of `output` pixels.
pub(crate) fn emit(
    cx: &mut Context<'_>,
    name: &str,
    x: ValueId,
    (kind, window, output): (PoolKind, Window, [usize; 2]),
    result: Operand,
) -> Result<(), Reason> {
    let spec = Pool { kind, input: extent_of(cx.dims(x))?, output, window };
    let x = cx.place(x, Layout::Blocked)?;
    cx.emit(name, KernelSpec::Pool(spec), vec![result, x])
}

fn lower(cx: &mut Context<'_>, node: NodeId, kind: PoolKind, window: Window) -> Result<(), Reason> {
    let x = cx.value(cx.graph.operands(node)[0])?;
    let output = extent_of(&cx.sample(node))?;
    // The source comes first, so that its conversion's buffer does too.
    cx.place(x, Layout::Blocked)?;
    let result = cx.result(node, Layout::Blocked, None)?;
    emit(cx, cx.name(node), x, (kind, window, [output.height, output.width]), result)?;
    cx.define(node, Layout::Blocked, result);
    Ok(())
}
