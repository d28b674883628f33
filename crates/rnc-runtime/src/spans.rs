//! What each thread did when: recorded by the runs of a workspace that measures. Other runs look at no clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One thread's part of a step, and its wait for the other threads. Times are nanoseconds since the run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which of the run's threads: 0 is the caller's.
    pub thread: usize,
    /// Index of the step in the plan.
    pub step: usize,
    /// First sample.
    pub first: usize,
    /// Number of samples.
    pub samples: usize,
    /// Tasks of the thread's: none if the step is worth fewer threads.
    pub tasks: usize,
    /// When it began.
    pub start: u64,
    /// When its tasks were done.
    pub end: u64,
    /// When the other threads' tasks were done, too.
    pub left: u64,
}

/// Looks on while a thread does its part of a run.
pub(crate) trait Watch {
    /// A step begins.
    fn start(&mut self);
    /// So many tasks are done.
    fn done(&mut self, tasks: usize);
    /// All threads' tasks are done; which step it was, the first sample and the number of samples.
    fn left(&mut self, step: usize, samples: (usize, usize));
}

/// Nobody looks on.
impl Watch for () {
    fn start(&mut self) {}
    fn done(&mut self, _: usize) {}
    fn left(&mut self, _: usize, _: (usize, usize)) {}
}

/// What the threads of a workspace's runs write down.
pub(crate) struct Recorder {
    started: Mutex<Instant>,
    /// By thread: the last run.
    threads: Vec<Mutex<Vec<Entry>>>,
    /// By step: nanoseconds by the first thread's clock, summed up over runs.
    times: Vec<AtomicU64>,
}

struct Entry {
    step: usize,
    samples: (usize, usize),
    tasks: usize,
    /// Start, end and left of the span.
    at: [Instant; 3],
}

impl Recorder {
    /// For runs of so many steps on so many threads at the most.
    pub(crate) fn new(steps: usize, threads: usize) -> Self {
        Self {
            started: Mutex::new(Instant::now()),
            threads: (0..threads).map(|_| Mutex::default()).collect(),
            times: (0..steps).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A run starts now. Threads that take no part in it leave nothing of the run before.
    pub(crate) fn start(&self) {
        for entries in &self.threads {
            lock(entries).clear();
        }
        *lock(&self.started) = Instant::now();
    }

    /// One thread's watch. The thread is one of those that the recorder was made for, and has one watch at a time.
    pub(crate) fn watch(&self, thread: usize) -> Recording<'_> {
        let times = (thread == 0).then_some(self.times.as_slice());
        let now = Instant::now();
        Recording { entries: lock(&self.threads[thread]), times, start: now, end: now, tasks: 0 }
    }

    /// See [`crate::Workspace::step_nanoseconds`].
    pub(crate) fn step_nanoseconds(&self) -> Vec<u64> {
        self.times.iter().map(|time| time.load(Ordering::Relaxed)).collect()
    }

    /// See [`crate::Workspace::spans`].
    pub(crate) fn spans(&self) -> Vec<Span> {
        let started = *lock(&self.started);
        let since = |at: Instant| at.duration_since(started).as_nanos() as u64;
        let mut spans = Vec::new();
        for (thread, entries) in self.threads.iter().enumerate() {
            spans.extend(lock(entries).iter().map(|entry| {
                let Entry { step, samples: (first, samples), tasks, at } = *entry;
                let [start, end, left] = at.map(since);
                Span { thread, step, first, samples, tasks, start, end, left }
            }));
        }
        spans
    }
}

/// A thread's watch that writes down what it sees.
pub(crate) struct Recording<'a> {
    entries: MutexGuard<'a, Vec<Entry>>,
    /// Of the first thread.
    times: Option<&'a [AtomicU64]>,
    start: Instant,
    end: Instant,
    tasks: usize,
}

impl Watch for Recording<'_> {
    fn start(&mut self) {
        self.start = Instant::now();
    }

    fn done(&mut self, tasks: usize) {
        self.end = Instant::now();
        self.tasks = tasks;
    }

    fn left(&mut self, step: usize, samples: (usize, usize)) {
        let left = Instant::now();
        if let Some(times) = self.times {
            times[step].fetch_add(left.duration_since(self.start).as_nanos() as u64, Ordering::Relaxed);
        }
        self.entries.push(Entry { step, samples, tasks: self.tasks, at: [self.start, self.end, left] });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
