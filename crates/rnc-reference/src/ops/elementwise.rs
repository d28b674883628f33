//! Functions of one and two operands, element by element.

use ndarray::{ArrayD, IxDyn, Zip};
use rnc_ir::DType;
use rnc_ir::op::{Activation, Binary, Unary};

use super::internal;
use crate::error::Fault;
use crate::value::Value;

/// A function of one operand. `f32` is computed in `f64` and rounded once; `i64` is exact.
pub(super) fn unary(function: Unary, x: &Value) -> Result<Value, Fault> {
    match x {
        Value::F32(x) => Ok(Value::F32(x.mapv(|x| unary_f32(function, x)))),
        Value::I64(x) => {
            let function = unary_i64(function).ok_or(Fault::UnsupportedType { found: DType::I64 })?;
            Ok(Value::I64(x.mapv(function)))
        }
    }
}

/// A function of two operands with `NumPy` broadcasting.
pub(super) fn binary(function: Binary, a: &Value, b: &Value) -> Result<Value, Fault> {
    match (a, b) {
        (Value::F32(a), Value::F32(b)) => broadcast(a, b, |a, b| binary_f32(function, a, b)).map(Value::F32),
        (Value::I64(a), Value::I64(b)) => {
            if function == Binary::Div && b.iter().any(|b| *b == 0) {
                return Err(Fault::DivisionByZero);
            }
            broadcast(a, b, |a, b| binary_i64(function, a, b)).map(Value::I64)
        }
        (Value::F32(_), Value::I64(_)) | (Value::I64(_), Value::F32(_)) => {
            Err(internal(format!("operands of different types: {} and {}", a.ty(), b.ty())))
        }
    }
}

/// The function fused behind a convolution or a GEMM.
pub(super) fn activate(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Relu => maximum(x, 0.0),
        Activation::Clip { min, max } => minimum(maximum(x, min), max),
    }
}

/// The larger of two numbers; NaN if one is; +0 if both are zeros of different sign (IEEE 754-2019 `maximum`).
pub(super) fn maximum(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else if a > b {
        a
    } else if b > a || a.is_sign_negative() {
        b
    } else {
        a
    }
}

/// The smaller of two numbers; NaN if one is; -0 if both are zeros of different sign (IEEE 754-2019 `minimum`).
pub(super) fn minimum(a: f32, b: f32) -> f32 {
    -maximum(-a, -b)
}

/// The dimensions that two shapes broadcast to, by `NumPy`'s rules.
pub(super) fn broadcast_dims(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Fault> {
    let rank = a.len().max(b.len());
    // Missing leading dimensions count as 1.
    let dim = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    let join = |i| match (dim(a, i), dim(b, i)) {
        (x, y) if x == y => Ok(x),
        (1, x) | (x, 1) => Ok(x),
        _ => Err(internal(format!("shapes {a:?} and {b:?} do not broadcast"))),
    };
    (0..rank).map(join).collect()
}

fn broadcast<T: Copy>(a: &ArrayD<T>, b: &ArrayD<T>, f: impl Fn(T, T) -> T) -> Result<ArrayD<T>, Fault> {
    let dims = broadcast_dims(a.shape(), b.shape())?;
    let stretch = |x: &ArrayD<T>| internal(format!("shape {:?} does not broadcast to {dims:?}", x.shape()));
    let a = a.broadcast(IxDyn(&dims)).ok_or_else(|| stretch(a))?;
    let b = b.broadcast(IxDyn(&dims)).ok_or_else(|| stretch(b))?;
    Ok(Zip::from(a).and(b).map_collect(|a, b| f(*a, *b)))
}

fn unary_f32(function: Unary, x: f32) -> f32 {
    let wide = f64::from(x);
    let sigmoid = || 1.0 / (1.0 + (-wide).exp());
    // `f64::clamp` keeps NaN.
    match function {
        Unary::Relu => maximum(x, 0.0),
        Unary::LeakyRelu { alpha } => (if wide >= 0.0 { wide } else { f64::from(alpha) * wide }) as f32,
        Unary::Clip { min, max } => minimum(maximum(x, min), max),
        Unary::Sigmoid => sigmoid() as f32,
        Unary::HardSigmoid { alpha, beta } => (f64::from(alpha) * wide + f64::from(beta)).clamp(0.0, 1.0) as f32,
        Unary::HardSwish => (wide * (wide / 6.0 + 0.5).clamp(0.0, 1.0)) as f32,
        Unary::Silu => (wide * sigmoid()) as f32,
        Unary::Tanh => wide.tanh() as f32,
        Unary::Exp => wide.exp() as f32,
        Unary::Sqrt => wide.sqrt() as f32,
        Unary::Abs => x.abs(),
        Unary::Neg => -x,
        Unary::Reciprocal => wide.recip() as f32,
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Sign => sign(x),
        Unary::Log => wide.ln() as f32,
        Unary::Erf => libm::erf(wide) as f32,
    }
}

/// -1, 0 or 1; NaN of NaN.
fn sign(x: f32) -> f32 {
    if x == 0.0 || x.is_nan() { x } else { x.signum() }
}

/// The function on integers, where type inference allows it.
fn unary_i64(function: Unary) -> Option<fn(i64) -> i64> {
    match function {
        Unary::Abs => Some(i64::wrapping_abs),
        Unary::Neg => Some(i64::wrapping_neg),
        Unary::Relu
        | Unary::LeakyRelu { .. }
        | Unary::Clip { .. }
        | Unary::Sigmoid
        | Unary::HardSigmoid { .. }
        | Unary::HardSwish
        | Unary::Silu
        | Unary::Tanh
        | Unary::Exp
        | Unary::Sqrt
        | Unary::Reciprocal
        | Unary::Floor
        | Unary::Ceil
        | Unary::Log
        | Unary::Erf
        | Unary::Round
        | Unary::Sign => None,
    }
}

/// Elements of `a` where the condition is not 0, of `b` where it is.
pub(super) fn where_(condition: &ArrayD<f32>, a: &ArrayD<f32>, b: &ArrayD<f32>) -> Result<ArrayD<f32>, Fault> {
    let dims = broadcast_dims(&broadcast_dims(condition.shape(), a.shape())?, b.shape())?;
    let stretched = |x: &ArrayD<f32>| {
        let view = x.broadcast(IxDyn(&dims)).map(|view| view.to_owned());
        view.ok_or_else(|| internal(format!("shape {:?} does not broadcast to {dims:?}", x.shape())))
    };
    let (condition, a, b) = (stretched(condition)?, stretched(a)?, stretched(b)?);
    Ok(Zip::from(&condition).and(&a).and(&b).map_collect(|c, a, b| if *c == 0.0 { *b } else { *a }))
}

/// IEEE 754 operations round once by themselves: no `f64` needed.
#[allow(clippy::float_cmp, reason = "that is what Equal says")]
fn binary_f32(function: Binary, a: f32, b: f32) -> f32 {
    match function {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => maximum(a, b),
        Binary::Min => minimum(a, b),
        Binary::Pow => f64::from(a).powf(f64::from(b)) as f32,
        Binary::Equal => f32::from(u8::from(a == b)),
        Binary::Greater => f32::from(u8::from(a > b)),
        Binary::GreaterOrEqual => f32::from(u8::from(a >= b)),
    }
}

fn binary_i64(function: Binary, a: i64, b: i64) -> i64 {
    match function {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => a.wrapping_div(b),
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        // Inference allows them on f32 only.
        Binary::Pow => a.wrapping_pow(u32::try_from(b).unwrap_or(0)),
        Binary::Equal => i64::from(a == b),
        Binary::Greater => i64::from(a > b),
        Binary::GreaterOrEqual => i64::from(a >= b),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn of(function: Unary, x: f32) -> f32 {
        match unary(function, &Value::from(array![x])) {
            Ok(Value::F32(y)) => y[0],
            other => panic!("expected an f32, found {other:?}"),
        }
    }

    #[test]
    fn computes_each_function_of_one_operand() {
        let cases = [
            (Unary::Relu, -2.0, 0.0),
            (Unary::Relu, 3.0, 3.0),
            (Unary::LeakyRelu { alpha: 0.25 }, -2.0, -0.5),
            (Unary::LeakyRelu { alpha: 0.25 }, 2.0, 2.0),
            (Unary::Clip { min: -1.0, max: 6.0 }, -2.0, -1.0),
            (Unary::Clip { min: -1.0, max: 6.0 }, 7.0, 6.0),
            (Unary::Clip { min: -1.0, max: 6.0 }, 0.5, 0.5),
            (Unary::Clip { min: 2.0, max: 1.0 }, 0.5, 1.0),
            (Unary::Sigmoid, 0.0, 0.5),
            (Unary::Sigmoid, 2.0, 0.880_797_1),
            (Unary::Sigmoid, -1000.0, 0.0),
            (Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }, 1.0, 0.7),
            (Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }, -4.0, 0.0),
            (Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }, 4.0, 1.0),
            (Unary::HardSwish, 1.0, 0.666_666_7),
            (Unary::HardSwish, -3.5, 0.0),
            (Unary::HardSwish, 4.0, 4.0),
            (Unary::Silu, 2.0, 1.761_594_2),
            (Unary::Tanh, 1.0, 0.761_594_2),
            (Unary::Exp, 1.0, std::f32::consts::E),
            (Unary::Sqrt, 2.0, std::f32::consts::SQRT_2),
            (Unary::Abs, -2.5, 2.5),
            (Unary::Neg, 2.5, -2.5),
            (Unary::Reciprocal, 4.0, 0.25),
            (Unary::Reciprocal, 0.0, f32::INFINITY),
            (Unary::Floor, -1.5, -2.0),
            (Unary::Ceil, -1.5, -1.0),
        ];
        for (function, x, y) in cases {
            assert_eq!(unary(function, &Value::from(array![x])), Ok(Value::from(array![y])), "{function:?} of {x}");
        }
    }

    #[test]
    fn every_function_of_one_operand_propagates_nan() {
        for function in [
            Unary::Relu,
            Unary::LeakyRelu { alpha: 0.1 },
            Unary::Clip { min: 0.0, max: 1.0 },
            Unary::Sigmoid,
            Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
            Unary::HardSwish,
            Unary::Silu,
            Unary::Tanh,
            Unary::Exp,
            Unary::Sqrt,
            Unary::Abs,
            Unary::Neg,
            Unary::Reciprocal,
            Unary::Floor,
            Unary::Ceil,
        ] {
            assert!(of(function, f32::NAN).is_nan(), "{function:?}");
        }
    }

    #[test]
    fn maximum_and_minimum_order_zeros_and_propagate_nan() {
        for (a, b) in [(0.0f32, -0.0f32), (-0.0, 0.0)] {
            assert!(maximum(a, b).is_sign_positive());
            assert!(minimum(a, b).is_sign_negative());
        }
        assert_eq!((maximum(-3.0, -2.0), minimum(-3.0, -2.0)), (-2.0, -3.0));
        assert_eq!((maximum(1.0, f32::INFINITY), minimum(1.0, f32::NEG_INFINITY)), (f32::INFINITY, f32::NEG_INFINITY));
        for (a, b) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            assert!(maximum(a, b).is_nan() && minimum(a, b).is_nan());
        }
    }

    #[test]
    fn computes_each_function_of_two_operands() {
        let (a, b) = (Value::from(array![6.0f32, -1.0]), Value::from(array![4.0f32, 2.0]));
        let cases = [
            (Binary::Add, [10.0f32, 1.0]),
            (Binary::Sub, [2.0, -3.0]),
            (Binary::Mul, [24.0, -2.0]),
            (Binary::Div, [1.5, -0.5]),
            (Binary::Max, [6.0, 2.0]),
            (Binary::Min, [4.0, -1.0]),
        ];
        for (function, y) in cases {
            assert_eq!(binary(function, &a, &b), Ok(Value::from(array![y[0], y[1]])), "{function:?}");
        }
    }

    #[test]
    fn integers_truncate_and_wrap_and_refuse_division_by_zero() {
        let (a, b) = (Value::from(array![-7i64, i64::MIN]), Value::from(array![2i64, -1]));
        let cases = [
            (Binary::Add, [-5, i64::MAX]),
            (Binary::Sub, [-9, i64::MIN + 1]),
            (Binary::Mul, [-14, i64::MIN]),
            (Binary::Div, [-3, i64::MIN]),
            (Binary::Max, [2, -1]),
            (Binary::Min, [-7, i64::MIN]),
        ];
        for (function, y) in cases {
            assert_eq!(binary(function, &a, &b), Ok(Value::from(array![y[0], y[1]])), "{function:?}");
        }
        assert_eq!(binary(Binary::Div, &a, &Value::from(array![0i64])), Err(Fault::DivisionByZero));
        assert_eq!(unary(Unary::Neg, &a), Ok(Value::from(array![7i64, i64::MIN])));
        assert_eq!(unary(Unary::Abs, &a), Ok(Value::from(array![7i64, i64::MIN])));
        assert_eq!(unary(Unary::Sqrt, &a), Err(Fault::UnsupportedType { found: DType::I64 }));
    }

    #[test]
    fn broadcasts_both_operands() {
        let column = Value::from(array![[1.0f32], [2.0]]);
        let row = Value::from(array![10.0f32, 20.0, 30.0]);
        let sum = Value::from(array![[11.0f32, 21.0, 31.0], [12.0, 22.0, 32.0]]);
        assert_eq!(binary(Binary::Add, &column, &row), Ok(sum));
        let scalar = Value::from(ndarray::arr0(2.0f32));
        assert_eq!(binary(Binary::Mul, &scalar, &row), Ok(Value::from(array![20.0f32, 40.0, 60.0])));
        // The order of the operands stays.
        assert_eq!(binary(Binary::Sub, &scalar, &row), Ok(Value::from(array![-8.0f32, -18.0, -28.0])));
    }

    #[test]
    fn a_dimension_of_zero_broadcasts_with_one_only() {
        assert_eq!(broadcast_dims(&[0, 3], &[1, 1]), Ok(vec![0, 3]));
        assert!(broadcast_dims(&[0], &[2]).is_err());
        assert!(broadcast_dims(&[2, 3], &[2]).is_err());
    }
}
