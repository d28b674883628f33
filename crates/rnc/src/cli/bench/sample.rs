//! Measuring: configurations take turns, round by round, so that whatever else the machine does meanwhile hits all of them alike.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rnc::{RunError, Session, Workspace, buffers};

use super::counters::{Counters, Counts};
use super::record::{Configuration, Round};

/// Rounds, if there are enough runs.
pub(super) const ROUNDS: usize = 20;
/// Most runs of a configuration that nobody asked for by number; more say nothing new.
const MOST_RUNS: usize = 100_000;
/// What other configurations left in the caches matters to shorter runs: one comes before those that count.
const SETTLED: Duration = Duration::from_millis(100);

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub warm_up: Duration,
    /// Least time of each configuration.
    pub duration: Option<Duration>,
    /// Fewest runs of each configuration; all of its streams together.
    pub iterations: Option<usize>,
}

/// The runs of one configuration that follow each other: until both are reached.
#[derive(Clone, Copy, Debug)]
struct Share {
    at_least: usize,
    at_most: usize,
    time: Duration,
    /// Whether a run that does not count comes first.
    settle: bool,
}

impl Effort {
    /// How many rounds there are: as many as keep all streams busy in each.
    pub fn rounds(&self, streams: usize) -> usize {
        match (self.duration, self.iterations) {
            (None, Some(runs)) => (runs / streams).clamp(1, ROUNDS),
            _ => ROUNDS,
        }
    }

    /// What round `round` of `rounds` does.
    fn share(&self, round: usize, rounds: usize) -> Share {
        let runs = self.iterations.unwrap_or(1);
        // The first rounds take what is left over.
        let at_least = (runs / rounds + usize::from(round < runs % rounds)).max(usize::from(self.iterations.is_none()));
        let time = self.duration.unwrap_or_default() / rounds as u32;
        let at_most = if self.duration.is_some() { at_least.max(MOST_RUNS / rounds) } else { at_least };
        Share { at_least, at_most, time, settle: false }
    }
}

/// A configuration with all that its runs need.
pub(super) struct Subject {
    pub configuration: Configuration,
    session: Session,
    inputs: Vec<Vec<f32>>,
    streams: Vec<Stream>,
    pub rounds: Vec<Round>,
    /// Sum over all runs that count. None if some were not counted.
    pub counts: Option<Counts>,
    /// Of a run, by the warm-up.
    estimate: Duration,
}

/// What one of the concurrent runs has for itself.
struct Stream {
    workspace: Workspace,
    outputs: Vec<Vec<f32>>,
}

impl Subject {
    pub fn new(configuration: Configuration, session: &Session, inputs: Vec<Vec<f32>>) -> Result<Self, RunError> {
        let stream = |_| {
            let outputs = buffers::outputs(session.plan(), configuration.batch)?;
            Ok(Stream { workspace: session.workspace(), outputs })
        };
        let streams = (0..configuration.streams).map(stream).collect::<Result<_, RunError>>()?;
        let (session, counts) = (session.clone(), Some(Counts::default()));
        Ok(Self { configuration, session, inputs, streams, rounds: Vec::new(), counts, estimate: Duration::ZERO })
    }

    /// Runs without measuring for some time, at least once in each stream.
    fn warm_up(&mut self, time: Duration) -> Result<(), RunError> {
        let share = Share { at_least: self.streams.len(), at_most: usize::MAX, time, settle: true };
        let (round, _) = self.runs(share, None)?;
        let mean = round.wall_ms * self.streams.len() as f64 / round.runs() as f64;
        self.estimate = Duration::from_secs_f64(mean / 1e3);
        Ok(())
    }

    fn round(&mut self, share: Share, counters: Option<&mut Counters>) -> Result<(), RunError> {
        let share = Share { settle: share.settle && self.estimate < SETTLED, ..share };
        let (round, counts) = self.runs(share, counters)?;
        self.counts = Counts::add(self.counts, counts);
        self.rounds.push(round);
        Ok(())
    }

    /// Runs on all streams at once; the first is on this thread.
    fn runs(&mut self, share: Share, counters: Option<&mut Counters>) -> Result<(Round, Option<Counts>), RunError> {
        let inputs: Vec<&[f32]> = self.inputs.iter().map(Vec::as_slice).collect();
        let gate = Gate { line: StartingLine::new(self.streams.len()), started: AtomicUsize::new(0), share };
        let lane = Lane { session: &self.session, batch: self.configuration.batch, inputs: &inputs, gate: &gate };
        let Some((first, others)) = self.streams.split_first_mut() else { return Ok(<_>::default()) };
        thread::scope(|scope| {
            let spawn =
                |stream| thread::Builder::new().spawn_scoped(scope, move || lane.settle(stream).and_then(Runner::run));
            let others: io::Result<Vec<_>> = others.iter_mut().map(spawn).collect();
            let mut others = others.map_err(|error| {
                // Those that there are wait for the others.
                gate.line.call_off();
                RunError::Thread { error }
            })?;
            let (own, counts) = match (lane.settle(first), counters) {
                (Err(error), _) => (Err(error), None),
                (Ok(runner), Some(counters)) => counters.count(|| joined(runner, &mut others)),
                (Ok(runner), None) => (joined(runner, &mut others), None),
            };
            Ok((round(&own?), counts))
        })
    }
}

/// What the streams of a configuration share.
struct Gate {
    /// All streams start at once.
    line: StartingLine,
    /// Runs that were started, or would have been.
    started: AtomicUsize,
    share: Share,
}

impl Gate {
    /// Whether there is another run to do for a stream that began at `start`.
    fn another(&self, start: Instant) -> bool {
        let before = self.started.fetch_add(1, Ordering::Relaxed);
        let Share { at_least, at_most, time, .. } = self.share;
        before < at_least || (before < at_most && start.elapsed() < time)
    }
}

/// Where streams wait for each other.
struct StartingLine {
    runners: usize,
    /// How many are there; none are waited for if the start is called off.
    waiting: Mutex<Option<usize>>,
    changed: Condvar,
}

impl StartingLine {
    fn new(runners: usize) -> Self {
        Self { runners, waiting: Mutex::new(Some(0)), changed: Condvar::new() }
    }

    /// Comes back when all runners are there. False if the start is called off.
    fn wait(&self) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = waiting.map(|there| there + 1);
        self.changed.notify_all();
        let missing = |waiting: &mut Option<usize>| waiting.is_some_and(|there| there < self.runners);
        self.changed.wait_while(waiting, missing).unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn call_off(&self) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.changed.notify_all();
    }
}

/// A stream's way through a round.
#[derive(Clone, Copy)]
struct Lane<'a> {
    session: &'a Session,
    batch: usize,
    inputs: &'a [&'a [f32]],
    gate: &'a Gate,
}

/// A stream that waits at the start.
struct Runner<'a> {
    lane: Lane<'a>,
    workspace: &'a mut Workspace,
    outputs: Vec<&'a mut [f32]>,
    /// False if there is nothing to run: another stream has no thread.
    started: bool,
}

/// When a stream ran, and how long each of its runs took, in milliseconds.
struct Lap {
    start: Instant,
    end: Instant,
    times: Vec<f64>,
}

impl<'a> Lane<'a> {
    /// Does the run that does not count, and waits for the other streams, also if it fails: they wait for this one.
    fn settle(self, stream: &'a mut Stream) -> Result<Runner<'a>, RunError> {
        let outputs = stream.outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let mut runner = Runner { lane: self, workspace: &mut stream.workspace, outputs, started: false };
        let settled = if self.gate.share.settle { runner.once() } else { Ok(()) };
        let started = self.gate.line.wait();
        settled.map(|()| Runner { started, ..runner })
    }
}

impl Runner<'_> {
    fn once(&mut self) -> Result<(), RunError> {
        let Lane { session, batch, inputs, .. } = self.lane;
        session.run_into(self.workspace, batch, inputs, &mut self.outputs)
    }

    fn run(mut self) -> Result<Lap, RunError> {
        let mut times = Vec::new();
        let start = Instant::now();
        while self.started && self.lane.gate.another(start) {
            let start = Instant::now();
            self.once()?;
            times.push(milliseconds(start.elapsed()));
        }
        Ok(Lap { start, end: Instant::now(), times })
    }
}

/// To the nanosecond: more digits would be noise in a file.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

type Others<'scope> = Vec<thread::ScopedJoinHandle<'scope, Result<Lap, RunError>>>;

/// The first stream's lap on this thread, and those of the others.
fn joined(first: Runner<'_>, others: &mut Others<'_>) -> Result<Vec<Lap>, RunError> {
    let first = first.run();
    let join =
        |other: thread::ScopedJoinHandle<'_, _>| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    // All are joined before any error is looked at.
    let others: Vec<Result<Lap, RunError>> = others.drain(..).map(join).collect();
    std::iter::once(first).chain(others).collect()
}

fn round(laps: &[Lap]) -> Round {
    let ran = || laps.iter().filter(|lap| !lap.times.is_empty());
    let (start, end) = (ran().map(|lap| lap.start).min(), ran().map(|lap| lap.end).max());
    let wall = start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start);
    Round { wall_ms: milliseconds(wall), times_ms: laps.iter().map(|lap| lap.times.clone()).collect() }
}

/// Warms all configurations up and measures them in turns. Gives the number of rounds.
pub(super) fn measure(
    subjects: &mut [Subject],
    effort: &Effort,
    mut counters: Option<&mut Counters>,
) -> Result<usize, RunError> {
    for subject in subjects.iter_mut() {
        subject.warm_up(effort.warm_up)?;
    }
    let streams = subjects.iter().map(|subject| subject.configuration.streams).max().unwrap_or(1);
    let (rounds, settle) = (effort.rounds(streams), subjects.len() > 1);
    for round in 0..rounds {
        let share = Share { settle, ..effort.share(round, rounds) };
        // There and back: a steady drift falls on all alike, and nobody always follows the same neighbour.
        let mut order: Vec<&mut Subject> = subjects.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for subject in order {
            subject.round(share, counters.as_deref_mut())?;
        }
    }
    Ok(rounds)
}

#[cfg(test)]
mod tests {
    use rnc::{CompileOptions, Options};

    use super::*;

    fn subject(streams: usize, batch: usize) -> Subject {
        let graph = rnc::ir::parse("graph @g(%x: f32[N,8]) -> (%y) { %y = sigmoid(%x) }").unwrap();
        let plan = rnc::compile_graph(graph, &CompileOptions::default()).unwrap();
        let session = Session::new(plan, &Options { threads: Some(1), ..Options::default() }).unwrap();
        let inputs = buffers::random_inputs(session.plan(), batch, 0).unwrap();
        Subject::new(Configuration { plan: 0, threads: 1, batch, streams }, &session, inputs).unwrap()
    }

    fn effort(duration: Option<u64>, iterations: Option<usize>) -> Effort {
        Effort { warm_up: Duration::ZERO, duration: duration.map(Duration::from_millis), iterations }
    }

    #[test]
    fn as_many_runs_are_measured_as_were_asked_for_however_many_streams_there_are() {
        for iterations in [1, 7, 20, 53] {
            let mut subjects = [subject(1, 1), subject(1, 4), subject(3, 1)];
            let rounds = measure(&mut subjects, &effort(None, Some(iterations)), None).unwrap();
            for subject in &subjects {
                assert_eq!(subject.rounds.len(), rounds);
                assert!(subject.rounds.iter().all(|round| round.runs() > 0 && round.wall_ms > 0.0));
                let streams = subject.configuration.streams;
                assert!(subject.rounds.iter().all(|round| round.times_ms.len() == streams));
                assert_eq!(subject.rounds.iter().map(Round::runs).sum::<usize>(), iterations);
            }
        }
    }

    #[test]
    fn a_duration_is_shared_by_all_rounds_and_reached() {
        let mut subjects = [subject(1, 1), subject(2, 1)];
        assert_eq!(measure(&mut subjects, &effort(Some(40), None), None).unwrap(), ROUNDS);
        for round in subjects.iter().flat_map(|subject| &subject.rounds) {
            let (wall, runs) = (round.wall_ms, round.runs());
            assert!(wall >= 40.0 / ROUNDS as f64 || runs >= MOST_RUNS / ROUNDS, "{wall} ms, {runs} runs");
        }
    }

    #[test]
    fn with_both_limits_both_are_reached() {
        let mut subjects = [subject(1, 1)];
        measure(&mut subjects, &effort(Some(1), Some(30_000)), None).unwrap();
        assert!(subjects[0].rounds.iter().map(Round::runs).sum::<usize>() >= 30_000);
    }

    #[test]
    fn a_run_that_fails_ends_all_streams() {
        let mut subject = subject(3, 1);
        subject.inputs[0].pop();
        assert!(matches!(measure(&mut [subject], &effort(None, Some(5)), None), Err(RunError::Length { .. })));
    }

    #[test]
    fn a_start_that_is_called_off_lets_those_go_who_wait_for_it() {
        let line = StartingLine::new(3);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| line.wait());
            line.call_off();
            assert!(!waiting.join().unwrap());
        });
        assert!(!line.wait() && StartingLine::new(1).wait());
    }
}
