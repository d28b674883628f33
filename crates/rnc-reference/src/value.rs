//! Values: what goes in and comes out.

use ndarray::{Array, ArrayD, Dimension, IxDyn};
use rnc_ir::{DType, Shape, Tensor, TensorData, TensorType};

use crate::error::Fault;

/// A tensor at run time. Equality is that of numbers: a NaN does not equal itself, and zeros of either sign are equal.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Elements of type [`DType::F32`].
    F32(ArrayD<f32>),
    /// Elements of type [`DType::I64`].
    I64(ArrayD<i64>),
}

impl Value {
    /// Dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::F32(a) => a.shape(),
            Self::I64(a) => a.shape(),
        }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::I64(_) => DType::I64,
        }
    }

    /// Element type and shape; no dimension is the batch symbol.
    pub fn ty(&self) -> TensorType {
        TensorType { dtype: self.dtype(), shape: Shape::new(self.dims().iter().copied()) }
    }

    /// The array if its elements are `f32`.
    pub fn as_f32(&self) -> Option<&ArrayD<f32>> {
        match self {
            Self::F32(a) => Some(a),
            Self::I64(_) => None,
        }
    }

    /// The array if its elements are `i64`.
    pub fn as_i64(&self) -> Option<&ArrayD<i64>> {
        match self {
            Self::I64(a) => Some(a),
            Self::F32(_) => None,
        }
    }

    /// The same value with its elements row-major in memory.
    pub(crate) fn into_row_major(self) -> Self {
        fn fix<T: Clone>(a: ArrayD<T>) -> ArrayD<T> {
            if a.is_standard_layout() { a } else { a.as_standard_layout().into_owned() }
        }
        match self {
            Self::F32(a) => Self::F32(fix(a)),
            Self::I64(a) => Self::I64(fix(a)),
        }
    }
}

impl<D: Dimension> From<Array<f32, D>> for Value {
    fn from(a: Array<f32, D>) -> Self {
        Self::F32(a.into_dyn())
    }
}

impl<D: Dimension> From<Array<i64, D>> for Value {
    fn from(a: Array<i64, D>) -> Self {
        Self::I64(a.into_dyn())
    }
}

/// Panics on a constant without elements whose other dimensions overflow; a run refuses it as too large before.
impl From<&Tensor> for Value {
    fn from(tensor: &Tensor) -> Self {
        fn array<T: Clone>(dims: &[usize], data: &[T]) -> ArrayD<T> {
            ArrayD::from_shape_vec(IxDyn(dims), data.to_vec()).expect("a tensor has as many elements as its dims say")
        }
        match tensor.data() {
            TensorData::F32(v) => Self::F32(array(tensor.dims(), v)),
            TensorData::I64(v) => Self::I64(array(tensor.dims(), v)),
        }
    }
}

impl From<&Value> for Tensor {
    fn from(value: &Value) -> Self {
        match value {
            Value::F32(a) => Self::f32(a.shape(), a.iter().copied().collect::<Vec<_>>()),
            Value::I64(a) => Self::i64(a.shape(), a.iter().copied().collect::<Vec<_>>()),
        }
    }
}

/// The operands of a node, with checked access.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a>(pub &'a [&'a Value]);

impl<'a> Operands<'a> {
    /// Operand `i`, of either type.
    pub fn any(self, i: usize) -> Result<&'a Value, Fault> {
        self.0.get(i).copied().ok_or_else(|| Fault::Internal(format!("operand {i} is missing")))
    }

    /// Operand `i`, which must have `f32` elements.
    pub fn f32(self, i: usize) -> Result<&'a ArrayD<f32>, Fault> {
        let value = self.any(i)?;
        value.as_f32().ok_or(Fault::UnsupportedType { found: value.dtype() })
    }

    /// Operand `i`, row-major, which must have `f32` elements and as many dimensions as `D`.
    pub fn f32_of_rank<D: Dimension>(self, i: usize) -> Result<Array<f32, D>, Fault> {
        let array = self.f32(i)?;
        array.as_standard_layout().into_owned().into_dimensionality().map_err(|_| {
            let wanted = D::NDIM.map_or_else(String::new, |n| n.to_string());
            Fault::Internal(format!("operand {i} should have rank {wanted}, found shape {:?}", array.shape()))
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn converts_from_and_to_constants_bit_by_bit() {
        let constant = Tensor::f32([2, 2], vec![1.0, f32::NAN, -0.0, f32::INFINITY]);
        assert_eq!(Tensor::from(&Value::from(&constant)), constant);
        let constant = Tensor::i64([3], vec![i64::MIN, 0, i64::MAX]);
        assert_eq!(Tensor::from(&Value::from(&constant)), constant);
    }

    #[test]
    fn becomes_a_constant_in_logical_order_whatever_the_memory_order() {
        let transposed = Value::from(array![[1.0f32, 2.0], [3.0, 4.0]].reversed_axes());
        assert_eq!(Tensor::from(&transposed), Tensor::f32([2, 2], vec![1.0, 3.0, 2.0, 4.0]));
        assert_eq!(transposed.clone().into_row_major(), transposed);
    }

    #[test]
    fn has_a_type() {
        assert_eq!(Value::from(array![[1i64], [2]]).ty().to_string(), "i64[2,1]");
    }
}
