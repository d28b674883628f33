//! Operators that move, join or drop elements.

use super::{Operands, TypeError, broadcast};
use crate::op::{Pad, Reduce, Slice};
use crate::resize::Resize;
use crate::types::{DType, Dim, Shape, TensorType};

pub(super) fn softmax(cx: &Operands, axis: usize) -> Result<TensorType, TypeError> {
    let dims = cx.f32(0, "x")?;
    check_axis(cx, "axis", axis, dims)?;
    Ok(cx.types[0].clone())
}

pub(super) fn concat(cx: &Operands, axis: usize) -> Result<TensorType, TypeError> {
    let first = cx.types[0];
    let mut dims = first.shape.dims().to_vec();
    let mut total = check_axis(cx, "axis", axis, &dims)?;
    for i in 1..cx.types.len() {
        let mut other = cx.dims(i).to_vec();
        let size = other.get_mut(axis).map(|dim| std::mem::replace(dim, dims[axis])).and_then(Dim::fixed);
        let Some(size) = size.filter(|_| other == dims && cx.types[i].dtype == first.dtype) else {
            return Err(cx.operand(i, "x", format!("of the type of operand 0, {first}, apart from axis {axis}")));
        };
        total = total.checked_add(size).ok_or_else(|| cx.attribute("axis", format!("axis {axis} gets too long")))?;
    }
    dims[axis] = Dim::Fixed(total);
    Ok(TensorType { dtype: first.dtype, shape: Shape::new(dims) })
}

pub(super) fn reshape(cx: &Operands, shape: &Shape) -> Result<TensorType, TypeError> {
    let from = cx.types[0];
    // Two shapes whose counts cannot be computed are not known to agree.
    if shape.elements().is_none() || shape.elements() != from.shape.elements() {
        return Err(cx.attribute("shape", format!("{shape} has another number of elements than {from}")));
    }
    Ok(TensorType { dtype: from.dtype, shape: shape.clone() })
}

pub(super) fn expand(cx: &Operands, shape: &Shape) -> Result<TensorType, TypeError> {
    let from = cx.types[0];
    if broadcast(from.shape.dims(), shape.dims()).is_none_or(|dims| dims != shape.dims()) {
        return Err(cx.attribute("shape", format!("{from} does not broadcast to {shape}")));
    }
    Ok(TensorType { dtype: from.dtype, shape: shape.clone() })
}

/// Most taps of a resize along one axis.
const MAX_TAPS: f64 = (1u32 << 24) as f64;

pub(super) fn resize(cx: &Operands, resize: &Resize) -> Result<TensorType, TypeError> {
    let dims = cx.f32(0, "x")?;
    check_length(cx, "shape", resize.shape.rank())?;
    check_length(cx, "scales", resize.scales.len())?;
    for (axis, (from, to)) in dims.iter().zip(resize.shape.dims()).enumerate() {
        match (from, to) {
            (Dim::Fixed(from), Dim::Fixed(to)) if *from > 0 && *to > 0 => {
                let scale = resize.scales[axis];
                let (exact, to) = (*from as f64 * f64::from(scale), *to as f64);
                if !(to - 0.5 <= exact && exact < to + 1.0) {
                    let problem = format!("has {scale} for axis {axis}, where {from} elements become {to}");
                    return Err(cx.attribute("scales", problem));
                }
                // What tells the taps of all elements apart takes as long as there are taps.
                let taps = 4.0 / f64::from(scale).min(1.0) + 2.0;
                if taps * to > MAX_TAPS {
                    return Err(cx.attribute("shape", format!("asks for more than {MAX_TAPS} taps along axis {axis}")));
                }
            }
            (Dim::Batch, Dim::Batch) => {}
            _ => return Err(cx.attribute("shape", format!("has {to} for axis {axis} of size {from}"))),
        }
    }
    Ok(TensorType { dtype: DType::F32, shape: resize.shape.clone() })
}

pub(super) fn transpose(cx: &Operands, perm: &[usize]) -> Result<TensorType, TypeError> {
    let dims = cx.dims(0);
    let mut seen = vec![false; dims.len()];
    let valid = perm.len() == dims.len()
        && perm.iter().all(|axis| seen.get_mut(*axis).is_some_and(|seen| !std::mem::replace(seen, true)));
    if !valid {
        return Err(cx.attribute("perm", format!("is {perm:?}, expected a permutation of 0..{}", dims.len())));
    }
    let shape = Shape::new(perm.iter().map(|axis| dims[*axis]));
    Ok(TensorType { dtype: cx.types[0].dtype, shape })
}

pub(super) fn slice(cx: &Operands, slice: &Slice) -> Result<TensorType, TypeError> {
    let dims = cx.dims(0);
    check_length(cx, "starts", slice.starts.len())?;
    check_length(cx, "sizes", slice.sizes.len())?;
    check_length(cx, "steps", slice.steps.len())?;
    let mut result = Vec::with_capacity(dims.len());
    for (axis, dim) in dims.iter().enumerate() {
        let (start, size, step) = (slice.starts[axis], slice.sizes[axis], slice.steps[axis]);
        let taken = match (size, dim) {
            (None, dim) if start == 0 && step == 1 => *dim,
            (Some(size), Dim::Fixed(n)) if step != 0 && is_inside(start, size, step, *n) => Dim::Fixed(size),
            _ => {
                let size = size.map_or("all".to_owned(), |size| size.to_string());
                let found = format!("axis {axis} of {}: start {start}, size {size}, step {step}", cx.types[0]);
                let expected = "elements inside the axis, or start 0 and step 1 for all of it (a must for the batch)";
                return Err(cx.attribute("starts", format!("{found}; expected {expected}")));
            }
        };
        result.push(taken);
    }
    Ok(TensorType { dtype: cx.types[0].dtype, shape: Shape::new(result) })
}

/// Whether the elements `start + i * step`, `i < size`, are all in `0..n`. The first and the last decide.
fn is_inside(start: usize, size: usize, step: isize, n: usize) -> bool {
    if size == 0 {
        return start <= n;
    }
    let last = (size as i128 - 1).checked_mul(step as i128).and_then(|offset| offset.checked_add(start as i128));
    start < n && last.is_some_and(|last| (0..n as i128).contains(&last))
}

pub(super) fn pad(cx: &Operands, pad: &Pad) -> Result<TensorType, TypeError> {
    let dims = cx.f32(0, "x")?;
    check_length(cx, "begin", pad.begin.len())?;
    check_length(cx, "end", pad.end.len())?;
    cx.not_nan("value", pad.value)?;
    let mut result = Vec::with_capacity(dims.len());
    for (axis, dim) in dims.iter().enumerate() {
        let (begin, end) = (pad.begin[axis], pad.end[axis]);
        let padded = match dim {
            Dim::Batch if begin == 0 && end == 0 => Some(Dim::Batch),
            Dim::Batch => None,
            Dim::Fixed(n) => n.checked_add(begin).and_then(|n| n.checked_add(end)).map(Dim::Fixed),
        };
        let problem =
            || cx.attribute("begin", format!("axis {axis} of {} cannot grow by {begin} and {end}", cx.types[0]));
        result.push(padded.ok_or_else(problem)?);
    }
    Ok(TensorType::f32(result))
}

pub(super) fn reduce(cx: &Operands, reduce: &Reduce) -> Result<TensorType, TypeError> {
    let dims = cx.f32(0, "x")?;
    if reduce.axes.is_empty() || !reduce.axes.is_sorted_by(|a, b| a < b) {
        return Err(cx.attribute("axes", format!("is {:?}, expected at least one axis, ascending", reduce.axes)));
    }
    for axis in &reduce.axes {
        check_axis(cx, "axes", *axis, dims)?;
    }
    let reduced = |axis: &usize| reduce.axes.binary_search(axis).is_ok();
    let result = dims
        .iter()
        .enumerate()
        .filter_map(|(axis, dim)| if reduced(&axis) { reduce.keep_dims.then_some(Dim::Fixed(1)) } else { Some(*dim) });
    Ok(TensorType::f32(result))
}

/// The length of an axis that must exist and not be the batch.
fn check_axis(cx: &Operands, attribute: &'static str, axis: usize, dims: &[Dim]) -> Result<usize, TypeError> {
    match dims.get(axis) {
        Some(Dim::Fixed(n)) => Ok(*n),
        Some(Dim::Batch) => Err(cx.attribute(attribute, format!("axis {axis} of {} is the batch", cx.types[0]))),
        None => Err(cx.attribute(attribute, format!("{} has no axis {axis}", cx.types[0]))),
    }
}

/// Checks that a list has one entry an axis of operand 0.
fn check_length(cx: &Operands, attribute: &'static str, found: usize) -> Result<(), TypeError> {
    let rank = cx.dims(0).len();
    if found == rank {
        return Ok(());
    }
    Err(cx.attribute(attribute, format!("has {found} entries, expected one an axis of {}, {rank}", cx.types[0])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::infer;
    use crate::op::{Axis, Op, ReduceKind, Reshape, Transpose};
    use crate::types::DType;

    const N: Dim = Dim::Batch;

    fn ty(dims: &[usize]) -> TensorType {
        TensorType::f32(dims.iter().copied())
    }

    fn batch(rest: &[usize]) -> TensorType {
        TensorType::f32([N].into_iter().chain(rest.iter().map(|n| (*n).into())))
    }

    fn attribute(result: Result<TensorType, TypeError>) -> &'static str {
        match result {
            Err(TypeError::Attribute { attribute, .. }) => attribute,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reshapes_when_counts_and_the_batch_agree() {
        let infer =
            |from: &TensorType, to: &TensorType| infer(&Op::Reshape(Reshape { shape: to.shape.clone() }), &[from]);
        assert_eq!(infer(&batch(&[512, 1, 1]), &batch(&[512])), Ok(batch(&[512])));
        assert_eq!(infer(&ty(&[2, 6]), &ty(&[3, 4, 1])), Ok(ty(&[3, 4, 1])));
        assert_eq!(attribute(infer(&batch(&[6]), &ty(&[6]))), "shape");
        assert_eq!(attribute(infer(&ty(&[6]), &ty(&[5]))), "shape");
        assert_eq!(attribute(infer(&ty(&[6]), &ty(&[usize::MAX, 6]))), "shape");
    }

    #[test]
    fn expands_only_to_what_the_operand_broadcasts_to() {
        let infer =
            |from: &TensorType, to: &TensorType| infer(&Op::Expand(Reshape { shape: to.shape.clone() }), &[from]);
        assert_eq!(infer(&ty(&[3, 1]), &ty(&[2, 3, 4])), Ok(ty(&[2, 3, 4])));
        assert_eq!(infer(&ty(&[1, 3]), &batch(&[3])), Ok(batch(&[3])));
        assert_eq!(attribute(infer(&ty(&[2, 3]), &batch(&[3]))), "shape");
        assert_eq!(attribute(infer(&batch(&[3]), &ty(&[1, 3]))), "shape");
        assert_eq!(attribute(infer(&ty(&[2, 3]), &ty(&[3]))), "shape");
    }

    #[test]
    fn joins_along_an_axis_that_is_not_the_batch() {
        let infer = |axis, types: &[&TensorType]| infer(&Op::Concat(Axis { axis }), types);
        assert_eq!(infer(1, &[&batch(&[2, 5]), &batch(&[3, 5])]), Ok(batch(&[5, 5])));
        assert_eq!(infer(0, &[&ty(&[2])]), Ok(ty(&[2])));
        assert_eq!(attribute(infer(0, &[&batch(&[2]), &batch(&[2])])), "axis");
        assert_eq!(attribute(infer(1, &[&ty(&[2])])), "axis");
        assert_eq!(attribute(infer(0, &[&ty(&[1, usize::MAX]), &ty(&[usize::MAX, usize::MAX])])), "axis");
        for other in [batch(&[3, 6]), batch(&[3]), ty(&[1, 3, 5]), TensorType { dtype: DType::I64, ..batch(&[2, 5]) }] {
            let result = infer(1, &[&batch(&[2, 5]), &other]);
            assert!(matches!(result, Err(TypeError::Operand { operand: 1, .. })), "{other}");
        }
        assert!(matches!(infer(0, &[]), Err(TypeError::Arity { found: 0, .. })));
    }

    #[test]
    fn transposes_by_a_permutation_only() {
        let infer = |perm: &[usize]| infer(&Op::Transpose(Transpose { perm: perm.to_vec() }), &[&batch(&[2, 3])]);
        assert_eq!(infer(&[0, 2, 1]), Ok(batch(&[3, 2])));
        for perm in [&[0, 1][..], &[0, 1, 1], &[0, 1, 3], &[0, 1, 2, 3]] {
            assert_eq!(attribute(infer(perm)), "perm");
        }
    }

    #[test]
    fn slices_inside_the_axis_in_both_directions() {
        let infer = |start, size, step| {
            let slice = Slice { starts: vec![0, start], sizes: vec![None, size], steps: vec![1, step] };
            infer(&Op::Slice(slice), &[&batch(&[10])])
        };
        assert_eq!(infer(0, None, 1), Ok(batch(&[10])));
        assert_eq!(attribute(infer(2, Some(3), 4)), "starts");
        assert_eq!(infer(1, Some(3), 4), Ok(batch(&[3])));
        assert_eq!(infer(9, Some(10), -1), Ok(batch(&[10])));
        for (start, size, step) in [
            (1, None, 1),
            (0, None, -1),
            (0, Some(3), 0),
            (10, Some(1), 1),
            (9, Some(11), -1),
            (0, Some(usize::MAX), isize::MIN),
            (usize::MAX, Some(1), isize::MAX),
        ] {
            assert_eq!(attribute(infer(start, size, step)), "starts");
        }
        let empty = Slice { starts: vec![2], sizes: vec![Some(0)], steps: vec![1] };
        let ints = |n: usize| TensorType { dtype: DType::I64, ..ty(&[n]) };
        assert_eq!(crate::infer::infer(&Op::Slice(empty), &[&ints(2)]), Ok(ints(0)));
    }

    #[test]
    fn refuses_to_slice_or_pad_the_batch() {
        let slice = Slice { starts: vec![0], sizes: vec![Some(1)], steps: vec![1] };
        assert_eq!(attribute(infer(&Op::Slice(slice), &[&batch(&[])])), "starts");
        let pad = |begin: &[usize], end: &[usize]| {
            let pad = Pad { begin: begin.to_vec(), end: end.to_vec(), value: 0.0 };
            infer(&Op::Pad(pad), &[&batch(&[3, 4])])
        };
        assert_eq!(pad(&[0, 1, 2], &[0, 0, 3]), Ok(batch(&[4, 9])));
        assert_eq!(attribute(pad(&[1, 0, 0], &[0, 0, 0])), "begin");
        assert_eq!(attribute(pad(&[0, usize::MAX, 0], &[0, 0, 0])), "begin");
        assert_eq!(attribute(pad(&[0, 0], &[0, 0, 0])), "begin");
        assert_eq!(attribute(pad(&[0, 0, 0], &[0])), "end");
    }

    #[test]
    fn reduces_ascending_axes_other_than_the_batch() {
        let infer = |axes: &[usize], keep_dims| {
            let reduce = Reduce { kind: ReduceKind::Mean, axes: axes.to_vec(), keep_dims };
            infer(&Op::Reduce(reduce), &[&batch(&[8, 7, 7])])
        };
        assert_eq!(infer(&[2, 3], false), Ok(batch(&[8])));
        assert_eq!(infer(&[2, 3], true), Ok(batch(&[8, 1, 1])));
        for axes in [&[][..], &[3, 2], &[2, 2], &[4], &[0]] {
            assert_eq!(attribute(infer(axes, true)), "axes");
        }
    }

    #[test]
    fn normalises_along_an_axis_other_than_the_batch() {
        let infer = |axis| infer(&Op::Softmax(Axis { axis }), &[&batch(&[10])]);
        assert_eq!(infer(1), Ok(batch(&[10])));
        assert_eq!(attribute(infer(0)), "axis");
        assert_eq!(attribute(infer(2)), "axis");
    }
}
