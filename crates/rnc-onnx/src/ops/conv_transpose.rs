//! `ConvTranspose`, as a convolution of its operand with zeros between the elements.
//!
//! The transposed convolution scatters each element, times the weights, into the result; element `i` lands at `i · stride + tap · dilation - pad`. Read from the
//! result's side, that is a convolution with stride 1 over the operand's elements `stride` apart, with the weights turned around and their two channel axes
//! exchanged in each group (Dumoulin and Visin, 2016).

use rnc_ir::op::{Pad, Slice, Transpose};
use rnc_ir::{Dim, Op, Shape};

use super::slice::whole;
use super::spatial::{self, Convolution, with_axis, without_axis};
use super::window::{LARGEST, Padding, WindowAttributes, Windows};
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, operand_subject};
use crate::state::Value;

/// `ConvTranspose` over one and two spatial axes. <https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>
pub(super) fn conv_transpose(cx: &mut NodeCx) -> Result<Value, Fault> {
    let attributes = WindowAttributes::read(cx, true)?;
    let groups = super::conv::groups(cx)?;
    let output_padding = cx.attributes.ints("output_padding")?.map(<[i64]>::to_vec);
    let output_shape = cx.attributes.ints("output_shape")?.map(<[i64]>::to_vec);
    cx.at_most(3)?;
    let (mut x, mut weight, bias) = (cx.operand(0, "X")?, cx.operand(1, "W")?, cx.optional(2));
    let shape = super::window::spatial(cx, x)?;
    let axes = shape.rank() - 2;
    let weight_shape = cx.shape(weight)?;
    let kernel: Option<Vec<usize>> = weight_shape.dims().iter().skip(2).map(|dim| dim.fixed()).collect();
    let Some(kernel) = kernel.filter(|kernel| kernel.len() == axes && axes < 3) else {
        let found = format!("the shape {weight_shape} for a value of {shape}");
        return Err(Fault::new(operand_subject(1, "W"), found, "[C,M/group,kW] or [C,M/group,kH,kW] of numbers"));
    };
    let windows = attributes.over_with_weights(&kernel, &shape)?;
    let counts = |name: &'static str, list: Option<Vec<i64>>| -> Result<Option<Vec<usize>>, Fault> {
        let Some(list) = list else { return Ok(None) };
        let sizes: Option<Vec<usize>> =
            list.iter().map(|n| usize::try_from(*n).ok().filter(|_| *n <= LARGEST)).collect();
        let fault = || {
            Fault::new(subject(name), super::window::shortened(&list), format!("{axes} numbers from 0 to {LARGEST}"))
        };
        // An output shape may also have the batch and the channels.
        let sizes = sizes.map(|sizes| sizes[sizes.len().saturating_sub(axes)..].to_vec());
        sizes.filter(|sizes| sizes.len() == axes).map(Some).ok_or_else(fault)
    };
    let extra = counts("output_padding", output_padding)?.unwrap_or_else(|| vec![0; axes]);
    let wanted = counts("output_shape", output_shape)?;
    let crops = crops(&windows, &shape, &extra, (wanted, attributes.padding()))?;

    if axes == 1 {
        x = with_axis(cx, x, 2)?;
        weight = with_axis(cx, weight, 2)?;
    }
    let two = |list: &[usize], one: usize| if axes == 1 { [one, list[0]] } else { [list[0], list[1]] };
    let stride = two(&windows.stride, 1);
    let crops = if axes == 1 { [[0, 0], crops[0]] } else { [crops[0], crops[1]] };
    let reach: [isize; 2] =
        std::array::from_fn(|i| ((two(&windows.kernel, 1)[i] - 1) * two(&windows.dilation, 1)[i]) as isize);
    let spread = spread(cx, x, stride)?;
    let margins = std::array::from_fn(|i| [reach[i] - crops[i][0], reach[i] - crops[i][1]]);
    let padded = with_margins(cx, spread, margins)?;
    let weight = turned(cx, weight, groups)?;
    let plain = Windows {
        kernel: two(&windows.kernel, 1).to_vec(),
        stride: vec![1; 2],
        dilation: two(&windows.dilation, 1).to_vec(),
        pad_begin: vec![0; 2],
        pad_end: vec![0; 2],
    };
    let y = spatial::conv(cx, &Convolution { x: padded, weight, bias, groups }, &plain)?;
    let y = if axes == 1 { without_axis(cx, y, 2)? } else { y };
    cx.finish(y)
}

/// Elements by axis that are cut off the full result at its beginning and end; negative where zeros are added.
fn crops(
    windows: &Windows,
    shape: &Shape,
    extra: &[usize],
    (wanted, padding): (Option<Vec<usize>>, &Padding),
) -> Result<Vec<[isize; 2]>, Fault> {
    let same = match padding {
        Padding::Same { odd_at_end } => Some(*odd_at_end),
        Padding::Explicit(_) => None,
    };
    let mut crops = Vec::new();
    for (axis, extra) in extra.iter().enumerate() {
        let size = shape.dims()[axis + 2].fixed().unwrap_or(1);
        let stride = windows.stride[axis];
        let full = (size - 1) * stride + (windows.kernel[axis] - 1) * windows.dilation[axis] + 1 + extra;
        // With a shape given, or SAME, the padding follows from the size.
        let target = wanted.as_ref().map(|wanted| wanted[axis]).or_else(|| same.map(|_| size * stride));
        let [begin, end] = match target {
            None => [windows.pad_begin[axis] as isize, windows.pad_end[axis] as isize],
            Some(target) => {
                let total = full as isize - target as isize;
                let half = total.div_euclid(2);
                if same == Some(true) { [half, total - half] } else { [total - half, half] }
            }
        };
        let end = end - *extra as isize;
        if full as isize - *extra as isize - begin - end <= 0 {
            return Err(Fault::new(
                subject("pads"),
                format!("{begin} and {end} of {full}"),
                "padding that leaves something",
            ));
        }
        crops.push([begin, end]);
    }
    Ok(crops)
}

/// The value with `stride - 1` zeros between the elements of each row and column.
fn spread(cx: &mut NodeCx, x: Value, stride: [usize; 2]) -> Result<Value, Fault> {
    if stride == [1, 1] {
        return Ok(x);
    }
    let shape = cx.shape(x)?;
    let [n, c, Dim::Fixed(h), Dim::Fixed(w)] = *shape.dims() else { return Err(Fault::Poisoned) };
    let one = Dim::Fixed(1);
    let apart = cx.reshaped(x, [n, c, Dim::Fixed(h), one, Dim::Fixed(w), one])?;
    let end = vec![0, 0, 0, stride[0] - 1, 0, stride[1] - 1];
    let padded = cx.step(Op::Pad(Pad { begin: vec![0; 6], end, value: 0.0 }), &[apart])?;
    let joined = cx.reshaped(padded, [n, c, Dim::Fixed(h * stride[0]), Dim::Fixed(w * stride[1])])?;
    let mut op: Slice = whole(&cx.shape(joined)?);
    // Without the zeros behind the last one.
    (op.sizes[2], op.sizes[3]) = (Some((h - 1) * stride[0] + 1), Some((w - 1) * stride[1] + 1));
    cx.step(Op::Slice(op), &[joined])
}

/// The value with a border of zeros, or without one where the margin is negative.
fn with_margins(cx: &mut NodeCx, x: Value, margins: [[isize; 2]; 2]) -> Result<Value, Fault> {
    let shape = cx.shape(x)?;
    let mut pad = Pad { begin: vec![0; 4], end: vec![0; 4], value: 0.0 };
    let mut crop = whole(&shape);
    for (i, [begin, end]) in margins.into_iter().enumerate() {
        let axis = i + 2;
        (pad.begin[axis], pad.end[axis]) = (begin.max(0) as usize, end.max(0) as usize);
        let cut = [begin, end].map(|margin| (-margin).max(0) as usize);
        if cut != [0, 0] {
            let size = shape.dims()[axis].fixed().unwrap_or(0);
            let left = size.checked_sub(cut[0] + cut[1]).filter(|left| *left > 0);
            let fault = || Fault::new(subject("pads"), format!("{cut:?} of {size}"), "padding that leaves something");
            (crop.starts[axis], crop.sizes[axis]) = (cut[0], Some(left.ok_or_else(fault)?));
        }
    }
    let cropped = if crop == whole(&shape) { x } else { cx.step(Op::Slice(crop), &[x])? };
    let nothing = pad.begin.iter().chain(&pad.end).all(|amount| *amount == 0);
    if nothing { Ok(cropped) } else { cx.step(Op::Pad(pad), &[cropped]) }
}

/// Weights `[C, M/groups, kH, kW]` as `[M, C/groups, kH, kW]`, turned around.
fn turned(cx: &mut NodeCx, weight: Value, groups: usize) -> Result<Value, Fault> {
    let shape = cx.shape(weight)?;
    let dims: Option<Vec<usize>> = shape.fixed();
    let (Some(&[c, m, kh, kw]), true) = (dims.as_deref(), dims.as_ref().is_some_and(|d| d[0].is_multiple_of(groups)))
    else {
        return Err(Fault::new(operand_subject(1, "W"), shape.to_string(), format!("channels that {groups} divides")));
    };
    let mut op: Slice = whole(&shape);
    for (axis, size) in [(2, kh), (3, kw)] {
        (op.starts[axis], op.sizes[axis], op.steps[axis]) = (size - 1, Some(size), -1);
    }
    let turned = cx.step(Op::Slice(op), &[weight])?;
    let split = cx.reshaped(turned, [groups, c / groups, m, kh, kw].map(Dim::Fixed))?;
    let exchanged = cx.step(Op::Transpose(Transpose { perm: vec![0, 2, 1, 3, 4] }), &[split])?;
    cx.reshaped(exchanged, [groups * m, c / groups, kh, kw].map(Dim::Fixed))
}
