//! How long each step of a plan takes in a run, and how near that is to what the machine can do.

use std::time::Instant;

use rnc_plan::Machine;
use rnc_plan::cost::Cost;
use rnc_runtime::{RunError, Session, Span};

use crate::buffers;

/// Runs before the first that counts: code and weights come into the caches, the pool's threads wake up.
const WARM_UP: usize = 3;

/// Most runs whose spans are kept.
const KEPT: usize = 64;

/// Time that a step or a run took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepTime {
    /// Of a run in the middle.
    pub median: u64,
    /// Of the fastest run.
    pub minimum: u64,
}

/// How a plan ran.
#[derive(Clone, Debug)]
pub struct Profile {
    /// By step.
    pub steps: Vec<StepTime>,
    /// Of whole runs.
    pub run: StepTime,
    /// What each thread did in a run of median length.
    pub spans: Vec<Span>,
}

/// Times the steps of a session's plan as they follow each other in so many runs (at least one) on random input.
///
/// # Errors
/// If the plan does not take this batch, or there is no memory for it.
pub fn profile(session: &Session, batch: usize, runs: usize) -> Result<Profile, RunError> {
    let plan = session.plan();
    let inputs = buffers::random_inputs(plan, batch, 0)?;
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs = buffers::outputs(plan, batch)?;
    let mut outputs: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let mut workspace = session.measuring_workspace();
    let mut times = vec![Vec::new(); plan.steps.len()];
    // Spans are many: those of some runs are kept, and shown are those of the one nearest to the median.
    let (mut whole, mut kept, every) = (Vec::new(), Vec::new(), runs.div_ceil(KEPT).max(1));
    let mut before = vec![0; plan.steps.len()];
    for run in 0..WARM_UP + runs.max(1) {
        let start = Instant::now();
        session.run_into(&mut workspace, batch, &inputs, &mut outputs)?;
        let time = start.elapsed().as_nanos() as u64;
        let total = workspace.step_nanoseconds().unwrap_or_default();
        if run >= WARM_UP {
            for ((times, total), before) in times.iter_mut().zip(&total).zip(&before) {
                times.push(total - before);
            }
            whole.push(time);
            if (run - WARM_UP).is_multiple_of(every) {
                kept.push((time, workspace.spans().unwrap_or_default()));
            }
        }
        before = total;
    }
    let run = StepTime::of(whole);
    let nearest = kept.into_iter().min_by_key(|(time, _)| time.abs_diff(run.median));
    let spans = nearest.map(|(_, spans)| spans).unwrap_or_default();
    Ok(Profile { steps: times.into_iter().map(StepTime::of).collect(), run, spans })
}

impl StepTime {
    /// Of the times of runs, at least one.
    fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        Self { median: times[times.len() / 2], minimum: times[0] }
    }
}

/// What bounds a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Arithmetic.
    Compute,
    /// Bytes that come from memory.
    Memory,
}

/// A machine's roofline (Williams, Waterman, Patterson, 2009): no step can be faster than its arithmetic or its bytes allow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// Floating-point operations a nanosecond.
    pub flops: f64,
    /// Bytes from memory a nanosecond.
    pub bytes: f64,
}

impl Roofline {
    /// Of so many cores of a machine.
    pub fn new(machine: &Machine, threads: usize) -> Self {
        let threads = threads as f64;
        // A multiply-add is two operations, of 16 lanes.
        Self { flops: machine.multiply_adds * 32.0 * threads, bytes: machine.memory_bytes * threads }
    }

    /// The shortest time in nanoseconds that a step can take, and what keeps it from being shorter.
    ///
    /// Operations are counted as the model defines them: Winograd and Strassen do with fewer, and may be faster than this.
    pub fn nanoseconds(&self, cost: Cost) -> (f64, Bound) {
        let (compute, memory) = (cost.flops as f64 / self.flops, cost.bytes as f64 / self.bytes);
        if compute >= memory { (compute, Bound::Compute) } else { (memory, Bound::Memory) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompileOptions, Options, compile_graph};

    #[test]
    fn every_step_of_a_plan_has_its_time() {
        let text = "graph @net(%x: f32[N,16,24,24]) -> (%r, %s) {
           @w = random(1) : f32[32,16,3,3]
           %c = conv2d(%x, @w) {pad=1}
           %r = sigmoid(%c)
           %s = global_average_pool(%r)
         }";
        let plan = compile_graph(rnc_ir::parse(text).unwrap(), &CompileOptions::default()).unwrap();
        let session = Session::new(plan, &Options::default()).unwrap();
        for batch in [1, 3] {
            let Profile { steps, run, spans } = profile(&session, batch, 5).unwrap();
            assert_eq!(steps.len(), session.plan().steps.len());
            assert!(steps.iter().all(|time| 0 < time.minimum && time.minimum <= time.median), "{steps:?}");
            assert!(run.minimum >= steps.iter().map(|time| time.minimum).sum(), "{run:?} {steps:?}");
            assert!(
                (0..steps.len()).all(|step| spans.iter().any(|span| span.step == step && span.tasks > 0)),
                "{spans:?}"
            );
        }
        assert!(profile(&session, 0, 5).is_err());
        assert_eq!(profile(&session, 1, 0).unwrap().steps.len(), session.plan().steps.len());
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "these numbers are exact")]
    fn the_slower_of_arithmetic_and_memory_is_the_roof() {
        let machine = Machine { multiply_adds: 4.0, memory_bytes: 16.0, ..Machine::default() };
        let roofline = Roofline::new(&machine, 2);
        assert_eq!(roofline, Roofline { flops: 256.0, bytes: 32.0 });
        let cost = |flops, bytes| Cost { flops, bytes, weight_bytes: 0 };
        assert_eq!(roofline.nanoseconds(cost(2560, 32)), (10.0, Bound::Compute));
        assert_eq!(roofline.nanoseconds(cost(2560, 3200)), (100.0, Bound::Memory));
    }
}
