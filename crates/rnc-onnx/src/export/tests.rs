//! Tests of the export: what an import of the bytes gives back.

use onnx_protobuf::{Message, ModelProto};
use rnc_ir::op::{
    Activation, AveragePool, Axis, BatchNorm, Binary, Conv2d, Gemm, Pad, Pool, Reduce, ReduceKind, Reshape, Slice,
    Transpose, Unary, Window,
};
use rnc_ir::{DType, Dim, Graph, NodeId, Op, Shape, Tensor, TensorType};

use crate::testing::{op, ty};
use crate::{ExportError, ImportOptions, export, import_bytes};

fn reimported(graph: &Graph) -> Graph {
    rnc_ir::verify(graph).unwrap();
    import_bytes(&export(graph).unwrap(), None, &ImportOptions::default()).unwrap()
}

/// A graph of one operator on `x` and constants of these dimensions.
fn one(op: Op, x: &[usize], constants: &[&[usize]]) -> Graph {
    let mut graph = Graph::new("g");
    let dims: Vec<Dim> = [Dim::Batch].into_iter().chain(x.iter().copied().map(Dim::Fixed)).collect();
    let mut operands = vec![graph.add_input("x", TensorType::f32(dims))];
    for (i, dims) in constants.iter().enumerate() {
        operands.push(constant(&mut graph, &format!("c{i}"), dims));
    }
    let y = graph.add("y", op, &operands).unwrap();
    graph.add_output("y", y);
    graph
}

fn constant(graph: &mut Graph, name: &str, dims: &[usize]) -> NodeId {
    let count: usize = dims.iter().product();
    graph.add_constant(name, Tensor::f32(dims.to_vec(), (0..count).map(|i| i as f32 + 0.5).collect::<Vec<_>>()))
}

fn shape(dims: &[usize]) -> Reshape {
    Reshape { shape: Shape::new([Dim::Batch].into_iter().chain(dims.iter().copied().map(Dim::Fixed))) }
}

#[test]
fn gives_back_every_operator_that_onnx_has() {
    let window = Window { kernel: [3, 2], stride: [2, 1], pad_begin: [1, 0], pad_end: [0, 1], dilation: [1, 2] };
    let pool = Pool { window: Window { dilation: [1, 1], ..window }, ceil_mode: true };
    let conv = Conv2d { window, groups: 2, bias: true, residual: false, activation: Activation::None };
    let gemm = Gemm { alpha: 0.5, beta: 2.0, trans_a: false, trans_b: true, bias: true, activation: Activation::None };
    let image = &[4, 8, 8][..];
    let mut graphs = vec![
        one(Op::Conv2d(conv), image, &[&[6, 2, 3, 2], &[6]]),
        one(Op::BatchNorm(BatchNorm { epsilon: 0.001 }), image, &[&[4], &[4], &[4], &[4]]),
        one(Op::MaxPool(Pool { window, ceil_mode: false }), image, &[]),
        one(Op::MaxPool(pool), image, &[]),
        one(Op::AveragePool(AveragePool { pool, count_include_pad: true }), image, &[]),
        one(
            Op::AveragePool(AveragePool { pool: Pool { window, ceil_mode: false }, count_include_pad: false }),
            image,
            &[],
        ),
        one(Op::GlobalAveragePool, image, &[]),
        one(Op::GlobalMaxPool, image, &[]),
        one(Op::Gemm(gemm), &[4], &[&[5, 4], &[5]]),
        one(Op::MatMul, &[3, 4], &[&[4, 5]]),
        one(Op::Softmax(Axis { axis: 1 }), &[3, 4], &[]),
        one(Op::Reshape(shape(&[12])), &[3, 4], &[]),
        one(Op::Reshape(Reshape { shape: Shape::new([Dim::Fixed(1), Dim::Batch]) }), &[1], &[]),
        one(Op::Expand(shape(&[2, 3, 4])), &[1, 3, 1], &[]),
        one(Op::Transpose(Transpose { perm: vec![0, 2, 1] }), &[3, 4], &[]),
        one(Op::Pad(Pad { begin: vec![0, 1, 2], end: vec![0, 3, 0], value: -1.5 }), &[3, 4], &[]),
        one(Op::Identity, &[3], &[]),
    ];
    for binary in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min] {
        graphs.push(one(Op::Binary(binary), &[3, 4], &[&[4]]));
    }
    for unary in [
        Unary::Relu,
        Unary::LeakyRelu { alpha: 0.2 },
        Unary::Clip { min: -1.0, max: f32::INFINITY },
        Unary::Sigmoid,
        Unary::HardSigmoid { alpha: 0.25, beta: 0.75 },
        Unary::HardSwish,
        Unary::Tanh,
        Unary::Exp,
        Unary::Sqrt,
        Unary::Abs,
        Unary::Neg,
        Unary::Reciprocal,
        Unary::Floor,
        Unary::Ceil,
    ] {
        graphs.push(one(Op::Unary(unary), &[3], &[]));
    }
    for kind in [ReduceKind::Mean, ReduceKind::Sum, ReduceKind::Max] {
        graphs.push(one(
            Op::Reduce(Reduce { kind, axes: vec![1, 2], keep_dims: kind == ReduceKind::Max }),
            &[3, 4],
            &[],
        ));
    }
    for (start, size, step) in [(1, 2, 2), (4, 3, -2), (4, 5, -1), (3, 1, -1), (2, 3, 1)] {
        let slice = Slice { starts: vec![0, start], sizes: vec![None, Some(size)], steps: vec![1, step] };
        graphs.push(one(Op::Slice(slice), &[5], &[]));
    }
    for graph in &graphs {
        let again = reimported(graph);
        assert!(again.same(graph), "before:\n{graph}\nafter:\n{again}");
    }
}

#[test]
fn writes_joins_of_values() {
    let mut graph = Graph::new("g");
    let operands = [3, 4].map(|n| graph.add_input("x", TensorType::f32([Dim::Batch, Dim::Fixed(n)])));
    let y = graph.add("y", Op::Concat(Axis { axis: 1 }), &operands).unwrap();
    graph.add_output("y", y);
    assert!(reimported(&graph).same(&graph));
}

#[test]
fn writes_fused_operators_as_several_nodes() {
    let mut graph = Graph::new("g");
    let x = graph.add_input("x", TensorType::f32([Dim::Batch, Dim::Fixed(2), Dim::Fixed(4), Dim::Fixed(4)]));
    let w = constant(&mut graph, "w", &[2, 2, 3, 3]);
    let window = Window::new([3, 3]).pad(1);
    let conv = |activation| Op::Conv2d(Conv2d { window, groups: 1, bias: false, residual: true, activation });
    let a = graph.add("a", conv(Activation::Relu), &[x, w, x]).unwrap();
    let b = graph.add("b", conv(Activation::Clip { min: 0.0, max: 6.0 }), &[a, w, x]).unwrap();
    let c = graph.add("c", Op::Unary(Unary::Silu), &[b]).unwrap();
    graph.add_output("c", c);
    let again = reimported(&graph);
    let chain = |name: &str| {
        let id = again.find(name).unwrap();
        let operands: Vec<_> = again.operands(id).iter().map(|o| again.node(*o).name()).collect();
        (again.op(id).name(), operands)
    };
    assert_eq!(chain("a.conv"), ("conv2d", vec!["x", "w"]));
    assert_eq!(chain("a.sum"), ("add", vec!["a.conv", "x"]));
    assert_eq!(chain("a"), ("relu", vec!["a.sum"]));
    assert_eq!(*op(&again, "b"), Op::Unary(Unary::Clip { min: 0.0, max: 6.0 }));
    assert_eq!(chain("c"), ("mul", vec!["b", "c.sigmoid"]));

    let gemm =
        Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false, bias: false, activation: Activation::Relu };
    let again = reimported(&one(Op::Gemm(gemm), &[4], &[&[4, 5]]));
    assert_eq!((op(&again, "y").name(), op(&again, "y.sum").name()), ("relu", "gemm"));
}

#[test]
fn takes_the_batch_of_an_expansion_from_an_input() {
    let mut graph = one(Op::Unary(Unary::Relu), &[3], &[]);
    let token = constant(&mut graph, "token", &[1, 3]);
    let expanded = graph.add("expanded", Op::Expand(shape(&[3])), &[token]).unwrap();
    graph.add_output("expanded", expanded);
    let again = reimported(&graph);
    assert!(again.same(&graph), "{again}");
    assert_eq!(ty(&again, "expanded"), "f32[N,3]");
}

#[test]
fn keeps_the_names_of_outputs() {
    let mut graph = one(Op::Unary(Unary::Relu), &[3], &[]);
    let (x, y) = (graph.find("x").unwrap(), graph.find("y").unwrap());
    // A name of its own; a name that another value has; the input under another name.
    let z = graph.add("z", Op::Unary(Unary::Neg), &[y]).unwrap();
    graph.add_output("second", y);
    graph.add_output("w", z);
    graph.add_output("through", x);
    constant(&mut graph, "w", &[2]);
    let again = reimported(&graph);
    let names: Vec<_> = again.outputs().iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["y", "second", "w", "through"]);
    assert_eq!(op(&again, "w").name(), "neg");
    assert_eq!(op(&again, "second").name(), "identity");
}

#[test]
fn refuses_an_output_with_the_name_of_another_input() {
    let mut graph = one(Op::Unary(Unary::Relu), &[3], &[]);
    graph.add_output("x", graph.find("y").unwrap());
    assert_eq!(export(&graph), Err(ExportError::OutputName { output: "x".into() }));
}

#[test]
fn writes_integers_and_values_without_dimensions() {
    let mut graph = Graph::new("g");
    let x = graph.add_input("x", TensorType::f32([0usize; 0]));
    let i = graph.add_input("i", TensorType { dtype: DType::I64, shape: Shape::new([4usize]) });
    let y = graph.add("y", Op::Slice(Slice { starts: vec![], sizes: vec![], steps: vec![] }), &[x]).unwrap();
    let whole = Slice { starts: vec![0], sizes: vec![None], steps: vec![1] };
    let j = graph.add("j", Op::Slice(whole), &[i]).unwrap();
    graph.add_output("y", y);
    graph.add_output("j", j);
    let again = reimported(&graph);
    assert_eq!((ty(&again, "y"), ty(&again, "j")), ("f32[]".into(), "i64[4]".into()));
}

#[test]
fn writes_opset_17_unless_a_pool_needs_19() {
    let versions = |graph: &Graph| {
        let model = ModelProto::parse_from_bytes(&export(graph).unwrap()).unwrap();
        (model.opset_import[0].version, model.ir_version)
    };
    let dilated = |dilation| {
        let pool = Pool { window: Window { dilation, ..Window::new([2, 2]) }, ceil_mode: false };
        one(Op::AveragePool(AveragePool { pool, count_include_pad: false }), &[4, 8, 8], &[])
    };
    assert_eq!(versions(&dilated([1, 1])), (17, 8));
    assert_eq!(versions(&dilated([1, 2])), (19, 9));
}
