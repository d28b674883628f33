//! A run of the plan, for the page.

use rnc::plan::Machine;
use rnc::plan::cost::cost;
use rnc::profile::{Bound, Roofline, step_times};
use rnc::{Isa, Options, Plan, Session, machine};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::tuning;

/// How long the steps of a plan took.
#[derive(Serialize)]
pub(super) struct Profiled {
    isa: &'static str,
    threads: usize,
    batch: usize,
    runs: usize,
    machine: String,
    /// What all threads together can do at the most.
    peak_gflops: f64,
    peak_gb_per_s: f64,
    steps: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    median_us: f64,
    minimum_us: f64,
    gflops: f64,
    /// Floating-point operations a byte.
    intensity: f64,
    /// The shortest time that the machine allows, in percent of the median.
    percent_of_roof: f64,
    bound: Bound,
}

impl Profiled {
    /// Runs a plan on random input.
    pub fn new(plan: Plan, options: &Options, runs: usize) -> Result<Self, Failure> {
        let isa = options.isa.unwrap_or_else(Isa::best);
        let session = Session::new(plan, options)?;
        let machine = measured(isa)?;
        let threads = session.threads();
        let batch = session.plan().batch.fixed().unwrap_or(1);
        let roofline = Roofline::new(&machine, threads);
        let times = step_times(&session, batch, runs)?;
        let steps = session.plan().steps.iter().zip(times).map(|(step, time)| {
            let cost = cost(&step.kernel).of_batch(batch);
            let (shortest, bound) = roofline.nanoseconds(cost);
            // A clock that has not moved between two readings has moved by less than one of its units.
            let median = time.median.max(1) as f64;
            Row {
                median_us: median / 1e3,
                minimum_us: time.minimum as f64 / 1e3,
                gflops: cost.flops as f64 / median,
                intensity: cost.intensity(),
                percent_of_roof: shortest / median * 100.0,
                bound,
            }
        });
        Ok(Self {
            isa: isa.name(),
            threads,
            batch,
            runs,
            machine: machine.name,
            peak_gflops: roofline.flops,
            peak_gb_per_s: roofline.bytes,
            steps: steps.collect(),
        })
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
