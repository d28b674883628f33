//! Finds the application of a pass that changes what a graph computes, and the smallest part of the graph on which it does.
//!
//! Passes count their applications, and can be told to stop behind the `n`-th of all. The results of the graph after `n` applications agree with those before
//! the first for `n = 0`, and not when all are done: bisection finds two neighbours of which one agrees and the other does not.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayD;
use rnc_ir::{Dim, Graph, NodeId, Op};
use rnc_passes::{Event, Log, Pass, run_limited};
use rnc_reference::Value;

use crate::compare::{Difference, Random};

/// What to run, and on what.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The graph before the passes.
    pub graph: &'a Graph,
    /// The passes, in order.
    pub passes: &'a [Pass],
    /// Inputs of the graph by name.
    pub inputs: &'a [(String, ArrayD<f32>)],
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
    let inputs: Inputs = question.inputs.iter().map(|(n, array)| (n.clone(), Value::from(array.clone()))).collect();
    let expected = rnc_reference::run(question.graph, &inputs)?;
    let difference = |limit: usize| {
        let (graph, log, failed) = after(question.graph, question.passes, limit);
        let found = failed.map_or_else(|| distance(&graph, &inputs, &expected), Err);
        (graph, log, found)
    };
    let beyond = |found: &Result<f64, String>| found.as_ref().map_or(true, |e| e.is_nan() || *e > question.tolerance);
    let (_, log, all) = difference(usize::MAX);
    let applications = applied(&log);
    if !beyond(&all) {
        return Ok(Answer::Same { applications, error: all.unwrap_or(f64::NAN) });
    }
    let (mut good, mut bad) = (0, applications.max(1));
    // What a pass did before it failed is not counted.
    while !beyond(&difference(bad).2) {
        (good, bad) = (bad, bad.saturating_mul(2));
    }
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        if beyond(&difference(middle).2) { bad = middle } else { good = middle }
    }
    let (before, _, _) = difference(good);
    let (_, log, found) = difference(bad);
    let entry = log.entries().iter().rev().find(|entry| matches!(entry.event, Event::Applied(_)));
    let pass = guilty_pass(question, bad).unwrap_or_else(|| question.passes[0]);
    let entry = entry.filter(|entry| entry.pass == pass.name);
    let what = entry.map_or_else(|| format!("{}: failed", pass.name), ToString::to_string);
    let difference = match found {
        Ok(error) => {
            format!("an output is off by {error:.3e} of its largest magnitude, allowed {:.3e}", question.tolerance)
        }
        Err(reason) => reason,
    };
    let reproducer = reproducer(&before, pass, question.tolerance);
    Ok(Answer::Guilty(Box::new(Guilty { application: bad, pass: pass.name, what, difference, reproducer })))
}

type Inputs = BTreeMap<String, Value>;

/// The graph after so many applications, what was done, and why a pass failed.
fn after(graph: &Graph, passes: &[Pass], limit: usize) -> (Graph, Log, Option<String>) {
    let mut graph = graph.clone();
    // Pass by pass: a report of all is lost with the first failure.
    let mut log = Log::new();
    for pass in passes {
        let left = limit.saturating_sub(applied(&log));
        if left == 0 {
            break;
        }
        match run_limited(&mut graph, std::slice::from_ref(pass), left) {
            Ok(report) => report.log.entries().iter().for_each(|entry| {
                log.enter(entry.pass);
                match &entry.event {
                    Event::Applied(what) => log.applied(&*entry.node, &**what),
                    Event::Refused(why) => log.refused(&*entry.node, &**why),
                }
            }),
            Err(error) => return (graph, log, Some(error.to_string())),
        }
    }
    (graph, log, None)
}

fn applied(log: &Log) -> usize {
    log.entries().iter().filter(|entry| matches!(entry.event, Event::Applied(_))).count()
}

/// The pass that makes an application.
fn guilty_pass(question: &Question<'_>, application: usize) -> Option<Pass> {
    let done = |passes: usize| {
        let (_, log, failed) = after(question.graph, &question.passes[..passes], application);
        failed.is_some() || applied(&log) >= application
    };
    (1..=question.passes.len()).find(|passes| done(*passes)).map(|passes| question.passes[passes - 1])
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
    let inputs = random_inputs(&part);
    let Ok(expected) = rnc_reference::run(&part, &inputs) else { return false };
    let (after, _, failed) = after(&part, &[pass], usize::MAX);
    failed.is_some() || distance(&after, &inputs, &expected).map_or(true, |error| error > tolerance)
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

/// Random values for all inputs, for two samples.
fn random_inputs(graph: &Graph) -> Inputs {
    let mut random = Random::new(1);
    let array = |id: &NodeId| {
        let dims: Vec<usize> = graph.ty(*id).shape.dims().iter().map(|dim| size(*dim)).collect();
        match graph.ty(*id).dtype {
            rnc_ir::DType::F32 => Value::from(random.array(&dims)),
            rnc_ir::DType::I64 => Value::from(ArrayD::<i64>::zeros(dims)),
        }
    };
    let names = graph.inputs().iter().map(|id| graph.node(*id).name().to_owned());
    names.zip(graph.inputs().iter().map(array)).collect()
}

fn size(dim: Dim) -> usize {
    match dim {
        Dim::Fixed(n) => n,
        Dim::Batch => 2,
    }
}
