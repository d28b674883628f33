//! Compiling a graph, running it in every way, and comparing.

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis, Slice};
use rnc::ir::{Dim, Graph, NodeId, Op, TensorType};
use rnc::{CompileOptions, Isa, Options, Session};
use rnc_reference::Value;

/// The larger batch.
const BATCH: usize = 3;

/// Compiles a graph and checks it on all instruction sets, threads and batches. `what` says in a failure which graph it was.
#[allow(clippy::float_cmp, reason = "equal numbers, infinities among them, agree")]
pub fn check(graph: &Graph, what: &str) {
    let inputs: BTreeMap<String, ArrayD<f32>> = graph
        .inputs()
        .iter()
        .enumerate()
        .map(|(i, id)| (graph.node(*id).name().to_owned(), random(graph.ty(*id), i as u64)))
        .collect();
    let values = inputs.iter().map(|(name, array)| (name.clone(), Value::from(array.clone()))).collect();
    let values = rnc_reference::run_all(graph, &values).unwrap_or_else(|e| panic!("{what}: {e}"));
    let largest = largest_magnitude(values.values());

    let plan = rnc::compile_graph(graph.clone(), &CompileOptions::default()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut first: Option<Vec<(String, ArrayD<f32>)>> = None;
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        for threads in [1, 2] {
            let options = Options { isa: Some(isa), threads: Some(threads), ..Options::default() };
            let session = Session::new(plan.clone(), &options).unwrap_or_else(|e| panic!("{what}: {e}"));
            for batch in [BATCH, 1] {
                let found = run(&session, &inputs, batch);
                let where_ = || format!("{what}\non {isa}, {threads} threads, batch {batch}");
                let first = first.get_or_insert_with(|| found.clone());
                assert_same_bits(&found, first, batch, &where_);
            }
        }
    }

    let found = first.expect("the baseline is supported everywhere");
    let allowed = tolerance(graph) * largest;
    assert!(found.iter().map(|(name, _)| name).eq(graph.outputs().iter().map(|output| &output.name)), "{what}");
    for ((name, found), output) in found.iter().zip(graph.outputs()) {
        let expected = values[&output.value].as_f32().expect("outputs of these graphs are f32");
        assert_eq!(found.shape(), expected.shape(), "{what}: {name}");
        for (a, b) in found.iter().zip(expected) {
            let apart = (f64::from(*a) - f64::from(*b)).abs();
            let agree = a == b || apart <= allowed || (a.is_nan() && b.is_nan());
            assert!(agree, "{what}\noutput {name}: {a}, expected {b}; {apart:e} apart, allowed {allowed:e}\n{graph}");
        }
    }
}

/// How far a result may be from the interpreter's, relative to the largest magnitude of all values of the graph (not of the output: a
/// `relu` may leave of large values only the small ones, but not of their rounding).
///
/// A sum of K terms in f32 is off by about √K roundings of 2⁻²⁴ of a partial sum; folding a normalisation rounds each weight once more, which
/// is as much again; a function is off by up to two roundings. Errors of earlier nodes pass through later ones, which neither shrink nor
/// grow them much as the values keep their scale, and they are independent, so their squares add up: 4 · 2⁻²⁴ · √(Σ K) over all nodes, K being
/// 1 for what sums nothing. (Measured on 1,500 random networks: at most half of it.)
fn tolerance(graph: &Graph) -> f64 {
    let sum: usize = graph.ids().map(|id| terms(graph, id)).sum();
    4.0 * 2f64.powi(-24) * (sum as f64).sqrt()
}

/// Terms of the sums that a node computes.
fn terms(graph: &Graph, id: NodeId) -> usize {
    let fixed =
        |id: NodeId| -> Vec<usize> { graph.ty(id).shape.dims().iter().map(|dim| dim.fixed().unwrap_or(1)).collect() };
    let operand = |i: usize| graph.operands(id)[i];
    match graph.op(id) {
        Op::Input | Op::Constant(_) => 0,
        Op::Conv2d(_) => fixed(operand(1))[1..].iter().product(),
        Op::AveragePool(pool) => pool.pool.window.kernel.iter().product(),
        Op::GlobalAveragePool => fixed(operand(0))[2..].iter().product(),
        Op::Gemm(gemm) => fixed(operand(0))[usize::from(!gemm.trans_a)],
        Op::MatMul => fixed(operand(0)).last().copied().unwrap_or(1),
        Op::Softmax(axis) => fixed(operand(0))[axis.axis],
        Op::Reduce(reduce) => reduce.axes.iter().map(|axis| fixed(operand(0))[*axis]).product(),
        Op::BatchNorm(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::MaxPool(_)
        | Op::GlobalMaxPool
        | Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Where
        | Op::Identity => 1,
        // Antialiasing aside, four along each of two axes.
        Op::Resize(_) => 16,
    }
}

fn run(session: &Session, inputs: &BTreeMap<String, ArrayD<f32>>, batch: usize) -> Vec<(String, ArrayD<f32>)> {
    let part = Slice::from(..batch);
    let inputs: Vec<_> = inputs.iter().map(|(name, array)| (name.as_str(), array.slice_axis(Axis(0), part))).collect();
    session.run(&inputs).unwrap()
}

/// The results of a batch are those of the first samples of the larger one.
fn assert_same_bits(
    found: &[(String, ArrayD<f32>)],
    all: &[(String, ArrayD<f32>)],
    batch: usize,
    where_: &dyn Fn() -> String,
) {
    assert_eq!(found.len(), all.len(), "{}", where_());
    for ((name, found), (_, all)) in found.iter().zip(all) {
        let all = all.slice_axis(Axis(0), Slice::from(..batch));
        assert_eq!(found.shape(), all.shape(), "{}", where_());
        for (a, b) in found.iter().zip(&all) {
            assert!(a.to_bits() == b.to_bits(), "{}: output {name}: {a} and {b} differ in their bits", where_());
        }
    }
}

fn largest_magnitude<'a>(values: impl Iterator<Item = &'a Value>) -> f64 {
    let finite = values.filter_map(Value::as_f32).flatten().filter(|value| value.is_finite());
    finite.fold(0.0, |largest, value| largest.max(f64::from(value.abs())))
}

/// Values of about ±1 for a batch of [`BATCH`], the same for the same seed.
fn random(ty: &TensorType, seed: u64) -> ArrayD<f32> {
    let dims: Vec<usize> = ty.shape.dims().iter().map(|dim| if let Dim::Fixed(n) = dim { *n } else { BATCH }).collect();
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    ArrayD::from_shape_simple_fn(dims, || {
        // Knuth's multiplicative generator; the upper bits are good enough for data.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    })
}
