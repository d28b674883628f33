//! Reductions over axes.

use rnc_ir::Op;
use rnc_ir::op::{Binary, Reduce, ReduceKind, Unary};

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
    /// A minimum: in shape arithmetic, and in the graph as a maximum of the opposite numbers.
    Min,
    /// Sum of magnitudes.
    L1,
    /// Root of the sum of squares.
    L2,
    /// Sum of squares.
    SumSquare,
    /// Logarithm of the sum.
    LogSum,
    /// Logarithm of the sum of exponentials.
    LogSumExp,
}

impl Reduction {
    /// The opset that made `axes` an operand.
    fn axes_operand_since(self) -> i64 {
        match self {
            Self::InGraph(ReduceKind::Sum) => 13,
            Self::InGraph(ReduceKind::Mean | ReduceKind::Max)
            | Self::OfArrays(_)
            | Self::Min
            | Self::L1
            | Self::L2
            | Self::SumSquare
            | Self::LogSum
            | Self::LogSumExp => 18,
        }
    }

    /// The function that folds arrays, if there is one.
    fn fold(self) -> Option<Binary> {
        match self {
            Self::InGraph(ReduceKind::Sum) => Some(Binary::Add),
            Self::InGraph(ReduceKind::Max) => Some(Binary::Max),
            Self::Min => Some(Binary::Min),
            Self::OfArrays(function) => Some(function),
            // A mean needs a division that depends on the type; the others are about floats.
            Self::InGraph(ReduceKind::Mean)
            | Self::L1
            | Self::L2
            | Self::SumSquare
            | Self::LogSum
            | Self::LogSumExp => None,
        }
    }

    /// What is done to each element before, how they are reduced, and what is done to the result.
    fn parts(self) -> Option<(Option<Before>, ReduceKind, Option<Unary>)> {
        Some(match self {
            Self::InGraph(kind) => (None, kind, None),
            Self::OfArrays(_) | Self::LogSumExp => return None,
            Self::Min => (Some(Before::Function(Unary::Neg)), ReduceKind::Max, Some(Unary::Neg)),
            Self::L1 => (Some(Before::Function(Unary::Abs)), ReduceKind::Sum, None),
            Self::L2 => (Some(Before::Square), ReduceKind::Sum, Some(Unary::Sqrt)),
            Self::SumSquare => (Some(Before::Square), ReduceKind::Sum, None),
            Self::LogSum => (None, ReduceKind::Sum, Some(Unary::Log)),
        })
    }
}

/// A function of each element before it is reduced.
enum Before {
    Function(Unary),
    Square,
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
        && (!array.elem.is_float() || matches!(reduction, Reduction::OfArrays(_) | Reduction::Min))
    {
        return shape_arithmetic::reduce(cx, &array, &axes, keep_dims, function);
    }
    if let Reduction::LogSumExp = reduction {
        return log_sum_exp(cx, x, &axes, keep_dims);
    }
    let Some((before, kind, after)) = reduction.parts() else {
        return Err(Fault::new(
            "operand 0 (data)",
            "a value computed when the model runs",
            "this reduction only in shape arithmetic",
        ));
    };
    let x = match before {
        None => x,
        Some(Before::Function(function)) => cx.unary(function, x)?,
        Some(Before::Square) => cx.binary(Binary::Mul, x, x)?,
    };
    let op = if axes.is_empty() { Op::Identity } else { Op::Reduce(Reduce { kind, axes, keep_dims }) };
    match after {
        None => cx.emit(op, &[x]),
        Some(function) => {
            let reduced = cx.step(op, &[x])?;
            cx.emit(Op::Unary(function), &[reduced])
        }
    }
}

/// `max + log(sum(exp(x - max)))`, which does not overflow.
fn log_sum_exp(cx: &mut NodeCx, x: Value, axes: &[usize], keep_dims: bool) -> Result<Value, Fault> {
    if axes.is_empty() {
        return cx.emit(Op::Identity, &[x]);
    }
    let largest = cx.reduced(ReduceKind::Max, x, axes)?;
    // Infinite elements stay so, as their distance from a finite number.
    let largest = cx.with_number(Binary::Min, largest, f32::MAX)?;
    let largest = cx.with_number(Binary::Max, largest, f32::MIN)?;
    let below = cx.binary(Binary::Sub, x, largest)?;
    let e = cx.unary(Unary::Exp, below)?;
    let sum = cx.reduced(ReduceKind::Sum, e, axes)?;
    let log = cx.unary(Unary::Log, sum)?;
    let y = cx.binary(Binary::Add, log, largest)?;
    let dims = cx.shape(y)?.dims().to_vec();
    let kept = dims.into_iter().enumerate().filter(|(axis, _)| keep_dims || !axes.contains(axis));
    let y = cx.reshaped(y, kept.map(|(_, dim)| dim).collect::<Vec<_>>())?;
    cx.finish(y)
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
