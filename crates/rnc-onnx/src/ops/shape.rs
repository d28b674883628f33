//! Operators that change a value's shape or the order of its axes.

use rnc_ir::op::{Axis, Reshape, Transpose};
use rnc_ir::{Dim, Op, Shape};

use super::{broadcast, product};
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, check_rank, normal_axes, normal_axis, operand_subject};
use crate::shape_arithmetic::{Array, Scalar};
use crate::state::Value;

/// `Reshape`: 0 copies a dimension (unless `allowzero`, opset 14), one -1 takes what is left.
/// <https://onnx.ai/onnx/operators/onnx__Reshape.html>
pub(super) fn reshape(cx: &mut NodeCx) -> Result<Value, Fault> {
    let allow_zero = cx.opset() >= 14 && cx.attributes.flag("allowzero", false)?;
    cx.at_most(2)?;
    let x = cx.operand(0, "data")?;
    let target = cx.scalars(1, "shape")?;
    let shape = target_shape(&cx.shape(x)?, &target, allow_zero)?;
    cx.emit(Op::Reshape(Reshape { shape }), &[x])
}

fn target_shape(from: &Shape, target: &[Scalar], allow_zero: bool) -> Result<Shape, Fault> {
    let fault = |supported: &str| {
        let found = format!("{} for a value of {from}", Array::vector(target.to_vec()));
        Fault::new(operand_subject(1, "shape"), found, supported)
    };
    check_rank(target.len())?;
    let open = target.iter().position(|s| *s == Scalar::Int(-1));
    let mut dims = Vec::with_capacity(target.len());
    for (axis, size) in target.iter().enumerate() {
        dims.push(match size {
            _ if open == Some(axis) => Dim::Fixed(1),
            Scalar::Int(0) if !allow_zero => {
                *from.dims().get(axis).ok_or_else(|| fault("0 only where the value has a dimension to copy"))?
            }
            _ => crate::shape_arithmetic::dim(*size)
                .ok_or_else(|| fault("known sizes, the batch size, 0, and one -1"))?,
        });
    }
    if let Some(axis) = open {
        let (have, known) = (from.elements(), Shape::new(dims.iter().copied()).elements());
        dims[axis] = match (have, known) {
            (Some((have, a)), Some((known, b))) if a == b && known > 0 && have % known == 0 => Dim::Fixed(have / known),
            (Some((have, true)), Some((known, false))) if have == known => Dim::Batch,
            _ => {
                return Err(fault(
                    "sizes that divide the number of elements (a fixed batch size can be given with --dim)",
                ));
            }
        };
    }
    Ok(Shape::new(dims))
}

/// `Flatten` to a matrix: the dimensions before `axis`, and those from it on.
pub(super) fn flatten(cx: &mut NodeCx) -> Result<Value, Fault> {
    let axis = cx.attributes.int("axis")?.unwrap_or(1);
    cx.at_most(1)?;
    let x = cx.operand(0, "input")?;
    let from = cx.shape(x)?;
    let rank = from.rank();
    // Unlike elsewhere, the axis may also be the rank.
    let axis = if usize::try_from(axis) == Ok(rank) { rank } else { normal_axis(axis, rank)? };
    let (rows, columns) = from.dims().split_at(axis);
    let (Some(rows), Some(columns)) = (product(rows), product(columns)) else {
        let found = format!("{axis}, which joins the batch of {from} with other dimensions");
        return Err(Fault::new(subject("axis"), found, "1 (or a fixed batch size, given with --dim)"));
    };
    cx.emit(Op::Reshape(Reshape { shape: Shape::new([rows, columns]) }), &[x])
}

/// `Squeeze`: `axes` is an attribute before opset 13, then an operand. Without it all dimensions of 1 go.
pub(super) fn squeeze(cx: &mut NodeCx) -> Result<Value, Fault> {
    let axes = axes_before_13(cx)?;
    let x = cx.operand(0, "data")?;
    let from = cx.shape(x)?;
    let is_one = |axis: usize| from.dims()[axis] == Dim::Fixed(1);
    let axes = match axes {
        Some(axes) => normal_axes(&axes, from.rank())?,
        None => (0..from.rank()).filter(|axis| is_one(*axis)).collect(),
    };
    if let Some(axis) = axes.iter().find(|axis| !is_one(**axis)) {
        return Err(Fault::new("axes", format!("axis {axis} of {from}"), "dimensions of 1"));
    }
    let kept = from.dims().iter().enumerate().filter(|(axis, _)| axes.binary_search(axis).is_err());
    let shape = Shape::new(kept.map(|(_, dim)| *dim));
    cx.emit(Op::Reshape(Reshape { shape }), &[x])
}

/// `Unsqueeze`: `axes` (of the result) is an attribute before opset 13, then an operand.
pub(super) fn unsqueeze(cx: &mut NodeCx) -> Result<Value, Fault> {
    let axes = axes_before_13(cx)?.ok_or_else(|| Fault::new("axes", "nothing", "a list of axes"))?;
    let x = cx.operand(0, "data")?;
    let from = cx.shape(x)?;
    check_rank(from.rank() + axes.len())?;
    let axes = normal_axes(&axes, from.rank() + axes.len())?;
    let mut dims = from.dims().to_vec();
    for axis in axes {
        dims.insert(axis, Dim::Fixed(1));
    }
    cx.emit(Op::Reshape(Reshape { shape: Shape::new(dims) }), &[x])
}

fn axes_before_13(cx: &mut NodeCx) -> Result<Option<Vec<i64>>, Fault> {
    if cx.opset() < 13 {
        cx.at_most(1)?;
        return Ok(cx.attributes.ints("axes")?.map(<[i64]>::to_vec));
    }
    cx.at_most(2)?;
    cx.optional(1).map(|_| cx.integers(1, "axes")).transpose()
}

/// `Transpose`; without `perm` the axes are reversed.
pub(super) fn transpose(cx: &mut NodeCx) -> Result<Value, Fault> {
    let perm = cx.attributes.ints("perm")?;
    cx.at_most(1)?;
    let x = cx.operand(0, "data")?;
    let rank = cx.shape(x)?.rank();
    let perm = match perm {
        None => (0..rank).rev().collect(),
        Some(perm) => {
            let valid: Option<Vec<usize>> = perm.iter().map(|axis| usize::try_from(*axis).ok()).collect();
            let fault =
                || Fault::new(subject("perm"), super::window::shortened(perm), format!("an order of {rank} axes"));
            valid.filter(|perm| perm.len() == rank).ok_or_else(fault)?
        }
    };
    cx.emit(Op::Transpose(Transpose { perm }), &[x])
}

/// `Expand`: the operand and the given shape broadcast to each other.
pub(super) fn expand(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.at_most(2)?;
    let x = cx.operand(0, "input")?;
    let target = cx.scalars(1, "shape")?;
    check_rank(target.len())?;
    let from = cx.shape(x)?;
    let dims: Option<Vec<Dim>> = target.iter().map(|s| crate::shape_arithmetic::dim(*s)).collect();
    let shape = dims.and_then(|dims| broadcast(&from, &Shape::new(dims)));
    let shape = shape.ok_or_else(|| {
        let found = format!("{} for a value of {from}", Array::vector(target));
        Fault::new(operand_subject(1, "shape"), found, "a known shape that broadcasts with the value's")
    })?;
    cx.emit(Op::Expand(Reshape { shape }), &[x])
}

/// `Concat` along `axis`.
pub(super) fn concat(cx: &mut NodeCx) -> Result<Value, Fault> {
    let axis = cx.attributes.int("axis")?.ok_or_else(|| Fault::new(subject("axis"), "nothing", "an axis"))?;
    let operands = (0..cx.node.input.len()).map(|i| cx.operand(i, "inputs")).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = operands.first() else {
        return Err(Fault::new("operands", "none", "one or more"));
    };
    let axis = normal_axis(axis, cx.shape(*first)?.rank())?;
    cx.emit(Op::Concat(Axis { axis }), &operands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, int, int_tensor, ints, op, ty, weights};
    use onnx_protobuf::AttributeProto;

    /// A model of one operator on `x`, with an integer operand if there is a list.
    fn model(
        opset: i64,
        rest: &[i64],
        operator: &str,
        list: Option<&[i64]>,
        attributes: impl Into<Vec<AttributeProto>>,
    ) -> Model {
        let model = Model::new(opset).batch_input("x", rest);
        match list {
            None => model.node(operator, &["x"], &["y"], attributes).output("y"),
            Some(list) => {
                let model = model.init(int_tensor("list", &[list.len() as i64], list));
                model.node(operator, &["x", "list"], &["y"], attributes).output("y")
            }
        }
    }

    #[test]
    fn reshapes_with_zeros_and_one_open_dimension() {
        let shape = |rest: &[i64], target: &[i64]| ty(&model(13, rest, "Reshape", Some(target), []).import(), "y");
        assert_eq!(shape(&[2, 3, 4], &[0, -1]), "f32[N,24]");
        assert_eq!(shape(&[2, 3, 4], &[-1, 24]), "f32[N,24]");
        assert_eq!(shape(&[2, 3, 4], &[0, 0, -1]), "f32[N,2,12]");
        assert_eq!(shape(&[2, 3, 4], &[-1, 0, 12]), "f32[N,2,12]");
        assert_eq!(shape(&[], &[-1]), "f32[N]");
        let fixed = Model::new(13).fixed_input("x", &[2, 6]).init(int_tensor("s", &[2], &[3, -1]));
        assert_eq!(ty(&fixed.node("Reshape", &["x", "s"], &["y"], []).output("y").import(), "y"), "f32[3,4]");
    }

    #[test]
    fn refuses_shapes_that_do_not_fit() {
        for target in
            [&[-1i64, -1][..], &[-1, 5], &[1, -1], &[24], &[0, -2], &[0, 0, 0, 0, 0, -1], &[i64::MAX, i64::MAX, -1]]
        {
            assert_eq!(model(13, &[2, 3, 4], "Reshape", Some(target), []).problems().len(), 1, "{target:?}");
        }
        // With allowzero, 0 is a size, of which this value has no element.
        assert_eq!(model(14, &[2], "Reshape", Some(&[0, 2]), [int("allowzero", 1)]).problems().len(), 1);
        assert!(
            model(13, &[2], "Reshape", Some(&[0, 2]), [int("allowzero", 0)]).problems()[0]
                .subject
                .contains("allowzero")
        );
    }

    #[test]
    fn flattens_from_an_axis() {
        let shape = |axis: i64| ty(&model(13, &[2, 3], "Flatten", None, [int("axis", axis)]).import(), "y");
        assert_eq!(shape(1), "f32[N,6]");
        assert_eq!(shape(-2), "f32[N,6]");
        assert_eq!(ty(&model(13, &[1, 3], "Flatten", None, [int("axis", 2)]).import(), "y"), "f32[N,3]");
        assert_eq!(ty(&model(13, &[1], "Flatten", None, [int("axis", 2)]).import(), "y"), "f32[N,1]");
        assert_eq!(ty(&model(13, &[1], "Flatten", None, [int("axis", 0)]).import(), "y"), "f32[1,N]");
        assert!(model(13, &[2, 3], "Flatten", None, [int("axis", 2)]).problems()[0].found.contains("batch"));
        assert!(model(13, &[2, 3], "Flatten", None, [int("axis", 4)]).problems()[0].subject.contains("axis"));
    }

    #[test]
    fn takes_axes_as_attribute_before_opset_13_and_then_as_operand() {
        for (opset, list, attributes) in [(12, None, vec![ints("axes", &[-1, 2])]), (13, Some(&[-1i64, 2][..]), vec![])]
        {
            let squeezed = model(opset, &[3, 1, 1], "Squeeze", list, attributes.clone()).import();
            assert_eq!(ty(&squeezed, "y"), "f32[N,3]");
            let unsqueezed = model(opset, &[3], "Unsqueeze", list, attributes).import();
            assert_eq!(ty(&unsqueezed, "y"), "f32[N,3,1,1]");
        }
        assert_eq!(ty(&model(11, &[3, 1], "Squeeze", None, []).import(), "y"), "f32[N,3]");
        assert!(model(13, &[3, 1], "Squeeze", None, [ints("axes", &[2])]).problems()[0].subject.contains("axes"));
        assert!(model(12, &[3, 1], "Squeeze", Some(&[2]), []).problems()[0].subject.contains("operands"));
    }

    #[test]
    fn refuses_axes_that_are_not_there_not_one_or_given_twice() {
        for axes in [&[1i64][..], &[4], &[-5], &[2, 2], &[2, -2]] {
            assert_eq!(model(13, &[3, 1, 2], "Squeeze", Some(axes), []).problems().len(), 1, "{axes:?}");
        }
        assert_eq!(model(13, &[3], "Unsqueeze", Some(&[5]), []).problems().len(), 1);
        assert_eq!(model(13, &[3], "Unsqueeze", Some(&[1; 100]), []).problems()[0].subject, "rank of the result");
        assert_eq!(model(12, &[3], "Unsqueeze", None, []).problems()[0].subject, "axes");
    }

    #[test]
    fn transposes_by_a_permutation_or_in_reverse() {
        let graph = model(13, &[2, 3], "Transpose", None, [ints("perm", &[0, 2, 1])]).import();
        assert_eq!(*op(&graph, "y"), Op::Transpose(Transpose { perm: vec![0, 2, 1] }));
        assert_eq!(ty(&model(13, &[2, 3], "Transpose", None, []).import(), "y"), "f32[3,2,N]");
        for perm in [&[0i64, 1][..], &[0, 1, 1], &[0, 1, -1], &[0, 1, 3]] {
            assert_eq!(model(13, &[2, 3], "Transpose", None, [ints("perm", perm)]).problems().len(), 1);
        }
    }

    #[test]
    fn expands_in_both_directions() {
        let shape = |target: &[i64]| ty(&model(13, &[1, 3], "Expand", Some(target), []).import(), "y");
        assert_eq!(shape(&[4, 1]), "f32[N,4,3]");
        assert_eq!(shape(&[1, 5, 3]), "f32[N,5,3]");
        assert_eq!(model(13, &[1, 3], "Expand", Some(&[2]), []).problems()[0].subject, "operand 1 (shape)");
        assert_eq!(model(13, &[1, 3], "Expand", Some(&[2, 1, 3]), []).problems().len(), 1);
    }

    #[test]
    fn joins_values_along_an_axis() {
        let model = |axis: i64| {
            let model = Model::new(13).batch_input("a", &[2, 3]).batch_input("b", &[2, 4]);
            model.node("Concat", &["a", "b"], &["y"], [int("axis", axis)]).output("y")
        };
        assert_eq!(ty(&model(2).import(), "y"), "f32[N,2,7]");
        assert_eq!(*op(&model(-1).import(), "y"), Op::Concat(Axis { axis: 2 }));
        assert_eq!(model(1).problems()[0].subject, "types");
        assert_eq!(model(3).problems()[0].subject, "axis");
    }

    #[test]
    fn keeps_large_constants_in_the_graph() {
        let model = Model::new(11).batch_input("x", &[8, 2, 2]).init(weights("w", &[8]));
        let model = model.node("Unsqueeze", &["w"], &["u"], [ints("axes", &[1, 2])]);
        let graph = model.node("Mul", &["x", "u"], &["y"], []).output("y").import();
        assert_eq!(ty(&graph, "u"), "f32[8,1,1]");
        assert!(matches!(op(&graph, "u"), Op::Reshape(_)));
    }
}
