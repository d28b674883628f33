//! Runs of a plan on random input, step by step.

use rnc::plan::Machine;
use rnc::plan::cost::cost;
use rnc::profile::{Bound, Profile, Roofline, StepTime, profile};
use rnc::{Isa, Session, Span, machine};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::inspect::kernel;
use crate::cli::tuning;

/// How long the steps of a plan took.
#[derive(Serialize)]
pub(crate) struct Profiled {
    model: String,
    pub isa: &'static str,
    pub threads: usize,
    pub batch: usize,
    pub runs: usize,
    pub machine: String,
    /// What all threads together can do at the most.
    pub peak_gflops: f64,
    pub peak_gb_per_s: f64,
    /// A whole run.
    pub run_median_us: f64,
    pub run_minimum_us: f64,
    /// In the plan's order.
    pub steps: Vec<Row>,
    /// What each thread did in the run of median length.
    #[serde(skip)]
    pub spans: Vec<Span>,
}

/// A step.
#[derive(Serialize)]
pub(crate) struct Row {
    pub index: usize,
    pub name: String,
    pub kind: &'static str,
    /// What the kernel does.
    pub kernel: String,
    /// The generated function, as profilers and debuggers show it.
    pub function: String,
    /// Pixels and channels whose sums are held in registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile: Option<[usize; 2]>,
    pub median_us: f64,
    pub minimum_us: f64,
    /// Part of the sum of all steps' medians.
    pub share: f64,
    /// Of the whole batch.
    pub flops: u64,
    pub gflops: f64,
    /// Floating-point operations a byte.
    pub intensity: f64,
    /// The shortest time that the machine allows, in percent of the median.
    pub percent_of_roof: f64,
    pub bound: Bound,
}

impl Profiled {
    /// Runs a session's plan on random input.
    pub fn new(session: &Session, batch: Option<usize>, runs: usize) -> Result<Self, Failure> {
        let isa = session.code().isa();
        let machine = measured(isa)?;
        let threads = session.threads();
        let batch = batch.or(session.plan().batch.fixed()).unwrap_or(1);
        let roofline = Roofline::new(&machine, threads);
        let Profile { steps, run, spans } = profile(session, batch, runs)?;
        let total: u64 = steps.iter().map(|time| time.median).sum();
        let row = |(index, time): (usize, &StepTime)| {
            let row = row(session, (index, batch), *time, &roofline);
            Row { share: time.median as f64 / total.max(1) as f64, ..row }
        };
        Ok(Self {
            model: session.plan().name.clone(),
            isa: isa.name(),
            threads,
            batch,
            runs,
            machine: machine.name,
            peak_gflops: roofline.flops,
            peak_gb_per_s: roofline.bytes,
            run_median_us: run.median as f64 / 1e3,
            run_minimum_us: run.minimum as f64 / 1e3,
            steps: steps.iter().enumerate().map(row).collect(),
            spans,
        })
    }

    /// Microseconds of all steps.
    pub fn total_us(&self) -> f64 {
        self.steps.iter().map(|step| step.median_us).sum()
    }
}

/// The row of a step, but for its share.
fn row(session: &Session, (index, batch): (usize, usize), time: StepTime, roofline: &Roofline) -> Row {
    let step = &session.plan().steps[index];
    let compiled = session.code().kernel(index);
    let cost = cost(&step.kernel).of_batch(batch);
    let (shortest, bound) = roofline.nanoseconds(cost);
    // A clock that has not moved between two readings has moved by less than one of its units.
    let median = time.median.max(1) as f64;
    let lanes = session.code().isa().lanes();
    Row {
        index,
        name: step.name.clone(),
        kind: kernel::kind(&step.kernel),
        kernel: kernel::describe(&step.kernel),
        function: compiled.name().to_owned(),
        tile: compiled.tile().map(|tile| tile.of_batch(batch)).map(|tile| [tile.pixels, tile.columns * lanes]),
        median_us: median / 1e3,
        minimum_us: time.minimum as f64 / 1e3,
        share: 0.0,
        flops: cost.flops,
        gflops: cost.flops as f64 / median,
        intensity: cost.intensity(),
        percent_of_roof: shortest / median * 100.0,
        bound,
    }
}

/// What a core of this machine can do: as calibrated before, or measured now.
fn measured(isa: Isa) -> Result<Machine, Failure> {
    let known = tuning::machine(isa)?;
    if known != Machine::default() {
        return Ok(known);
    }
    machine::calibrate(isa)
        .ok_or_else(|| Failure::failed("the kernels that measure this machine do not run: is there enough memory?"))
}
