//! Activation functions that the graph has no operator for: they are written as those that it has.

use rnc_ir::op::{Binary, ReduceKind, Unary};
use rnc_ir::{Dim, Op};

use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, normal_axis};
use crate::state::Value;

fn only_operand(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.at_most(1)?;
    cx.operand(0, "X")
}

/// `max(x, 0) + scale · (exp(min(x, 0) / scale) - 1)`, the exponential part also times `slope`.
fn exponential_unit(cx: &mut NodeCx, x: Value, scale: f32, slope: f32) -> Result<Value, Fault> {
    let above = cx.unary(Unary::Relu, x)?;
    let below = cx.with_number(Binary::Min, x, 0.0)?;
    let below = if scale.to_bits() == 1.0f32.to_bits() { below } else { cx.with_number(Binary::Div, below, scale)? };
    let below = cx.unary(Unary::Exp, below)?;
    let below = cx.with_number(Binary::Sub, below, 1.0)?;
    let below = cx.with_number(Binary::Mul, below, scale * slope)?;
    cx.binary(Binary::Add, above, below)
}

/// `Elu`: `x` above 0, `alpha (exp(x) - 1)` below.
pub(super) fn elu(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(1.0);
    let x = only_operand(cx)?;
    let y = exponential_unit(cx, x, 1.0, alpha)?;
    cx.finish(y)
}

/// `Celu`: `x` above 0, `alpha (exp(x / alpha) - 1)` below.
pub(super) fn celu(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(1.0);
    let x = only_operand(cx)?;
    let y = exponential_unit(cx, x, alpha, 1.0)?;
    cx.finish(y)
}

/// `Selu`: `gamma` times an `Elu`. The defaults are those of ONNX.
pub(super) fn selu(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(1.673_263_2);
    let gamma = cx.attributes.float("gamma")?.unwrap_or(1.050_701);
    let x = only_operand(cx)?;
    let unit = exponential_unit(cx, x, 1.0, alpha)?;
    let y = cx.with_number(Binary::Mul, unit, gamma)?;
    cx.finish(y)
}

/// `log(1 + exp(x))` as `max(x, 0) + log(1 + exp(-|x|))`, which does not overflow.
fn softplus_of(cx: &mut NodeCx, x: Value) -> Result<Value, Fault> {
    let above = cx.unary(Unary::Relu, x)?;
    let magnitude = cx.unary(Unary::Abs, x)?;
    let negated = cx.unary(Unary::Neg, magnitude)?;
    let e = cx.unary(Unary::Exp, negated)?;
    let sum = cx.with_number(Binary::Add, e, 1.0)?;
    let log = cx.unary(Unary::Log, sum)?;
    cx.binary(Binary::Add, above, log)
}

/// `Softplus`.
pub(super) fn softplus(cx: &mut NodeCx) -> Result<Value, Fault> {
    let x = only_operand(cx)?;
    let y = softplus_of(cx, x)?;
    cx.finish(y)
}

/// `Mish`: `x tanh(softplus(x))`.
pub(super) fn mish(cx: &mut NodeCx) -> Result<Value, Fault> {
    let x = only_operand(cx)?;
    let gate = softplus_of(cx, x)?;
    let gate = cx.unary(Unary::Tanh, gate)?;
    let y = cx.binary(Binary::Mul, x, gate)?;
    cx.finish(y)
}

/// `Softsign`: `x / (1 + |x|)`.
pub(super) fn softsign(cx: &mut NodeCx) -> Result<Value, Fault> {
    let x = only_operand(cx)?;
    let magnitude = cx.unary(Unary::Abs, x)?;
    let divisor = cx.with_number(Binary::Add, magnitude, 1.0)?;
    let y = cx.binary(Binary::Div, x, divisor)?;
    cx.finish(y)
}

/// `Swish`: `x sigmoid(alpha x)`.
pub(super) fn swish(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(1.0);
    let x = only_operand(cx)?;
    let scaled = if alpha.to_bits() == 1.0f32.to_bits() { x } else { cx.with_number(Binary::Mul, x, alpha)? };
    let gate = cx.unary(Unary::Sigmoid, scaled)?;
    let y = cx.binary(Binary::Mul, x, gate)?;
    cx.finish(y)
}

/// `Gelu`: `x/2 (1 + erf(x / √2))`, or `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
pub(super) fn gelu(cx: &mut NodeCx) -> Result<Value, Fault> {
    let approximate = cx.attributes.string("approximate")?.unwrap_or("none");
    let x = only_operand(cx)?;
    let gate = match approximate {
        "none" => {
            let scaled = cx.with_number(Binary::Mul, x, std::f32::consts::FRAC_1_SQRT_2)?;
            cx.unary(Unary::Erf, scaled)?
        }
        "tanh" => {
            let square = cx.binary(Binary::Mul, x, x)?;
            let cube = cx.binary(Binary::Mul, square, x)?;
            let cube = cx.with_number(Binary::Mul, cube, 0.044_715)?;
            let sum = cx.binary(Binary::Add, x, cube)?;
            let scaled = cx.with_number(Binary::Mul, sum, (2.0 / std::f32::consts::PI).sqrt())?;
            cx.unary(Unary::Tanh, scaled)?
        }
        other => return Err(Fault::new(subject("approximate"), format!("`{other}`"), "none, tanh")),
    };
    let gate = cx.with_number(Binary::Add, gate, 1.0)?;
    let half = cx.with_number(Binary::Mul, x, 0.5)?;
    let y = cx.binary(Binary::Mul, half, gate)?;
    cx.finish(y)
}

/// `PRelu`: `x` above 0, `slope x` below. Before opset 7 a slope of one axis is one a channel.
pub(super) fn prelu(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.at_most(2)?;
    let (x, mut slope) = (cx.operand(0, "X")?, cx.operand(1, "slope")?);
    let (rank, channels) = (cx.shape(x)?.rank(), cx.shape(slope)?);
    if cx.opset() < 7 && channels.rank() == 1 && channels.dims() != [Dim::Fixed(1)] {
        let ones = std::iter::repeat_n(Dim::Fixed(1), rank.saturating_sub(2));
        slope = cx.reshaped(slope, channels.dims().iter().copied().chain(ones).collect::<Vec<_>>())?;
    }
    let above = cx.unary(Unary::Relu, x)?;
    let below = cx.with_number(Binary::Min, x, 0.0)?;
    let below = cx.binary(Binary::Mul, below, slope)?;
    let y = cx.binary(Binary::Add, above, below)?;
    cx.finish(y)
}

/// `ThresholdedRelu`: `x` above `alpha`, else 0.
pub(super) fn thresholded_relu(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(1.0);
    let x = only_operand(cx)?;
    let above = cx.with_number(Binary::Greater, x, alpha)?;
    let zero = cx.scalar_constant("zero", 0.0);
    cx.emit(Op::Where, &[above, x, zero])
}

/// `Shrink`: `x + bias` below `-lambd`, `x - bias` above `lambd`, 0 between.
pub(super) fn shrink(cx: &mut NodeCx) -> Result<Value, Fault> {
    let bias = cx.attributes.float("bias")?.unwrap_or(0.0);
    let lambd = cx.attributes.float("lambd")?.unwrap_or(0.5);
    let x = only_operand(cx)?;
    let zero = cx.scalar_constant("zero", 0.0);
    let above = cx.with_number(Binary::Greater, x, lambd)?;
    let less = cx.with_number(Binary::Sub, x, bias)?;
    let not_below = cx.step(Op::Where, &[above, less, zero])?;
    let threshold = cx.scalar_constant("threshold", -lambd);
    let below = cx.binary(Binary::Greater, threshold, x)?;
    let more = cx.with_number(Binary::Add, x, bias)?;
    cx.emit(Op::Where, &[below, more, not_below])
}

/// `LogSoftmax`: `x - max - log(sum(exp(x - max)))` along `axis`; before opset 13 over all dimensions from it on.
pub(super) fn log_softmax(cx: &mut NodeCx) -> Result<Value, Fault> {
    let flattens = cx.opset() < 13;
    let axis = cx.attributes.int("axis")?.unwrap_or(if flattens { 1 } else { -1 });
    let x = only_operand(cx)?;
    let shape = cx.shape(x)?;
    let axis = normal_axis(axis, shape.rank())?;
    let rows = if flattens { super::linear::rows_from(cx, x, &shape, axis)? } else { x };
    let largest = cx.reduced(ReduceKind::Max, rows, &[axis])?;
    let below = cx.binary(Binary::Sub, rows, largest)?;
    let e = cx.unary(Unary::Exp, below)?;
    let sum = cx.reduced(ReduceKind::Sum, e, &[axis])?;
    let log = cx.unary(Unary::Log, sum)?;
    let y = cx.binary(Binary::Sub, below, log)?;
    let y = cx.reshaped(y, shape.dims().iter().copied())?;
    cx.finish(y)
}

/// `Pow`. Small whole powers of a known exponent are products, so that they are exact.
pub(super) fn pow(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.at_most(2)?;
    let (x, exponent) = (cx.operand(0, "X")?, super::elementwise::aligned(cx, 1, "Y")?);
    // A number of higher rank than the base makes a result of that rank.
    let scalar = cx.shape(exponent)?.rank() <= cx.shape(x)?.rank();
    let known = cx.state.array(exponent)?.filter(|_| scalar).and_then(|array| array.single()?.as_float());
    // ONNX lets the exponent have another type than the base.
    let number = match cx.state.elem(exponent)? {
        crate::shape_arithmetic::Elem::F32 => None,
        _ => known,
    };
    let y = match known {
        Some(1.0) => x,
        Some(2.0) => cx.binary(Binary::Mul, x, x)?,
        Some(3.0) => {
            let square = cx.binary(Binary::Mul, x, x)?;
            cx.binary(Binary::Mul, square, x)?
        }
        Some(0.5) => cx.unary(Unary::Sqrt, x)?,
        Some(-1.0) => cx.unary(Unary::Reciprocal, x)?,
        _ => match number {
            Some(number) => cx.with_number(Binary::Pow, x, number as f32)?,
            None => cx.binary(Binary::Pow, x, exponent)?,
        },
    };
    cx.finish(y)
}
