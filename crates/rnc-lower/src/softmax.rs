//! Softmax.

use rnc_ir::NodeId;
use rnc_plan::kernel::{KernelSpec, Softmax};

use crate::context::Context;
use crate::error::Reason;
use crate::layout::Layout;

/// Lowers a softmax over an axis of the sample, in the planar layout.
pub(crate) fn lower(cx: &mut Context<'_>, node: NodeId, axis: usize) -> Result<(), Reason> {
    let axis = cx.sample_axis(axis)?;
    let x = cx.value(cx.graph.operands(node)[0])?;
    let dims = cx.dims(x);
    let (outer, inner) = (dims[..axis].iter().product(), dims[axis + 1..].iter().product());
    let spec = Softmax { outer, len: dims[axis], inner };
    let x = cx.place(x, Layout::Planar)?;
    let result = cx.result(node, Layout::Planar, None)?;
    cx.emit(cx.name(node), KernelSpec::Softmax(spec), vec![result, x])?;
    cx.define(node, Layout::Planar, result);
    Ok(())
}
