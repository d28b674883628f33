//! What `rnc compile` takes from this host: its calibration, and a tuner with a progress bar.

use indicatif::{ProgressBar, ProgressStyle};
use rnc::plan::Machine;
use rnc::{HostTuner, Isa, Progress, machine};

use super::failure::Failure;
use super::say::note;

/// The calibrated description of this host, or the default one.
pub(crate) fn machine(isa: Isa) -> Result<Machine, Failure> {
    let Some(files) = machine::files() else { return Ok(Machine::default()) };
    machine::load(&files.machine, isa).map_err(|error| {
        Failure::file("read", &files.machine, error).with_help("make it anew with `rnc calibrate`, or remove it")
    })
}

/// A tuner that shows how far it is, and remembers what it measured.
pub(crate) struct Tuning {
    pub(crate) tuner: HostTuner,
    bar: ProgressBar,
}

impl Tuning {
    pub(crate) fn new(isa: Isa) -> Result<Self, Failure> {
        if !isa.is_supported() {
            return Err(Failure::isa(isa));
        }
        // Hidden where there is no terminal.
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template(
            "tuning {bar:30} {pos}/{len} convolutions, {msg} kernels measured, {eta} left",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let shown = bar.clone();
        let progress = move |progress: Progress| {
            shown.set_length(progress.total as u64);
            shown.set_position(progress.done as u64);
            shown.set_message(progress.measured.to_string());
        };
        let cache = machine::files().map(|files| files.tuning);
        Ok(Self { tuner: HostTuner::new(isa, cache.as_deref(), progress), bar })
    }

    /// Keeps the measured times. That they cannot be kept is no reason not to use them.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
        if let Err(error) = self.tuner.save() {
            note(format!("the measured times are not kept for the next time: {error}"));
        }
    }
}
