//! Normalisations by statistics of the values themselves, written as reductions and elementwise operators.

use rnc_ir::Dim;
use rnc_ir::op::{AveragePool, Binary, Pool, ReduceKind, Unary, Window};
use rnc_ir::{Op, Shape};

use super::product;
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, normal_axes, normal_axis};
use crate::state::Value;

/// `(x - mean) / sqrt(variance + epsilon)` over axes.
fn standardized(cx: &mut NodeCx, x: Value, axes: &[usize], epsilon: f32) -> Result<Value, Fault> {
    let Moments { mean: _, centred, deviation } = moments(cx, x, axes, epsilon)?;
    cx.binary(Binary::Div, centred, deviation)
}

/// Mean, distance from it, and `sqrt(variance + epsilon)` over axes.
struct Moments {
    mean: Value,
    centred: Value,
    deviation: Value,
}

fn moments(cx: &mut NodeCx, x: Value, axes: &[usize], epsilon: f32) -> Result<Moments, Fault> {
    let mean = cx.reduced(ReduceKind::Mean, x, axes)?;
    let centred = cx.binary(Binary::Sub, x, mean)?;
    let square = cx.binary(Binary::Mul, centred, centred)?;
    let variance = cx.reduced(ReduceKind::Mean, square, axes)?;
    let variance = cx.with_number(Binary::Add, variance, epsilon)?;
    let deviation = cx.unary(Unary::Sqrt, variance)?;
    Ok(Moments { mean, centred, deviation })
}

/// One number a channel, as a value that broadcasts to `[N,C,…]`.
fn per_channel(cx: &mut NodeCx, vector: Value, rank: usize) -> Result<Value, Fault> {
    let shape = cx.shape(vector)?;
    let ones = std::iter::repeat_n(Dim::Fixed(1), rank.saturating_sub(2));
    cx.reshaped(vector, shape.dims().iter().copied().chain(ones).collect::<Vec<_>>())
}

/// `x · scale + bias`, one of each a channel.
fn affine(cx: &mut NodeCx, x: Value, scale: Value, bias: Value) -> Result<Value, Fault> {
    let rank = cx.shape(x)?.rank();
    let (scale, bias) = (per_channel(cx, scale, rank)?, per_channel(cx, bias, rank)?);
    let scaled = cx.binary(Binary::Mul, x, scale)?;
    cx.binary(Binary::Add, scaled, bias)
}

fn with_pixels(shape: &Shape, least: usize) -> Result<(), Fault> {
    if shape.rank() >= least {
        return Ok(());
    }
    Err(Fault::new("operand 0 (X)", format!("the shape {shape}"), format!("{least} dimensions or more, [N,C,…]")))
}

/// `InstanceNormalization`: over the pixels of each channel (Ulyanov et al., 2016).
pub(super) fn instance(cx: &mut NodeCx) -> Result<Value, Fault> {
    let epsilon = cx.attributes.float("epsilon")?.unwrap_or(1e-5);
    cx.at_most(3)?;
    let (x, scale, bias) = (cx.operand(0, "input")?, cx.operand(1, "scale")?, cx.operand(2, "B")?);
    let shape = cx.shape(x)?;
    with_pixels(&shape, 3)?;
    let axes: Vec<usize> = (2..shape.rank()).collect();
    let y = standardized(cx, x, &axes, epsilon)?;
    let y = affine(cx, y, scale, bias)?;
    cx.finish(y)
}

/// `GroupNormalization`: over the pixels and channels of each group (Wu and He, 2018). Opset 18 has a scale and bias for each group, 21 for each channel.
pub(super) fn group(cx: &mut NodeCx) -> Result<Value, Fault> {
    let epsilon = cx.attributes.float("epsilon")?.unwrap_or(1e-5);
    let found = cx.attributes.int("num_groups")?.unwrap_or(0);
    cx.attributes.ignore("stash_type");
    cx.at_most(3)?;
    let (x, scale, bias) = (cx.operand(0, "X")?, cx.operand(1, "scale")?, cx.operand(2, "bias")?);
    let shape = cx.shape(x)?;
    with_pixels(&shape, 2)?;
    let groups = usize::try_from(found).ok().filter(|groups| *groups > 0);
    let (Some(groups), [batch, Dim::Fixed(channels), pixels @ ..]) = (groups, shape.dims()) else {
        return Err(Fault::new(subject("num_groups"), found.to_string(), "a number from 1 that divides the channels"));
    };
    let Some(rest) = product(pixels).filter(|_| channels.is_multiple_of(groups)) else {
        return Err(Fault::new(subject("num_groups"), found.to_string(), format!("a divisor of {channels} channels")));
    };
    let grouped = cx.reshaped(x, [*batch, Dim::Fixed(groups), Dim::Fixed(channels / groups), rest])?;
    let mut y = standardized(cx, grouped, &[2, 3], epsilon)?;
    if cx.opset() < 21 {
        y = affine(cx, y, scale, bias)?;
    }
    y = cx.reshaped(y, shape.dims().iter().copied())?;
    if cx.opset() >= 21 {
        y = affine(cx, y, scale, bias)?;
    }
    cx.finish(y)
}

/// `LayerNormalization` over the axes from `axis` on (Ba, Kiros and Hinton, 2016). Its other results are the mean and the inverse deviation.
pub(super) fn layer(cx: &mut NodeCx) -> Result<Vec<Value>, Fault> {
    let epsilon = cx.attributes.float("epsilon")?.unwrap_or(1e-5);
    let axis = cx.attributes.int("axis")?.unwrap_or(-1);
    cx.attributes.ignore("stash_type");
    cx.at_most(3)?;
    let (x, scale, bias) = (cx.operand(0, "X")?, cx.operand(1, "Scale")?, cx.optional(2));
    let rank = cx.shape(x)?.rank();
    let axes: Vec<usize> = (normal_axis(axis, rank)?..rank).collect();
    let Moments { mean, centred, deviation } = moments(cx, x, &axes, epsilon)?;
    let y = cx.binary(Binary::Div, centred, deviation)?;
    let mut y = cx.binary(Binary::Mul, y, scale)?;
    if let Some(bias) = bias {
        y = cx.binary(Binary::Add, y, bias)?;
    }
    let mut results = vec![cx.finish(y)?];
    let used = |cx: &NodeCx, output: usize| {
        let name = cx.node.output.get(output).filter(|name| cx.state.used.contains(*name));
        name.cloned().filter(|name| !name.is_empty())
    };
    if let Some(name) = used(cx, 1) {
        results.push(cx.state.emit(&name, Op::Identity, &[mean])?);
    } else {
        results.push(Value::Unknown);
    }
    if let Some(name) = used(cx, 2) {
        results.push(cx.state.emit(&name, Op::Unary(Unary::Reciprocal), &[deviation])?);
    }
    Ok(results)
}

/// `RMSNormalization` over the axes from `axis` on (Zhang and Sennrich, 2019).
pub(super) fn root_mean_square(cx: &mut NodeCx) -> Result<Value, Fault> {
    let epsilon = cx.attributes.float("epsilon")?.unwrap_or(1e-5);
    let axis = cx.attributes.int("axis")?.unwrap_or(-1);
    cx.attributes.ignore("stash_type");
    cx.at_most(2)?;
    let (x, scale) = (cx.operand(0, "X")?, cx.operand(1, "scale")?);
    let rank = cx.shape(x)?.rank();
    let axes: Vec<usize> = (normal_axis(axis, rank)?..rank).collect();
    let square = cx.binary(Binary::Mul, x, x)?;
    let mean = cx.reduced(ReduceKind::Mean, square, &axes)?;
    let mean = cx.with_number(Binary::Add, mean, epsilon)?;
    let root = cx.unary(Unary::Sqrt, mean)?;
    let y = cx.binary(Binary::Div, x, root)?;
    let y = cx.binary(Binary::Mul, y, scale)?;
    cx.finish(y)
}

/// `MeanVarianceNormalization` over `axes`, by default all but the channels.
pub(super) fn mean_variance(cx: &mut NodeCx) -> Result<Value, Fault> {
    let axes = cx.attributes.ints("axes")?.unwrap_or(&[0, 2, 3]).to_vec();
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    let axes = normal_axes(&axes, cx.shape(x)?.rank())?;
    let Moments { mean: _, centred, deviation } = moments(cx, x, &axes, 0.0)?;
    // Unlike the other normalisations, this one adds its epsilon to the deviation.
    let deviation = cx.with_number(Binary::Add, deviation, 1e-9)?;
    let y = cx.binary(Binary::Div, centred, deviation)?;
    cx.finish(y)
}

/// `LpNormalization`: divided by the 1- or 2-norm along `axis`; where that is 0, the result is, too.
pub(super) fn lp(cx: &mut NodeCx) -> Result<Value, Fault> {
    let axis = cx.attributes.int("axis")?.unwrap_or(-1);
    let p = cx.attributes.int("p")?.unwrap_or(2);
    cx.at_most(1)?;
    let x = cx.operand(0, "input")?;
    let axis = normal_axis(axis, cx.shape(x)?.rank())?;
    let norm = match p {
        1 => {
            let magnitude = cx.unary(Unary::Abs, x)?;
            cx.reduced(ReduceKind::Sum, magnitude, &[axis])?
        }
        2 => {
            let square = cx.binary(Binary::Mul, x, x)?;
            let sum = cx.reduced(ReduceKind::Sum, square, &[axis])?;
            cx.unary(Unary::Sqrt, sum)?
        }
        other => return Err(Fault::new(subject("p"), other.to_string(), "1, 2")),
    };
    // The smallest divisor that is a number leaves 0 / 0 out.
    let norm = cx.with_number(Binary::Max, norm, f32::MIN_POSITIVE)?;
    let y = cx.binary(Binary::Div, x, norm)?;
    cx.finish(y)
}

/// `LRN`: `x / (bias + alpha/size · Σ x²)^beta`, the sum over `size` channels around each (Krizhevsky et al., 2012). The sum is a mean over windows of channels.
pub(super) fn local_response(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(1e-4);
    let beta = cx.attributes.float("beta")?.unwrap_or(0.75);
    let bias = cx.attributes.float("bias")?.unwrap_or(1.0);
    let found = cx.attributes.int("size")?.unwrap_or(0);
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    let shape = cx.shape(x)?;
    with_pixels(&shape, 3)?;
    let Some(size) = usize::try_from(found).ok().filter(|size| (1..=1024).contains(size)) else {
        return Err(Fault::new(subject("size"), found.to_string(), "1 to 1024"));
    };
    let [batch, channels, pixels @ ..] = shape.dims() else { return Err(Fault::Poisoned) };
    let Some(pixels) = product(pixels) else {
        return Err(Fault::new("operand 0 (X)", format!("the shape {shape}"), "[N,C,…] with numbers behind N"));
    };
    let square = cx.binary(Binary::Mul, x, x)?;
    let rows = cx.reshaped(square, [*batch, Dim::Fixed(1), *channels, pixels])?;
    let mut window = Window::new([size, 1]);
    window.pad_begin = [(size - 1) / 2, 0];
    window.pad_end = [size / 2, 0];
    let pool = AveragePool { pool: Pool { window, ceil_mode: false }, count_include_pad: true };
    let mean = cx.step(Op::AveragePool(pool), &[rows])?;
    let mean = cx.reshaped(mean, shape.dims().iter().copied())?;
    let scaled = cx.with_number(Binary::Mul, mean, alpha)?;
    let sum = cx.with_number(Binary::Add, scaled, bias)?;
    let power = cx.with_number(Binary::Pow, sum, beta)?;
    let y = cx.binary(Binary::Div, x, power)?;
    cx.finish(y)
}
