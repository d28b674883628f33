//! Whole imports: what belongs to no single operator.

use std::collections::BTreeMap;

use onnx_protobuf::tensor_proto::DataType;
use onnx_protobuf::{FunctionProto, Message, OperatorSetIdProto, SparseTensorProto};
use rnc_ir::{Graph, Op};

use super::*;
use crate::testing::{
    Model, SymDim, external_tensor, float_tensor, input, int, int_tensor, ints, op, raw_tensor, string, ty, weights,
};

/// A little of everything: a convolutional block, a shape chain, a head.
fn network() -> Model {
    let model =
        Model::new(13).batch_input("x", &[3, 8, 8]).init(weights("w", &[4, 3, 3, 3])).init(weights("fc", &[4, 2]));
    let model = ["s", "b", "m", "v"].iter().fold(model, |model, name| model.init(weights(name, &[4])));
    let model = model.node("Conv", &["x", "w"], &["c"], [ints("pads", &[1, 1, 1, 1])]);
    let model =
        model.node("BatchNormalization", &["c", "s", "b", "m", "v"], &["n"], []).node("Relu", &["n"], &["r"], []);
    let model = model.node("GlobalAveragePool", &["r"], &["p"], []).node("Shape", &["p"], &["shape"], []);
    let model = model.init(int_tensor("zero", &[1], &[0])).init(int_tensor("rest", &[1], &[-1]));
    let model = model.node("Gather", &["shape", "zero"], &["batch"], []);
    let model = model.node("Concat", &["batch", "rest"], &["target"], [int("axis", 0)]);
    model.node("Reshape", &["p", "target"], &["f"], []).node("Gemm", &["f", "fc"], &["logits"], []).output("logits")
}

#[test]
fn imports_a_network_under_its_own_names() {
    let graph = network().import();
    assert_eq!(graph.name(), "test");
    assert_eq!(ty(&graph, "logits"), "f32[N,2]");
    assert_eq!(graph.outputs()[0].name, "logits");
    let names: Vec<_> = graph.ids().map(|id| graph.node(id).name()).collect();
    // Constants right before their first user; nothing of the shape chain.
    assert_eq!(names, ["x", "w", "c", "s", "b", "m", "v", "n", "r", "p", "f", "fc", "logits"]);
}

#[test]
fn sorts_nodes_that_are_not_in_order() {
    let mut model = network();
    model.0.graph.mut_or_insert_default().node.reverse();
    assert!(model.import().same(&network().import()));
}

#[test]
fn reports_all_problems_at_once_and_no_noise_behind_them() {
    let model = Model::new(13).batch_input("x", &[3, 8, 8]).init(weights("w", &[4, 3, 3, 3]));
    let model = model.init(raw_tensor("half", DataType::FLOAT16, &[1], &[0, 0]));
    let model = model.node("Conv", &["x", "w"], &["a"], [string("auto_pad", "BEST")]);
    // All that depends on `a`: only what is wrong by itself is reported.
    let model = model.node("Relu", &["a"], &["b"], []).node("NonZero", &["b"], &["c"], []);
    let model = model.node("Pad", &["c"], &["d"], [string("mode", "twist")]).node("Add", &["d", "half"], &["e"], []);
    let model = model.node("Relu", &["nowhere"], &["g"], []).output("e").output("g").output("missing");
    let problems = model.problems();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let starts = [
        "initializer `half`: element type: found float16",
        "node `a` (Conv, opset 13): attribute `auto_pad`: found `BEST`",
        "node `c` (NonZero, opset 13): operator:",
        "node `d` (Pad, opset 13): attribute `mode`: found `twist`",
        "node `g` (Relu, opset 13): operands: found `nowhere`, which nothing computes",
        "output `missing`: value: found a name that nothing computes",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn reports_a_cycle_by_its_nodes() {
    let model =
        Model::new(13).batch_input("x", &[3]).node("Add", &["x", "b"], &["a"], []).node("Relu", &["a"], &["b"], []);
    let problems = model.node("Relu", &["b"], &["y"], []).output("y").problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].found.starts_with("a cycle of 2 nodes"), "{}", problems[0]);
}

#[test]
fn reports_names_that_are_not_unique() {
    let model =
        Model::new(13).batch_input("x", &[3]).batch_input("x", &[3]).init(weights("w", &[3])).init(weights("w", &[3]));
    let model =
        model.node("Relu", &["x"], &["y"], []).node("Relu", &["x"], &["y"], []).node("Relu", &["x"], &["x"], []);
    let problems = model.output("y").output("y").problems();
    let places: Vec<_> = problems.iter().map(|p| p.place.to_string()).collect();
    let expected =
        ["initializer `w`", "input `x`", "node `y` (Relu, opset 13)", "node `x` (Relu, opset 13)", "output `y`"];
    assert_eq!(places[..5], expected);
}

#[test]
fn takes_initializers_that_are_inputs_too() {
    let model = Model::new(8).batch_input("x", &[3]).fixed_input("w", &[3]).init(weights("w", &[3]));
    let graph = model.node("Add", &["x", "w"], &["y"], []).output("y").import();
    assert_eq!(graph.inputs().len(), 1);
    assert!(matches!(op(&graph, "w"), Op::Constant(_)));
}

#[test]
fn drops_initializers_that_nothing_uses_unread() {
    let unread = external_tensor("gone", &[1 << 40], &[("location", "/nowhere")]);
    let graph =
        Model::new(13).batch_input("x", &[3]).init(unread).node("Relu", &["x"], &["y"], []).output("y").import();
    assert_eq!(graph.len(), 2);
}

#[test]
fn refuses_opsets_out_of_range() {
    let error =
        |opset: i64| Model::new(opset).batch_input("x", &[3]).node("Relu", &["x"], &["y"], []).output("y").try_import();
    assert!(error(6).is_ok() && error(27).is_ok());
    for opset in [5, 28, 0, -1, i64::MAX] {
        let text = error(opset).unwrap_err().to_string();
        assert!(text.contains(&format!("opset {opset}")) && text.contains("6 to 27"), "{text}");
    }
    let mut model = network();
    model.0.opset_import.clear();
    assert!(matches!(model.try_import(), Err(ImportError::Opset { .. })));
    let mut model = network();
    model.0.opset_import.push(OperatorSetIdProto {
        domain: "ai.onnx".into(),
        version: 14,
        ..OperatorSetIdProto::default()
    });
    assert!(matches!(model.try_import(), Err(ImportError::Opset { .. })));
    let mut model = network();
    model.0.opset_import[0].domain = "ai.onnx".into();
    model.0.opset_import.push(OperatorSetIdProto {
        domain: "other".into(),
        version: 99,
        ..OperatorSetIdProto::default()
    });
    assert!(model.try_import().is_ok());
}

#[test]
fn refuses_functions_sparse_initializers_and_models_without_outputs() {
    let mut model = Model::new(13).batch_input("x", &[3]).node("Relu", &["x"], &["y"], []);
    model.0.functions.push(FunctionProto { name: "f".into(), ..FunctionProto::default() });
    let sparse = SparseTensorProto { values: Some(weights("s", &[1])).into(), ..SparseTensorProto::default() };
    model.0.graph.mut_or_insert_default().sparse_initializer.push(sparse);
    let subjects: Vec<_> = model.problems().into_iter().map(|p| p.subject).collect();
    assert_eq!(subjects[..3], ["functions", "data", "outputs"]);
}

#[test]
fn gives_sizes_to_dimensions_by_name() {
    let import = |dims: &[(&str, usize)]| {
        let dims: BTreeMap<_, _> = dims.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        import_bytes(&network().0.write_to_bytes().unwrap(), None, &ImportOptions { dims })
    };
    assert_eq!(ty(&import(&[("N", 4)]).unwrap(), "logits"), "f32[4,2]");
    assert!(matches!(import(&[("M", 4)]), Err(ImportError::UnknownDim { known, .. }) if known == ["N"]));
}

#[test]
fn shares_one_batch_among_all_inputs() {
    let other = input("z", &[SymDim::Param("M"), SymDim::Value(3)]);
    let model = Model::new(13).batch_input("x", &[3]).input(other).node("Add", &["x", "z"], &["y"], []).output("y");
    assert_eq!(ty(&model.import(), "y"), "f32[N,3]");
}

#[test]
fn names_outputs_that_are_inputs_or_constants() {
    let model = Model::new(13).batch_input("x", &[3]).init(weights("w", &[2])).node("Identity", &["w"], &["again"], []);
    let graph = model.output("x").output("w").output("again").try_import().unwrap();
    let outputs: Vec<_> = graph.outputs().iter().map(|o| (o.name.as_str(), graph.node(o.value).name())).collect();
    assert_eq!(outputs, [("x", "x"), ("w", "w"), ("again", "w")]);
}

#[test]
fn gives_known_shapes_as_outputs_but_not_symbolic_ones() {
    let fixed = Model::new(13).fixed_input("x", &[2, 3]).node("Shape", &["x"], &["y"], []).output("y").import();
    assert_eq!(*op(&fixed, "y"), Op::Constant(rnc_ir::Tensor::i64([2], vec![2, 3])));
    let symbolic = Model::new(13).batch_input("x", &[3]).node("Shape", &["x"], &["y"], []).output("y").problems();
    assert!(symbolic[0].found.contains("[N, 3]"), "{}", symbolic[0]);
}

#[test]
fn reads_models_and_external_data_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    let model = Model::new(13).batch_input("x", &[2]).init(external_tensor("w", &[2], &[("location", "w.bin")]));
    let model = model.node("Add", &["x", "w"], &["y"], []).output("y");
    let bytes = model.0.write_to_bytes().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    std::fs::write(dir.path().join("w.bin"), [1.5f32.to_le_bytes(), 2.5f32.to_le_bytes()].concat()).unwrap();
    let graph = import_file(&path, &ImportOptions::default()).unwrap();
    assert_eq!(*op(&graph, "w"), Op::Constant(rnc_ir::Tensor::f32([2], vec![1.5, 2.5])));

    let alone = import_bytes(&bytes, None, &ImportOptions::default()).unwrap_err().to_string();
    assert!(alone.contains("initializer `w`: external data"), "{alone}");
    let absent = import_file(&dir.path().join("absent.onnx"), &ImportOptions::default());
    assert!(matches!(absent, Err(ImportError::Io { .. })));
}

#[test]
fn says_what_is_not_a_model() {
    let import = |bytes: &[u8]| import_bytes(bytes, None, &ImportOptions::default()).unwrap_err();
    for bytes in [&b""[..], b"hello, world", b"\x08", &[0xff; 64], b"\x08\x07"] {
        assert!(matches!(import(bytes), ImportError::NotOnnx { .. }), "{bytes:?}");
    }
    let bytes = network().0.write_to_bytes().unwrap();
    assert!(matches!(import(&bytes[..bytes.len() / 2]), ImportError::NotOnnx { .. }));
}

#[test]
fn never_panics_on_damaged_models() {
    let chain = Model::new(11).batch_input("x", &[4, 5]).init(int_tensor("s", &[2], &[1, 4])).init(float_tensor(
        "f",
        &[1],
        &[0.5],
    ));
    let chain = chain.node("Split", &["x"], &["a", "b"], [int("axis", 1), ints("split", &[2, 2])]);
    let chain = chain.node("Softmax", &["a"], &["c"], [int("axis", 1)]).node("Flatten", &["c"], &["d"], []);
    let chain = chain.node("Range", &["one", "one", "one"], &["r"], []).init(int_tensor("one", &[], &[1]));
    let chain = chain.node("Slice", &["b", "s", "s", "s", "s"], &["e"], []).node("Expand", &["x", "s"], &["g"], []);
    let chain = chain.node("Gather", &["s", "r"], &["h"], []).node("ConstantOfShape", &["s"], &["i"], []);
    let chain =
        chain.node("MaxPool", &["x"], &["j"], [ints("kernel_shape", &[1, 1]), string("auto_pad", "SAME_UPPER")]);
    let chain = ["d", "e", "g", "h", "i", "j"].iter().fold(chain, |model, name| model.output(name));

    let mut outcomes = [0usize; 3];
    for model in [network(), chain] {
        let bytes = model.0.write_to_bytes().unwrap();
        for at in 0..bytes.len() {
            for change in [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = if change < 3 { damaged[at].wrapping_add(change * 85 + 1) } else { change };
                let result = import_bytes(&damaged, None, &ImportOptions::default());
                outcomes[outcome(result)] += 1;
            }
        }
        for length in 0..bytes.len() {
            outcomes[outcome(import_bytes(&bytes[..length], None, &ImportOptions::default()))] += 1;
        }
    }
    // The damage reaches all stages, else this would test little.
    assert!(outcomes.iter().all(|n| *n > 100), "{outcomes:?}");
}

fn outcome(result: Result<Graph, ImportError>) -> usize {
    match result {
        Ok(_) => 0,
        Err(ImportError::Unsupported { problems }) => {
            assert!(!problems.is_empty());
            1
        }
        Err(_) => 2,
    }
}
