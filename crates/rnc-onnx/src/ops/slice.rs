//! `Slice`.

use rnc_ir::op::Slice;
use rnc_ir::{Dim, Op, Shape};

use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, axes_in_order};
use crate::shape_arithmetic::Scalar;
use crate::state::Value;

/// `Slice`: bounds are attributes before opset 10, then operands. <https://onnx.ai/onnx/operators/onnx__Slice.html>
pub(super) fn slice(cx: &mut NodeCx) -> Result<Value, Fault> {
    let bounds = Bounds::read(cx)?;
    let x = cx.operand(0, "data")?;
    let shape = cx.shape(x)?;
    let count = bounds.starts.len();
    let axes = match &bounds.axes {
        Some(axes) => axes_in_order(axes, shape.rank())?,
        None => (0..count).collect(),
    };
    let steps = bounds.steps.clone().unwrap_or_else(|| vec![1; count]);
    if bounds.ends.len() != count || axes.len() != count || steps.len() != count || count > shape.rank() {
        let found = format!("{count} starts, {} ends, {} axes, {} steps", bounds.ends.len(), axes.len(), steps.len());
        return Err(Fault::new("bounds", found, format!("as many of each, at most one an axis of {shape}")));
    }
    let mut op = whole(&shape);
    for (i, axis) in axes.into_iter().enumerate() {
        let part = Part { start: bounds.starts[i], end: bounds.ends[i], step: steps[i] };
        part.of(shape.dims()[axis], axis, &mut op)?;
    }
    cx.emit(Op::Slice(op), &[x])
}

struct Bounds {
    starts: Vec<Scalar>,
    ends: Vec<Scalar>,
    axes: Option<Vec<i64>>,
    steps: Option<Vec<i64>>,
}

impl Bounds {
    fn read(cx: &mut NodeCx) -> Result<Self, Fault> {
        if cx.opset() >= 10 {
            cx.at_most(5)?;
            let optional = |position, what| cx.optional(position).map(|_| cx.integers(position, what)).transpose();
            let (axes, steps) = (optional(3, "axes")?, optional(4, "steps")?);
            return Ok(Self { starts: cx.scalars(1, "starts")?, ends: cx.scalars(2, "ends")?, axes, steps });
        }
        cx.at_most(1)?;
        let mut required = |name| {
            let ints =
                cx.attributes.ints(name)?.ok_or_else(|| Fault::new(subject(name), "nothing", "a list of integers"))?;
            Ok(ints.iter().map(|i| Scalar::Int(*i)).collect())
        };
        let (starts, ends) = (required("starts")?, required("ends")?);
        Ok(Self { starts, ends, axes: cx.attributes.ints("axes")?.map(<[i64]>::to_vec), steps: None })
    }
}

/// A slice that takes everything.
pub(super) fn whole(shape: &Shape) -> Slice {
    let rank = shape.rank();
    Slice { starts: vec![0; rank], sizes: vec![None; rank], steps: vec![1; rank] }
}

/// What is taken of one axis.
struct Part {
    start: Scalar,
    end: Scalar,
    step: i64,
}

impl Part {
    /// Sets the part in `op`, with bounds clamped as ONNX says.
    fn of(&self, dim: Dim, axis: usize, op: &mut Slice) -> Result<(), Fault> {
        let Dim::Fixed(n) = dim else {
            return if self.is_all_of_the_batch() { Ok(()) } else { Err(self.fault(dim, axis, "all of the batch")) };
        };
        let (Scalar::Int(start), Scalar::Int(end), Ok(length)) = (self.start, self.end, i64::try_from(n)) else {
            return Err(self.fault(dim, axis, "bounds that do not depend on the batch size"));
        };
        let step = match isize::try_from(self.step) {
            Ok(step) if step != 0 => step,
            _ => return Err(self.fault(dim, axis, "a step that is not 0")),
        };
        // A negative bound counts from the end. Then both are clamped to where the first and the last element may be.
        let from_front = |bound: i64| if bound < 0 { bound.saturating_add(length) } else { bound };
        let (start, size) = if step > 0 {
            let (start, end) = (from_front(start).clamp(0, length), from_front(end).clamp(0, length));
            (start, (end - start).max(0).unsigned_abs().div_ceil(step.unsigned_abs() as u64))
        } else {
            let start = from_front(start).clamp(if length == 0 { -1 } else { 0 }, length - 1);
            let end = from_front(end).clamp(-1, length - 1);
            (start.max(0), (start - end).max(0).unsigned_abs().div_ceil(step.unsigned_abs() as u64))
        };
        if (start, size, step) != (0, n as u64, 1) {
            op.starts[axis] = start as usize;
            op.sizes[axis] = Some(size as usize);
            op.steps[axis] = step;
        }
        Ok(())
    }

    /// Whether the bounds take any batch as a whole: to the batch size itself, or to an end beyond any.
    fn is_all_of_the_batch(&self) -> bool {
        let to_the_end = match self.end {
            Scalar::Int(end) => end >= i64::from(i32::MAX),
            Scalar::Batch(_) => true,
            Scalar::Float(_) | Scalar::Unknown => false,
        };
        self.start == Scalar::Int(0) && self.step == 1 && to_the_end
    }

    fn fault(&self, dim: Dim, axis: usize, supported: &str) -> Fault {
        let found = format!("from {} to {} by {} on axis {axis} of {dim}", self.start, self.end, self.step);
        Fault::new("bounds", found, supported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, int_tensor, ints, op, ty};

    fn list(name: &str, values: &[i64]) -> onnx_protobuf::TensorProto {
        int_tensor(name, &[values.len() as i64], values)
    }

    /// A slice of `[N,5,6]` by operands.
    fn sliced(starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]) -> Model {
        let model = Model::new(13).batch_input("x", &[5, 6]);
        let model = model.init(list("s", starts)).init(list("e", ends)).init(list("a", axes)).init(list("t", steps));
        model.node("Slice", &["x", "s", "e", "a", "t"], &["y"], []).output("y")
    }

    fn axis_2(start: i64, end: i64, step: i64) -> (usize, Option<usize>, isize) {
        let graph = sliced(&[start], &[end], &[2], &[step]).import();
        let Op::Slice(slice) = op(&graph, "y") else { panic!("no slice") };
        (slice.starts[2], slice.sizes[2], slice.steps[2])
    }

    #[test]
    fn clamps_bounds_as_onnx_does() {
        assert_eq!(axis_2(1, 4, 1), (1, Some(3), 1));
        assert_eq!(axis_2(0, i64::MAX, 1), (0, None, 1));
        assert_eq!(axis_2(-2, 100, 1), (4, Some(2), 1));
        assert_eq!(axis_2(-100, -1, 2), (0, Some(3), 2));
        assert_eq!(axis_2(-1, i64::MIN, -1), (5, Some(6), -1));
        assert_eq!(axis_2(100, -100, -4), (5, Some(2), -4));
        assert_eq!(axis_2(4, 0, -2), (4, Some(2), -2));
        assert_eq!(axis_2(0, 1, i64::MAX), (0, Some(1), isize::MAX));
    }

    #[test]
    fn refuses_slices_that_are_empty_or_make_no_sense() {
        for (start, end, axis, step) in
            [(4, 2, 2, 1), (6, 9, 2, 1), (0, 1, 3, 1), (0, 1, 2, 0), (0, 1, 0, 1), (1, i64::MAX, 0, 1)]
        {
            assert_eq!(sliced(&[start], &[end], &[axis], &[step]).problems().len(), 1, "{start} {end} {axis} {step}");
        }
        assert_eq!(sliced(&[0, 0], &[1], &[2], &[1]).problems()[0].subject, "bounds");
        assert_eq!(sliced(&[0, 0], &[1, 1], &[2, -1], &[1, 1]).problems()[0].subject, "axes");
    }

    #[test]
    fn leaves_the_batch_whole() {
        let graph = sliced(&[0, 1], &[i64::from(i32::MAX), 3], &[0, 1], &[1, 1]).import();
        assert_eq!(ty(&graph, "y"), "f32[N,2,6]");
    }

    #[test]
    fn reads_slices_before_opset_10_from_attributes() {
        let attributes = [ints("starts", &[1]), ints("ends", &[3]), ints("axes", &[1])];
        let graph =
            Model::new(9).batch_input("x", &[5, 6]).node("Slice", &["x"], &["y"], attributes).output("y").import();
        assert_eq!(ty(&graph, "y"), "f32[N,2,6]");
        let without_axes = [ints("starts", &[0, 1]), ints("ends", &[i64::MAX, 3])];
        let graph =
            Model::new(9).batch_input("x", &[5, 6]).node("Slice", &["x"], &["y"], without_axes).output("y").import();
        assert_eq!(ty(&graph, "y"), "f32[N,2,6]");
        let model = Model::new(9).batch_input("x", &[5]).node("Slice", &["x"], &["y"], [ints("starts", &[1])]);
        assert_eq!(model.output("y").problems()[0].subject, "attribute `ends`");
    }
}
