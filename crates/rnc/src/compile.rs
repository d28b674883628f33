//! From a model to its plan: import, verify, optimize, lower.

use std::path::Path;
use std::time::{Duration, Instant};

use rnc_ir::{Graph, Op};
use rnc_lower::{LowerOptions, Tuner, lower};
use rnc_onnx::{ImportOptions, Oddity};
use rnc_passes::Report;
use rnc_plan::{Listing, Plan};

use crate::error::{CompileError, WritePlanError};
use crate::lint::{self, Lint, lint};
use crate::options::CompileOptions;
use crate::outputs;
use crate::tune::HostTuner;

/// File name extension of graphs in the text syntax; any other file is an ONNX model.
const GRAPH_EXTENSION: &str = "rnc";

/// What is to be compiled.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is moved once")]
pub enum Source<'a> {
    /// An ONNX model, or (with the extension `.rnc`) a graph in the text syntax.
    File(&'a Path),
    /// A graph.
    Graph(Graph),
}

/// A plan, and how it came to be.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// What is odd about the model.
    pub lints: Vec<Lint>,
    /// What the passes did.
    pub passes: Report,
    /// Operators before and after the passes.
    pub operators: OperatorCounts,
    /// How long it took.
    pub times: Times,
}

/// Numbers of operators; inputs and constants do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorCounts {
    /// After import.
    pub imported: usize,
    /// After the passes.
    pub optimized: usize,
}

/// How long the parts of a compilation took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Reading the file, making a graph of it, and looking that over.
    pub import: Duration,
    /// The passes, with the verifier after each.
    pub optimize: Duration,
    /// Lowering and packing the weights.
    pub lower: Duration,
}

/// Compiles the ONNX model in a file.
///
/// # Errors
/// If the file cannot be read or is no ONNX model, or if the model uses what rnc does not know: all of that in one report.
pub fn compile_file(path: impl AsRef<Path>, options: &CompileOptions) -> Result<Plan, CompileError> {
    compile(Source::File(path.as_ref()), options).map(|compiled| compiled.plan)
}

/// Compiles a graph.
///
/// # Errors
/// If the graph is not valid, no kernels compute some of its nodes, or `options` gives sizes (a graph has them in its types).
pub fn compile_graph(graph: Graph, options: &CompileOptions) -> Result<Plan, CompileError> {
    compile(Source::Graph(graph), options).map(|compiled| compiled.plan)
}

/// Compiles, and tells what happened on the way.
///
/// # Errors
/// As [`compile_file`] and [`compile_graph`].
pub fn compile(source: Source<'_>, options: &CompileOptions) -> Result<Compiled, CompileError> {
    compile_by(source, options, None)
}

/// Compiles as [`compile()`] does, but measures what it chooses from.
///
/// # Errors
/// As [`compile_file`] and [`compile_graph`].
pub fn compile_tuned(
    source: Source<'_>,
    options: &CompileOptions,
    tuner: &HostTuner,
) -> Result<Compiled, CompileError> {
    compile_by(source, options, Some(tuner))
}

fn compile_by(
    source: Source<'_>,
    options: &CompileOptions,
    tuner: Option<&dyn Tuner>,
) -> Result<Compiled, CompileError> {
    let start = Instant::now();
    let mut oddities = Vec::new();
    let mut graph = match source {
        Source::File(path) => import_noting(path, options, &mut oddities)?,
        Source::Graph(graph) => {
            refuse_dims(options)?;
            graph
        }
    };
    outputs::choose(&mut graph, &options.outputs)?;
    let mut lints: Vec<Lint> = oddities.into_iter().map(Lint::from).chain(lint(&graph)).collect();
    let import = start.elapsed();
    log::info!("imported `{}`: {} operators in {import:.1?}", graph.name(), operator_count(&graph));
    let (imported, operators) = (graph.to_string(), operator_count(&graph));

    let start = Instant::now();
    let passes = rnc_passes::optimize(&mut graph, &mut |_, _| {})?;
    let optimize = start.elapsed();
    for entry in passes.log.entries() {
        log::debug!("{entry}");
    }
    log::info!("optimized: {} operators in {optimize:.1?}", operator_count(&graph));

    let start = Instant::now();
    let listing = Listing { imported, optimized: graph.to_string() };
    let verified = rnc_ir::verify(&graph).map_err(Box::new)?;
    let CompileOptions { exact, ref machine, .. } = *options;
    let choices = LowerOptions { listing, producer: producer(), exact, machine: machine.clone(), tuner };
    let plan = Plan { images: options.images.clone(), ..lower(&verified, &choices)? };
    lints.extend(lint::labels(&plan));
    let times = Times { import, optimize, lower: start.elapsed() };
    log::info!("lowered: {} steps in {:.1?}", plan.steps.len(), times.lower);
    for step in &plan.steps {
        log::debug!("step {}: {:?}", step.name, step.kernel);
    }
    let operators = OperatorCounts { imported: operators, optimized: operator_count(&graph) };
    Ok(Compiled { plan, lints, passes, operators, times })
}

/// Reads the graph of a model: of an ONNX file, or (with the extension `.rnc`) of a text in the IR's syntax, whose large constants are made
/// up.
///
/// # Errors
/// As [`compile_file`].
pub fn import_file(path: impl AsRef<Path>, options: &CompileOptions) -> Result<Graph, CompileError> {
    import_noting(path.as_ref(), options, &mut Vec::new())
}

fn import_noting(path: &Path, options: &CompileOptions, oddities: &mut Vec<Oddity>) -> Result<Graph, CompileError> {
    if path.extension().is_none_or(|extension| extension != GRAPH_EXTENSION) {
        let options = ImportOptions { dims: options.dims.clone() };
        return rnc_onnx::import_file_noting(path, &options, oddities)
            .map_err(|error| CompileError::Import { path: path.to_owned(), error: Box::new(error) });
    }
    refuse_dims(options)?;
    let text = std::fs::read_to_string(path).map_err(|error| CompileError::Read { path: path.to_owned(), error })?;
    rnc_ir::parse(&text).map_err(|error| CompileError::Text { path: path.to_owned(), error: Box::new(error) })
}

/// Verifies a plan and writes it to a file that is complete or not there.
///
/// # Errors
/// If the plan is not sound, or the system refuses; what was at `path` before is unchanged then.
pub fn write_plan(plan: &Plan, path: impl AsRef<Path>) -> Result<(), WritePlanError> {
    Ok(rnc_plan::write_file(rnc_plan::verify(plan)?, path)?)
}

fn refuse_dims(options: &CompileOptions) -> Result<(), CompileError> {
    match options.dims.keys().next() {
        Some(name) => Err(CompileError::Dims { name: name.clone() }),
        None => Ok(()),
    }
}

fn operator_count(graph: &Graph) -> usize {
    graph.ids().filter(|id| !matches!(graph.op(*id), Op::Input | Op::Constant(_))).count()
}

fn producer() -> String {
    concat!("rnc ", env!("CARGO_PKG_VERSION")).to_owned()
}

#[cfg(test)]
mod tests {
    use rnc_plan::Batch;

    use super::*;

    const TEXT: &str = "graph @net(%x: f32[N,3,6,6]) -> (%r) {
       @w = random(1) : f32[4,3,3,3]
       @g = random(2, 0.5, 1.5) : f32[4]
       %c = conv2d(%x, @w) {pad=1}
       %b = batch_norm(%c, @g, @g, @g, @g) {epsilon=1e-5}
       %r = relu(%b)
     }";

    fn graph() -> Graph {
        rnc_ir::parse(TEXT).unwrap()
    }

    #[test]
    fn a_plan_keeps_the_graph_at_both_ends_of_the_optimizer_and_who_made_it() {
        let compiled = compile(Source::Graph(graph()), &CompileOptions::default()).unwrap();
        assert_eq!(compiled.operators, OperatorCounts { imported: 3, optimized: 1 });
        let Plan { listing, producer, .. } = &compiled.plan;
        assert_eq!(listing.imported, graph().to_string());
        assert!(listing.optimized.contains("activation=relu") && !listing.optimized.contains("batch_norm"));
        assert_eq!(producer, "rnc 0.1.0");
        assert!(compiled.passes.passes.iter().any(|pass| pass.pass == "fold_batchnorm" && pass.stats.applied == 1));
    }

    #[test]
    fn a_model_and_its_text_give_the_same_plan_and_a_size_closes_the_batch() {
        let folder = tempfile::tempdir().unwrap();
        let (model, text) = (folder.path().join("net.onnx"), folder.path().join("net.rnc"));
        std::fs::write(&model, rnc_onnx::export(&graph()).unwrap()).unwrap();
        std::fs::write(&text, TEXT).unwrap();
        let options = CompileOptions::default();
        let (from_model, from_text) = (compile_file(&model, &options).unwrap(), compile_file(&text, &options).unwrap());
        assert_eq!(from_model.steps, from_text.steps);
        assert_eq!(from_model.batch, Batch::Symbolic);
        let options = CompileOptions { dims: [("N".to_owned(), 4)].into(), ..CompileOptions::default() };
        assert_eq!(compile_file(&model, &options).unwrap().batch, Batch::Fixed(4));
        let error = compile_file(&text, &options).unwrap_err();
        assert!(error.is_usage() && error.to_string().starts_with("`N` was given a size"), "{error}");
    }

    #[test]
    fn errors_say_whether_model_or_call_is_at_fault() {
        let options = CompileOptions { dims: [("B".to_owned(), 4)].into(), ..CompileOptions::default() };
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("net.onnx");
        std::fs::write(&model, rnc_onnx::export(&graph()).unwrap()).unwrap();
        let error = compile_file(&model, &options).unwrap_err();
        assert!(error.is_usage() && !error.is_unsupported_model(), "{error}");

        let two = rnc_ir::parse("graph @two(%x: f32[N,3], %y: f32[4,3]) -> (%x, %y) {}").unwrap();
        let error = compile_graph(two, &CompileOptions::default()).unwrap_err();
        assert!(error.is_unsupported_model() && !error.is_usage(), "{error}");

        let error = compile_file(folder.path().join("none.onnx"), &CompileOptions::default()).unwrap_err();
        assert!(!error.is_unsupported_model() && !error.is_usage(), "{error}");
        assert_eq!(error.to_string().matches("none.onnx").count(), 1, "{error}");
    }
}
