//! What is measured: plans, loaded for each number of threads, and the configurations of each.

use std::path::Path;
use std::time::Instant;

use rnc::plan::Batch;
use rnc::{Plan, RunError, Session, buffers};

use super::Bench;
use super::record::{Configuration, PlanEntry, SessionEntry};
use super::sample::{Subject, milliseconds};
use crate::cli::failure::Failure;
use crate::cli::inspect::kernel;
use crate::cli::profile::wrong_batch;
use crate::cli::run::{load, read_inputs};

/// How often a plan is loaded for each number of threads.
const LOADS: usize = 3;

/// All that will be measured.
#[derive(Default)]
pub(super) struct Setup {
    pub plans: Vec<PlanEntry>,
    pub sessions: Vec<SessionEntry>,
    pub subjects: Vec<Subject>,
    /// Name of the instruction set.
    pub isa: &'static str,
}

impl Setup {
    /// Loads the plans at their paths and makes every configuration that was asked for.
    pub fn new(bench: &Bench, paths: &[&Path]) -> Result<Self, Failure> {
        let mut setup = Self::default();
        for (index, path) in paths.iter().enumerate() {
            setup.add_plan(bench, index, path)?;
        }
        Ok(setup)
    }

    fn add_plan(&mut self, bench: &Bench, index: usize, path: &Path) -> Result<(), Failure> {
        let header = rnc_plan::read_header(path).map_err(|error| Failure::open(path, &error))?;
        let plan = &header.plan;
        self.plans.push(PlanEntry {
            file: path.display().to_string(),
            model: plan.name.clone(),
            producer: plan.producer.clone(),
            format_version: header.version,
            data_crc: format!("{:08x}", header.data_crc),
            flops: kernel::flops(plan),
        });
        let feed = if bench.input.is_empty() { Feed::random(bench, plan, path)? } else { Feed::given(bench, path)? };
        for &threads in &bench.threads() {
            let (session, entry) = loaded(bench, path, threads, &feed)
                .map(|(session, [load_ms, first_run_ms])| {
                    let first_run_batch = feed.batches[0];
                    (session, SessionEntry { plan: index, threads, load_ms, first_run_ms, first_run_batch })
                })
                .map_err(|failure| failure.in_file(path))?;
            self.isa = session.code().isa().name();
            for &batch in &feed.batches {
                for streams in bench.streams() {
                    let configuration = Configuration { plan: index, threads, batch, streams };
                    let inputs = feed.inputs(session.plan(), batch)?;
                    self.subjects.push(Subject::new(configuration, &session, inputs)?);
                }
            }
            self.sessions.push(entry);
        }
        Ok(())
    }
}

/// Loads a plan and runs it, each time from the start. Gives the last session; times of loads, and times of first runs.
fn loaded(bench: &Bench, path: &Path, threads: usize, feed: &Feed) -> Result<(Session, [Vec<f64>; 2]), Failure> {
    let [mut loads, mut firsts] = [Vec::new(), Vec::new()];
    loop {
        let loaded = load(path, bench.isa, Some(threads))?;
        loads.push(milliseconds(loaded.time));
        firsts.push(first_run(&loaded.session, feed)?);
        if loads.len() == LOADS {
            return Ok((loaded.session, [loads, firsts]));
        }
    }
}

/// Milliseconds of a session's first run.
fn first_run(session: &Session, feed: &Feed) -> Result<f64, RunError> {
    let batch = feed.batches[0];
    let inputs = feed.inputs(session.plan(), batch)?;
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs = buffers::outputs(session.plan(), batch)?;
    let mut outputs: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let mut workspace = session.workspace();
    let start = Instant::now();
    session.run_into(&mut workspace, batch, &inputs, &mut outputs)?;
    Ok(milliseconds(start.elapsed()))
}

/// What runs get.
struct Feed {
    /// At least one.
    batches: Vec<usize>,
    /// The arrays of files in the order of the plan's inputs. None: random numbers.
    given: Option<Vec<Vec<f32>>>,
}

impl Feed {
    fn random(bench: &Bench, plan: &Plan, path: &Path) -> Result<Self, Failure> {
        let fixed = plan.batch.fixed();
        let batches = if bench.batch.is_empty() { vec![fixed.unwrap_or(1)] } else { super::distinct(&bench.batch) };
        match fixed.zip(batches.iter().find(|batch| fixed.is_some_and(|fixed| fixed != **batch))) {
            Some((fixed, wrong)) => Err(wrong_batch(path, fixed, *wrong)),
            None => Ok(Self { batches, given: None }),
        }
    }

    /// Reads files, and has a session check them against the plan.
    fn given(bench: &Bench, path: &Path) -> Result<Self, Failure> {
        let session = load(path, bench.isa, None)?.session;
        let plan = session.plan();
        let arrays = read_inputs(plan, &bench.input)?.inputs;
        let views: Vec<_> = arrays.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
        session.run(&views).map_err(|error| Failure::from(error).in_file(path))?;
        let leading = arrays.first().and_then(|(_, array)| array.shape().first().copied());
        let batch = leading.filter(|_| plan.batch != Batch::Single).or(plan.batch.fixed()).unwrap_or(1);
        let of_port = |port: &rnc::plan::Port| arrays.iter().find(|(name, _)| *name == port.name);
        let given = plan.inputs.iter().filter_map(|port| Some(of_port(port)?.1.iter().copied().collect()));
        Ok(Self { batches: vec![batch], given: Some(given.collect()) })
    }

    fn inputs(&self, plan: &Plan, batch: usize) -> Result<Vec<Vec<f32>>, RunError> {
        self.given.clone().map_or_else(|| buffers::random_inputs(plan, batch, 0), Ok)
    }
}
