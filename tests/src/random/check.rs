//! Whether plans compute what a program says.

use std::collections::BTreeMap;
use std::fmt;

use fastrand::Rng;
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use rnc::{CompileOptions, Isa, Options, Plan, Session};
use rnc_ir::{Graph, NodeId};
use rnc_plan::{Batch, file};

use super::Program;

/// Largest difference of a result from the reference's, relative to the largest magnitude of the output (or 1): programs are some ten operators
/// deep, sums have some thousand terms of magnitude 1, and the fast algorithms have an error of 1e-6.
const TOLERANCE: f64 = 1e-4;
/// How far inputs are moved to see how much a result depends on them, relative to their magnitude, and how many times the result's movement is allowed beside
/// the tolerance.
const MOVED: f32 = 1e-6;
const MOVEMENTS: f64 = 20.0;

/// What became of a program.
#[derive(Debug)]
pub enum Outcome {
    /// Every plan computes what it says.
    Agrees,
    /// It is not compiled; why.
    Refused(String),
}

/// A program that is computed wrongly.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

type Inputs = Vec<(String, ArrayD<f32>)>;

/// Runs a program by the reference interpreter and by plans on every instruction set, and compares: values within rounding, and bits between instruction sets,
/// numbers of threads, batches, and a plan and what was read back of its file.
///
/// # Errors
/// What is not as it should be.
pub fn check(program: &Program) -> Result<Outcome, Failure> {
    let mut rng = Rng::with_seed(program.seed ^ 0x5eed);
    let exact = rng.u32(..4) == 0;
    let options = CompileOptions { exact, ..CompileOptions::default() };
    let plan = match rnc::compile_graph(program.graph.clone(), &options) {
        Ok(plan) => plan,
        Err(error) => return Ok(Outcome::Refused(error.to_string())),
    };
    let inputs = inputs(program, &mut rng);
    let expected = reference(&program.graph, &inputs)?;
    let mut first: Option<Vec<ArrayD<f32>>> = None;
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        let threads = rng.usize(1..4);
        let found = run(&plan, (isa, threads), &inputs)?;
        if let Some(first) = &first {
            same_bits(first, &found, &format!("{isa}, {threads} threads, against {}", Isa::ALL[0]))?;
        } else {
            agrees(&program.graph, &inputs, (&found, &expected))?;
            first = Some(found);
        }
    }
    let first = first.ok_or_else(|| failure("no instruction set is supported"))?;
    read_back(&plan, &inputs, &first)?;
    alone(&plan, &inputs, &first)?;
    Ok(Outcome::Agrees)
}

fn failure(problem: impl Into<String>) -> Failure {
    Failure { problem: problem.into() }
}

/// Elements between -1 and 1 and some simple ones, for every input.
fn inputs(program: &Program, rng: &mut Rng) -> Inputs {
    let graph = &program.graph;
    let array = |id: &NodeId, rng: &mut Rng| {
        let dims: Vec<usize> =
            graph.ty(*id).shape.dims().iter().map(|dim| dim.fixed().unwrap_or(program.batch)).collect();
        let mut element = || if rng.u32(..50) == 0 { rng.i32(-2..3) as f32 * 0.5 } else { rng.f32() * 2.0 - 1.0 };
        (graph.node(*id).name().to_owned(), ArrayD::from_shape_simple_fn(IxDyn(&dims), &mut element))
    };
    graph.inputs().iter().map(|id| array(id, rng)).collect()
}

fn reference(graph: &Graph, inputs: &Inputs) -> Result<Vec<ArrayD<f32>>, Failure> {
    let given: BTreeMap<_, _> = inputs.iter().map(|(name, array)| (name.clone(), array.clone().into())).collect();
    let found = rnc_reference::run(graph, &given).map_err(|error| failure(format!("the reference: {error}")))?;
    let outputs = graph.outputs().iter().map(|output| found[&output.name].as_f32().cloned());
    outputs.collect::<Option<_>>().ok_or_else(|| failure("an output is not f32"))
}

fn run(plan: &Plan, (isa, threads): (Isa, usize), inputs: &Inputs) -> Result<Vec<ArrayD<f32>>, Failure> {
    let options = Options { isa: Some(isa), threads: Some(threads), ..Options::default() };
    let session = Session::new(plan.clone(), &options).map_err(|error| failure(format!("{isa}: {error}")))?;
    let views: Vec<_> = inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    let found = session.run(&views).map_err(|error| failure(format!("{isa}: {error}")))?;
    Ok(found.into_iter().map(|(_, array)| array).collect())
}

/// Whether results are the reference's, but for rounding.
fn agrees(graph: &Graph, inputs: &Inputs, (found, expected): (&[ArrayD<f32>], &[ArrayD<f32>])) -> Result<(), Failure> {
    let far = |tolerance: &dyn Fn(usize) -> f64| {
        found.iter().zip(expected).enumerate().find_map(|(i, (found, expected))| {
            let (difference, place) = largest_difference(found, expected);
            let magnitude = expected.iter().fold(1.0f64, |a, x| a.max(f64::from(x.abs())));
            let fits = found.shape() == expected.shape() && difference <= tolerance(i) * magnitude;
            (!fits).then(|| (i, difference / magnitude, place))
        })
    };
    if far(&|_| TOLERANCE).is_none() {
        return Ok(());
    }
    // Perhaps the program is one whose result hangs on every bit of its input.
    let mut rng = Rng::with_seed(1);
    let mut moved = inputs.clone();
    moved.iter_mut().flat_map(|(_, array)| array.iter_mut()).for_each(|x| *x *= 1.0 + MOVED * (rng.f32() * 2.0 - 1.0));
    let elsewhere = reference(graph, &moved)?;
    let movement = |i: usize| {
        let magnitude = expected[i].iter().fold(1.0f64, |a, x| a.max(f64::from(x.abs())));
        largest_difference(&elsewhere[i], &expected[i]).0 / magnitude
    };
    match far(&|i| TOLERANCE + MOVEMENTS * movement(i)) {
        None => Ok(()),
        Some((i, difference, place)) => {
            let (found, expected) = (found[i].as_slice(), expected[i].as_slice());
            let element = |slice: Option<&[f32]>| slice.and_then(|s| s.get(place).copied());
            let values = format!("{:?} for {:?}", element(found), element(expected));
            Err(failure(format!("output {i} is {difference:.1e} of its magnitude off: {values} at element {place}")))
        }
    }
}

/// The largest difference of two arrays, and where. What is no number, and infinities of different signs, are infinitely far from everything but their like.
fn largest_difference(a: &ArrayD<f32>, b: &ArrayD<f32>) -> (f64, usize) {
    let differences = a.iter().zip(b).map(|(a, b)| {
        if a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() {
            return 0.0;
        }
        let difference = (f64::from(*a) - f64::from(*b)).abs();
        if difference.is_nan() { f64::INFINITY } else { difference }
    });
    differences.enumerate().fold((0.0, 0), |worst, (i, d)| if d > worst.0 { (d, i) } else { worst })
}

fn same_bits(a: &[ArrayD<f32>], b: &[ArrayD<f32>], what: &str) -> Result<(), Failure> {
    let same = |a: &ArrayD<f32>, b: &ArrayD<f32>| {
        a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
    };
    if a.iter().zip(b).all(|(a, b)| same(a, b)) { Ok(()) } else { Err(failure(format!("other bits: {what}"))) }
}

/// A plan that was written and read again computes the same.
fn read_back(plan: &Plan, inputs: &Inputs, expected: &[ArrayD<f32>]) -> Result<(), Failure> {
    let verified = rnc_plan::verify(plan).map_err(|error| failure(format!("the verifier refuses: {error}")))?;
    let bytes = file::to_bytes(verified).map_err(|error| failure(format!("cannot be written: {error}")))?;
    let back = file::from_bytes(&bytes).map_err(|error| failure(format!("cannot be read back: {error}")))?;
    let found = run(&back, (Isa::best(), 1), inputs)?;
    same_bits(expected, &found, "a plan that was read back")
}

/// The last sample of a batch alone gives the same.
fn alone(plan: &Plan, inputs: &Inputs, expected: &[ArrayD<f32>]) -> Result<(), Failure> {
    if plan.batch != Batch::Symbolic {
        return Ok(());
    }
    let last = |array: &ArrayD<f32>| array.slice_axis(Axis(0), Slice::from(-1..)).to_owned();
    let one: Inputs = inputs.iter().map(|(name, array)| (name.clone(), last(array))).collect();
    let found = run(plan, (Isa::best(), 1), &one)?;
    let expected: Vec<_> = expected.iter().map(last).collect();
    same_bits(&expected, &found, "a sample alone")
}
