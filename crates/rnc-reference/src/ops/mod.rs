//! The operators, one function each, by subject.

mod conv;
mod data;
mod elementwise;
mod linear;
mod normalize;
mod pool;
mod reduce;
mod window;

use ndarray::ArrayD;
use rnc_ir::Op;
use rnc_ir::op::{Reduce, ReduceKind};

use crate::error::Fault;
use crate::value::{Operands, Value};

/// Applies `$f` to the array within a [`Value`], whatever its element type, and wraps the result again.
macro_rules! each_type {
    ($value:expr, $x:ident => $f:expr) => {
        match $value {
            Value::F32($x) => Value::F32($f),
            Value::I64($x) => Value::I64($f),
        }
    };
}

/// The value of `op` on `operands`. `dims` are the result's dimensions by its type: only operators whose result shape is
/// an attribute look at them, all others find their own, so that the caller's comparison means something.
pub(crate) fn evaluate(op: &Op, operands: Operands<'_>, dims: &[usize]) -> Result<Value, Fault> {
    Ok(match op {
        Op::Input => return Err(Fault::Internal("a graph input is not computed".to_owned())),
        Op::Constant(tensor) => Value::from(tensor),
        Op::Conv2d(attrs) => Value::F32(conv::conv2d(attrs, operands)?),
        Op::BatchNorm(attrs) => Value::F32(normalize::batch_norm(*attrs, operands)?),
        Op::Unary(function) => elementwise::unary(*function, operands.any(0)?)?,
        Op::Binary(function) => elementwise::binary(*function, operands.any(0)?, operands.any(1)?)?,
        Op::Where => elementwise::where_(operands.f32(0)?, operands.f32(1)?, operands.f32(2)?)?.into(),
        Op::MaxPool(attrs) => Value::F32(pool::max_pool(*attrs, operands)?),
        Op::AveragePool(attrs) => Value::F32(pool::average_pool(*attrs, operands)?),
        Op::GlobalAveragePool => Value::F32(reduce::reduce(&spatial(ReduceKind::Mean), image(operands)?)?),
        Op::GlobalMaxPool => Value::F32(reduce::reduce(&spatial(ReduceKind::Max), image(operands)?)?),
        Op::Gemm(attrs) => Value::F32(linear::gemm(attrs, operands)?),
        Op::MatMul => Value::F32(linear::matmul(operands)?),
        Op::Softmax(attrs) => Value::F32(normalize::softmax(attrs.axis, operands.f32(0)?)?),
        Op::Concat(attrs) => data::concat(attrs.axis, operands)?,
        Op::Reshape(_) => each_type!(operands.any(0)?, x => data::reshape(x, dims)?),
        Op::Transpose(attrs) => each_type!(operands.any(0)?, x => data::transpose(x, &attrs.perm)?),
        Op::Slice(attrs) => each_type!(operands.any(0)?, x => data::slice(x, attrs)?),
        Op::Pad(attrs) => Value::F32(data::pad(operands.f32(0)?, attrs)?),
        Op::Resize(resize) => data::resize(operands.f32(0)?, resize).into(),
        Op::Expand(_) => each_type!(operands.any(0)?, x => data::expand(x, dims)?),
        Op::Reduce(attrs) => Value::F32(reduce::reduce(attrs, operands.f32(0)?)?),
        Op::Identity => operands.any(0)?.clone(),
    })
}

/// The reduction that a global pool is.
fn spatial(kind: ReduceKind) -> Reduce {
    Reduce { kind, axes: vec![2, 3], keep_dims: true }
}

/// Operand 0, which must be NCHW of `f32`.
fn image(operands: Operands<'_>) -> Result<&ArrayD<f32>, Fault> {
    let x = operands.f32(0)?;
    if x.ndim() == 4 { Ok(x) } else { Err(internal(format!("the operand has shape {:?}", x.shape()))) }
}

fn internal(problem: impl Into<String>) -> Fault {
    Fault::Internal(problem.into())
}
