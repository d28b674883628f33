//! Element types, dimensions, shapes and constant tensors.

use std::fmt;
use std::sync::Arc;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// 64-bit signed integer; ONNX uses it for indices and shapes.
    I64,
}

impl DType {
    /// Size of one element in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
        })
    }
}

/// One dimension of a shape: a number, or the batch symbol `N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dim {
    /// A number known at compile time.
    Fixed(usize),
    /// The batch size, known when the plan runs.
    Batch,
}

impl Dim {
    /// The number, if this is one.
    pub const fn fixed(self) -> Option<usize> {
        match self {
            Self::Fixed(n) => Some(n),
            Self::Batch => None,
        }
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Self::Fixed(n)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Batch => f.write_str("N"),
        }
    }
}

/// Dimensions of a tensor, outermost first. Prints as `[N,3,224,224]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(Vec<Dim>);

impl Shape {
    /// A shape of the given dimensions.
    pub fn new(dims: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        Self(dims.into_iter().map(Into::into).collect())
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// All dimensions as numbers, unless one of them is the batch symbol.
    pub fn fixed(&self) -> Option<Vec<usize>> {
        self.0.iter().map(|d| d.fixed()).collect()
    }

    /// Number of elements as `(count, uses_batch)`: the product of the numbers, and whether the batch symbol is one
    /// more factor.
    /// `None` when the product overflows or the symbol occurs more than once.
    pub fn elements(&self) -> Option<(usize, bool)> {
        let mut product = 1usize;
        let mut batch = false;
        for dim in &self.0 {
            match dim {
                Dim::Fixed(n) => product = product.checked_mul(*n)?,
                Dim::Batch if batch => return None,
                Dim::Batch => batch = true,
            }
        }
        Some((product, batch))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

/// Element type and shape of a value. Prints as `f32[N,3,224,224]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
}

impl TensorType {
    /// An `f32` tensor of this shape.
    pub fn f32(dims: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        Self { dtype: DType::F32, shape: Shape::new(dims) }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// The elements of a constant. Cloning shares them.
#[derive(Clone, Debug)]
pub enum TensorData {
    /// Elements of a [`DType::F32`] tensor.
    F32(Arc<[f32]>),
    /// Elements of a [`DType::I64`] tensor.
    I64(Arc<[i64]>),
}

/// A constant tensor, row-major. Equality is bitwise, so that a NaN equals itself.
#[derive(Clone, Debug)]
pub struct Tensor {
    dims: Vec<usize>,
    data: TensorData,
}

impl Tensor {
    /// A tensor of `dims` over `data`.
    ///
    /// # Panics
    /// If the number of elements is not the product of `dims`: check data from outside first.
    pub fn new(dims: impl Into<Vec<usize>>, data: TensorData) -> Self {
        let dims = dims.into();
        let have = match &data {
            TensorData::F32(v) => v.len(),
            TensorData::I64(v) => v.len(),
        };
        assert_eq!(dims.iter().product::<usize>(), have, "dims {dims:?} need another number of elements");
        Self { dims, data }
    }

    /// An `f32` tensor. Panics like [`Tensor::new`].
    pub fn f32(dims: impl Into<Vec<usize>>, data: impl Into<Arc<[f32]>>) -> Self {
        Self::new(dims, TensorData::F32(data.into()))
    }

    /// An `i64` tensor. Panics like [`Tensor::new`].
    pub fn i64(dims: impl Into<Vec<usize>>, data: impl Into<Arc<[i64]>>) -> Self {
        Self::new(dims, TensorData::I64(data.into()))
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The elements, row-major.
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// The elements if they are `f32`.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::F32(v) => Some(v),
            TensorData::I64(_) => None,
        }
    }

    /// The elements if they are `i64`.
    pub fn as_i64(&self) -> Option<&[i64]> {
        match &self.data {
            TensorData::I64(v) => Some(v),
            TensorData::F32(_) => None,
        }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            TensorData::F32(_) => DType::F32,
            TensorData::I64(_) => DType::I64,
        }
    }

    /// Element type and shape.
    pub fn ty(&self) -> TensorType {
        TensorType { dtype: self.dtype(), shape: Shape::new(self.dims.iter().copied()) }
    }

    /// The same elements under other dimensions. Panics like [`Tensor::new`].
    #[must_use]
    pub fn reshaped(&self, dims: impl Into<Vec<usize>>) -> Self {
        Self::new(dims, self.data.clone())
    }

    /// A 64-bit FNV-1a hash of the elements' bytes: what a large constant prints as.
    pub fn content_hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut eat = |word: u64| hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        match &self.data {
            TensorData::F32(v) => v.iter().for_each(|x| eat(u64::from(x.to_bits()))),
            TensorData::I64(v) => v.iter().for_each(|x| eat(*x as u64)),
        }
        hash
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.dims == other.dims
            && match (&self.data, &other.data) {
                (TensorData::F32(a), TensorData::F32(b)) => {
                    Arc::ptr_eq(a, b) || a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()))
                }
                (TensorData::I64(a), TensorData::I64(b)) => a == b,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_elements_with_the_batch_as_a_factor_of_its_own() {
        assert_eq!(Shape::new([Dim::Batch, Dim::Fixed(3), Dim::Fixed(5)]).elements(), Some((15, true)));
        assert_eq!(Shape::new([2usize, 3]).elements(), Some((6, false)));
        assert_eq!(Shape::new([Dim::Batch, Dim::Batch]).elements(), None);
        assert_eq!(Shape::new([usize::MAX, 2]).elements(), None);
    }

    #[test]
    fn compares_constants_bit_by_bit() {
        let nan = || Tensor::f32([1], vec![f32::NAN]);
        assert_eq!(nan(), nan());
        assert_ne!(Tensor::f32([1], vec![0.0]), Tensor::f32([1], vec![-0.0]));
        assert_ne!(nan().content_hash(), Tensor::f32([1], vec![0.0]).content_hash());
    }
}
