//! The values of operators on constants. Deliberately not the reference interpreter: that one is the oracle of the tests.

use rnc_ir::op::{Binary, Pad, Reduce, ReduceKind, Slice, Unary};
use rnc_ir::resize::{Resize, Tap};
use rnc_ir::{Op, Tensor, TensorData};

use super::strided::{Offsets, broadcast, row_major};
use crate::matching::{Match, Miss, refuse};

/// Whether [`evaluate`] knows the operator.
pub(super) fn is_folded(op: &Op) -> bool {
    match op {
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Resize(_)
        | Op::Reduce(_)
        | Op::Identity => true,
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Softmax(_) => false,
    }
}

/// The operator's value on operands that inference accepts for it; `dims` are the result's.
pub(super) fn evaluate(op: &Op, operands: &[&Tensor], dims: &[usize]) -> Match<Tensor> {
    let first = operands[0];
    match op {
        Op::Unary(function) => unary(*function, first),
        Op::Binary(function) => binary(*function, first, operands[1], dims),
        Op::Identity => Ok(first.clone()),
        Op::Reshape(_) => Ok(first.reshaped(dims)),
        Op::Expand(_) => Ok(gather(first, dims, &broadcast(first.dims(), dims), 0)),
        Op::Transpose(transpose) => {
            let from = row_major(first.dims());
            let strides: Vec<isize> = transpose.perm.iter().map(|axis| from[*axis]).collect();
            Ok(gather(first, dims, &strides, 0))
        }
        Op::Slice(slice) => Ok(sliced(slice, first, dims)),
        Op::Concat(axis) => concat(axis.axis, operands, dims),
        Op::Resize(resize) => Ok(resized(resize, f32s(first)?, first.dims())),
        Op::Pad(pad) => Ok(padded(pad, f32s(first)?, first.dims(), dims)),
        Op::Reduce(reduce) => Ok(reduced(reduce, f32s(first)?, first.dims(), dims)),
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Softmax(_) => Err(Miss::NoMatch),
    }
}

fn f32s(tensor: &Tensor) -> Match<&[f32]> {
    tensor.as_f32().ok_or(Miss::NoMatch)
}

/// Result element `index` is element `start + Σ index · stride` of the tensor.
fn gather(tensor: &Tensor, dims: &[usize], strides: &[isize], start: usize) -> Tensor {
    let offsets = Offsets::new(dims, strides, start);
    match tensor.data() {
        TensorData::F32(v) => Tensor::f32(dims, offsets.map(|o| v[o]).collect::<Vec<_>>()),
        TensorData::I64(v) => Tensor::i64(dims, offsets.map(|o| v[o]).collect::<Vec<_>>()),
    }
}

fn sliced(slice: &Slice, tensor: &Tensor, dims: &[usize]) -> Tensor {
    let from = row_major(tensor.dims());
    // An axis of one element may have a step that no stride can hold; that step is never taken.
    let step = |axis: usize| if dims[axis] > 1 { slice.steps[axis] } else { 0 };
    let strides: Vec<isize> = from.iter().enumerate().map(|(axis, stride)| stride * step(axis)).collect();
    let start = slice.starts.iter().zip(&from).map(|(start, stride)| start.saturating_mul(*stride as usize)).sum();
    gather(tensor, dims, &strides, start)
}

fn concat(axis: usize, operands: &[&Tensor], dims: &[usize]) -> Match<Tensor> {
    match operands[0].data() {
        TensorData::F32(_) => joined(axis, operands, dims, Tensor::as_f32).map(|v| Tensor::f32(dims, v)),
        TensorData::I64(_) => joined(axis, operands, dims, Tensor::as_i64).map(|v| Tensor::i64(dims, v)),
    }
}

/// The operands' elements in turn: of each the rows of `axis` under one index of the axes before it.
fn joined<T: Copy>(
    axis: usize,
    operands: &[&Tensor],
    dims: &[usize],
    elements: fn(&Tensor) -> Option<&[T]>,
) -> Match<Vec<T>> {
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let mut result = Vec::with_capacity(dims.iter().product());
    for row in 0..outer {
        for operand in operands {
            let piece = operand.dims()[axis] * inner;
            let elements = elements(operand).ok_or(Miss::NoMatch)?;
            result.extend_from_slice(&elements[row * piece..][..piece]);
        }
    }
    Ok(result)
}

/// Axis by axis, rounded once at the end.
fn resized(resize: &Resize, values: &[f32], dims: &[usize]) -> Tensor {
    let mut dims = dims.to_vec();
    let mut values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
    for axis in 0..dims.len() {
        let taps = resize.taps(axis, dims[axis]);
        let inner: usize = dims[axis + 1..].iter().product();
        let lines =
            values.chunks_exact(dims[axis] * inner).flat_map(|slice| taps.iter().map(move |taps| (slice, taps)));
        let element = |slice: &[f64], taps: &[Tap], i: usize| {
            taps.iter().map(|tap| tap.weight * slice[tap.source * inner + i]).sum::<f64>()
        };
        values = lines.flat_map(|(slice, taps)| (0..inner).map(move |i| element(slice, taps, i))).collect();
        dims[axis] = taps.len();
    }
    Tensor::f32(dims, values.into_iter().map(|value| value as f32).collect::<Vec<_>>())
}

fn padded(pad: &Pad, values: &[f32], from: &[usize], dims: &[usize]) -> Tensor {
    let strides = row_major(dims);
    let start = pad.begin.iter().zip(&strides).map(|(begin, stride)| begin * *stride as usize).sum();
    let mut result = vec![pad.value; dims.iter().product()];
    for (offset, value) in Offsets::new(from, &strides, start).zip(values) {
        result[offset] = *value;
    }
    Tensor::f32(dims, result)
}

fn reduced(reduce: &Reduce, values: &[f32], from: &[usize], dims: &[usize]) -> Tensor {
    // Strides of the result, with its reduced axes put back as axes on which it does not move.
    let kept: Vec<usize> =
        from.iter().enumerate().map(|(axis, dim)| if reduce.axes.contains(&axis) { 1 } else { *dim }).collect();
    let strides = broadcast(&kept, from);
    let (first, join): (f64, fn(f64, f64) -> f64) = match reduce.kind {
        ReduceKind::Mean | ReduceKind::Sum => (0.0, |a, b| a + b),
        ReduceKind::Max => (f64::NEG_INFINITY, larger),
    };
    let count: usize = reduce.axes.iter().map(|axis| from[*axis]).product();
    let mut result = vec![first; dims.iter().product()];
    for (offset, value) in Offsets::new(from, &strides, 0).zip(values) {
        result[offset] = join(result[offset], f64::from(*value));
    }
    let divisor = if reduce.kind == ReduceKind::Mean { count as f64 } else { 1.0 };
    Tensor::f32(dims, result.into_iter().map(|sum| (sum / divisor) as f32).collect::<Vec<_>>())
}

fn unary(function: Unary, tensor: &Tensor) -> Match<Tensor> {
    match tensor.data() {
        TensorData::F32(v) => {
            let values: Vec<f32> = v.iter().map(|x| unary_f64(function, f64::from(*x)) as f32).collect();
            Ok(Tensor::f32(tensor.dims(), values))
        }
        TensorData::I64(v) => {
            let function: fn(i64) -> i64 = match function {
                Unary::Abs => i64::wrapping_abs,
                Unary::Neg => i64::wrapping_neg,
                _ => return refuse(format!("`{}` of integers is not folded", function.name())),
            };
            Ok(Tensor::i64(tensor.dims(), v.iter().map(|x| function(*x)).collect::<Vec<_>>()))
        }
    }
}

fn unary_f64(function: Unary, x: f64) -> f64 {
    // Comparisons are written so that a NaN goes through.
    let clip = |x: f64, min: f64, max: f64| {
        let x = if x < min { min } else { x };
        if x > max { max } else { x }
    };
    match function {
        Unary::Relu => clip(x, 0.0, f64::INFINITY),
        Unary::LeakyRelu { alpha } => {
            if x < 0.0 {
                f64::from(alpha) * x
            } else {
                x
            }
        }
        Unary::Clip { min, max } => clip(x, min.into(), max.into()),
        Unary::Sigmoid => (1.0 + (-x).exp()).recip(),
        Unary::HardSigmoid { alpha, beta } => clip(f64::from(alpha) * x + f64::from(beta), 0.0, 1.0),
        Unary::HardSwish => x * clip(x / 6.0 + 0.5, 0.0, 1.0),
        Unary::Silu => x / (1.0 + (-x).exp()),
        Unary::Tanh => x.tanh(),
        Unary::Exp => x.exp(),
        Unary::Sqrt => x.sqrt(),
        Unary::Abs => x.abs(),
        Unary::Neg => -x,
        Unary::Reciprocal => x.recip(),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Sign if x == 0.0 || x.is_nan() => x,
        Unary::Sign => x.signum(),
        Unary::Log => x.ln(),
        Unary::Erf => libm::erf(x),
    }
}

fn binary(function: Binary, a: &Tensor, b: &Tensor, dims: &[usize]) -> Match<Tensor> {
    let (a_strides, b_strides) = (broadcast(a.dims(), dims), broadcast(b.dims(), dims));
    let pairs = Offsets::new(dims, &a_strides, 0).zip(Offsets::new(dims, &b_strides, 0));
    match (a.data(), b.data()) {
        (TensorData::F32(a), TensorData::F32(b)) => {
            // f64 has more than twice the digits of f32: sums, products and quotients round as if computed once.
            let one = |(i, j): (usize, usize)| binary_f64(function, a[i].into(), b[j].into()) as f32;
            Ok(Tensor::f32(dims, pairs.map(one).collect::<Vec<_>>()))
        }
        (TensorData::I64(a), TensorData::I64(b)) => {
            let values: Option<Vec<i64>> = pairs.map(|(i, j)| binary_i64(function, a[i], b[j])).collect();
            match values {
                Some(values) => Ok(Tensor::i64(dims, values)),
                None => refuse("it divides an integer by zero"),
            }
        }
        (TensorData::F32(_), TensorData::I64(_)) | (TensorData::I64(_), TensorData::F32(_)) => Err(Miss::NoMatch),
    }
}

#[allow(clippy::float_cmp, reason = "that is what Equal says")]
fn binary_f64(function: Binary, a: f64, b: f64) -> f64 {
    match function {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => larger(a, b),
        Binary::Min => -larger(-a, -b),
        Binary::Pow => a.powf(b),
        Binary::Equal => f64::from(u8::from(a == b)),
        Binary::Greater => f64::from(u8::from(a > b)),
        Binary::GreaterOrEqual => f64::from(u8::from(a >= b)),
    }
}

/// The larger of two numbers, or NaN if one is.
fn larger(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

/// `None` for a division by zero; overflow wraps, as in ONNX Runtime.
fn binary_i64(function: Binary, a: i64, b: i64) -> Option<i64> {
    match function {
        Binary::Add => Some(a.wrapping_add(b)),
        Binary::Sub => Some(a.wrapping_sub(b)),
        Binary::Mul => Some(a.wrapping_mul(b)),
        Binary::Div if b == 0 => None,
        Binary::Div => Some(a.wrapping_div(b)),
        Binary::Max => Some(a.max(b)),
        Binary::Min => Some(a.min(b)),
        Binary::Pow | Binary::Equal | Binary::Greater | Binary::GreaterOrEqual => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(x: f32) -> Tensor {
        Tensor::f32([], vec![x])
    }

    #[test]
    fn refuses_to_divide_integers_by_zero() {
        let [seven, zero] = [7, 0].map(|x| Tensor::i64([], vec![x]));
        let division = Op::Binary(Binary::Div);
        assert!(matches!(evaluate(&division, &[&seven, &zero], &[]), Err(Miss::Refused(r)) if r.contains("zero")));
        assert_eq!(evaluate(&division, &[&seven, &seven], &[]), Ok(Tensor::i64([], vec![1])));
    }

    #[test]
    fn lets_nan_through_maxima_and_bounds() {
        let (nan, one) = (scalar(f32::NAN), scalar(1.0));
        let is_nan = |result: Match<Tensor>| result.unwrap().as_f32().unwrap()[0].is_nan();
        for op in [Op::Binary(Binary::Max), Op::Binary(Binary::Min), Op::Binary(Binary::Add)] {
            assert!(is_nan(evaluate(&op, &[&nan, &one], &[])));
            assert!(is_nan(evaluate(&op, &[&one, &nan], &[])));
        }
        for function in [Unary::Relu, Unary::Clip { min: 0.0, max: 6.0 }] {
            assert!(is_nan(evaluate(&Op::Unary(function), &[&nan], &[])));
        }
    }

    #[test]
    fn takes_a_step_of_any_size_where_a_slice_has_one_element() {
        let slice = Slice { starts: vec![1, 2], sizes: vec![Some(1), Some(2)], steps: vec![isize::MIN, -2] };
        let matrix = Tensor::f32([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(evaluate(&Op::Slice(slice), &[&matrix], &[1, 2]), Ok(Tensor::f32([1, 2], vec![5.0, 3.0])));
    }
}
