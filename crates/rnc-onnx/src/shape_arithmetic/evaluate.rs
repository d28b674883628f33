//! The graph's operators on arrays. Inference gives the result's dimensions, as it does for graphs.

use rnc_ir::op::{Slice, Unary};
use rnc_ir::{DType, Op, TensorType, infer};

use super::array::{Array, Elem, Scalar};
use super::scalar;
use crate::error::Fault;
use crate::state::type_fault;

/// Whether [`evaluate`] knows the operator.
pub(crate) fn evaluates(op: &Op) -> bool {
    match op {
        Op::Binary(_)
        | Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Expand(_)
        | Op::Identity => true,
        Op::Unary(unary) => unary_function(*unary).is_some(),
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
        | Op::Softmax(_)
        | Op::Pad(_)
        | Op::Resize(_)
        | Op::Reduce(_) => false,
    }
}

/// The operator's result on arrays. Only for operators that [`evaluates`] names.
pub(crate) fn evaluate(op: &Op, operands: &[Array]) -> Result<Array, Fault> {
    let Some(first) = operands.first() else {
        return Err(Fault::new("operands", "none", "one or more"));
    };
    if let Some(other) = operands.iter().find(|a| a.elem != first.elem) {
        return Err(Fault::new("operands", format!("{} and {}", first.elem, other.elem), "operands of one type"));
    }
    // Inference refuses empty floats, of which these chains have some; the types were compared above.
    let types: Vec<_> = operands.iter().map(|a| TensorType { dtype: DType::I64, ..a.inference_type() }).collect();
    if let Op::Unary(function) = op {
        return unary(*function, first);
    }
    let ty = infer(op, &types.iter().collect::<Vec<_>>()).map_err(|e| type_fault(&e))?;
    let dims = super::fixed_dims(&ty.shape)?;
    match op {
        Op::Binary(function) => {
            let (a, b) = (broadcast(first, &dims)?, broadcast(&operands[1], &dims)?);
            let data = a.data.iter().zip(&b.data).map(|(x, y)| scalar::binary(*function, first.elem, *x, *y)).collect();
            Ok(Array { elem: first.elem, dims, data })
        }
        Op::Concat(axis) => concat(operands, axis.axis, &dims),
        Op::Reshape(_) | Op::Identity => Ok(Array { elem: first.elem, dims, data: first.data.clone() }),
        Op::Expand(_) => broadcast(first, &dims),
        Op::Transpose(transpose) => {
            let strides = first.strides();
            first.rearranged(&dims, |index| index.iter().zip(&transpose.perm).map(|(i, axis)| i * strides[*axis]).sum())
        }
        Op::Slice(slice) => self::slice(first, slice, &dims),
        // Unary functions have returned; the others are not for arrays.
        Op::Unary(_)
        | Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::Resize(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Softmax(_)
        | Op::Pad(_)
        | Op::Reduce(_) => Err(Fault::new("shape arithmetic", op.name(), "operators that `evaluates` names")),
    }
}

/// NumPy broadcasting to `dims`, to which the array is known to broadcast.
pub(super) fn broadcast(array: &Array, dims: &[usize]) -> Result<Array, Fault> {
    let lead = dims.len() - array.dims.len();
    let strides = array.strides();
    array.rearranged(dims, |index| {
        let own = index[lead..].iter().zip(array.dims.iter().zip(&strides));
        own.map(|(i, (dim, stride))| if *dim == 1 { 0 } else { i * stride }).sum()
    })
}

fn slice(array: &Array, slice: &Slice, dims: &[usize]) -> Result<Array, Fault> {
    let strides = array.strides();
    array.rearranged(dims, |index| {
        let axes = index.iter().zip(&slice.starts).zip(&slice.steps).zip(&strides);
        // Inference has checked that these are inside of the array.
        axes.map(|(((i, start), step), stride)| start.wrapping_add_signed(*i as isize * step) * stride).sum()
    })
}

fn concat(operands: &[Array], axis: usize, dims: &[usize]) -> Result<Array, Fault> {
    if super::array::element_count(dims)? == 0 {
        return Ok(Array { elem: operands[0].elem, dims: dims.to_vec(), data: Vec::new() });
    }
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let mut data = Vec::new();
    for block in 0..outer {
        for operand in operands {
            let length = operand.dims[axis] * inner;
            data.extend_from_slice(&operand.data[block * length..(block + 1) * length]);
        }
    }
    Ok(Array { elem: operands[0].elem, dims: dims.to_vec(), data })
}

fn unary(function: Unary, array: &Array) -> Result<Array, Fault> {
    let Some(on_float) = unary_function(function) else {
        return Err(Fault::new("shape arithmetic", function.name(), "Neg, Abs, Sqrt, Floor, Ceil, Reciprocal"));
    };
    let on_int = |x: i64| match function {
        Unary::Neg => x.checked_neg(),
        Unary::Abs => x.checked_abs(),
        _ => None,
    };
    let element = |scalar: &Scalar| match (*scalar, function) {
        (Scalar::Int(x), _) => on_int(x).map_or(Scalar::Unknown, |x| array.elem.integer(x)),
        (Scalar::Float(x), _) => array.elem.number(on_float(x)),
        (Scalar::Batch(k), Unary::Abs | Unary::Floor | Unary::Ceil) => Scalar::Batch(k),
        (Scalar::Batch(_) | Scalar::Unknown, _) => Scalar::Unknown,
    };
    if !array.elem.is_float() && !matches!(function, Unary::Neg | Unary::Abs) || array.elem == Elem::Bool {
        return Err(Fault::new("operand 0", array.elem.to_string(), "float32"));
    }
    Ok(Array { elem: array.elem, dims: array.dims.clone(), data: array.data.iter().map(element).collect() })
}

/// The functions that shape arithmetic has; each is exact or correctly rounded, so that `f64` then rounding gives the `f32` result.
fn unary_function(unary: Unary) -> Option<fn(f64) -> f64> {
    match unary {
        Unary::Neg => Some(|x| -x),
        Unary::Abs => Some(f64::abs),
        Unary::Sqrt => Some(f64::sqrt),
        Unary::Floor => Some(f64::floor),
        Unary::Ceil => Some(f64::ceil),
        Unary::Reciprocal => Some(f64::recip),
        Unary::Relu
        | Unary::LeakyRelu { .. }
        | Unary::Clip { .. }
        | Unary::Sigmoid
        | Unary::HardSigmoid { .. }
        | Unary::HardSwish
        | Unary::Silu
        | Unary::Tanh
        | Unary::Exp
        | Unary::Log
        | Unary::Erf
        | Unary::Round
        | Unary::Sign => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_ir::Shape;
    use rnc_ir::op::{Axis, Binary, Reshape, Transpose};

    fn ints(dims: &[usize], data: &[i64]) -> Array {
        Array { elem: Elem::I64, dims: dims.to_vec(), data: data.iter().map(|x| Scalar::Int(*x)).collect() }
    }

    #[test]
    fn moves_elements_like_the_operators_of_the_graph() {
        let matrix = ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let transposed =
            evaluate(&Op::Transpose(Transpose { perm: vec![1, 0] }), std::slice::from_ref(&matrix)).unwrap();
        assert_eq!(transposed, ints(&[3, 2], &[1, 4, 2, 5, 3, 6]));
        // As PyTorch reverses pairs of padding amounts.
        let slice = Slice { starts: vec![1, 2], sizes: vec![Some(2), Some(2)], steps: vec![-1, -2] };
        assert_eq!(evaluate(&Op::Slice(slice), std::slice::from_ref(&matrix)).unwrap(), ints(&[2, 2], &[6, 4, 3, 1]));
        let joined = evaluate(&Op::Concat(Axis { axis: 1 }), &[matrix.clone(), ints(&[2, 1], &[8, 9])]).unwrap();
        assert_eq!(joined, ints(&[2, 4], &[1, 2, 3, 8, 4, 5, 6, 9]));
        let shape = Shape::new([2usize, 2, 3]);
        let expanded = evaluate(&Op::Expand(Reshape { shape }), &[ints(&[2, 1], &[1, 2])]).unwrap();
        assert_eq!(expanded, ints(&[2, 2, 3], &[1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]));
        let shape = Shape::new([3usize, 2]);
        assert_eq!(
            evaluate(&Op::Reshape(Reshape { shape }), std::slice::from_ref(&matrix)).unwrap(),
            ints(&[3, 2], &[1, 2, 3, 4, 5, 6])
        );
    }

    #[test]
    fn broadcasts_binary_functions() {
        let sum = evaluate(&Op::Binary(Binary::Add), &[ints(&[2, 1], &[1, 2]), ints(&[2], &[10, 20])]).unwrap();
        assert_eq!(sum, ints(&[2, 2], &[11, 21, 12, 22]));
        assert!(evaluate(&Op::Binary(Binary::Add), &[ints(&[2], &[1, 2]), ints(&[3], &[1, 2, 3])]).is_err());
    }

    #[test]
    fn refuses_operands_of_two_types_and_results_that_are_too_large() {
        let floats = Array { elem: Elem::F32, dims: vec![], data: vec![Scalar::Float(1.0)] };
        assert!(evaluate(&Op::Binary(Binary::Add), &[ints(&[], &[1]), floats]).is_err());
        let shape = Shape::new([1usize << 30, 1 << 20]);
        assert!(evaluate(&Op::Expand(Reshape { shape }), &[ints(&[], &[1])]).is_err());
    }

    #[test]
    fn takes_arrays_without_elements() {
        let empty = Array { elem: Elem::F32, dims: vec![0], data: vec![] };
        assert_eq!(evaluate(&Op::Concat(Axis { axis: 0 }), &[empty.clone(), empty.clone()]).unwrap(), empty);
    }

    #[test]
    fn computes_roots_and_rounds_only_floats() {
        let floats = Array { elem: Elem::F32, dims: vec![2], data: vec![Scalar::Float(2.5), Scalar::Batch(2)] };
        let floor = evaluate(&Op::Unary(Unary::Floor), &[floats]).unwrap();
        assert_eq!(floor.data, [Scalar::Float(2.0), Scalar::Batch(2)]);
        assert!(evaluate(&Op::Unary(Unary::Floor), &[ints(&[1], &[1])]).is_err());
        assert_eq!(evaluate(&Op::Unary(Unary::Neg), &[ints(&[1], &[3])]).unwrap(), ints(&[1], &[-3]));
    }
}
