//! Matrix products and `Softmax`.

use rnc_ir::op::{Activation, Axis, Gemm, Reshape};
use rnc_ir::{Dim, Op, Shape};

use super::product;
use crate::error::Fault;
use crate::node::{NodeCx, normal_axis};
use crate::state::Value;

/// `Gemm`. <https://onnx.ai/onnx/operators/onnx__Gemm.html>
pub(super) fn gemm(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(1.0);
    let beta = cx.attributes.float("beta")?.unwrap_or(1.0);
    let trans_a = cx.attributes.flag("transA", false)?;
    let trans_b = cx.attributes.flag("transB", false)?;
    // Before opset 7 it said that C is broadcast, which it may be in any case now.
    if cx.opset() < 7 {
        cx.attributes.ignore("broadcast");
    }
    cx.at_most(3)?;
    let (a, b, c) = (cx.operand(0, "A")?, cx.operand(1, "B")?, cx.optional(2));
    if cx.opset() < 11 && c.is_none() {
        return Err(Fault::new("operand 2 (C)", "nothing", "a value (optional from opset 11)"));
    }
    let op = Gemm { alpha, beta, trans_a, trans_b, bias: c.is_some(), activation: Activation::None };
    let operands: Vec<Value> = [a, b].into_iter().chain(c).collect();
    cx.emit(Op::Gemm(op), &operands)
}

/// `MatMul`, with NumPy's rules.
pub(super) fn matmul(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.at_most(2)?;
    let (a, b) = (cx.operand(0, "A")?, cx.operand(1, "B")?);
    cx.emit(Op::MatMul, &[a, b])
}

/// `Softmax`: along `axis` (default -1) from opset 13; before, over all dimensions from `axis` (default 1) on.
/// <https://onnx.ai/onnx/operators/onnx__Softmax.html>
pub(super) fn softmax(cx: &mut NodeCx) -> Result<Value, Fault> {
    let flattens = cx.opset() < 13;
    let axis = cx.attributes.int("axis")?.unwrap_or(if flattens { 1 } else { -1 });
    cx.at_most(1)?;
    let x = cx.operand(0, "input")?;
    let shape = cx.shape(x)?;
    let rank = shape.rank();
    if flattens && usize::try_from(axis) == Ok(rank) {
        // Before opset 13 the axis may stand behind the last one: then each row is a single element.
        return softmax_of_rows(cx, x, &shape, rank);
    }
    let axis = normal_axis(axis, rank)?;
    let rest_is_one = shape.dims()[axis + 1..].iter().all(|d| *d == Dim::Fixed(1));
    if flattens && !rest_is_one {
        return softmax_of_rows(cx, x, &shape, axis);
    }
    cx.emit(Op::Softmax(Axis { axis }), &[x])
}

/// Softmax over all dimensions from `axis` on together: they are joined to one, and split again.
fn softmax_of_rows(cx: &mut NodeCx, x: Value, shape: &Shape, axis: usize) -> Result<Value, Fault> {
    let rows = rows_from(cx, x, shape, axis)?;
    let softmax = cx.emit_helper("softmax", Op::Softmax(Axis { axis }), &[rows])?;
    cx.emit(Op::Reshape(Reshape { shape: shape.clone() }), &[softmax])
}

/// The value with all dimensions from `axis` on joined to one.
pub(super) fn rows_from(cx: &mut NodeCx, x: Value, shape: &Shape, axis: usize) -> Result<Value, Fault> {
    let (lead, rest) = shape.dims().split_at(axis);
    let Some(joined) = product(rest) else {
        return Err(Fault::new(
            "attribute `axis`",
            format!("{axis}, which makes one row of the batch in {shape}"),
            "an axis behind the batch",
        ));
    };
    let joined = Shape::new(lead.iter().copied().chain([joined]));
    cx.emit_helper("rows", Op::Reshape(Reshape { shape: joined }), &[x])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, float, int, op, ty, weights};

    #[test]
    fn reads_all_attributes_of_gemm() {
        let attributes = [float("alpha", 0.5), float("beta", 2.0), int("transA", 0), int("transB", 1)];
        let model = Model::new(13).batch_input("x", &[4]).init(weights("w", &[5, 4])).init(weights("b", &[5]));
        let graph = model.node("Gemm", &["x", "w", "b"], &["y"], attributes).output("y").import();
        let expected =
            Gemm { alpha: 0.5, beta: 2.0, trans_a: false, trans_b: true, bias: true, activation: Activation::None };
        assert_eq!(*op(&graph, "y"), Op::Gemm(expected));
        assert_eq!(ty(&graph, "y"), "f32[N,5]");
    }

    #[test]
    fn takes_gemm_without_addend_from_opset_11() {
        let model = |opset| {
            let model = Model::new(opset).batch_input("x", &[4]).init(weights("w", &[4, 5]));
            model.node("Gemm", &["x", "w"], &["y"], []).output("y")
        };
        assert!(matches!(op(&model(11).import(), "y"), Op::Gemm(Gemm { bias: false, .. })));
        assert_eq!(model(10).problems()[0].subject, "operand 2 (C)");
    }

    #[test]
    fn imports_matrix_products_of_any_rank() {
        let model = Model::new(13).batch_input("x", &[3, 4]).init(weights("w", &[4, 5]));
        let graph = model.node("MatMul", &["x", "w"], &["y"], []).output("y").import();
        assert_eq!(ty(&graph, "y"), "f32[N,3,5]");
    }

    fn softmax_model(opset: i64, rest: &[i64], axis: Option<i64>) -> Model {
        let attributes: Vec<_> = axis.map(|axis| int("axis", axis)).into_iter().collect();
        Model::new(opset).batch_input("x", rest).node("Softmax", &["x"], &["y"], attributes).output("y")
    }

    #[test]
    fn takes_softmax_along_one_axis_from_opset_13() {
        let axis = |axis| match op(&softmax_model(13, &[3, 4], axis).import(), "y") {
            Op::Softmax(softmax) => softmax.axis,
            other => panic!("{other:?}"),
        };
        assert_eq!(axis(None), 2);
        assert_eq!(axis(Some(-2)), 1);
        assert_eq!(axis(Some(1)), 1);
    }

    #[test]
    fn joins_the_axes_of_softmax_before_opset_13() {
        let graph = softmax_model(11, &[3, 4], None).import();
        assert!(matches!(op(&graph, "y"), Op::Reshape(_)));
        assert_eq!(ty(&graph, "y.softmax"), "f32[N,12]");
        assert_eq!(*op(&graph, "y.softmax"), Op::Softmax(Axis { axis: 1 }));
        assert_eq!(ty(&graph, "y"), "f32[N,3,4]");
        // Nothing to join: the last axis, or ones behind it.
        assert_eq!(*op(&softmax_model(11, &[3, 4], Some(2)).import(), "y"), Op::Softmax(Axis { axis: 2 }));
        assert_eq!(*op(&softmax_model(9, &[10, 1, 1], None).import(), "y"), Op::Softmax(Axis { axis: 1 }));
        // Rows of one element.
        let graph = softmax_model(11, &[3], Some(2)).import();
        assert_eq!(ty(&graph, "y.softmax"), "f32[N,3,1]");
    }

    #[test]
    fn refuses_log_softmax_over_the_batch() {
        let model = Model::new(11).batch_input("x", &[3]).node("Transpose", &["x"], &["t"], []);
        let problems = model.node("LogSoftmax", &["t"], &["y"], [int("axis", 0)]).output("y").problems();
        assert!(problems[0].found.contains("batch"), "{}", problems[0]);
    }

    #[test]
    fn refuses_softmax_over_the_batch() {
        assert!(softmax_model(11, &[3, 4], Some(0)).problems()[0].found.contains("batch"));
        assert_eq!(softmax_model(13, &[3, 4], Some(0)).problems()[0].subject, "types");
        assert_eq!(softmax_model(13, &[3, 4], Some(3)).problems()[0].subject, "axis");
    }
}
