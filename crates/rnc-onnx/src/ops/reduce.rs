//! Reductions over axes.

use rnc_ir::Op;
use rnc_ir::op::{Binary, Reduce, ReduceKind};

use crate::error::Fault;
use crate::node::{NodeCx, normal_axes};
use crate::shape_arithmetic;
use crate::state::Value;

/// A reduction, and where it exists.
#[derive(Clone, Copy)]
pub(super) enum Reduction {
    /// In the graph.
    InGraph(ReduceKind),
    /// In shape arithmetic only: a fold by this function.
    OfArrays(Binary),
}

impl Reduction {
    /// The opset that made `axes` an operand.
    fn axes_operand_since(self) -> i64 {
        match self {
            Self::InGraph(ReduceKind::Sum) => 13,
            Self::InGraph(ReduceKind::Mean | ReduceKind::Max) | Self::OfArrays(_) => 18,
        }
    }

    /// The function that folds arrays, if there is one.
    fn fold(self) -> Option<Binary> {
        match self {
            Self::InGraph(ReduceKind::Sum) => Some(Binary::Add),
            Self::InGraph(ReduceKind::Max) => Some(Binary::Max),
            // Needs a division that depends on the type.
            Self::InGraph(ReduceKind::Mean) => None,
            Self::OfArrays(function) => Some(function),
        }
    }
}

/// `ReduceMean`, `ReduceSum`, …: without axes over all of them or, if `noop_with_empty_axes`, over none.
pub(super) fn reduce(cx: &mut NodeCx, reduction: Reduction) -> Result<Value, Fault> {
    let keep_dims = cx.attributes.flag("keepdims", true)?;
    let (axes, noop) = if cx.opset() < reduction.axes_operand_since() {
        cx.at_most(1)?;
        (cx.attributes.ints("axes")?.map(<[i64]>::to_vec), false)
    } else {
        cx.at_most(2)?;
        let noop = cx.attributes.flag("noop_with_empty_axes", false)?;
        (cx.optional(1).map(|_| cx.integers(1, "axes")).transpose()?, noop)
    };
    let x = cx.operand(0, "data")?;
    let rank = cx.shape(x)?.rank();
    let axes = match axes.filter(|axes| !axes.is_empty()) {
        Some(axes) => normal_axes(&axes, rank)?,
        None if noop => Vec::new(),
        None => (0..rank).collect(),
    };
    if let (Some(function), Some(array)) = (reduction.fold(), cx.state.array(x)?)
        && (!array.elem.is_float() || matches!(reduction, Reduction::OfArrays(_)))
    {
        return shape_arithmetic::reduce(cx, &array, &axes, keep_dims, function);
    }
    let Reduction::InGraph(kind) = reduction else {
        return Err(Fault::new(
            "operand 0 (data)",
            "a value computed when the model runs",
            "this reduction only in shape arithmetic",
        ));
    };
    if axes.is_empty() {
        return cx.emit(Op::Identity, &[x]);
    }
    cx.emit(Op::Reduce(Reduce { kind, axes, keep_dims }), &[x])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, int, int_tensor, ints, op, ty};
    use onnx_protobuf::AttributeProto;

    fn model(opset: i64, operator: &str, axes: Option<&[i64]>, attributes: impl Into<Vec<AttributeProto>>) -> Model {
        let model = Model::new(opset).batch_input("x", &[3, 4, 5]);
        match axes {
            None => model.node(operator, &["x"], &["y"], attributes).output("y"),
            Some(axes) => {
                let model = model.init(int_tensor("axes", &[axes.len() as i64], axes));
                model.node(operator, &["x", "axes"], &["y"], attributes).output("y")
            }
        }
    }

    #[test]
    fn takes_axes_from_the_attribute_and_later_from_the_operand() {
        for (operator, kind, since) in [
            ("ReduceMean", ReduceKind::Mean, 18),
            ("ReduceSum", ReduceKind::Sum, 13),
            ("ReduceMax", ReduceKind::Max, 18),
        ] {
            let expected = Op::Reduce(Reduce { kind, axes: vec![2, 3], keep_dims: false });
            let old = model(since - 1, operator, None, [ints("axes", &[-1, 2]), int("keepdims", 0)]);
            assert_eq!(*op(&old.import(), "y"), expected);
            assert_eq!(*op(&model(since, operator, Some(&[-1, 2]), [int("keepdims", 0)]).import(), "y"), expected);
            assert_eq!(model(since - 1, operator, Some(&[2]), []).problems()[0].subject, "operands");
            let fixed =
                Model::new(since).fixed_input("x", &[2, 3]).node(operator, &["x"], &["y"], [ints("axes", &[1])]);
            assert_eq!(fixed.output("y").problems()[0].subject, "attribute `axes`");
        }
    }

    #[test]
    fn reduces_over_all_axes_or_none_if_there_are_no_axes() {
        assert!(model(13, "ReduceMean", None, []).problems()[0].found.contains("batch"));
        let noop = model(18, "ReduceMean", None, [int("noop_with_empty_axes", 1)]).import();
        assert_eq!(*op(&noop, "y"), Op::Identity);
        let fixed = Model::new(13).fixed_input("x", &[2, 3]).node("ReduceSum", &["x"], &["y"], []).output("y").import();
        assert_eq!(ty(&fixed, "y"), "f32[1,1]");
    }

    #[test]
    fn refuses_products_of_values_computed_when_the_model_runs() {
        assert!(model(13, "ReduceProd", None, []).problems()[0].supported.contains("shape arithmetic"));
        assert_eq!(model(13, "ReduceMean", None, [ints("axes", &[4])]).problems()[0].subject, "axis");
        assert_eq!(model(13, "ReduceMean", None, [ints("axes", &[1, -3])]).problems()[0].subject, "axes");
    }
}
