//! `Pad`.

use rnc_ir::Op;
use rnc_ir::op::Pad;

use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, axes_in_order, operand_subject};
use crate::shape_arithmetic::{Array, Scalar};
use crate::state::Value;

/// `Pad` with a constant. Amounts and value are attributes before opset 11, then operands; opset 18 added `axes`.
/// <https://onnx.ai/onnx/operators/onnx__Pad.html>
pub(super) fn pad(cx: &mut NodeCx) -> Result<Value, Fault> {
    let mode = cx.attributes.string("mode")?.unwrap_or("constant");
    if mode != "constant" {
        return Err(Fault::new(subject("mode"), format!("`{mode}`"), "constant"));
    }
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
    let op = pad_op(&amounts, &axes, rank, value)?;
    cx.emit(Op::Pad(op), &[x])
}

fn pad_op(amounts: &[i64], axes: &[usize], rank: usize, value: f32) -> Result<Pad, Fault> {
    let found = || Array::vector(amounts.iter().map(|a| Scalar::Int(*a)).collect()).to_string();
    let subject = operand_subject(1, "pads");
    let sizes: Option<Vec<usize>> = amounts.iter().map(|a| usize::try_from(*a).ok()).collect();
    let Some(sizes) = sizes else {
        return Err(Fault::new(subject, found(), "amounts from 0 (a negative one crops: use Slice)"));
    };
    if sizes.len() != 2 * axes.len() {
        return Err(Fault::new(subject, found(), format!("{} amounts, two an axis", 2 * axes.len())));
    }
    let mut op = Pad { begin: vec![0; rank], end: vec![0; rank], value };
    for (i, axis) in axes.iter().enumerate() {
        op.begin[*axis] = sizes[i];
        op.end[*axis] = sizes[axes.len() + i];
    }
    Ok(op)
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
        assert!(model("reflect", &[0; 6]).subject.contains("mode"));
        assert!(model("constant", &[0, -1, 0, 0, 0, 0]).supported.contains("crops"));
        assert!(model("constant", &[0; 4]).supported.contains("6 amounts"));
        assert_eq!(model("constant", &[1, 0, 0, 0, 0, 0]).subject, "types");
    }
}
