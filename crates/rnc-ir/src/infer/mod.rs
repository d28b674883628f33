//! Shape and type inference: one function from an operator and its operands' types to its result's type.
//!
//! The rules are ONNX's (opset 17 and later). What is stricter than ONNX, for every operator:
//!
//! * The batch symbol broadcasts only with itself and with 1, is never summed over, sliced, padded or concatenated, and
//!   occurs at most once in a shape.
//! * A result has at most [`MAX_RANK`] dimensions and not more bytes than an `isize` can count, and at least one
//!   element if it is `f32`.
//! * No attribute is NaN. (An `epsilon` is not negative or infinite either.)
//! * Functions of two operands, `abs`, `neg`, `identity`, `concat`, `reshape`, `expand`, `transpose` and `slice` take `i64`
//!   too; all others take `f32` only.

mod matrix;
mod shape;
mod window;

use crate::op::{Activation, Binary, Op, Unary};
use crate::types::{DType, Dim, Shape, TensorType};

pub use window::window_output;

/// Why an operator does not take its operands.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TypeError {
    /// Wrong number of operands.
    #[error("`{op}` takes {expected} operands, found {found}")]
    Arity {
        /// Operator.
        op: &'static str,
        /// What it takes.
        expected: String,
        /// How many there are.
        found: usize,
    },
    /// An operand's type does not fit.
    #[error("`{op}`: operand {operand} ({what}) should be {expected}, found {found}")]
    Operand {
        /// Operator.
        op: &'static str,
        /// Position of the operand.
        operand: usize,
        /// Its role.
        what: &'static str,
        /// What would fit.
        expected: String,
        /// Its type.
        found: TensorType,
    },
    /// An attribute is out of range or does not fit the operands.
    #[error("`{op}`: attribute {attribute}: {problem}")]
    Attribute {
        /// Operator.
        op: &'static str,
        /// Attribute.
        attribute: &'static str,
        /// What is wrong, with what was found and what would fit.
        problem: String,
    },
    /// The result would be a type that no value may have.
    #[error("`{op}`: the result would be {ty}, {problem}")]
    Result {
        /// Operator.
        op: &'static str,
        /// Type of the result.
        ty: TensorType,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A rewrite in place would give the value another type.
    #[error("rewriting a value as `{op}` would change its type from {from} to {to}")]
    ChangedType {
        /// New operator.
        op: &'static str,
        /// Type of the value.
        from: TensorType,
        /// Type that the new operator gives.
        to: TensorType,
    },
}

/// The type of `op`'s result on operands of these types.
///
/// # Errors
/// If the operator does not take these operands. [`Op::Input`] has a given type, so it is refused too.
pub fn infer(op: &Op, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let cx = Operands { op: op.name(), types: operands };
    cx.check_arity(op.arity())?;
    let ty = match op {
        Op::Input => return Err(cx.attribute("type", "the type of an input is given, not inferred".into())),
        // A constant may be empty, as ONNX's shape operands of scalars are.
        Op::Constant(tensor) => return Ok(tensor.ty()),
        Op::Conv2d(conv) => window::conv2d(&cx, conv)?,
        Op::MaxPool(pool) => window::pool(&cx, pool)?,
        Op::AveragePool(average) => window::pool(&cx, &average.pool)?,
        Op::GlobalAveragePool | Op::GlobalMaxPool => window::global_pool(&cx)?,
        Op::BatchNorm(norm) => batch_norm(&cx, norm.epsilon)?,
        Op::Unary(unary) => self::unary(&cx, *unary)?,
        Op::Binary(function) => binary(&cx, *function)?,
        Op::Where => where_(&cx)?,
        Op::Gemm(gemm) => matrix::gemm(&cx, gemm)?,
        Op::MatMul => matrix::matmul(&cx)?,
        Op::Softmax(axis) => shape::softmax(&cx, axis.axis)?,
        Op::Concat(axis) => shape::concat(&cx, axis.axis)?,
        Op::Reshape(reshape) => shape::reshape(&cx, &reshape.shape)?,
        Op::Expand(expand) => shape::expand(&cx, &expand.shape)?,
        Op::Resize(resize) => shape::resize(&cx, resize)?,
        Op::Transpose(transpose) => shape::transpose(&cx, &transpose.perm)?,
        Op::Slice(slice) => shape::slice(&cx, slice)?,
        Op::Pad(pad) => shape::pad(&cx, pad)?,
        Op::Reduce(reduce) => shape::reduce(&cx, reduce)?,
        Op::Identity => cx.types[0].clone(),
    };
    match type_problem(&ty) {
        Some(problem) => Err(TypeError::Result { op: cx.op, ty, problem }),
        None => Ok(ty),
    }
}

/// The most dimensions that a shape may have: enough for any model, and small enough that work on a hostile one is
/// small.
pub const MAX_RANK: usize = 16;

/// Why no computed value and no graph input may have this type, if so.
pub(crate) fn type_problem(ty: &TensorType) -> Option<&'static str> {
    if ty.shape.rank() > MAX_RANK {
        return Some("which has more than 16 dimensions");
    }
    if ty.shape.dims().iter().filter(|d| **d == Dim::Batch).count() > 1 {
        return Some("which has the batch symbol more than once");
    }
    let bytes = ty.shape.elements().and_then(|(n, _)| n.checked_mul(ty.dtype.bytes()));
    match bytes {
        None => Some("which is too large for this machine"),
        Some(n) if n > isize::MAX as usize => Some("which is too large for this machine"),
        Some(0) if ty.dtype == DType::F32 => Some("which has no elements"),
        Some(_) => None,
    }
}

/// Operands' types, with the operator's name for errors.
struct Operands<'a> {
    op: &'static str,
    types: &'a [&'a TensorType],
}

impl<'a> Operands<'a> {
    fn check_arity(&self, (least, most): (usize, usize)) -> Result<(), TypeError> {
        let found = self.types.len();
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let expected = if least == most { least.to_string() } else { format!("at least {least}") };
        Err(TypeError::Arity { op: self.op, expected, found })
    }

    fn dims(&self, operand: usize) -> &'a [Dim] {
        self.types[operand].shape.dims()
    }

    /// The dimensions of an operand that must be `f32`.
    fn f32(&self, operand: usize, what: &'static str) -> Result<&'a [Dim], TypeError> {
        if self.types[operand].dtype == DType::F32 {
            Ok(self.dims(operand))
        } else {
            Err(self.operand(operand, what, "an f32 tensor"))
        }
    }

    /// The batch dimension and the numbers C, H, W of an operand that must be `f32` in NCHW.
    fn nchw(&self, operand: usize, what: &'static str) -> Result<(Dim, [usize; 3]), TypeError> {
        match self.f32(operand, what)? {
            [n, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)] => Ok((*n, [*c, *h, *w])),
            _ => Err(self.operand(operand, what, "f32[n,c,h,w] with numbers for c, h, w")),
        }
    }

    /// Checks that an operand has exactly this type.
    fn expect(&self, operand: usize, what: &'static str, ty: &TensorType) -> Result<(), TypeError> {
        if self.types[operand] == ty { Ok(()) } else { Err(self.operand(operand, what, ty.to_string())) }
    }

    fn operand(&self, operand: usize, what: &'static str, expected: impl Into<String>) -> TypeError {
        let found = self.types[operand].clone();
        TypeError::Operand { op: self.op, operand, what, expected: expected.into(), found }
    }

    fn attribute(&self, attribute: &'static str, problem: String) -> TypeError {
        TypeError::Attribute { op: self.op, attribute, problem }
    }

    fn not_nan(&self, attribute: &'static str, value: f32) -> Result<(), TypeError> {
        if value.is_nan() { Err(self.attribute(attribute, "is nan, expected a number".into())) } else { Ok(()) }
    }

    fn activation(&self, activation: &Activation) -> Result<(), TypeError> {
        match activation {
            Activation::None | Activation::Relu => Ok(()),
            Activation::Clip { min, max } => {
                self.not_nan("activation", *min)?;
                self.not_nan("activation", *max)
            }
        }
    }
}

/// `NumPy` broadcasting of two shapes; the batch symbol goes with itself and with 1 only.
fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let one = Dim::Fixed(1);
    let rank = a.len().max(b.len());
    let dim = |dims: &[Dim], i: usize| (i + dims.len()).checked_sub(rank).map_or(one, |i| dims[i]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (x, y) if x == y => Some(x),
            (x, y) if x == one => Some(y),
            (x, y) if y == one => Some(x),
            _ => None,
        })
        .collect()
}

fn batch_norm(cx: &Operands, epsilon: f32) -> Result<TensorType, TypeError> {
    let Some(Dim::Fixed(channels)) = cx.f32(0, "x")?.get(1) else {
        return Err(cx.operand(0, "x", "f32[n,c,…] with a number for c"));
    };
    let vector = TensorType::f32([*channels]);
    for (i, what) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
        cx.expect(i, what, &vector)?;
    }
    if !(epsilon.is_finite() && epsilon >= 0.0) {
        return Err(cx.attribute("epsilon", format!("is {epsilon}, expected a finite number that is not negative")));
    }
    Ok(cx.types[0].clone())
}

fn unary(cx: &Operands, unary: Unary) -> Result<TensorType, TypeError> {
    match unary {
        Unary::Abs | Unary::Neg => return Ok(cx.types[0].clone()),
        Unary::LeakyRelu { alpha } => cx.not_nan("alpha", alpha)?,
        Unary::Clip { min, max } => {
            cx.not_nan("min", min)?;
            cx.not_nan("max", max)?;
        }
        Unary::HardSigmoid { alpha, beta } => {
            cx.not_nan("alpha", alpha)?;
            cx.not_nan("beta", beta)?;
        }
        Unary::Relu
        | Unary::Sigmoid
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
        | Unary::Sign => {}
    }
    cx.f32(0, "x")?;
    Ok(cx.types[0].clone())
}

fn where_(cx: &Operands) -> Result<TensorType, TypeError> {
    let mut dims = cx.f32(0, "condition")?.to_vec();
    for (i, what) in [(1, "a"), (2, "b")] {
        let operand = cx.f32(i, what)?;
        let shape = Shape::new(dims.iter().copied());
        dims = broadcast(&dims, operand)
            .ok_or_else(|| cx.operand(i, what, format!("of a type that broadcasts with those before, {shape}")))?;
    }
    Ok(TensorType { dtype: DType::F32, shape: Shape::new(dims) })
}

fn binary(cx: &Operands, function: Binary) -> Result<TensorType, TypeError> {
    match function {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Max | Binary::Min => {}
        Binary::Pow | Binary::Equal | Binary::Greater | Binary::GreaterOrEqual => {
            cx.f32(0, "a")?;
        }
    }
    let [a, b] = [cx.types[0], cx.types[1]];
    match broadcast(a.shape.dims(), b.shape.dims()) {
        Some(dims) if a.dtype == b.dtype => Ok(TensorType { dtype: a.dtype, shape: Shape::new(dims) }),
        _ => Err(cx.operand(1, "b", format!("of a type that broadcasts with operand 0, {a}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Axis, BatchNorm};
    use crate::types::Tensor;

    const ADD: Op = Op::Binary(Binary::Add);

    fn ty(dims: &[usize]) -> TensorType {
        TensorType::f32(dims.iter().copied())
    }

    fn batch(rest: &[usize]) -> TensorType {
        TensorType::f32([Dim::Batch].into_iter().chain(rest.iter().map(|n| (*n).into())))
    }

    #[test]
    fn broadcasts_like_numpy_and_the_batch_with_itself_and_one() {
        let add = |a: &TensorType, b: &TensorType| infer(&ADD, &[a, b]);
        assert_eq!(add(&ty(&[2, 1, 4]), &ty(&[3, 1])), Ok(ty(&[2, 3, 4])));
        assert_eq!(add(&ty(&[]), &ty(&[2])), Ok(ty(&[2])));
        assert_eq!(add(&batch(&[3]), &ty(&[1, 3])), Ok(batch(&[3])));
        assert_eq!(add(&batch(&[3]), &batch(&[1])), Ok(batch(&[3])));
        for (a, b) in [(ty(&[2]), ty(&[3])), (batch(&[3]), ty(&[2, 3])), (ty(&[2, 3]), batch(&[3]))] {
            assert!(matches!(add(&a, &b), Err(TypeError::Operand { operand: 1, .. })), "{a} {b}");
        }
        let ints = TensorType { dtype: DType::I64, ..ty(&[2]) };
        assert!(add(&ty(&[2]), &ints).is_err());
        assert_eq!(add(&ints, &ints), Ok(ints.clone()));
    }

    #[test]
    fn refuses_results_that_no_value_may_have() {
        let problem = |op: &Op, types: &[&TensorType]| match infer(op, types) {
            Err(TypeError::Result { problem, .. }) => problem,
            other => panic!("{other:?}"),
        };
        let twice =
            problem(&ADD, &[&TensorType::f32([Dim::Batch, 1.into()]), &TensorType::f32([1.into(), Dim::Batch])]);
        assert!(twice.contains("more than once"));
        let huge = ty(&[isize::MAX as usize / 4 + 1]);
        assert!(problem(&Op::Identity, &[&huge]).contains("too large"));
        assert!(problem(&ADD, &[&ty(&[1 << 40, 1]), &ty(&[1 << 40])]).contains("too large"));
        assert!(problem(&Op::Concat(Axis { axis: 0 }), &[&ty(&[0])]).contains("no elements"));
    }

    #[test]
    fn normalises_channels_with_vectors_of_their_number() {
        let norm = |epsilon, x: &TensorType, v: &TensorType, last: &TensorType| {
            infer(&Op::BatchNorm(BatchNorm { epsilon }), &[x, v, v, v, last])
        };
        let (x, v) = (batch(&[8, 4, 4]), ty(&[8]));
        assert_eq!(norm(1e-5, &x, &v, &v).as_ref(), Ok(&x));
        assert_eq!(norm(0.0, &batch(&[8]), &v, &v), Ok(batch(&[8])));
        assert!(matches!(norm(1e-5, &x, &v, &ty(&[7])), Err(TypeError::Operand { operand: 4, what: "variance", .. })));
        assert!(matches!(norm(1e-5, &ty(&[8]), &v, &v), Err(TypeError::Operand { operand: 0, .. })));
        for epsilon in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(matches!(norm(epsilon, &x, &v, &v), Err(TypeError::Attribute { attribute: "epsilon", .. })));
        }
    }

    #[test]
    fn takes_integers_only_where_the_function_has_integer_results() {
        let ints = TensorType { dtype: DType::I64, ..ty(&[2]) };
        assert_eq!(infer(&Op::Unary(Unary::Neg), &[&ints]), Ok(ints.clone()));
        assert!(infer(&Op::Unary(Unary::Sqrt), &[&ints]).is_err());
        let clip = |min, max| infer(&Op::Unary(Unary::Clip { min, max }), &[&ty(&[2])]);
        assert_eq!(clip(0.0, f32::INFINITY), Ok(ty(&[2])));
        assert!(matches!(clip(0.0, f32::NAN), Err(TypeError::Attribute { attribute: "max", .. })));
    }

    #[test]
    fn refuses_inputs_and_wrong_numbers_of_operands() {
        assert!(matches!(infer(&Op::Input, &[]), Err(TypeError::Attribute { .. })));
        let x = ty(&[1]);
        let error = infer(&ADD, &[&x]).unwrap_err();
        assert_eq!(error.to_string(), "`add` takes 2 operands, found 1");
        let empty = Op::Constant(Tensor::i64([0], vec![]));
        assert_eq!(infer(&empty, &[]), Ok(TensorType { dtype: DType::I64, ..ty(&[0]) }));
    }
}
