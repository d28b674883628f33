//! Lowering as a whole: graphs from text, lowered, verified, run and compared with the reference interpreter.

mod numbers;
mod refusals;
mod steps;

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};
use rnc_ir::{Dim, Graph, parse, verify};
use rnc_plan::kernel::{Access, Elementwise, KernelSpec};
use rnc_plan::{Operand, Plan};

use crate::{LowerError, LowerOptions, interpret, lower};

fn graph(text: &str) -> Graph {
    parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn try_lower(text: &str) -> Result<Plan, LowerError> {
    lower(&verify(&graph(text)).unwrap_or_else(|e| panic!("{e}\n{text}")), &LowerOptions::default())
}

/// Lowers, and holds the plan against the verifier.
fn plan(text: &str) -> Plan {
    plan_of(&graph(text))
}

fn plan_of(graph: &Graph) -> Plan {
    let verified = verify(graph).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    let plan = lower(&verified, &LowerOptions::default()).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    if let Err(e) = rnc_plan::verify(&plan) {
        panic!("{e}\n{graph}\n{:#?}", plan.steps);
    }
    plan
}

/// Lowers and runs on pseudo-random inputs in ±1, and compares with the reference.
///
/// The models here sum at most some thousand products of numbers in about ±1, in f32 against f64: rounding errors grow like
/// `sqrt(K) · 2^-24 · |sum|`, which 1e-4 covers with room and which no wrong element passes.
fn check_graph(graph: &Graph, batch: usize) -> Plan {
    let plan = plan_of(graph);
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let mut given = BTreeMap::new();
    let mut flat = Vec::new();
    for id in graph.inputs() {
        let bind = |dim: &Dim| dim.fixed().unwrap_or(batch);
        let dims: Vec<usize> = graph.ty(*id).shape.dims().iter().map(bind).collect();
        let data: Vec<f32> = (0..dims.iter().product()).map(|_| random()).collect();
        flat.push(data.clone());
        let array = ArrayD::from_shape_vec(IxDyn(&dims), data).expect("fits");
        given.insert(graph.node(*id).name().to_owned(), array.into());
    }
    let expected = rnc_reference::run(graph, &given).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    let found = interpret::run(&plan, &flat, plan.batch.fixed().unwrap_or(batch));
    for (output, found) in graph.outputs().iter().zip(&found) {
        let expected = expected[&output.name].as_f32().expect("f32").as_slice().expect("row-major");
        assert_eq!(expected.len(), found.len(), "{graph}");
        for (i, (want, have)) in expected.iter().zip(found).enumerate() {
            let near = (want - have).abs() <= 1e-4 * (1.0 + want.abs());
            assert!(near, "{} [{i}]: expected {want}, found {have}\n{graph}\n{:#?}", output.name, plan.steps);
        }
    }
    plan
}

fn check(text: &str) -> Plan {
    let graph = graph(text);
    let batch = match graph.ty(graph.inputs()[0]).shape.dims().first().copied().unwrap_or(Dim::Fixed(1)) {
        Dim::Fixed(n) => n,
        Dim::Batch => {
            check_graph(&graph, 1);
            3
        }
    };
    check_graph(&graph, batch)
}

/// The kinds of a plan's steps, for short assertions.
fn kinds(plan: &Plan) -> Vec<&'static str> {
    let kind = |spec: &KernelSpec| match spec {
        KernelSpec::Conv(_) => "conv",
        KernelSpec::Winograd(_) => "winograd",
        KernelSpec::Strassen(_) => "strassen",
        KernelSpec::Gemm(_) => "gemm",
        KernelSpec::Pool(_) => "pool",
        KernelSpec::Elementwise(_) => "elementwise",
        KernelSpec::Softmax(_) => "softmax",
        KernelSpec::Resample(_) => "resample",
        KernelSpec::Contract(_) => "contract",
        KernelSpec::Copy(_) => "copy",
    };
    plan.steps.iter().map(|s| kind(&s.kernel)).collect()
}

fn program(plan: &Plan, step: usize) -> &Elementwise {
    let KernelSpec::Elementwise(spec) = &plan.steps[step].kernel else { panic!("step {step} of {:?}", kinds(plan)) };
    spec
}
