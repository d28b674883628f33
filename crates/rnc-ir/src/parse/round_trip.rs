//! Random graphs print and parse back to themselves; random texts are refused without a panic.

use super::tests::EVERY_OPERATOR;
use super::*;
use crate::op::{
    Activation, AveragePool, Axis, BatchNorm, Binary, Conv2d, Gemm, Pad, Pool, Reduce, ReduceKind, Reshape, Slice,
    Transpose, Unary, Window,
};
use crate::resize::{Coordinates, Interpolation, Resize, Rounding};
use crate::verify::verify;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

/// What a random graph is grown from: which operator, which operands, which numbers.
#[derive(Clone, Debug)]
struct Step {
    kind: usize,
    picks: [usize; 3],
    numbers: [usize; 4],
    floats: [f32; 2],
    flags: [bool; 2],
    name: String,
}

fn step() -> impl Strategy<Value = Step> {
    let names = prop_oneof!["[a-z0-9_.]{1,4}", "[a-c/:\"\\\\ \n\t\u{7f}é@%]{0,4}"];
    let small = any::<[prop::sample::Index; 7]>();
    (0usize..26, small, any::<[f32; 2]>(), any::<[bool; 2]>(), names).prop_map(|(kind, n, floats, flags, name)| Step {
        kind,
        picks: [n[0].index(64), n[1].index(64), n[2].index(64)],
        numbers: [n[3].index(4), n[4].index(4), n[5].index(4), n[6].index(4)],
        floats,
        flags,
        name,
    })
}

impl Step {
    fn window(&self) -> Window {
        let [a, b, c, d] = self.numbers;
        let kernel = [1 + a % 3, 1 + b % 3];
        Window {
            kernel,
            stride: [1 + c % 2, 1 + d % 2],
            pad_begin: [a % 2, b % 2],
            pad_end: [c % 2, a % 2],
            dilation: [1, 1 + d % 2],
        }
    }

    fn pool(&self) -> Pool {
        Pool { window: self.window(), ceil_mode: self.flags[0] }
    }

    fn activation(&self) -> Activation {
        match self.numbers[3] {
            0 => Activation::Relu,
            1 => Activation::Clip { min: self.floats[0], max: self.floats[1] },
            _ => Activation::None,
        }
    }

    /// Adds the operator, and the constants that it needs, if it takes the operands picked.
    fn grow(&self, graph: &mut Graph) {
        let ids: Vec<_> = graph.ids().collect();
        let [x, y, z] = self.picks.map(|pick| ids[pick % ids.len()]);
        let (op, operands) = match self.kind {
            0..=4 => self.with_constants(graph, x, z),
            5..=12 => self.elementwise(x, y),
            _ => self.shaping(graph.ty(x).shape.dims(), x),
        };
        // Most picks fit; those that do not leave no node behind.
        let _ = graph.add(&self.name, op, &operands);
        if self.flags == [true, true] {
            graph.add_output(format!("{}{}", self.name, graph.outputs().len()), x);
        }
    }

    fn with_constants(&self, graph: &mut Graph, x: NodeId, z: NodeId) -> (Op, Vec<NodeId>) {
        let dims = graph.ty(x).shape.dims();
        let channels = dims.get(1).and_then(|c| c.fixed()).unwrap_or(1);
        let last = dims.last().and_then(|d| d.fixed()).unwrap_or(1);
        let mut constant = |dims: &[usize]| {
            let tensor = pseudo_random(DType::F32, dims, self.picks[0] as u64, [-1.0, 1.0]);
            graph.add_constant(&format!("{}c", self.name), tensor)
        };
        let ([a, ..], [f, g], [p, q], activation) = (self.numbers, self.floats, self.flags, self.activation());
        match self.kind {
            0 => {
                let window = self.window();
                let mut operands = vec![x, constant(&[1 + a, channels, window.kernel[0], window.kernel[1]])];
                operands.extend(p.then(|| constant(&[1 + a])));
                operands.extend(q.then_some(z));
                (Op::Conv2d(Conv2d { window, groups: 1, bias: p, residual: q, activation }), operands)
            }
            1 => {
                let v = constant(&[channels]);
                (Op::BatchNorm(BatchNorm { epsilon: f.abs() }), vec![x, v, v, v, v])
            }
            2 => {
                let mut operands = vec![x, constant(&[1 + a, channels])];
                operands.extend(p.then(|| constant(&[1])));
                (Op::Gemm(Gemm { alpha: f, beta: g, trans_a: q, trans_b: true, bias: p, activation }), operands)
            }
            3 => (Op::MatMul, vec![x, constant(&[last, 1 + a])]),
            _ => (Op::Constant(Tensor::i64([2], vec![a as i64 - 2, i64::MAX])), vec![]),
        }
    }

    fn elementwise(&self, x: NodeId, y: NodeId) -> (Op, Vec<NodeId>) {
        let (a, [f, g]) = (self.numbers[0], self.floats);
        let binary = [Binary::Add, Binary::Mul, Binary::Max, Binary::Sub];
        match self.kind {
            5..=7 => (Op::Binary(binary[a]), vec![x, y]),
            8 => (Op::Unary(Unary::Clip { min: f, max: g }), vec![x]),
            9 => (Op::Unary([Unary::Relu, Unary::Silu, Unary::Neg, Unary::LeakyRelu { alpha: f }][a]), vec![x]),
            10 => (Op::Unary(Unary::HardSigmoid { alpha: f, beta: g }), vec![x]),
            11 => (Op::Identity, vec![x]),
            _ => (Op::Binary(Binary::Div), vec![y, y]),
        }
    }

    fn shaping(&self, dims: &[Dim], x: NodeId) -> (Op, Vec<NodeId>) {
        let ([a, b, ..], [p, q]) = (self.numbers, self.flags);
        let rank = dims.len();
        let op = match self.kind {
            13 => Op::MaxPool(self.pool()),
            14 => Op::AveragePool(AveragePool { pool: self.pool(), count_include_pad: q }),
            15 => Op::GlobalAveragePool,
            16 => Op::GlobalMaxPool,
            17 => Op::Softmax(Axis { axis: a }),
            24 => {
                let interpolation = [
                    Interpolation::Nearest(Rounding::ALL[b]),
                    Interpolation::Linear,
                    Interpolation::Cubic { a: self.floats[0] },
                    Interpolation::Linear,
                ][a];
                let shape = Shape::new(dims.iter().map(|dim| dim.fixed().map_or(*dim, |n| Dim::Fixed(2 * n))));
                let scales = dims.iter().map(|dim| if dim.fixed().is_some() { 2.0 } else { 1.0 }).collect();
                let coordinates = Coordinates::ALL[b];
                Op::Resize(Resize { shape, scales, interpolation, coordinates, antialias: p, exclude_outside: q })
            }
            18 => return (Op::Concat(Axis { axis: a }), vec![x; 1 + b]),
            19 => {
                let rest = Shape::new(dims.iter().skip(1).copied()).elements().map_or(1, |(n, _)| n);
                let first = dims.first().copied().unwrap_or(Dim::Fixed(1));
                Op::Reshape(Reshape { shape: Shape::new([first, Dim::Fixed(rest)]) })
            }
            20 => Op::Transpose(Transpose { perm: (0..rank).rev().collect() }),
            21 => Op::Slice(self.slice(rank)),
            22 => {
                let amounts = |n: usize| (0..rank).map(|i| if i == 0 { 0 } else { (n + i) % 3 }).collect();
                Op::Pad(Pad { begin: amounts(a), end: amounts(b), value: self.floats[0] })
            }
            23 => {
                let dims = [Dim::Fixed(1 + a)].into_iter().chain(dims.iter().copied());
                Op::Expand(Reshape { shape: Shape::new(dims) })
            }
            _ => {
                let kind = [ReduceKind::Mean, ReduceKind::Sum, ReduceKind::Max, ReduceKind::Max][a];
                Op::Reduce(Reduce { kind, axes: (1 + b % 2..rank).collect(), keep_dims: p })
            }
        };
        (op, vec![x])
    }

    fn slice(&self, rank: usize) -> Slice {
        let [a, b, c, d] = self.numbers;
        let mut slice = Slice { starts: vec![0; rank], sizes: vec![None; rank], steps: vec![1; rank] };
        if let Some(axis) = rank.checked_sub(1 + a % 2).filter(|_| rank > 1) {
            let step = if self.flags[0] { -1 } else { 1 + d as isize };
            (slice.starts[axis], slice.sizes[axis], slice.steps[axis]) = (b, Some(c), step);
        }
        slice
    }
}

fn graph() -> impl Strategy<Value = Graph> {
    prop::collection::vec(step(), 1..30).prop_map(|steps| {
        let mut graph = Graph::new(steps[0].name.clone());
        let x = graph.add_input(&steps[0].name, TensorType::f32([Dim::Batch, 3.into(), 6.into(), 5.into()]));
        graph.add_input("m", TensorType::f32([Dim::Batch, 20.into()]));
        for step in &steps {
            step.grow(&mut graph);
        }
        graph.add_output("x", x);
        graph
    })
}

/// A text made of pieces of the syntax.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "graph @g(%x: f32[N,1,4,4]) -> (%x) {\n",
        "%",
        "@",
        "x",
        "y",
        " = ",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "->",
        "relu",
        "conv2d",
        "slice",
        "constant",
        "random",
        "f32",
        "i64",
        "N",
        "0",
        "1",
        "-3",
        "1e9",
        "18446744073709551615",
        "inf",
        "nan",
        "\"",
        "\\u{",
        "\\",
        "\n",
        "//",
        "hash=0123456789abcdef",
        "pad=",
        "starts=",
        "sizes=",
        "kernel=",
        "é",
        "as",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

/// The graphs are worth something only if most operators that are tried take their operands.
#[test]
fn grows_graphs_of_every_kind_of_operator() {
    let mut runner = prop::test_runner::TestRunner::deterministic();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let graph = graph().new_tree(&mut runner).unwrap().current();
        names.extend(graph.ids().map(|id| graph.op(id).name()));
    }
    // All that `Step` can make: inputs, constants, 6 functions of one operand, 5 of two, 3 reductions, 17 others.
    assert_eq!(names.len(), 33, "{names:?}");
}

proptest! {
    #[test]
    fn parses_what_it_prints_to_the_same_graph(graph in graph()) {
        verify(&graph).unwrap();
        let text = graph.to_string();
        let source = |name: &str, _: &TensorType, _: u64| graph.node(graph.find(name)?).constant().cloned();
        let parsed = parse_with(&text, &source).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert!(parsed.same(&graph), "{text}");
        prop_assert_eq!(parsed.to_string(), text);
    }

    #[test]
    fn never_panics_on_garbage(text in "\\PC*", soup in soup()) {
        let _ = parse(&text);
        let _ = parse(&soup);
        let _ = parse(&format!("graph @g(%x: f32[N,1,4,4]) -> (%x) {{ {soup} }}"));
    }

    #[test]
    fn never_panics_on_a_damaged_text_and_points_into_it(
        at: prop::sample::Index, length in 0usize..40, soup in soup(),
    ) {
        let chars: Vec<char> = EVERY_OPERATOR.chars().collect();
        let at = at.index(chars.len());
        let end = (at + length).min(chars.len());
        let damaged: String = chars[..at].iter().copied().chain(soup.chars()).chain(chars[end..].iter().copied()).collect();
        if let Err(error) = parse(&damaged) {
            prop_assert!(damaged.is_char_boundary(error.offset));
            prop_assert!(error.line <= damaged.lines().count() + 1);
        }
    }
}
