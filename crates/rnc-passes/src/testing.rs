//! What the tests of the passes share: running a pass on IR text, and holding numbers before against numbers after.

use std::collections::BTreeMap;

use rnc_ir::{DType, Dim, Graph, Op, Tensor, TensorType, parse, verify};
use rnc_reference::Value;

use crate::log::{Event, Log, Stats};
use crate::matching::PassError;

/// The batch size in comparisons: more than one, and no size that shapes have by accident.
const BATCH: usize = 2;

/// How far results may be apart, relative to the largest magnitude of any value before.
///
/// A fold rounds each weight once more, 2⁻²⁴ relative, so a sum of K products moves by at most 2⁻²³ · Σ|w·x|. With values
/// of about ±1 and K ≤ 100 terms, Σ|w·x| is below some 30 times the largest result, and some 10 layers follow each other:
/// 10 · 30 · 2⁻²³ ≈ 4e-5. A wrong fold is wrong by about the size of the values. The largest of *all* values counts, not of
/// the output: a `relu` may leave of large values only the small ones, but not of their rounding.
const TOLERANCE: f64 = 5e-5;

type Run = fn(&mut Graph, &mut Log) -> Result<Stats, PassError>;

/// Parses a graph, runs a pass, and checks that the result is valid, that the counts agree with the log, and that outputs
/// keep their values, types and names.
pub(crate) fn rewritten(run: Run, text: &str) -> (Graph, Log) {
    let before = parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    verify(&before).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut after = before.clone();
    let mut log = Log::new();
    let stats = run(&mut after, &mut log).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(stats.refused, log.refusals().count());
    assert_eq!(stats.applied, log.applications().count());
    verify(&after).unwrap_or_else(|e| panic!("{e}\n{after}"));
    assert_same_numbers(&before, &after);
    (after, log)
}

/// The reason of the first refusal, on a graph that the pass must not change.
pub(crate) fn refusal(run: Run, text: &str) -> Option<String> {
    let (after, log) = rewritten(run, text);
    assert!(after.same(&parse(text).unwrap()), "changed in spite of a refusal:\n{after}");
    log.refusals().next().map(|entry| match &entry.event {
        Event::Refused(reason) | Event::Applied(reason) => reason.clone(),
    })
}

/// Names of all nodes, operands before users.
pub(crate) fn names(graph: &Graph) -> Vec<&str> {
    graph.topological_order().into_iter().map(|id| graph.node(id).name()).collect()
}

/// Operators of all nodes but inputs and constants, operands before users.
pub(crate) fn ops(graph: &Graph) -> Vec<&'static str> {
    let order = graph.topological_order();
    let computed = order.into_iter().map(|id| graph.op(id)).filter(|op| !matches!(op, Op::Input | Op::Constant(_)));
    computed.map(Op::name).collect()
}

/// Runs both graphs on the same pseudo-random inputs.
pub(crate) fn assert_same_numbers(before: &Graph, after: &Graph) {
    let inputs: BTreeMap<String, Value> = before
        .inputs()
        .iter()
        .enumerate()
        .map(|(i, id)| (before.node(*id).name().to_owned(), random(before.ty(*id), i as u64)))
        .collect();
    let expected = rnc_reference::run(before, &inputs).unwrap_or_else(|e| panic!("{e}\n{before}"));
    let found = rnc_reference::run(after, &inputs).unwrap_or_else(|e| panic!("{e}\n{after}"));
    let largest = largest_magnitude(before, &inputs);
    assert!(expected.keys().eq(found.keys()), "outputs were {:?}, and are {:?}", expected.keys(), found.keys());
    for (name, expected) in &expected {
        let found = &found[name];
        assert_eq!(expected.ty(), found.ty(), "output {name}");
        let (Some(expected), Some(found)) = (expected.as_f32(), found.as_f32()) else {
            assert_eq!(expected, found, "output {name}");
            continue;
        };
        for (a, b) in expected.iter().zip(found) {
            let apart = (f64::from(*a) - f64::from(*b)).abs();
            let agree = a.to_bits() == b.to_bits() || apart <= TOLERANCE * largest;
            assert!(agree, "output {name}: {a} before, {b} after, largest {largest}\n{before}\n{after}");
        }
    }
}

fn largest_magnitude(graph: &Graph, inputs: &BTreeMap<String, Value>) -> f64 {
    let values = rnc_reference::run_all(graph, inputs).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    values.values().filter_map(Value::as_f32).flatten().fold(0.0, |largest, v| largest.max(f64::from(v.abs())))
}

/// A value of about ±1 for each element, the same for the same seed.
fn random(ty: &TensorType, seed: u64) -> Value {
    let dims: Vec<usize> = ty.shape.dims().iter().map(|dim| if let Dim::Fixed(n) = dim { *n } else { BATCH }).collect();
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut next = move || {
        // Steele, Lea and Flood's SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let count = dims.iter().product();
    let tensor = match ty.dtype {
        DType::F32 => {
            let value = |bits: u64| ((bits >> 40) as f32) / (1u32 << 23) as f32 - 1.0;
            Tensor::f32(dims, (0..count).map(|_| value(next())).collect::<Vec<_>>())
        }
        DType::I64 => Tensor::i64(dims, (0..count).map(|_| (next() % 10) as i64).collect::<Vec<_>>()),
    };
    Value::from(&tensor)
}
