//! Finds the application of a pass that changes what a graph computes, and the smallest part of the graph on which it does.
//!
//! Passes count their applications, and can be told to stop behind the `n`-th of all. The results of the graph after `n` applications agree with those before
//! the first for `n = 0`, and not when all are done: bisection finds two neighbours of which one agrees and the other does not.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayD;
use rnc_ir::{DType, Dim, Graph, NodeId, Op};
use rnc_passes::{Log, Pass, run_limited};
use rnc_reference::Value;

use crate::compare::{Difference, Random};

/// What to run, and on what.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The graph before the passes.
    pub graph: &'a Graph,
    /// The passes, in order.
    pub passes: &'a [Pass],
    /// Samples of random input, numbers from -1 to 1, and their seed.
    pub batch: usize,
    /// See `batch`.
    pub seed: u64,
    /// How far an output may move, relative to its largest magnitude.
    pub tolerance: f64,
}

/// What was found.
#[derive(Clone, Debug)]
pub enum Answer {
    /// All passes together leave the outputs within the tolerance.
    Same {
        /// Applications.
        applications: usize,
        /// The largest relative distance of an output.
        error: f64,
    },
    /// One application does not.
    Guilty(Box<Guilty>),
}

/// An application that changes what the graph computes.
#[derive(Clone, Debug)]
pub struct Guilty {
    /// Its number among all, from 1.
    pub application: usize,
    /// The pass.
    pub pass: &'static str,
    /// The node that was rewritten, and what the pass said about it.
    pub what: String,
    /// How far outputs are afterwards, or why there are none.
    pub difference: String,
    /// The smallest graph found on which the pass changes the outputs, in the form of a file test of passes.
    pub reproducer: String,
}

/// Runs the passes and looks for the application that changes the outputs.
///
/// # Errors
/// If the graph cannot be run by the reference interpreter before any pass.
pub fn bisect(question: &Question<'_>) -> Result<Answer, rnc_reference::Error> {
    let Question { graph, passes, tolerance, .. } = *question;
    let inputs = random_inputs(graph, question.batch, question.seed);
    let expected = rnc_reference::run(graph, &inputs)?;
    let look = |limit: usize| {
        let (after, log, failed) = after(graph, passes, limit);
        (log, failed.map_or_else(|| distance(&after, &inputs, &expected), |(_, reason)| Err(reason)))
    };
    let (log, all) = look(usize::MAX);
    let applications = log.applications().count();
    if let Ok(error) = all
        && !is_beyond(&all, tolerance)
    {
        return Ok(Answer::Same { applications, error });
    }
    // A pass that failed did not count what it was about to do.
    let (mut good, mut bad) = (0, applications + usize::from(all.is_err()));
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        if is_beyond(&look(middle).1, tolerance) { bad = middle } else { good = middle }
    }
    let (before, _, _) = after(graph, passes, good);
    let (_, log, failed) = after(graph, passes, bad);
    let last = log.applications().next_back();
    let (pass, what) = match (&failed, last) {
        (Some((pass, _)), _) => (*pass, format!("{pass}: failed")),
        (None, Some(entry)) => (entry.pass, entry.to_string()),
        (None, None) => unreachable!("without any application the outputs are those expected"),
    };
    let difference = match look(bad).1 {
        Ok(error) => format!("an output is off by {error:.3e} of its largest magnitude, allowed {tolerance:.3e}"),
        Err(reason) => reason,
    };
    let of_name = *passes.iter().find(|known| known.name == pass).expect("a pass that ran is in the list");
    let reproducer = reproducer(&before, of_name, tolerance);
    Ok(Answer::Guilty(Box::new(Guilty { application: bad, pass, what, difference, reproducer })))
}

type Inputs = BTreeMap<String, Value>;

/// The graph after so many applications, what was done, and which pass failed and why.
fn after(graph: &Graph, passes: &[Pass], limit: usize) -> (Graph, Log, Option<(&'static str, String)>) {
    let mut graph = graph.clone();
    let (report, result) = run_limited(&mut graph, passes, limit);
    let failed = result.err().map(|error| {
        // The pass that ran when it happened is the one behind those that are done.
        let pass = passes.get(report.passes.len()).map_or("", |pass| pass.name);
        (pass, error.to_string())
    });
    (graph, report.log, failed)
}

/// Whether outputs moved too far, or are not there.
fn is_beyond(distance: &Result<f64, String>, tolerance: f64) -> bool {
    distance.as_ref().map_or(true, |error| *error > tolerance)
}

/// The largest distance of an output from what is expected, relative to the latter's largest magnitude.
fn distance(graph: &Graph, inputs: &Inputs, expected: &BTreeMap<String, Value>) -> Result<f64, String> {
    let found = rnc_reference::run(graph, inputs).map_err(|error| error.to_string())?;
    let mut worst = 0.0f64;
    for (name, expected) in expected {
        let Some(found) = found.get(name) else { return Err(format!("output `{name}` is gone")) };
        if found.ty() != expected.ty() {
            return Err(format!("output `{name}` was {}, and is {}", expected.ty(), found.ty()));
        }
        let (Some(found), Some(expected)) = (found.as_f32(), expected.as_f32()) else {
            if found == expected {
                continue;
            }
            return Err(format!("output `{name}` has other numbers"));
        };
        let relative = Difference::between(found, expected).relative();
        // Not a number is the largest of all.
        worst = if relative.is_nan() { f64::INFINITY } else { worst.max(relative) };
    }
    Ok(worst)
}

/// The smallest part of a graph on which one run of a pass changes the outputs, as text: begins with what the pass touches, takes in neighbours
/// until it fails, and gives up nodes as long as it does.
fn reproducer(graph: &Graph, pass: Pass, tolerance: f64) -> String {
    let computed = |id: &NodeId| !matches!(graph.op(*id), Op::Input | Op::Constant(_));
    let everything: BTreeSet<NodeId> = graph.ids().filter(computed).collect();
    let mut part: BTreeSet<NodeId> = touched(graph, pass).into_iter().filter(computed).collect();
    while !fails(graph, &part, pass, tolerance) {
        let near = part.iter().flat_map(|id| graph.users(*id).into_iter().chain(graph.operands(*id).to_vec()));
        let near: BTreeSet<NodeId> = near.filter(computed).filter(|id| !part.contains(id)).collect();
        if near.is_empty() {
            part = everything;
            break;
        }
        part.extend(near);
    }
    let mut chunk = part.len().div_ceil(2);
    while chunk > 0 {
        let order: Vec<NodeId> = graph.topological_order().into_iter().filter(|id| part.contains(id)).collect();
        for ids in order.chunks(chunk).rev() {
            let less: BTreeSet<NodeId> = part.iter().copied().filter(|id| !ids.contains(id)).collect();
            if !less.is_empty() && fails(graph, &less, pass, tolerance) {
                part = less;
            }
        }
        chunk /= 2;
    }
    let text = extract(graph, &part).unwrap_or_else(|| graph.clone());
    format!("// passes: {}\n{text}", pass.name)
}

/// The nodes that the first application of a pass rewrites or removes, with their operands.
fn touched(graph: &Graph, pass: Pass) -> BTreeSet<NodeId> {
    let (after, _, failed) = after(graph, &[pass], 1);
    if failed.is_some() {
        return graph.ids().collect();
    }
    let changed = |id: &NodeId| {
        !after.contains(*id) || after.op(*id) != graph.op(*id) || after.operands(*id) != graph.operands(*id)
    };
    graph.ids().filter(changed).collect()
}

/// Whether a pass changes what a part of a graph computes, on random inputs.
fn fails(graph: &Graph, part: &BTreeSet<NodeId>, pass: Pass, tolerance: f64) -> bool {
    let Some(part) = extract(graph, part) else { return false };
    let inputs = random_inputs(&part, 2, 1);
    let Ok(expected) = rnc_reference::run(&part, &inputs) else { return false };
    let (after, _, failed) = after(&part, &[pass], usize::MAX);
    failed.is_some() || is_beyond(&distance(&after, &inputs, &expected), tolerance)
}

/// Some nodes of a graph as a graph: what they read from outside becomes its inputs, what is read outside its outputs.
fn extract(graph: &Graph, part: &BTreeSet<NodeId>) -> Option<Graph> {
    let mut result = Graph::new(graph.name());
    let mut ids: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for id in graph.topological_order().into_iter().filter(|id| part.contains(id)) {
        for operand in graph.operands(id) {
            let node = graph.node(*operand);
            ids.entry(*operand).or_insert_with(|| match node.constant() {
                Some(tensor) => result.add_constant(node.name(), tensor.clone()),
                None => result.add_input(node.name(), node.ty().clone()),
            });
        }
        let operands: Vec<NodeId> = graph.operands(id).iter().map(|operand| ids[operand]).collect();
        ids.insert(id, result.add(graph.node(id).name(), graph.op(id).clone(), &operands).ok()?);
    }
    for id in part {
        if graph.is_output(*id) || graph.users(*id).iter().any(|user| !part.contains(user)) {
            result.add_output(graph.node(*id).name(), ids[id]);
        }
    }
    (!result.outputs().is_empty()).then_some(result)
}

/// Values for all inputs, for so many samples: random ones, and zeros for whole numbers, which count or point to something.
fn random_inputs(graph: &Graph, batch: usize, seed: u64) -> Inputs {
    let mut random = Random::new(seed);
    let size = |dim: &Dim| if let Dim::Fixed(n) = dim { *n } else { batch };
    let array = |id: &NodeId| {
        let dims: Vec<usize> = graph.ty(*id).shape.dims().iter().map(size).collect();
        match graph.ty(*id).dtype {
            DType::F32 => Value::from(random.array(&dims)),
            DType::I64 => Value::from(ArrayD::<i64>::zeros(dims)),
        }
    };
    let names = graph.inputs().iter().map(|id| graph.node(*id).name().to_owned());
    names.zip(graph.inputs().iter().map(array)).collect()
}
