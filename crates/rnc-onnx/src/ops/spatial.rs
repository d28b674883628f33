//! Windows over one and three spatial axes, as windows over images: the graph knows no others.
//!
//! One axis is a row of an image. Of three axes, pools take the last two as an image of each depth, and then the depths; a convolution takes the planes of each
//! window as so many channels.

use rnc_ir::op::{Activation, AveragePool, Axis, Conv2d, Pad, Pool, Slice, Window};
use rnc_ir::{Dim, Op, Shape};

use super::slice::whole;
use super::window::Windows;
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::NodeCx;
use crate::state::Value;

/// Most planes that a convolution over three axes may make: it becomes one convolution for each.
const MAX_PLANES: usize = 256;

/// A convolution's operands and groups.
pub(super) struct Convolution {
    pub x: Value,
    pub weight: Value,
    pub bias: Option<Value>,
    pub groups: usize,
}

/// A pool, and whether windows may hang over the padded end.
#[derive(Clone, Copy)]
pub(super) struct Pooling {
    pub kind: Kind,
    pub ceil_mode: bool,
}

/// What a pool makes of a window.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Max,
    Average { count_include_pad: bool },
}

impl Pooling {
    fn op(self, window: Window) -> Op {
        let pool = Pool { window, ceil_mode: self.ceil_mode };
        match self.kind {
            Kind::Max => Op::MaxPool(pool),
            Kind::Average { count_include_pad } => Op::AveragePool(AveragePool { pool, count_include_pad }),
        }
    }
}

fn fixed(dims: &[Dim]) -> Vec<usize> {
    dims.iter().filter_map(|dim| dim.fixed()).collect()
}

/// The result of a node of this rank from that of an image: one axis less, or what it is.
pub(super) fn pool(cx: &mut NodeCx, x: Value, windows: &Windows, pooling: Pooling) -> Result<Value, Fault> {
    let shape = cx.shape(x)?;
    let batch = shape.dims()[0];
    match fixed(&shape.dims()[1..]).as_slice() {
        &[channels, width] => {
            let row = cx.reshaped(x, [batch, Dim::Fixed(channels), Dim::Fixed(1), Dim::Fixed(width)])?;
            let pooled = cx.step(pooling.op(windows.of_row(0)), &[row])?;
            without_axis(cx, pooled, 2)
        }
        [_, _, _] => cx.step(pooling.op(windows.of_image(0)), &[x]),
        &[channels, depth, height, width] => {
            let images = [channels * depth, height, width].map(Dim::Fixed);
            let images = cx.reshaped(x, [batch].into_iter().chain(images))?;
            let images = cx.step(pooling.op(windows.of_image(1)), &[images])?;
            let pixels = fixed(&cx.shape(images)?.dims()[2..]);
            let columns = [channels, depth, pixels.iter().product()].map(Dim::Fixed);
            let columns = cx.reshaped(images, [batch].into_iter().chain(columns))?;
            let columns = cx.step(pooling.op(windows.of_column(0)), &[columns])?;
            let depths = cx.shape(columns)?.dims()[2];
            let pixels = pixels.into_iter().map(Dim::Fixed);
            cx.reshaped(columns, [batch, Dim::Fixed(channels), depths].into_iter().chain(pixels).collect::<Vec<_>>())
        }
        _ => Err(Fault::Poisoned),
    }
}

/// A convolution over one, two or three spatial axes.
pub(super) fn conv(cx: &mut NodeCx, conv: &Convolution, windows: &Windows) -> Result<Value, Fault> {
    let (shape, weights) = (cx.shape(conv.x)?, cx.shape(conv.weight)?);
    match shape.rank() {
        3 => {
            let x = with_axis(cx, conv.x, 2)?;
            let weight = with_axis(cx, conv.weight, 2)?;
            let y = image_conv(cx, &Convolution { x, weight, ..*conv }, windows.of_row(0))?;
            without_axis(cx, y, 2)
        }
        4 => image_conv(cx, conv, windows.of_image(0)),
        _ => volume_conv(cx, conv, windows, &weights),
    }
}

fn image_conv(cx: &mut NodeCx, conv: &Convolution, window: Window) -> Result<Value, Fault> {
    let Convolution { x, weight, bias, groups } = *conv;
    let op = Conv2d { window, groups, bias: bias.is_some(), residual: false, activation: Activation::None };
    let operands: Vec<Value> = [x, weight].into_iter().chain(bias).collect();
    cx.step(Op::Conv2d(op), &operands)
}

/// Each plane of the result is a convolution of the planes that its windows lie in, taken as channels.
fn volume_conv(cx: &mut NodeCx, conv: &Convolution, windows: &Windows, weights: &Shape) -> Result<Value, Fault> {
    let (kernel, dilation, stride) = (windows.kernel[0], windows.dilation[0], windows.stride[0]);
    let mut pad = Pad { begin: vec![0; 5], end: vec![0; 5], value: 0.0 };
    (pad.begin[2], pad.end[2]) = (windows.pad_begin[0], windows.pad_end[0]);
    let x = if pad.begin[2] > 0 || pad.end[2] > 0 { cx.step(Op::Pad(pad), &[conv.x])? } else { conv.x };
    let shape = cx.shape(x)?;
    let &[channels, depth, height, width] = fixed(&shape.dims()[1..]).as_slice() else { return Err(Fault::Poisoned) };
    let span = kernel.checked_sub(1).and_then(|gaps| gaps.checked_mul(dilation)?.checked_add(1));
    let planes = span.and_then(|span| depth.checked_sub(span)).map(|rest| rest / stride + 1);
    let Some(planes) = planes.filter(|planes| *planes <= MAX_PLANES) else {
        let found = format!("windows over {shape}");
        return Err(Fault::new(
            subject("kernel_shape"),
            found,
            format!("windows that fit, at most {MAX_PLANES} planes"),
        ));
    };
    let &[out, inner, _, kh, kw] = fixed(weights.dims()).as_slice() else { return Err(Fault::Poisoned) };
    let weight = cx.reshaped(conv.weight, [out, inner * kernel, kh, kw].map(Dim::Fixed))?;
    let mut results = Vec::with_capacity(planes);
    for plane in 0..planes {
        let mut op: Slice = whole(&shape);
        (op.starts[2], op.sizes[2], op.steps[2]) = (plane * stride, Some(kernel), dilation as isize);
        let window = cx.step(Op::Slice(op), &[x])?;
        let dims = [channels * kernel, height, width].map(Dim::Fixed);
        let window = cx.reshaped(window, [shape.dims()[0]].into_iter().chain(dims))?;
        let y = image_conv(cx, &Convolution { x: window, weight, ..*conv }, windows.of_image(1))?;
        results.push(with_axis(cx, y, 2)?);
    }
    if let [one] = results.as_slice() { Ok(*one) } else { cx.step(Op::Concat(Axis { axis: 2 }), &results) }
}

/// The value with one more axis, of size 1.
pub(super) fn with_axis(cx: &mut NodeCx, x: Value, axis: usize) -> Result<Value, Fault> {
    let mut dims = cx.shape(x)?.dims().to_vec();
    dims.insert(axis, Dim::Fixed(1));
    cx.reshaped(x, dims)
}

/// The value without an axis of size 1.
pub(super) fn without_axis(cx: &mut NodeCx, x: Value, axis: usize) -> Result<Value, Fault> {
    let mut dims = cx.shape(x)?.dims().to_vec();
    dims.remove(axis);
    cx.reshaped(x, dims)
}
