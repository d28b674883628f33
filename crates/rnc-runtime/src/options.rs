//! How a session runs.

use std::time::Duration;

use rnc_codegen::{Announce, Isa};

use crate::pool;

/// How a session runs.
///
/// ```
/// use rnc_runtime::{Isa, Options};
///
/// let options = Options::default().isa(Isa::Baseline).threads(2);
/// assert_eq!(options.threads, Some(2));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instruction set; the best of this CPU if not given.
    pub isa: Option<Isa>,
    /// Threads; those that affinity and control groups allow if not given.
    pub threads: Option<usize>,
    /// How long idle workers look for the next run before they sleep.
    pub spin: Duration,
    /// Whether profilers or debuggers are told what generated functions are called; what `RNC_PERF_MAP` and `RNC_GDB` say if not given.
    pub announce: Announce,
}

impl Default for Options {
    fn default() -> Self {
        Self { isa: None, threads: None, spin: pool::DEFAULT_SPIN, announce: Announce::from_environment() }
    }
}

impl Options {
    /// With code for this instruction set.
    #[must_use]
    pub fn isa(self, isa: Isa) -> Self {
        Self { isa: Some(isa), ..self }
    }

    /// With so many threads a run.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// With workers that look for the next run so long before they sleep.
    #[must_use]
    pub fn spin(self, spin: Duration) -> Self {
        Self { spin, ..self }
    }

    /// With profilers or debuggers told what generated functions are called.
    #[must_use]
    pub fn announce(self, announce: Announce) -> Self {
        Self { announce, ..self }
    }

    pub(crate) fn thread_count(&self) -> usize {
        self.threads.unwrap_or_else(pool::default_threads).clamp(1, pool::MAX_THREADS)
    }
}
