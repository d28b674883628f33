//! Elementwise operators, and those that are the identity at inference.

use rnc_ir::op::{Binary, Unary};
use rnc_ir::{Dim, Op};

use crate::error::Fault;
use crate::node::{NodeCx, normal_axis, operand_subject};
use crate::shape_arithmetic::{Elem, Scalar};
use crate::state::Value;

/// A function of one operand without attributes.
pub(super) fn unary(cx: &mut NodeCx, unary: Unary) -> Result<Value, Fault> {
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    cx.emit(Op::Unary(unary), &[x])
}

pub(super) fn leaky_relu(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(0.01);
    unary(cx, Unary::LeakyRelu { alpha })
}

pub(super) fn hard_sigmoid(cx: &mut NodeCx) -> Result<Value, Fault> {
    let alpha = cx.attributes.float("alpha")?.unwrap_or(0.2);
    let beta = cx.attributes.float("beta")?.unwrap_or(0.5);
    unary(cx, Unary::HardSigmoid { alpha, beta })
}

/// `Clip`: the bounds are attributes before opset 11, then operands; one left out is the type's limit.
pub(super) fn clip(cx: &mut NodeCx) -> Result<Value, Fault> {
    let (min, max) = if cx.opset() < 11 {
        cx.at_most(1)?;
        (cx.attributes.float("min")?, cx.attributes.float("max")?)
    } else {
        cx.at_most(3)?;
        let computed = |position| matches!(cx.optional(position), Some(Value::Node(_)));
        if computed(1) || computed(2) {
            return clip_to_computed(cx);
        }
        let bound = |position, what| match cx.optional(position) {
            Some(_) => cx.float(position, what).map(Some),
            None => Ok(None),
        };
        (bound(1, "min")?, bound(2, "max")?)
    };
    let x = cx.operand(0, "input")?;
    cx.emit(Op::Unary(Unary::Clip { min: min.unwrap_or(f32::MIN), max: max.unwrap_or(f32::MAX) }), &[x])
}

/// `Clip` to bounds that are computed when the model runs.
fn clip_to_computed(cx: &mut NodeCx) -> Result<Value, Fault> {
    let mut x = cx.operand(0, "input")?;
    for (position, function) in [(1, Binary::Max), (2, Binary::Min)] {
        if let Some(bound) = cx.optional(position) {
            x = cx.binary(function, x, bound)?;
        }
    }
    cx.finish(x)
}

/// A function of two operands.
pub(super) fn binary(cx: &mut NodeCx, binary: Binary) -> Result<Value, Fault> {
    cx.at_most(2)?;
    let (a, b) = (cx.operand(0, "A")?, aligned(cx, 1, "B")?);
    cx.emit(Op::Binary(binary), &[a, b])
}

/// An operand that is broadcast to the first one. Before opset 7 an attribute says at which of its axes.
pub(super) fn aligned(cx: &mut NodeCx, position: usize, what: &str) -> Result<Value, Fault> {
    let b = cx.operand(position, what)?;
    if cx.opset() >= 7 {
        return Ok(b);
    }
    let broadcast = cx.attributes.flag("broadcast", false)?;
    let Some(axis) = cx.attributes.int("axis")?.filter(|_| broadcast) else { return Ok(b) };
    let (rank, dims) = (cx.shape(cx.operand(0, "A")?)?.rank(), cx.shape(b)?.dims().to_vec());
    let axis = normal_axis(axis, rank)?;
    let Some(behind) = rank.checked_sub(axis + dims.len()) else {
        return Err(Fault::new("attribute `axis`", axis.to_string(), "an axis at which the operand fits"));
    };
    cx.reshaped(b, dims.into_iter().chain(std::iter::repeat_n(Dim::Fixed(1), behind)))
}

/// `Sum`, `Max`, `Min` of any number of operands: a chain from the left.
pub(super) fn variadic(cx: &mut NodeCx, binary: Binary) -> Result<Value, Fault> {
    let operands = all_operands(cx)?;
    cx.chain(binary, &operands)
}

/// `Mean` of any number of operands: their sum, divided by their number.
pub(super) fn mean(cx: &mut NodeCx) -> Result<Value, Fault> {
    let operands = all_operands(cx)?;
    let Some((first, rest)) = operands.split_first() else {
        return Err(Fault::new("operands", "none", "one or more"));
    };
    let mut sum = *first;
    for (i, value) in rest.iter().enumerate() {
        sum = cx.emit_helper(&format!("sum{i}"), Op::Binary(Binary::Add), &[sum, *value])?;
    }
    let count = cx.scalar_constant("count", operands.len() as f32);
    cx.emit(Op::Binary(Binary::Div), &[sum, count])
}

fn all_operands(cx: &NodeCx) -> Result<Vec<Value>, Fault> {
    (0..cx.node.input.len()).map(|i| cx.operand(i, "data")).collect()
}

/// `Identity`. Of a constant it is that constant, so that what is known of it stays known.
pub(super) fn identity(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.at_most(1)?;
    match cx.operand(0, "input")? {
        Value::Node(id) => cx.emit(Op::Identity, &[Value::Node(id)]),
        value @ Value::Constant(_) => Ok(value),
        Value::Unknown => Err(Fault::Poisoned),
    }
}

/// `Dropout` at inference, the identity. Its second result, the mask, is not supported.
pub(super) fn dropout(cx: &mut NodeCx) -> Result<Value, Fault> {
    if cx.opset() < 12 {
        cx.attributes.ignore("ratio");
        if cx.opset() < 7 && !cx.attributes.flag("is_test", false)? {
            return Err(Fault::new("attribute `is_test`", "0", "1: a model exported for inference"));
        }
        cx.at_most(1)?;
    } else {
        cx.attributes.ignore("seed");
        cx.at_most(3)?;
        if cx.optional(2).is_some() {
            let mode = cx.array(2, "training_mode")?;
            if mode.elem != Elem::Bool || mode.single() != Some(Scalar::Int(0)) {
                return Err(Fault::new(
                    operand_subject(2, "training_mode"),
                    mode.to_string(),
                    "false: a model exported for inference",
                ));
            }
        }
    }
    let x = cx.operand(0, "data")?;
    cx.emit(Op::Identity, &[x])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, SymDim, float, float_tensor, int_tensor, op, ty, typed_input, weights};
    use onnx_protobuf::AttributeProto;
    use onnx_protobuf::tensor_proto::DataType;
    use rnc_ir::Graph;

    fn imported(opset: i64, operator: &str, attributes: impl Into<Vec<AttributeProto>>) -> Graph {
        Model::new(opset).batch_input("x", &[3]).node(operator, &["x"], &["y"], attributes).output("y").import()
    }

    #[test]
    fn imports_every_function_of_one_operand() {
        let functions = [
            ("Relu", Unary::Relu),
            ("Sigmoid", Unary::Sigmoid),
            ("HardSwish", Unary::HardSwish),
            ("Tanh", Unary::Tanh),
            ("Exp", Unary::Exp),
            ("Sqrt", Unary::Sqrt),
            ("Abs", Unary::Abs),
            ("Neg", Unary::Neg),
            ("Reciprocal", Unary::Reciprocal),
            ("Floor", Unary::Floor),
            ("Ceil", Unary::Ceil),
            ("LeakyRelu", Unary::LeakyRelu { alpha: 0.01 }),
            ("HardSigmoid", Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }),
            ("Clip", Unary::Clip { min: f32::MIN, max: f32::MAX }),
        ];
        for (operator, expected) in functions {
            assert_eq!(*op(&imported(14, operator, []), "y"), Op::Unary(expected), "{operator}");
        }
        assert_eq!(
            *op(&imported(14, "LeakyRelu", [float("alpha", 0.5)]), "y"),
            Op::Unary(Unary::LeakyRelu { alpha: 0.5 })
        );
        let hard = imported(14, "HardSigmoid", [float("alpha", 0.5), float("beta", 0.25)]);
        assert_eq!(*op(&hard, "y"), Op::Unary(Unary::HardSigmoid { alpha: 0.5, beta: 0.25 }));
    }

    #[test]
    fn takes_the_bounds_of_clip_from_attributes_and_from_operands() {
        let clip = |graph: Graph| op(&graph, "y").clone();
        let bounds = |min, max| Op::Unary(Unary::Clip { min, max });
        assert_eq!(clip(imported(10, "Clip", [float("min", 0.0), float("max", 6.0)])), bounds(0.0, 6.0));
        let operands = |inputs: &[&str]| {
            let model = Model::new(13)
                .batch_input("x", &[3])
                .init(float_tensor("lo", &[], &[-1.0]))
                .init(float_tensor("hi", &[1], &[6.0]));
            // A bound that comes out of shape arithmetic.
            let model = model.init(int_tensor("two", &[], &[2])).node(
                "Cast",
                &["two"],
                &["cast"],
                [crate::testing::int("to", 1)],
            );
            model.node("Clip", inputs, &["y"], []).output("y").import()
        };
        assert_eq!(clip(operands(&["x", "lo", "hi"])), bounds(-1.0, 6.0));
        assert_eq!(clip(operands(&["x", "", "hi"])), bounds(f32::MIN, 6.0));
        assert_eq!(clip(operands(&["x", "cast"])), bounds(2.0, f32::MAX));
    }

    #[test]
    fn bounds_that_are_computed_are_a_maximum_and_a_minimum() {
        let model = Model::new(13).batch_input("x", &[3]).input(crate::testing::input("lo", &[]));
        let graph = model.node("Clip", &["x", "lo"], &["y"], []).output("y").import();
        assert_eq!(*op(&graph, "y"), Op::Binary(Binary::Max));
    }

    #[test]
    fn refuses_bounds_in_the_wrong_place() {
        let attribute = Model::new(13).batch_input("x", &[3]).node("Clip", &["x"], &["y"], [float("min", 0.0)]);
        assert_eq!(attribute.output("y").problems()[0].subject, "attribute `min`");
    }

    #[test]
    fn imports_functions_of_two_operands_with_broadcasting() {
        let functions = [("Add", Binary::Add), ("Sub", Binary::Sub), ("Mul", Binary::Mul), ("Div", Binary::Div)];
        for (operator, expected) in functions {
            let model = Model::new(13).batch_input("x", &[3, 4]).init(weights("w", &[3, 1]));
            let graph = model.node(operator, &["x", "w"], &["y"], []).output("y").import();
            assert_eq!(*op(&graph, "y"), Op::Binary(expected));
            assert_eq!(ty(&graph, "y"), "f32[N,3,4]");
        }
    }

    #[test]
    fn chains_operators_of_many_operands() {
        let model = |operator| {
            let model = Model::new(13).batch_input("a", &[3]).batch_input("b", &[3]).batch_input("c", &[3]);
            model.node(operator, &["a", "b", "c"], &["y"], []).output("y").import()
        };
        for (operator, expected) in [("Sum", Binary::Add), ("Max", Binary::Max), ("Min", Binary::Min)] {
            let graph = model(operator);
            assert_eq!([op(&graph, "y.partial0"), op(&graph, "y")], [&Op::Binary(expected); 2]);
        }
        let graph = model("Mean");
        assert_eq!(*op(&graph, "y"), Op::Binary(Binary::Div));
        assert_eq!(*op(&graph, "y.count"), Op::Constant(rnc_ir::Tensor::f32([], vec![3.0])));
        let one = Model::new(13).batch_input("a", &[3]).node("Sum", &["a"], &["y"], []).output("y").import();
        assert_eq!(*op(&one, "y"), Op::Identity);
    }

    #[test]
    fn keeps_helper_names_clear_of_the_models_names() {
        let model = Model::new(13).batch_input("a", &[3]).batch_input("y.partial0", &[3]);
        let graph = model.node("Sum", &["a", "a", "y.partial0"], &["y"], []).output("y").import();
        assert_eq!(*op(&graph, "y.partial0"), Op::Input);
        assert_eq!(*op(&graph, "y.partial0.1"), Op::Binary(Binary::Add));
    }

    #[test]
    fn refuses_integers_in_float_functions() {
        for operator in ["Add", "Neg", "Relu", "Exp", "Mean"] {
            let input = typed_input("x", DataType::INT64, &[SymDim::Value(3)]);
            let inputs = if operator == "Add" { &["x", "x"][..] } else { &["x"] };
            let problems = Model::new(13).input(input).node(operator, inputs, &["y"], []).output("y").problems();
            assert_eq!(problems.len(), 1, "{operator}");
        }
    }

    #[test]
    fn imports_dropout_as_the_identity() {
        assert_eq!(*op(&imported(7, "Dropout", [float("ratio", 0.5)]), "y"), Op::Identity);
        let model = |training: i32| {
            let mut flag = crate::testing::raw_tensor("t", DataType::BOOL, &[], &[]);
            flag.int32_data = vec![training];
            let model = Model::new(13).batch_input("x", &[3]).init(float_tensor("r", &[], &[0.5])).init(flag);
            model.node("Dropout", &["x", "r", "t"], &["y", "mask"], []).output("y")
        };
        assert_eq!(*op(&model(0).import(), "y"), Op::Identity);
        assert_eq!(model(1).problems()[0].subject, "operand 2 (training_mode)");
        assert_eq!(model(0).output("mask").problems()[0].subject, "output 1");
    }

    #[test]
    fn sees_constants_through_identity() {
        let model = Model::new(13).batch_input("x", &[3]).init(float_tensor("six", &[], &[6.0]));
        let model = model.node("Identity", &["six"], &["hi"], []).node("Identity", &["x"], &["z"], []);
        let graph = model.node("Clip", &["z", "", "hi"], &["y"], []).output("y").import();
        assert_eq!(*op(&graph, "y"), Op::Unary(Unary::Clip { min: f32::MIN, max: 6.0 }));
        assert_eq!(graph.len(), 3);
    }
}
