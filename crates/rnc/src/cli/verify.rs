//! `rnc verify`.

use std::path::PathBuf;

use super::failure::Failure;
use super::say;

/// Check a plan file wholly: checksums, the header, every step's memory accesses, the memory layout.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rnc verify resnet50.plan && echo fine")]
pub(crate) struct Verify {
    /// The plan.
    plan: PathBuf,
}

impl Verify {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let plan = rnc_plan::open_file(&self.plan).map_err(|error| Failure::open(&self.plan, &error))?;
        say::note(format!(
            "{}: ok: {}, {} steps, {} buffers, {} of constants, made by {}",
            self.plan.display(),
            plan.name,
            plan.steps.len(),
            plan.buffers.len(),
            say::size(plan.data.bytes().len()),
            plan.producer
        ));
        Ok(())
    }
}
