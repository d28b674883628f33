//! Operators that exist only in shape arithmetic: they are computed at import, or refused.

use onnx_protobuf::TensorProto;
use rnc_ir::op::{Binary, Reshape};
use rnc_ir::{Dim, Op, Shape, Tensor, TensorType};

use super::array::{Array, Elem, MAX_ELEMENTS, Scalar};
use super::evaluate::broadcast;
use super::scalar::{self, Comparison};
use crate::error::Fault;
use crate::node::{NodeCx, axis_of, check_rank, normal_axis};
use crate::state::Value;
use crate::tensors::{self, Known};

/// `Shape`: the operand's dimensions, from `start` to `end` (opset 15).
pub(crate) fn shape(cx: &mut NodeCx) -> Result<Value, Fault> {
    let start = cx.attributes.int("start")?.unwrap_or(0);
    let end = cx.attributes.int("end")?.unwrap_or(i64::MAX);
    let shape = cx.shape(cx.operand(0, "data")?)?;
    let rank = shape.rank() as i64;
    // Both clamp; a negative bound counts from the end.
    let clamp = |bound: i64| (if bound < 0 { bound.saturating_add(rank) } else { bound }).clamp(0, rank) as usize;
    let dims = shape.dims().get(clamp(start)..clamp(end)).unwrap_or(&[]);
    cx.result(Array::of_dims(dims))
}

/// `Size`: the number of elements, a scalar.
pub(crate) fn size(cx: &mut NodeCx) -> Result<Value, Fault> {
    let shape = cx.shape(cx.operand(0, "data")?)?;
    let count = match shape.elements().and_then(|(n, batch)| Some((i64::try_from(n).ok()?, batch))) {
        Some((n, true)) if n > 0 => Scalar::Batch(n),
        Some((n, _)) => Scalar::Int(n),
        None => Scalar::Unknown,
    };
    cx.result(Array { elem: Elem::I64, dims: vec![], data: vec![count] })
}

/// `Gather`: slices of the operand at some indices of an axis.
pub(crate) fn gather(cx: &mut NodeCx) -> Result<Value, Fault> {
    let axis = cx.attributes.int("axis")?.unwrap_or(0);
    let data = cx.array(0, "data")?;
    let indices = cx.array(1, "indices")?;
    let axis = normal_axis(axis, data.dims.len())?;
    let length = data.dims[axis];
    let index = |s: &Scalar| s.as_integer().filter(|_| !indices.elem.is_float()).and_then(|i| axis_of(i, length));
    let chosen: Option<Vec<usize>> = indices.data.iter().map(index).collect();
    let chosen = chosen.ok_or_else(|| {
        Fault::new("operand 1 (indices)", indices.to_string(), format!("integers from -{length} to {length} - 1"))
    })?;

    let dims = [&data.dims[..axis], &indices.dims, &data.dims[axis + 1..]].concat();
    check_rank(dims.len())?;
    let (data_strides, index_strides) = (data.strides(), indices.strides());
    let tail = axis + indices.dims.len();
    let array = data.rearranged(&dims, |at| {
        let which: usize = at[axis..tail].iter().zip(&index_strides).map(|(i, s)| i * s).sum();
        let before: usize = at[..axis].iter().zip(&data_strides).map(|(i, s)| i * s).sum();
        let after: usize = at[tail..].iter().zip(&data_strides[axis + 1..]).map(|(i, s)| i * s).sum();
        before + chosen[which] * data_strides[axis] + after
    })?;
    cx.result(array)
}

/// `Cast`: computed on constants; from float to float it is the identity.
pub(crate) fn cast(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.attributes.ignore("saturate");
    cx.attributes.ignore("round_mode");
    let to = cx.attributes.int("to")?.ok_or_else(|| Fault::new("attribute `to`", "nothing", "a type"))?;
    let to = tensors::elem(i32::try_from(to).unwrap_or(-1))?;
    cast_to(cx, to)
}

/// `CastLike`: the type of the second operand.
pub(crate) fn cast_like(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.attributes.ignore("saturate");
    cx.attributes.ignore("round_mode");
    cx.at_most(2)?;
    let to = cx.state.elem(cx.operand(1, "target_type")?)?;
    cast_to(cx, to)
}

/// An array's numbers as a constant of the graph.
pub(crate) fn as_floats(cx: &mut NodeCx, array: &Array) -> Result<Value, Fault> {
    let data: Option<Vec<f32>> =
        array.data.iter().map(|s| Some(scalar::cast(Elem::F32, *s).as_float()? as f32)).collect();
    let data =
        data.ok_or_else(|| Fault::new("operand", array.to_string(), "numbers that do not depend on the batch"))?;
    let name = cx.state.helper_name(&format!("{}.numbers", cx.output_name()));
    Ok(cx.state.add_constant(&name, Known::Tensor(Tensor::f32(array.dims.clone(), data))))
}

fn cast_to(cx: &mut NodeCx, to: Elem) -> Result<Value, Fault> {
    let value = cx.operand(0, "input")?;
    let from = cx.state.elem(value)?;
    if let Some(array) = cx.state.array(value)?
        && !(from == Elem::F32 && to == Elem::F32)
    {
        let data = array.data.iter().map(|s| scalar::cast(to, *s)).collect();
        return cx.result(Array { elem: to, dims: array.dims, data });
    }
    if from == to {
        return match value {
            Value::Node(_) => cx.emit(Op::Identity, &[value]),
            Value::Constant(_) | Value::Unknown => Ok(value),
        };
    }
    if (from, to) == (Elem::F32, Elem::Bool) {
        let zero = cx.with_number(Binary::Equal, value, 0.0)?;
        let one = cx.scalar_constant("one", 1.0);
        return cx.emit(Op::Binary(Binary::Sub), &[one, zero]);
    }
    Err(Fault::new(
        "attribute `to`",
        format!("{from} to {to} of a value computed when the model runs"),
        "float32 to float32 or bool",
    ))
}

/// `Equal`, `Greater`, `Less`, ….
pub(crate) fn compare(cx: &mut NodeCx, comparison: Comparison) -> Result<Value, Fault> {
    let (a, b) = pair(cx)?;
    let element = |(x, y): (&Scalar, &Scalar)| match scalar::compare(comparison, *x, *y) {
        Some(holds) => Scalar::Int(i64::from(holds)),
        None => Scalar::Unknown,
    };
    let data = a.data.iter().zip(&b.data).map(element).collect();
    cx.result(Array { elem: Elem::Bool, dims: a.dims, data })
}

/// `Mod`: the remainder with the divisor's sign or, with `fmod`, the dividend's.
pub(crate) fn modulo(cx: &mut NodeCx) -> Result<Value, Fault> {
    let fmod = cx.attributes.flag("fmod", false)?;
    let (a, b) = pair(cx)?;
    let elem = a.elem;
    let element = |(x, y): (&Scalar, &Scalar)| match (*x, *y) {
        (Scalar::Int(x), Scalar::Int(y)) => match x.checked_rem(y) {
            Some(r) if !fmod && r != 0 && (r < 0) != (y < 0) => elem.integer(r + y),
            Some(r) => elem.integer(r),
            None => Scalar::Unknown,
        },
        (Scalar::Float(x), Scalar::Float(y)) if fmod => elem.number(x % y),
        (Scalar::Batch(k), Scalar::Int(y)) if y > 0 && k % y == 0 => Scalar::Int(0),
        (Scalar::Int(_) | Scalar::Float(_) | Scalar::Batch(_) | Scalar::Unknown, _) => Scalar::Unknown,
    };
    let data = a.data.iter().zip(&b.data).map(element).collect();
    cx.result(Array { elem, dims: a.dims, data })
}

/// `Not`.
pub(crate) fn logic_not(cx: &mut NodeCx) -> Result<Value, Fault> {
    let array = cx.array(0, "X")?;
    let element = |s: &Scalar| match s {
        Scalar::Int(b) => Scalar::Int(i64::from(*b == 0)),
        Scalar::Float(_) | Scalar::Batch(_) | Scalar::Unknown => Scalar::Unknown,
    };
    let data = array.data.iter().map(element).collect();
    cx.result(Array { elem: Elem::Bool, dims: array.dims, data })
}

/// `Where`: elements of the second or the third operand, as the first says.
pub(crate) fn where_(cx: &mut NodeCx) -> Result<Value, Fault> {
    let (condition, x, y) = (cx.array(0, "condition")?, cx.array(1, "X")?, cx.array(2, "Y")?);
    same_type(&x, &y)?;
    let dims = common_dims(&[&condition, &x, &y])?;
    let (condition, x, y) = (broadcast(&condition, &dims)?, broadcast(&x, &dims)?, broadcast(&y, &dims)?);
    let element = |((c, x), y): ((&Scalar, &Scalar), &Scalar)| match c {
        Scalar::Int(0) => *y,
        Scalar::Int(_) => *x,
        _ if x == y => *x,
        Scalar::Float(_) | Scalar::Batch(_) | Scalar::Unknown => Scalar::Unknown,
    };
    let data = condition.data.iter().zip(&x.data).zip(&y.data).map(element).collect();
    cx.result(Array { elem: x.elem, dims, data })
}

/// `Range`: numbers from a start to before a limit.
pub(crate) fn range(cx: &mut NodeCx) -> Result<Value, Fault> {
    let (start, limit, delta) = (cx.array(0, "start")?, cx.array(1, "limit")?, cx.array(2, "delta")?);
    same_type(&start, &limit)?;
    same_type(&start, &delta)?;
    let elem = start.elem;
    let found = || format!("from {start} to {limit} by {delta}");
    let numbers: Option<Vec<Scalar>> = match (start.single(), limit.single(), delta.single()) {
        (Some(Scalar::Int(start)), Some(Scalar::Int(limit)), Some(Scalar::Int(delta))) if delta != 0 => {
            // Exact in i128, also where i64 overflows.
            let (start, distance, delta) =
                (i128::from(start), i128::from(limit) - i128::from(start), i128::from(delta));
            let count = (distance + delta - delta.signum()) / delta;
            let number = |i: i128| i64::try_from(start + i * delta).map_or(Scalar::Unknown, |n| elem.integer(n));
            (count <= MAX_ELEMENTS as i128).then(|| (0..count).map(number).collect())
        }
        (Some(Scalar::Float(start)), Some(Scalar::Float(limit)), Some(Scalar::Float(delta))) if delta != 0.0 => {
            let count = ((limit - start) / delta).ceil().max(0.0);
            let number = |i: usize| elem.number(start + i as f64 * delta);
            (count <= MAX_ELEMENTS as f64).then(|| (0..count as usize).map(number).collect())
        }
        _ => None,
    };
    let data = numbers.ok_or_else(|| {
        Fault::new("operands", found(), format!("three known numbers that give at most {MAX_ELEMENTS}"))
    })?;
    cx.result(Array { elem, dims: vec![data.len()], data })
}

/// `ReduceProd`, `ReduceMin`, and `ReduceSum`, `ReduceMax` of arrays: a fold by the function.
pub(crate) fn reduce(
    cx: &mut NodeCx,
    array: &Array,
    axes: &[usize],
    keep_dims: bool,
    function: Binary,
) -> Result<Value, Fault> {
    let kept: Vec<usize> =
        array.dims.iter().enumerate().map(|(axis, n)| if axes.contains(&axis) { 1 } else { *n }).collect();
    let strides = super::array::strides(&kept);
    let mut sums: Vec<Option<Scalar>> = vec![None; super::array::element_count(&kept)?];
    let mut index = vec![0usize; kept.len()];
    for scalar in &array.data {
        let at: usize = index.iter().zip(&kept).zip(&strides).map(|((i, n), s)| if *n == 1 { 0 } else { i * s }).sum();
        sums[at] = Some(sums[at].map_or(*scalar, |sum| scalar::binary(function, array.elem, sum, *scalar)));
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < array.dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    let of_nothing = match function {
        Binary::Mul => array.elem.integer(1),
        Binary::Add => array.elem.integer(0),
        Binary::Sub
        | Binary::Div
        | Binary::Max
        | Binary::Min
        | Binary::Pow
        | Binary::Equal
        | Binary::Greater
        | Binary::GreaterOrEqual => Scalar::Unknown,
    };
    let dims = if keep_dims {
        kept
    } else {
        kept.iter().enumerate().filter(|(a, _)| !axes.contains(a)).map(|(_, n)| *n).collect()
    };
    let data = sums.into_iter().map(|s| s.unwrap_or(of_nothing)).collect();
    cx.result(Array { elem: array.elem, dims, data })
}

/// `ConstantOfShape`: one value in every element. Also a source of weights, where files are to be small.
pub(crate) fn constant_of_shape(cx: &mut NodeCx) -> Result<Value, Fault> {
    let value = match cx.attributes.tensor("value")? {
        Some(proto) => fill_value(proto)?,
        None => Array { elem: Elem::F32, dims: vec![1], data: vec![Scalar::Float(0.0)] },
    };
    let sizes = cx.scalars(0, "shape")?;
    let subject = "operand 0 (shape)";
    let dims: Option<Vec<Dim>> = sizes.iter().map(|s| dim(*s)).collect();
    let Some(dims) = dims.filter(|dims| dims.len() <= tensors::MAX_RANK) else {
        return Err(Fault::new(subject, Array::vector(sizes).to_string(), "sizes"));
    };
    let shape = Shape::new(dims);
    let (Some(fill), Some((count, _))) = (value.single(), shape.elements()) else {
        return Err(Fault::new(subject, shape.to_string(), "a size that fits into memory"));
    };
    match (value.elem, shape.fixed(), fill) {
        (Elem::F32, Some(dims), Scalar::Float(fill)) => {
            cx.state.reserve(count)?;
            let name = cx.output_name().to_owned();
            Ok(cx.state.add_constant(&name, Known::Tensor(Tensor::f32(dims, vec![fill as f32; count]))))
        }
        (Elem::F32, None, Scalar::Float(fill)) => {
            let scalar = cx.scalar_constant("value", fill as f32);
            cx.emit(Op::Expand(Reshape { shape }), &[scalar])
        }
        (_, Some(dims), _) => {
            let data = vec![fill; super::array::element_count(&dims)?];
            cx.result(Array { elem: value.elem, dims, data })
        }
        (_, None, _) => Err(Fault::new(subject, shape.to_string(), "fixed sizes for integers")),
    }
}

/// One dimension of a shape that is given by an element.
pub(crate) fn dim(scalar: Scalar) -> Option<Dim> {
    match scalar {
        Scalar::Int(n) => usize::try_from(n).ok().map(Dim::Fixed),
        Scalar::Batch(1) => Some(Dim::Batch),
        Scalar::Float(_) | Scalar::Batch(_) | Scalar::Unknown => None,
    }
}

fn fill_value(proto: &TensorProto) -> Result<Array, Fault> {
    let array = match tensors::load(proto, None)? {
        Known::Tensor(tensor) if tensor.dims().iter().product::<usize>() == 1 => Array::of_tensor(&tensor),
        Known::Array(array) if array.data.len() == 1 => array,
        Known::Tensor(_) | Known::Array(_) => {
            return Err(Fault::new("attribute `value`", "another number of elements", "one element"));
        }
    };
    Ok(array)
}

/// Two operands of one type, broadcast to common dimensions.
fn pair(cx: &NodeCx) -> Result<(Array, Array), Fault> {
    let (a, b) = (cx.array(0, "A")?, cx.array(1, "B")?);
    same_type(&a, &b)?;
    let dims = common_dims(&[&a, &b])?;
    Ok((broadcast(&a, &dims)?, broadcast(&b, &dims)?))
}

fn same_type(a: &Array, b: &Array) -> Result<(), Fault> {
    if a.elem == b.elem {
        Ok(())
    } else {
        Err(Fault::new("operands", format!("{} and {}", a.elem, b.elem), "operands of one type"))
    }
}

/// The dimensions to which all arrays broadcast.
fn common_dims(arrays: &[&Array]) -> Result<Vec<usize>, Fault> {
    let mut ty = TensorType::f32([0usize; 0]);
    for array in arrays {
        ty = broadcast_types(&ty, &array.inference_type()).ok_or_else(|| {
            let all: Vec<_> = arrays.iter().map(|a| a.inference_type().shape.to_string()).collect();
            Fault::new("operands", all.join(", "), "dimensions that broadcast")
        })?;
    }
    super::fixed_dims(&ty.shape)
}

fn broadcast_types(a: &TensorType, b: &TensorType) -> Option<TensorType> {
    crate::ops::broadcast(&a.shape, &b.shape).map(|shape| TensorType { dtype: a.dtype, shape })
}

#[cfg(test)]
mod tests;
