//! Running a session on samples, and timing it.

use std::time::{Duration, Instant};

use ndarray::{ArrayD, Axis};
use rnc::plan::{Batch, Port};
use rnc::statistics::Summary;
use rnc::{OutputArrays, RunError, Session, buffers};

use super::super::failure::Failure;
use super::super::inspect::kernel;
use super::super::say::ms;

/// What goes into one run.
pub(crate) struct Samples {
    /// Arrays by input name.
    pub inputs: Vec<(String, ArrayD<f32>)>,
    /// Samples that matter; those behind them fill up a fixed batch.
    pub wanted: usize,
}

/// Results and times.
pub(crate) struct Measured {
    /// Outputs by name; those of several batches joined along the leading axis.
    pub outputs: Vec<(String, ArrayD<f32>)>,
    /// The very first run: with memory and weights not touched before.
    pub first: Duration,
    /// Repeated runs of the first batch.
    pub times: Vec<Duration>,
    /// Samples in each of the repeated runs.
    pub batch: usize,
}

/// Numbers about times; milliseconds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Statistics {
    pub min_ms: f64,
    pub median_ms: f64,
    pub gflops: f64,
}

/// Runs batches of samples, and keeps what comes out.
pub(crate) struct Collector<'a> {
    session: &'a Session,
    /// The first batch, and how long its run took.
    first: Option<(Samples, Duration)>,
    outputs: Vec<(String, Vec<ArrayD<f32>>)>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self { session, first: None, outputs: Vec::new() }
    }

    /// Runs one batch.
    pub(crate) fn run(&mut self, samples: Samples) -> Result<(), Failure> {
        let start = Instant::now();
        let results = run_samples(self.session, &samples)?;
        let time = start.elapsed();
        for (i, (name, array)) in results.into_iter().enumerate() {
            if i == self.outputs.len() {
                self.outputs.push((name, Vec::new()));
            }
            self.outputs[i].1.push(array);
        }
        self.first.get_or_insert((samples, time));
        Ok(())
    }

    /// Everything that came out, after running the first batch `repeat` times more.
    pub(crate) fn finish(self, repeat: usize) -> Result<Measured, Failure> {
        let Self { session, first, outputs } = self;
        let (samples, time) = first.ok_or_else(|| Failure::failed("there is nothing to run"))?;
        let leading = samples.inputs.first().and_then(|(_, array)| array.shape().first().copied());
        let batch = leading.filter(|_| has_batch(session)).unwrap_or(1);
        let times = if repeat == 0 { Vec::new() } else { repeated(session, &samples, batch, repeat)? };
        let outputs =
            outputs.into_iter().map(|(name, parts)| Ok((name, join(&parts)?))).collect::<Result<_, Failure>>()?;
        Ok(Measured { outputs, first: time, times, batch })
    }
}

/// Runs samples once, and then `repeat` times more.
pub(crate) fn measure(session: &Session, samples: Samples, repeat: usize) -> Result<Measured, Failure> {
    let mut collector = Collector::new(session);
    collector.run(samples)?;
    collector.finish(repeat)
}

/// The outputs for the samples that matter.
pub(crate) fn run_samples(session: &Session, samples: &Samples) -> Result<OutputArrays, Failure> {
    let inputs: Vec<_> = samples.inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    let mut outputs = session.run(&inputs)?;
    if has_batch(session) {
        for (_, array) in &mut outputs {
            let wanted = samples.wanted.min(array.len_of(Axis(0)));
            array.slice_axis_inplace(Axis(0), (..wanted).into());
        }
    }
    Ok(outputs)
}

/// Whether tensors have an axis of samples: without it, the leading axis is one like the others.
fn has_batch(session: &Session) -> bool {
    session.plan().batch != Batch::Single
}

/// Times runs without allocation, after one to warm up.
fn repeated(session: &Session, samples: &Samples, batch: usize, repeat: usize) -> Result<Vec<Duration>, RunError> {
    let plan = session.plan();
    let array = |port: &Port| samples.inputs.iter().find(|(name, _)| *name == port.name);
    let arrays: Vec<_> = plan.inputs.iter().filter_map(|port| Some(array(port)?.1.as_standard_layout())).collect();
    let inputs: Vec<&[f32]> = arrays.iter().filter_map(|array| array.as_slice()).collect();
    let mut outputs = buffers::outputs(plan, batch)?;
    let mut outputs: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let mut workspace = session.workspace();
    session.run_into(&mut workspace, batch, &inputs, &mut outputs)?;
    let mut times = Vec::with_capacity(repeat.min(1 << 20));
    for _ in 0..repeat {
        let start = Instant::now();
        session.run_into(&mut workspace, batch, &inputs, &mut outputs)?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn join(parts: &[ArrayD<f32>]) -> Result<ArrayD<f32>, Failure> {
    if let [one] = parts {
        return Ok(one.clone());
    }
    let views: Vec<_> = parts.iter().map(|array| array.view()).collect();
    ndarray::concatenate(Axis(0), &views)
        .map_err(|error| Failure::failed(format!("cannot join the outputs of batches: {error}")))
}

impl Measured {
    /// What the repeated runs say, if there were some.
    pub(crate) fn statistics(&self, session: &Session) -> Option<Statistics> {
        let times: Vec<f64> = self.times.iter().copied().map(ms).collect();
        let Summary { min, median, .. } = Summary::of(&times)?;
        let work = kernel::flops(session.plan()) as f64 * self.batch as f64;
        Some(Statistics { min_ms: min, median_ms: median, gflops: work / median / 1e6 })
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use ndarray::array;
    use rnc::{CompileOptions, Options};

    use super::*;

    fn session() -> Session {
        let graph = rnc::ir::parse("graph @g(%x: f32[N,2]) -> (%y) { %y = relu(%x) }").unwrap();
        let plan = rnc::compile_graph(graph, &CompileOptions::default()).unwrap();
        Session::new(plan, &Options { threads: Some(1), ..Options::default() }).unwrap()
    }

    fn samples(array: ndarray::Array2<f32>, wanted: usize) -> Samples {
        Samples { inputs: vec![("x".to_owned(), array.into_dyn())], wanted }
    }

    #[test]
    fn joins_the_outputs_of_batches_without_what_fills_them_up() {
        let batches = [samples(array![[1.0, -1.0], [2.0, -2.0]], 2), samples(array![[3.0, -3.0], [4.0, 4.0]], 1)];
        let session = session();
        let mut collector = Collector::new(&session);
        for batch in batches {
            collector.run(batch).unwrap();
        }
        let measured = collector.finish(0).unwrap();
        assert_eq!(measured.outputs[0].1, array![[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]].into_dyn());
        assert!(measured.times.is_empty() && measured.statistics(&session).is_none());
    }

    #[test]
    fn outputs_of_a_plan_without_a_batch_come_whole() {
        let text = "graph @g(%x: f32[2,3]) -> (%t) { %t = transpose(%x) {perm=[1,0]} }";
        let plan = rnc::compile_graph(rnc::ir::parse(text).unwrap(), &CompileOptions::default()).unwrap();
        assert_eq!(plan.batch, Batch::Single);
        let session = Session::new(plan, &Options { threads: Some(1), ..Options::default() }).unwrap();
        let x = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let measured = measure(&session, samples(x.clone(), 2), 2).unwrap();
        assert_eq!(measured.outputs[0].1, x.reversed_axes().into_dyn());
        assert_eq!((measured.times.len(), measured.batch), (2, 1));
    }

    #[test]
    fn repeats_the_first_batch_as_often_as_asked_and_takes_the_middle() {
        let session = session();
        let mut measured = measure(&session, samples(array![[1.0, 2.0]], 1), 3).unwrap();
        assert_eq!((measured.times.len(), measured.batch), (3, 1));
        measured.times = [5, 1, 2, 4].map(Duration::from_millis).to_vec();
        let statistics = measured.statistics(&session).unwrap();
        assert_eq!((statistics.min_ms, statistics.median_ms), (1.0, 3.0));
    }
}
