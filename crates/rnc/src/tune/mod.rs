//! Tuning: measuring kernels on this host.

mod cache;
mod trial;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rnc_lower::{Trial, Tuner};
use rnc_plan::kernel::Conv;
use rnc_plan::{Measured, TileSize};
use rnc_runtime::Isa;

use crate::machine;
use cache::Cache;
pub(crate) use trial::seconds;
use trial::{Timed, Weights};

/// Runs of each trial. They take turns, so that a neighbour on the machine slows down all of them.
const ROUNDS: usize = 5;

/// Measures candidates on this host, on one thread.
pub struct HostTuner {
    isa: Isa,
    host: String,
    state: Mutex<State>,
    progress: Box<dyn Fn(Progress)>,
}

struct State {
    cache: Cache,
    weights: Option<Weights>,
    progress: Progress,
}

/// How far tuning has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Convolutions that have been tuned.
    pub done: usize,
    /// All of them.
    pub total: usize,
    /// Kernels that were measured; the cache had the others.
    pub measured: usize,
}

impl HostTuner {
    /// A tuner for an instruction set. Times are remembered in the file `cache`, if there is one; `progress` hears of every convolution.
    pub fn new(isa: Isa, cache: Option<&Path>, progress: impl Fn(Progress) + 'static) -> Self {
        let state = State { cache: Cache::open(cache), weights: None, progress: Progress::default() };
        Self { isa, host: machine::host(), state: Mutex::new(state), progress: Box::new(progress) }
    }

    /// Writes the times to the cache's file.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn save(&self) -> std::io::Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cache.save()
    }

    /// What a time depends on.
    fn key(&self, trial: &Trial) -> String {
        format!("{} | {} | rnc {} | {trial:?}", self.host, self.isa, env!("CARGO_PKG_VERSION"))
    }
}

impl Tuner for HostTuner {
    fn expect(&self, convolutions: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).progress.total = convolutions;
    }

    fn tiles(&self, _: &Conv) -> Vec<TileSize> {
        rnc_codegen::tiles(self.isa).to_vec()
    }

    fn measure(&self, trials: &[Trial]) -> Vec<Option<f64>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { cache, weights, progress } = &mut *state;
        let keys: Vec<String> = trials.iter().map(|trial| self.key(trial)).collect();
        // All or none: times of different days do not compare.
        if keys.iter().any(|key| cache.get(key).is_none()) {
            if weights.is_none() {
                *weights = Weights::new().ok();
            }
            let times =
                weights.as_ref().map_or_else(|| vec![None; trials.len()], |weights| time(trials, self.isa, weights));
            for (key, time) in keys.iter().zip(times).filter_map(|(key, time)| Some((key, time?))) {
                cache.insert(key.clone(), time);
            }
            progress.measured += trials.len();
        }
        progress.done += 1;
        (self.progress)(*progress);
        keys.iter().map(|key| cache.get(key)).collect()
    }

    fn place(&self) -> Measured {
        Measured { host: self.host.clone(), isa: self.isa.to_string() }
    }
}

fn time(trials: &[Trial], isa: Isa, weights: &Weights) -> Vec<Option<f64>> {
    let mut timed: Vec<_> = trials.iter().map(|trial| Timed::new(trial, isa, weights)).collect();
    for _ in 0..ROUNDS {
        for trial in &mut timed {
            if trial.as_mut().is_some_and(|trial| trial.run().is_none()) {
                *trial = None;
            }
        }
    }
    timed.iter().map(|trial| trial.as_ref()?.best()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_plan::kernel::{Activation, Extent, KernelSpec, Source, Strassen, Window};
    use rnc_plan::strassen::Levels;

    fn trials() -> Vec<Trial> {
        let extent = Extent { channels: 32, height: 6, width: 6 };
        let conv = Conv {
            input: extent,
            source: Source::Blocked,
            output: extent,
            groups: 1,
            window: Window { kernel: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1] },
            residual: true,
            activation: Activation::Relu,
        };
        let strassen = KernelSpec::Strassen(Strassen { conv: conv.clone(), levels: Levels::One });
        vec![Trial { kernel: KernelSpec::Conv(conv), tile: None }, Trial { kernel: strassen, tile: None }]
    }

    #[test]
    fn measures_once_and_finds_the_times_in_the_cache_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuning.json");
        let tuner = HostTuner::new(Isa::best(), Some(&path), |_| {});
        let times = tuner.measure(&trials());
        assert!(times.iter().all(|time| time.is_some_and(|time| time > 0.0)), "{times:?}");
        tuner.save().unwrap();

        let seen = std::rc::Rc::new(std::cell::Cell::new(Progress::default()));
        let sees = std::rc::Rc::clone(&seen);
        let again = HostTuner::new(Isa::best(), Some(&path), move |progress| sees.set(progress));
        again.expect(3);
        assert_eq!(again.measure(&trials()), times);
        assert_eq!(seen.get(), Progress { done: 1, total: 3, measured: 0 });
    }

    #[test]
    fn what_cannot_be_measured_has_no_time() {
        let mut trials = trials();
        let KernelSpec::Conv(conv) = &mut trials[0].kernel else { panic!("not a convolution") };
        conv.groups = 5;
        let tuner = HostTuner::new(Isa::best(), None, |_| {});
        let times = tuner.measure(&trials);
        assert!(times[0].is_none() && times[1].is_some(), "{times:?}");
    }
}
