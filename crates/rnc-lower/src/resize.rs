//! Resizes, one axis after the other.

use rnc_ir::NodeId;
use rnc_ir::resize::Resize;
use rnc_plan::kernel::{BLOCK, F32, KernelSpec, Resample, Tap, blocks};

use crate::batch::leading_dims;
use crate::context::Context;
use crate::error::Reason;
use crate::layout::{Layout, extent};

/// Lowers a resize of some axes of the sample, from the first to the last of them.
pub(crate) fn lower(cx: &mut Context<'_>, node: NodeId, resize: &Resize) -> Result<(), Reason> {
    let mut value = cx.value(cx.graph.operands(node)[0])?;
    let from = cx.dims(value).to_vec();
    let leading = leading_dims(cx.batch);
    // A value without axes is a sample of one element, which has one.
    let axes = resize.shape.rank().saturating_sub(leading);
    let changed: Vec<usize> = (0..axes).filter(|axis| !resize.keeps(axis + leading, from[*axis])).collect();
    let Some((last, others)) = changed.split_last() else {
        cx.define_alias(node, value)?;
        return Ok(());
    };
    // Rows and columns of images stay as they are; channels are not next to each other there.
    let layout = if extent(&from).is_some() && !changed.contains(&0) { Layout::Blocked } else { Layout::Planar };
    let mut dims = from;
    for axis in others {
        let (spec, name) =
            (resample(resize, &dims, (*axis, leading), layout)?, format!("{}.axis{axis}", cx.name(node)));
        dims[*axis] = spec.taps.len();
        let source = cx.place(value, layout)?;
        let result = cx.buffer(&name, &dims, layout)?;
        cx.emit(&name, KernelSpec::Resample(spec), vec![result, source])?;
        value = cx.temporary(&name, dims.clone(), layout, result);
    }
    let spec = resample(resize, &dims, (*last, leading), layout)?;
    let source = cx.place(value, layout)?;
    let result = cx.result(node, layout, None)?;
    cx.emit(cx.name(node), KernelSpec::Resample(spec), vec![result, source])?;
    cx.define(node, layout, result);
    Ok(())
}

/// The map of one axis of a sample.
fn resample(
    resize: &Resize,
    dims: &[usize],
    (axis, leading): (usize, usize),
    layout: Layout,
) -> Result<Resample, Reason> {
    let product = |dims: &[usize]| dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let (before, behind) = dims.split_at(axis);
    let sizes = match layout {
        Layout::Planar => product(before).zip(product(&behind[1..])),
        Layout::Blocked => {
            let channels = blocks(dims[0]);
            let outer = product(&before[1..]).and_then(|rows| rows.checked_mul(channels));
            outer.zip(product(&behind[1..]).and_then(|pixels| pixels.checked_mul(BLOCK)))
        }
    };
    let (outer, inner) = sizes.ok_or_else(|| Reason::new("the sample overflows", "smaller samples"))?;
    let tap = |tap: &rnc_ir::resize::Tap| Tap { source: tap.source, weight: F32::from(tap.weight as f32) };
    let taps = resize.taps(axis + leading, dims[axis]);
    Ok(Resample { outer, len: dims[axis], inner, taps: taps.iter().map(|row| row.iter().map(tap).collect()).collect() })
}
