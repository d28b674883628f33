//! Chains of shape arithmetic as exporters write them, in whole models.

use onnx_protobuf::tensor_proto::DataType;
use protobuf::Enum;
use rnc_ir::Op;
use rnc_ir::op::Pad;

use crate::testing::{Model, float_tensor, int, int_tensor, ints, op, raw_tensor, tensor, ty};

fn cast(to: DataType) -> [onnx_protobuf::AttributeProto; 1] {
    [int("to", i64::from(to.value()))]
}

/// A scalar constant of this name.
fn scalar(model: Model, name: &str, value: i64) -> Model {
    model.init(int_tensor(name, &[], &[value]))
}

fn list(model: Model, name: &str, values: &[i64]) -> Model {
    model.init(int_tensor(name, &[values.len() as i64], values))
}

/// Ends a model with a reshape of `x` to `shape`, of which it gives the type.
fn reshaped(model: Model) -> String {
    ty(&model.node("Reshape", &["x", "shape"], &["y"], []).output("y").import(), "y")
}

#[test]
fn folds_pytorchs_view_of_size_0() {
    let model = scalar(Model::new(13).batch_input("x", &[8, 2, 2]), "zero", 0);
    let model = list(list(model, "axes", &[0]), "minus1", &[-1]);
    let model = model.node("Shape", &["x"], &["s"], []).node("Gather", &["s", "zero"], &["n"], [int("axis", 0)]);
    let model = model.node("Unsqueeze", &["n", "axes"], &["u"], []).node(
        "Concat",
        &["u", "minus1"],
        &["shape"],
        [int("axis", 0)],
    );
    let graph = model.node("Reshape", &["x", "shape"], &["y"], []).output("y").import();
    assert_eq!(ty(&graph, "y"), "f32[N,32]");
    assert_eq!(graph.len(), 2, "{graph}");
}

#[test]
fn folds_pytorchs_channel_shuffle() {
    // x.view(n, 2, c // 2, h, w) with every size out of Shape.
    let mut model = list(scalar(Model::new(13).batch_input("x", &[8, 3, 3]), "two", 2), "axes", &[0]);
    model = list(model, "groups", &[2]).node("Shape", &["x"], &["s"], []);
    for (i, name) in ["n", "c", "h", "w"].iter().enumerate() {
        let index = format!("i{name}");
        model = scalar(model, &index, i as i64).node("Gather", &["s", &index], &[name], []);
    }
    model = model.node("Div", &["c", "two"], &["c2"], []);
    for name in ["n", "c2", "h", "w"] {
        model = model.node("Unsqueeze", &[name, "axes"], &[&format!("u{name}")], []);
    }
    let model = model.node("Concat", &["un", "groups", "uc2", "uh", "uw"], &["shape"], [int("axis", 0)]);
    assert_eq!(reshaped(model), "f32[N,2,4,3,3]");
}

#[test]
fn folds_pytorchs_padding_amounts() {
    // F.pad(x, (0, 0, 0, 0, 2, 2)): filled up with zeros, paired, reversed, transposed, cast.
    let model = list(Model::new(13).batch_input("x", &[4, 3, 3]), "given", &[0, 0, 0, 0, 2, 2]);
    let model = list(list(model, "two_columns", &[-1, 2]), "all", &[-1]);
    let model = list(list(list(list(model, "last", &[-1]), "before", &[i64::MIN + 1]), "axis0", &[0]), "step", &[-1]);
    let model = scalar(model, "rank2", 8).node("Shape", &["given"], &["have"], []);
    let model = model.node("Sub", &["rank2", "have"], &["missing"], []);
    let zero = tensor("value", int_tensor("", &[1], &[0]));
    let model = model.node("ConstantOfShape", &["missing"], &["zeros"], [zero]);
    let model = model.node("Concat", &["given", "zeros"], &["flat"], [int("axis", 0)]);
    let model = model.node("Reshape", &["flat", "two_columns"], &["pairs"], []);
    let model = model.node("Slice", &["pairs", "last", "before", "axis0", "step"], &["reversed"], []);
    let model = model.node("Transpose", &["reversed"], &["columns"], [ints("perm", &[1, 0])]);
    let model = model.node("Reshape", &["columns", "all"], &["row"], []).node(
        "Cast",
        &["row"],
        &["pads"],
        cast(DataType::INT64),
    );
    let graph = model.node("Pad", &["x", "pads"], &["y"], []).output("y").import();
    let expected = Pad { begin: vec![0, 2, 0, 0], end: vec![0, 2, 0, 0], value: 0.0 };
    assert_eq!(*op(&graph, "y"), Op::Pad(expected));
    assert_eq!(graph.len(), 2);
}

#[test]
fn folds_pytorchs_expand_with_minus_ones() {
    let model = list(Model::new(13).batch_input("x", &[1, 3]), "wanted", &[-1, 4, -1]);
    let model = list(list(model, "minus1", &[-1]), "ones", &[1, 1, 1]);
    let model = model.node("Equal", &["wanted", "minus1"], &["open"], []).node(
        "Where",
        &["open", "ones", "wanted"],
        &["shape"],
        [],
    );
    let graph = model.node("Expand", &["x", "shape"], &["y"], []).output("y").import();
    assert_eq!(ty(&graph, "y"), "f32[N,4,3]");
}

#[test]
fn follows_floats_through_rounding_and_back() {
    // int(floor(float(h) * 0.5)), as interpolation exports it.
    let model = scalar(Model::new(13).batch_input("x", &[5, 7]), "one", 1).init(float_tensor("half", &[], &[0.5]));
    let model = list(model, "axes", &[0]).init(int_tensor("zero", &[1], &[0]));
    let model = model.node("Shape", &["x"], &["s"], []).node("Gather", &["s", "one"], &["h"], []);
    let model =
        model.node("Cast", &["h"], &["hf"], cast(DataType::FLOAT)).node("Mul", &["hf", "half"], &["scaled"], []);
    let model =
        model.node("Floor", &["scaled"], &["floor"], []).node("Cast", &["floor"], &["hi"], cast(DataType::INT64));
    let model = model.node("Unsqueeze", &["hi", "axes"], &["end"], []);
    let model = list(model, "axis1", &[1]).node("Slice", &["x", "zero", "end", "axis1"], &["y"], []).output("y");
    assert_eq!(ty(&model.import(), "y"), "f32[N,2,7]");
}

#[test]
fn multiplies_and_divides_the_batch_size() {
    // ReduceProd of the shape is 12 N; over Size / N that is N again.
    let model = scalar(Model::new(13).batch_input("x", &[3, 4]), "twelve", 12);
    let model = list(model, "minus1", &[-1]).node("Shape", &["x"], &["s"], []);
    let model =
        model.node("ReduceProd", &["s"], &["all"], [int("keepdims", 1)]).node("Div", &["all", "twelve"], &["n"], []);
    let model = model.node("Concat", &["n", "minus1"], &["shape"], [int("axis", 0)]);
    assert_eq!(reshaped(model), "f32[N,12]");
}

#[test]
fn slices_to_the_batch_size_itself() {
    let model = list(list(Model::new(15).batch_input("x", &[3]), "zero", &[0]), "axis", &[0]);
    let model = model.node("Shape", &["x"], &["n"], [int("start", 0), int("end", 1)]);
    let graph = model.node("Slice", &["x", "zero", "n", "axis"], &["y"], []).output("y").import();
    assert_eq!(ty(&graph, "y"), "f32[N,3]");
}

#[test]
fn counts_and_selects_with_the_rest_of_the_operators() {
    // Size, Range, Mod, Neg, Min, Max, Less, Not, ReduceMin in one chain: [1..4) mod 2 → [1, 0, 1], …
    let model = scalar(scalar(Model::new(13).fixed_input("x", &[2, 3]), "one", 1), "four", 4);
    let model = scalar(model, "two", 2).node("Range", &["one", "four", "one"], &["r"], []);
    let model = model.node("Mod", &["r", "two"], &["m"], []).node("Neg", &["m"], &["neg"], []);
    let model = model.node("ReduceMin", &["neg"], &["minus1"], [int("keepdims", 1)]);
    let model = model.node("Size", &["x"], &["six"], []).node("Min", &["six", "two", "four"], &["least"], []);
    let model = model.node("Less", &["least", "one"], &["less"], []).node("Not", &["less"], &["not"], []);
    let model = model.node("Where", &["not", "minus1", "least"], &["open"], []);
    let model = list(model, "axes", &[0]).node("Unsqueeze", &["least", "axes"], &["rows"], []);
    let model = model.node("Concat", &["rows", "open"], &["shape"], [int("axis", 0)]);
    assert_eq!(reshaped(model), "f32[2,3]");
}

#[test]
fn reports_a_shape_that_is_not_known() {
    // N + 1 has no form.
    let model = list(list(Model::new(13).batch_input("x", &[3]), "one", &[1]), "axis", &[0]);
    let model = model.node("Shape", &["x"], &["s"], []).node("Slice", &["s", "axis", "one", "axis"], &["n"], []);
    let model =
        model.node("Add", &["n", "one"], &["more"], []).node("Concat", &["more", "one"], &["shape"], [int("axis", 0)]);
    let problems = model.node("Reshape", &["x", "shape"], &["y"], []).output("y").problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].found.contains("[?, 1]"), "{}", problems[0]);
    assert_eq!(problems[0].subject, "operand 1 (shape)");
}

#[test]
fn reports_a_shape_that_is_computed_when_the_model_runs() {
    let model = Model::new(13).batch_input("x", &[3]);
    let model = model.input(crate::testing::typed_input("s", DataType::INT64, &[crate::testing::SymDim::Value(2)]));
    let problems = model.node("Reshape", &["x", "s"], &["y"], []).output("y").problems();
    assert!(problems[0].found.contains("`s`, which is computed when the model runs"), "{}", problems[0]);
}

#[test]
fn makes_weights_of_constant_of_shape() {
    let model = list(Model::new(9).batch_input("x", &[3]), "dims", &[3, 4]);
    let fill = tensor("value", float_tensor("", &[1], &[0.25]));
    let model = model.node("ConstantOfShape", &["dims"], &["w"], [fill]);
    let graph = model.node("MatMul", &["x", "w"], &["y"], []).output("y").import();
    assert_eq!(*op(&graph, "w"), Op::Constant(rnc_ir::Tensor::f32([3, 4], vec![0.25; 12])));
}

#[test]
fn expands_constant_of_shape_to_the_batch() {
    let model = Model::new(13).batch_input("x", &[3]).node("Shape", &["x"], &["s"], []);
    let model = model.node("ConstantOfShape", &["s"], &["zeros"], []);
    let graph = model.node("Add", &["x", "zeros"], &["y"], []).output("y").import();
    assert_eq!(ty(&graph, "zeros"), "f32[N,3]");
    assert!(matches!(op(&graph, "zeros"), Op::Expand(_)));
}

#[test]
fn refuses_huge_results_before_they_are_made() {
    let made = |dims: &[i64], fill| {
        let model = list(Model::new(13), "dims", dims);
        model.node("ConstantOfShape", &["dims"], &["y"], [tensor("value", fill)]).output("y").problems().remove(0)
    };
    let float = || float_tensor("", &[1], &[0.0]);
    assert_eq!(made(&[1 << 20, 1 << 20], float()).subject, "size of constants");
    assert_eq!(made(&[i64::MAX, i64::MAX], float()).subject, "operand 0 (shape)");
    assert_eq!(made(&[-1], float()).subject, "operand 0 (shape)");
    assert_eq!(made(&[1 << 20, 1 << 20], int_tensor("", &[1], &[0])).subject, "shape arithmetic");
    let model = scalar(scalar(scalar(Model::new(13), "a", 0), "b", i64::MAX), "c", 1);
    assert_eq!(model.node("Range", &["a", "b", "c"], &["y"], []).output("y").problems()[0].subject, "operands");
}

#[test]
fn bounds_what_many_nodes_compute_together() {
    let mut model = list(Model::new(13), "dims", &[1 << 16]);
    model = model.node("ConstantOfShape", &["dims"], &["v0"], [tensor("value", int_tensor("", &[1], &[1]))]);
    for i in 0..300 {
        model = model.node("Neg", &[&format!("v{i}")], &[&format!("v{}", i + 1)], []);
    }
    let problems = model.output("v300").problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].found.contains("in the model"), "{}", problems[0]);
}

#[test]
fn refuses_indices_out_of_range_and_types_that_differ() {
    let model = list(scalar(Model::new(13), "five", 5), "data", &[1, 2]);
    assert_eq!(
        model.node("Gather", &["data", "five"], &["y"], []).output("y").problems()[0].subject,
        "operand 1 (indices)"
    );
    let model = list(Model::new(13), "data", &[1, 2]).init(raw_tensor("b", DataType::BOOL, &[2], &[0, 1]));
    assert_eq!(model.node("Equal", &["data", "b"], &["y"], []).output("y").problems()[0].subject, "operands");
    let model = Model::new(13).batch_input("x", &[2]).node("Cast", &["x"], &["y"], cast(DataType::INT64));
    assert_eq!(model.output("y").problems()[0].subject, "attribute `to`");
    let model = Model::new(13).batch_input("x", &[2]).node("Cast", &["x"], &["y"], cast(DataType::FLOAT16));
    assert!(model.output("y").problems()[0].found.contains("float16"));
}

#[test]
fn casts_floats_to_floats_as_the_identity() {
    let model = Model::new(13).batch_input("x", &[2]).node("Cast", &["x"], &["y"], cast(DataType::FLOAT));
    assert_eq!(*op(&model.output("y").import(), "y"), Op::Identity);
}
