//! The process's one thread pool.
//!
//! A job is called once on each of its threads, at the same time; the threads of a job meet at a [`Barrier`]. Workers wait for the next job
//! by spinning for a moment and then parking. The pool starts on first use, grows to the largest number of threads that was asked for,
//! and is made anew in a process that forked, where its workers do not exist.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::lock;

/// What runs on the threads of a pool.
pub trait Job: Send + Sync {
    /// The part of thread `thread` of `threads`. Must not panic.
    fn run(&self, thread: usize, threads: usize);
}

/// How long an idle worker looks for the next job before it sleeps: longer than a gap between the runs of a busy loop, shorter than anyone
/// would notice on a battery.
pub const DEFAULT_SPIN: Duration = Duration::from_micros(200);

/// Most threads of a job; more than any machine has.
pub const MAX_THREADS: usize = 1024;

/// Threads that a run uses unless told otherwise: the CPUs that affinity and control groups leave to this process.
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Runs a job on `threads` threads, the caller's being the first, and returns when all are done. If another job has the pool, the job runs on
/// the caller's thread alone: no oversubscription, and no waiting.
pub fn run(job: &Arc<impl Job + 'static>, threads: usize, spin: Duration) {
    if threads > 1
        && let Some(pool) = pool()
    {
        match pool.workers.try_lock() {
            Ok(mut workers) => return workers.run(job, threads, spin),
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner().run(job, threads, spin),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    job.run(0, 1);
}

struct Pool {
    process: u32,
    workers: Mutex<Workers>,
}

/// The pool of this process. `None` if it was forked at a moment when another thread looked for the pool.
fn pool() -> Option<Arc<Pool>> {
    static POOL: Mutex<Option<Arc<Pool>>> = Mutex::new(None);
    let mut pool = lock::brief(&POOL)?;
    let process = std::process::id();
    Some(match pool.as_ref() {
        Some(pool) if pool.process == process => Arc::clone(pool),
        _ => Arc::clone(pool.insert(Arc::new(Pool { process, workers: Mutex::new(Workers(Vec::new())) }))),
    })
}

/// What a worker and the threads that give it work share.
struct Mailbox {
    /// Number of jobs posted so far.
    posted: AtomicUsize,
    work: Mutex<Option<Work>>,
}

struct Work {
    job: Arc<dyn Job>,
    thread: usize,
    threads: usize,
    spin: Duration,
    /// Workers of the job that are not done yet.
    pending: Arc<AtomicUsize>,
}

struct Worker {
    mailbox: Arc<Mailbox>,
    thread: Thread,
}

struct Workers(Vec<Worker>);

impl Workers {
    fn run(&mut self, job: &Arc<impl Job + 'static>, threads: usize, spin: Duration) {
        while self.0.len() + 1 < threads {
            match Worker::start(self.0.len() + 1) {
                Some(worker) => self.0.push(worker),
                // The system gives no more threads: run with those that there are.
                None => break,
            }
        }
        let threads = threads.min(self.0.len() + 1);
        let pending = Arc::new(AtomicUsize::new(threads - 1));
        for (i, worker) in self.0[..threads - 1].iter().enumerate() {
            let job: Arc<dyn Job> = Arc::clone(job) as _;
            worker.post(Work { job, thread: i + 1, threads, spin, pending: Arc::clone(&pending) });
        }
        run_part(&**job, 0, threads);
        wait_until(|| pending.load(Ordering::Acquire) == 0);
    }
}

impl Worker {
    fn start(number: usize) -> Option<Self> {
        let mailbox = Arc::new(Mailbox { posted: AtomicUsize::new(0), work: Mutex::new(None) });
        let of_worker = Arc::clone(&mailbox);
        let builder = thread::Builder::new().name(format!("rnc-{number}"));
        let handle = builder.spawn(move || work(&of_worker)).ok()?;
        Some(Self { mailbox, thread: handle.thread().clone() })
    }

    fn post(&self, work: Work) {
        *self.mailbox.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
        self.mailbox.posted.fetch_add(1, Ordering::Release);
        self.thread.unpark();
    }
}

fn work(mailbox: &Mailbox) {
    let mut seen = 0;
    let mut spin = DEFAULT_SPIN;
    loop {
        let start = Instant::now();
        while mailbox.posted.load(Ordering::Acquire) == seen {
            if start.elapsed() < spin {
                for _ in 0..64 {
                    std::hint::spin_loop();
                }
            } else {
                thread::park();
            }
        }
        seen += 1;
        let work = mailbox.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Work { job, thread, threads, spin: next_spin, pending }) = work {
            spin = next_spin;
            run_part(&*job, thread, threads);
            drop(job);
            pending.fetch_sub(1, Ordering::Release);
        }
    }
}

/// Runs one thread's part. Should it panic, the process ends: other threads still use memory that unwinding would give back.
fn run_part(job: &dyn Job, thread: usize, threads: usize) {
    struct AbortOnUnwind;
    impl Drop for AbortOnUnwind {
        fn drop(&mut self) {
            if thread::panicking() {
                std::process::abort();
            }
        }
    }
    let _guard = AbortOnUnwind;
    job.run(thread, threads);
}

/// Spins, and yields the CPU now and then in case it is the one that the awaited thread needs.
fn wait_until(condition: impl Fn() -> bool) {
    let mut rounds = 0u32;
    while !condition() {
        rounds += 1;
        if rounds.is_multiple_of(4096) {
            thread::yield_now();
        }
        std::hint::spin_loop();
    }
}

/// Where the threads of a job wait for each other.
#[derive(Debug, Default)]
pub struct Barrier {
    arrived: AtomicUsize,
    generation: AtomicUsize,
}

impl Barrier {
    /// Returns when `threads` threads have called it. What each wrote before is visible to all behind it.
    pub fn wait(&self, threads: usize) {
        if threads == 1 {
            return;
        }
        let generation = self.generation.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.generation.store(generation.wrapping_add(1), Ordering::Release);
        } else {
            wait_until(|| self.generation.load(Ordering::Acquire) != generation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count {
        barrier: Barrier,
        before: AtomicUsize,
        seen: Vec<AtomicUsize>,
    }

    impl Count {
        fn new() -> Arc<Self> {
            let seen = (0..8).map(|_| AtomicUsize::new(0)).collect();
            Arc::new(Self { barrier: Barrier::default(), before: AtomicUsize::new(0), seen })
        }
    }

    impl Job for Count {
        fn run(&self, thread: usize, threads: usize) {
            for _ in 0..100 {
                self.before.fetch_add(1, Ordering::Relaxed);
                self.barrier.wait(threads);
                self.seen[thread].store(self.before.load(Ordering::Relaxed), Ordering::Relaxed);
                self.barrier.wait(threads);
            }
        }
    }

    #[test]
    fn every_thread_sees_what_all_did_before_the_barrier() {
        for threads in [1, 2, 3, 5] {
            for _ in 0..20 {
                let job = Count::new();
                run(&job, threads, DEFAULT_SPIN);
                let used = job.before.load(Ordering::Relaxed) / 100;
                // Another test may have the pool; the job then runs alone.
                assert!(used == threads || used == 1);
                assert!(job.seen[..used].iter().all(|seen| seen.load(Ordering::Relaxed) == used * 100));
            }
        }
    }

    #[test]
    fn sleeping_workers_wake_up() {
        let job = Count::new();
        run(&job, 2, Duration::ZERO);
        thread::sleep(Duration::from_millis(5));
        run(&job, 2, Duration::ZERO);
        assert!(job.before.load(Ordering::Relaxed) >= 200);
    }

    #[test]
    fn concurrent_jobs_all_finish() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let job = Count::new();
                        run(&job, 2, DEFAULT_SPIN);
                        assert!(job.before.load(Ordering::Relaxed) >= 100);
                    }
                });
            }
        });
    }
}
