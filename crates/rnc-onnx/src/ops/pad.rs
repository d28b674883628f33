//! `Pad`.

use rnc_ir::Op;
use rnc_ir::op::Pad;

use super::rearrange::{Border, bordered};
use super::slice::whole;
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, axes_in_order, operand_subject};
use crate::shape_arithmetic::{Array, Scalar};
use crate::state::Value;

/// `Pad` with a constant. Amounts and value are attributes before opset 11, then operands; opset 18 added `axes`.
/// <https://onnx.ai/onnx/operators/onnx__Pad.html>
pub(super) fn pad(cx: &mut NodeCx) -> Result<Value, Fault> {
    let border = match cx.attributes.string("mode")?.unwrap_or("constant") {
        "constant" => None,
        "reflect" => Some(Border::Reflect),
        "edge" => Some(Border::Edge),
        "wrap" => Some(Border::Wrap),
        other => return Err(Fault::new(subject("mode"), format!("`{other}`"), "constant, reflect, edge, wrap")),
    };
    let (amounts, value) = if cx.opset() < 11 {
        cx.at_most(1)?;
        let amounts =
            cx.attributes.ints("pads")?.ok_or_else(|| Fault::new(subject("pads"), "nothing", "a list of integers"))?;
        (amounts.to_vec(), cx.attributes.float("value")?.unwrap_or(0.0))
    } else {
        cx.at_most(if cx.opset() < 18 { 3 } else { 4 })?;
        let value = cx.optional(2).map(|_| cx.float(2, "constant_value")).transpose()?;
        (cx.integers(1, "pads")?, value.unwrap_or(0.0))
    };
    let axes = cx.optional(3).map(|_| cx.integers(3, "axes")).transpose()?;
    let x = cx.operand(0, "data")?;
    let rank = cx.shape(x)?.rank();
    let axes = match axes {
        None => (0..rank).collect(),
        Some(axes) => axes_in_order(&axes, rank)?,
    };
    let (op, cropped) = pad_op(&amounts, &axes, rank, value)?;
    let x = match cropped {
        None => x,
        Some(amounts) => crop(cx, x, &amounts)?,
    };
    match border {
        None => cx.emit(Op::Pad(op), &[x]),
        Some(border) => bordered(cx, x, &op, border),
    }
}

/// Amounts to crop, begins and then ends.
type Crops = [Vec<usize>; 2];

/// The padding, and what is cropped before it: negative amounts.
fn pad_op(amounts: &[i64], axes: &[usize], rank: usize, value: f32) -> Result<(Pad, Option<Crops>), Fault> {
    if amounts.len() != 2 * axes.len() {
        let found = Array::vector(amounts.iter().map(|a| Scalar::Int(*a)).collect()).to_string();
        let supported = format!("{} amounts, two an axis", 2 * axes.len());
        return Err(Fault::new(operand_subject(1, "pads"), found, supported));
    }
    let mut op = Pad { begin: vec![0; rank], end: vec![0; rank], value };
    let mut crops = [vec![0; rank], vec![0; rank]];
    let size = |amount: i64| usize::try_from(amount.unsigned_abs()).unwrap_or(usize::MAX);
    for (i, axis) in axes.iter().enumerate() {
        let (begin, end) = (amounts[i], amounts[axes.len() + i]);
        let place = |amount: i64, added: &mut usize, cropped: &mut usize| {
            *(if amount < 0 { cropped } else { added }) = size(amount);
        };
        place(begin, &mut op.begin[*axis], &mut crops[0][*axis]);
        place(end, &mut op.end[*axis], &mut crops[1][*axis]);
    }
    let any = crops.iter().flatten().any(|amount| *amount > 0);
    Ok((op, any.then_some(crops)))
}

/// The value without so many elements at both ends of its axes.
fn crop(cx: &mut NodeCx, x: Value, [begin, end]: &Crops) -> Result<Value, Fault> {
    let shape = cx.shape(x)?;
    let mut op = whole(&shape);
    for (axis, dim) in shape.dims().iter().enumerate().filter(|(axis, _)| begin[*axis] > 0 || end[*axis] > 0) {
        let left =
            dim.fixed().and_then(|size| size.checked_sub(begin[axis].checked_add(end[axis])?)).filter(|left| *left > 0);
        let found = || format!("{} and {} cropped from {dim}", begin[axis], end[axis]);
        let left =
            left.ok_or_else(|| Fault::new(operand_subject(1, "pads"), found(), "amounts that leave something"))?;
        op.starts[axis] = begin[axis];
        op.sizes[axis] = Some(left);
    }
    cx.step(Op::Slice(op), &[x])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, float, float_tensor, int_tensor, ints, op, string};

    fn list(name: &str, values: &[i64]) -> onnx_protobuf::TensorProto {
        int_tensor(name, &[values.len() as i64], values)
    }

    #[test]
    fn reads_padding_of_every_opset() {
        let pad = |graph: &rnc_ir::Graph| match op(graph, "y") {
            Op::Pad(pad) => pad.clone(),
            other => panic!("{other:?}"),
        };
        let expected = Pad { begin: vec![0, 1, 0], end: vec![0, 0, 2], value: 0.5 };
        let amounts = [0, 1, 0, 0, 0, 2];
        let attributes = [string("mode", "constant"), ints("pads", &amounts), float("value", 0.5)];
        let graph =
            Model::new(10).batch_input("x", &[3, 4]).node("Pad", &["x"], &["y"], attributes).output("y").import();
        assert_eq!(pad(&graph), expected);
        let model =
            Model::new(13).batch_input("x", &[3, 4]).init(list("p", &amounts)).init(float_tensor("v", &[], &[0.5]));
        assert_eq!(pad(&model.node("Pad", &["x", "p", "v"], &["y"], []).output("y").import()), expected);
        let model = Model::new(18).batch_input("x", &[3, 4]).init(list("p", &[0, 1, 2, 0])).init(list("a", &[-1, 1]));
        let graph = model.node("Pad", &["x", "p", "", "a"], &["y"], []).output("y").import();
        assert_eq!(pad(&graph), Pad { value: 0.0, ..expected });
    }

    #[test]
    fn refuses_padding_of_other_kinds() {
        let model = |mode: &str, amounts: &[i64]| {
            let model = Model::new(13).batch_input("x", &[3, 4]).init(list("p", amounts));
            model.node("Pad", &["x", "p"], &["y"], [string("mode", mode)]).output("y").problems().remove(0)
        };
        assert!(model("twist", &[0; 6]).subject.contains("mode"));
        assert!(model("constant", &[0, -2, 0, 0, -1, 0]).supported.contains("leave something"));
        assert!(model("edge", &[1, 0, 0, 0, 0, 0]).found.contains("batch"));
        assert!(model("constant", &[0; 4]).supported.contains("6 amounts"));
        assert_eq!(model("constant", &[1, 0, 0, 0, 0, 0]).subject, "types");
    }
}
