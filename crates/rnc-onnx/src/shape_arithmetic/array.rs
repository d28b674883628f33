//! Small tensors that the importer computes itself. Their elements are numbers, multiples of the batch size, or unknown.

use std::fmt;

use rnc_ir::{Dim, Shape, Tensor, TensorData, TensorType};

use crate::error::Fault;

/// Arrays have at most this many elements: shapes, bounds and amounts are far smaller.
pub(crate) const MAX_ELEMENTS: usize = 1 << 16;

/// One more than the largest `i64`; exact as `f64`.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Element types of ONNX that shape arithmetic knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elem {
    Bool,
    I32,
    I64,
    F32,
    F64,
}

/// One element. Integers and booleans (0, 1) are `Int`, floats are `Float` (an `f32` is held exactly).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    Int(i64),
    Float(f64),
    /// This many times the batch size; positive. The batch size itself is at least 1.
    Batch(i64),
    /// Depends on the batch size in a way that has no form here, or has no defined value (a division by zero).
    Unknown,
}

/// A tensor of [`Scalar`]s, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub elem: Elem,
    pub dims: Vec<usize>,
    pub data: Vec<Scalar>,
}

impl Elem {
    pub(crate) const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// A number of this type: floats are rounded to it, integers that do not fit are unknown.
    pub(crate) fn number(self, value: f64) -> Scalar {
        match self {
            Self::F32 => Scalar::Float(f64::from(value as f32)),
            Self::F64 => Scalar::Float(value),
            Self::I64 if (-TWO_TO_63..TWO_TO_63).contains(&value) => Scalar::Int(value as i64),
            Self::I32 if value > -2_147_483_649.0 && value < 2_147_483_648.0 => Scalar::Int(value as i64),
            Self::Bool => Scalar::Int(i64::from(value != 0.0)),
            Self::I32 | Self::I64 => Scalar::Unknown,
        }
    }

    /// An integer of this type; one that does not fit is unknown.
    pub(crate) fn integer(self, value: i64) -> Scalar {
        match self {
            Self::I64 => Scalar::Int(value),
            Self::I32 => i32::try_from(value).map_or(Scalar::Unknown, |v| Scalar::Int(i64::from(v))),
            Self::Bool => Scalar::Int(i64::from(value != 0)),
            Self::F32 => Scalar::Float(f64::from(value as f32)),
            Self::F64 => Scalar::Float(value as f64),
        }
    }
}

impl Scalar {
    /// The element as an integer, if it is one (also as a float).
    pub(crate) fn as_integer(self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(i),
            Self::Float(f) if f.fract() == 0.0 && f.abs() < 9e15 => Some(f as i64),
            Self::Float(_) | Self::Batch(_) | Self::Unknown => None,
        }
    }

    /// The element as a float, if it is a number.
    pub(crate) fn as_float(self) -> Option<f64> {
        match self {
            Self::Int(i) => Some(i as f64),
            Self::Float(f) => Some(f),
            Self::Batch(_) | Self::Unknown => None,
        }
    }
}

impl Array {
    /// A one-dimensional `i64` array.
    pub(crate) fn vector(data: Vec<Scalar>) -> Self {
        Self { elem: Elem::I64, dims: vec![data.len()], data }
    }

    /// The dimensions of a shape, as `Shape` gives them.
    pub(crate) fn of_dims(dims: &[Dim]) -> Self {
        Self::vector(dims.iter().copied().map(Scalar::from).collect())
    }

    /// The elements of an `f32` tensor.
    pub(crate) fn of_tensor(tensor: &Tensor) -> Self {
        let (elem, data) = match tensor.data() {
            TensorData::F32(v) => (Elem::F32, v.iter().map(|x| Scalar::Float(f64::from(*x))).collect()),
            TensorData::I64(v) => (Elem::I64, v.iter().map(|x| Scalar::Int(*x)).collect()),
        };
        Self { elem, dims: tensor.dims().to_vec(), data }
    }

    /// The array as a constant of the graph.
    pub(crate) fn to_tensor(&self) -> Result<Tensor, Fault> {
        let fault = |supported| Fault::new("a constant operand", self.to_string(), supported);
        let symbolic = "known elements (the value depends on the batch size; give it with --dim)";
        match self.elem {
            Elem::F32 => {
                let floats: Option<Vec<f32>> = self.data.iter().map(|s| s.as_float().map(|f| f as f32)).collect();
                Ok(Tensor::f32(self.dims.clone(), floats.ok_or_else(|| fault(symbolic))?))
            }
            Elem::I64 => {
                let ints: Option<Vec<i64>> = self.data.iter().map(|s| s.as_integer()).collect();
                Ok(Tensor::i64(self.dims.clone(), ints.ok_or_else(|| fault(symbolic))?))
            }
            Elem::Bool | Elem::I32 | Elem::F64 => Err(fault("float32 or int64 (other types only in shape arithmetic)")),
        }
    }

    /// The type that inference sees: element types are compared by [`Elem`], not there.
    pub(crate) fn inference_type(&self) -> TensorType {
        TensorType::f32(self.dims.iter().copied())
    }

    /// The only element, if there is just one.
    pub(crate) fn single(&self) -> Option<Scalar> {
        match self.data.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// The array of these dimensions whose element at an index is ours at the flat position that `source` gives.
    pub(crate) fn rearranged(&self, dims: &[usize], mut source: impl FnMut(&[usize]) -> usize) -> Result<Self, Fault> {
        let count = element_count(dims)?;
        let mut index = vec![0; dims.len()];
        let mut data = Vec::with_capacity(count);
        for _ in 0..count {
            data.push(self.data[source(&index)]);
            for axis in (0..dims.len()).rev() {
                index[axis] += 1;
                if index[axis] < dims[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Ok(Self { elem: self.elem, dims: dims.to_vec(), data })
    }

    /// Distance in elements between neighbours along each axis.
    pub(crate) fn strides(&self) -> Vec<usize> {
        strides(&self.dims)
    }
}

/// Row-major strides.
pub(crate) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        // Overflows only where another dimension is 0, and then no element is ever looked up.
        strides[axis - 1] = strides[axis].saturating_mul(dims[axis].max(1));
    }
    strides
}

/// Number of elements of an array of these dimensions, if it may have so many.
pub(crate) fn element_count(dims: &[usize]) -> Result<usize, Fault> {
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_ELEMENTS);
    count.ok_or_else(|| {
        let found = format!("an array of dimensions {dims:?}");
        Fault::new("shape arithmetic", found, format!("arrays of at most {MAX_ELEMENTS} elements"))
    })
}

/// The dimensions, if they are all numbers.
pub(crate) fn fixed_dims(shape: &Shape) -> Result<Vec<usize>, Fault> {
    shape
        .fixed()
        .ok_or_else(|| Fault::new("shape arithmetic", format!("an array of dimensions {shape}"), "fixed dimensions"))
}

impl From<Dim> for Scalar {
    fn from(dim: Dim) -> Self {
        match dim {
            Dim::Fixed(n) => i64::try_from(n).map_or(Self::Unknown, Self::Int),
            Dim::Batch => Self::Batch(1),
        }
    }
}

impl fmt::Display for Elem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        })
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(i) => write!(f, "{i}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Batch(1) => f.write_str("N"),
            Self::Batch(k) => write!(f, "{k}·N"),
            Self::Unknown => f.write_str("?"),
        }
    }
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} [", self.elem, Shape::new(self.dims.iter().copied()))?;
        for (i, scalar) in self.data.iter().take(12).enumerate() {
            write!(f, "{}{scalar}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str(if self.data.len() > 12 { ", …]" } else { "]" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_limits_numbers_to_their_type() {
        assert_eq!(Elem::F32.number(0.1), Scalar::Float(f64::from(0.1f32)));
        assert_eq!(Elem::I64.number(-2.7), Scalar::Int(-2));
        assert_eq!(Elem::I32.number(3e9), Scalar::Unknown);
        assert_eq!(Elem::I64.number(f64::NAN), Scalar::Unknown);
        assert_eq!(Elem::I64.number(9.3e18), Scalar::Unknown);
        assert_eq!(Elem::Bool.integer(7), Scalar::Int(1));
        assert_eq!(Elem::I32.integer(1 << 40), Scalar::Unknown);
    }

    #[test]
    fn becomes_a_constant_only_with_known_elements_of_the_graphs_types() {
        let shape = Array::of_dims(&[Dim::Batch, Dim::Fixed(3)]);
        assert_eq!(shape.to_string(), "int64 [2] [N, 3]");
        assert!(shape.to_tensor().is_err());
        let array = Array { elem: Elem::I64, dims: vec![1], data: vec![Scalar::Int(3)] };
        assert_eq!(array.to_tensor().unwrap(), Tensor::i64([1], vec![3]));
        assert!(Array { elem: Elem::F64, ..array }.to_tensor().is_err());
    }

    #[test]
    fn refuses_huge_arrays_before_they_are_made() {
        let one = Array { elem: Elem::I64, dims: vec![1], data: vec![Scalar::Int(3)] };
        assert!(one.rearranged(&[1 << 40, 1 << 40], |_| 0).is_err());
        assert_eq!(one.rearranged(&[2, 2], |_| 0).unwrap().data.len(), 4);
    }
}
