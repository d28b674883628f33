//! `rnc profile`.

mod html;
mod measure;
mod report;
mod trace;

use std::path::{Path, PathBuf};

use rnc::plan::limits::MAX_BATCH;

use super::failure::{Failure, Kind};
use super::run::{Execution, Loaded, positive};
use super::say::note;
use super::{files, say};
use trace::Trace;

pub(crate) use measure::Profiled;

const EXAMPLES: &str = "\
Examples:
  rnc profile resnet50.plan --threads 1                    the slowest steps first
  rnc profile resnet50.plan --sort plan --batch 8          in the order of the plan
  rnc profile resnet50.plan --trace run.json               for https://ui.perfetto.dev: what each thread did when
  rnc profile resnet50.plan --html run.html                a page with the same, and a table to sort
  RNC_PERF_MAP=1 perf record rnc bench resnet50.plan       names of generated code in perf report
  RNC_GDB=1 gdb --args rnc run resnet50.plan cat.jpg       and in gdb's backtraces

A step's roof is the shortest time that this machine allows for its arithmetic and its bytes (the roofline of Williams et al., 2009),
by `rnc calibrate`, or measured now. Operations are counted as the model defines them: Winograd and Strassen do with fewer, and can be
beyond 100 %; so can steps whose bytes come from a cache. tile: pixels × channels whose sums a kernel holds in registers.";

/// Show how long each layer takes, and how near that is to what this machine can do.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Profile {
    /// The plan, as `rnc compile` made it. It runs on random input.
    plan: PathBuf,
    /// Samples in each run; what the plan is for, or 1, if not given.
    #[arg(short, long, value_name = "N", value_parser = batch)]
    batch: Option<usize>,
    /// Runs to take medians of.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = runs)]
    runs: usize,
    /// Order of the table.
    #[arg(long, value_enum, default_value_t = Order::Time, conflicts_with = "json")]
    sort: Order,
    /// Only the first N rows of the table.
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "json")]
    top: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write a trace of the run of median length, with threads as rows, for Perfetto or Chromium's tracing.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write a page for the browser: what each thread did when, and a table to sort.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    execution: Execution,
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// The slowest step first.
    Time,
    /// As steps follow each other.
    Plan,
}

impl Profile {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        files::check_targets(self.trace.iter().chain(&self.html), [self.plan.as_path()])?;
        let Loaded { session, .. } = self.execution.load(&self.plan)?;
        if let Some((fixed, batch)) =
            session.plan().batch.fixed().zip(self.batch).filter(|(fixed, batch)| fixed != batch)
        {
            return Err(wrong_batch(&self.plan, fixed, batch));
        }
        let profiled = Profiled::new(&session, self.batch, self.runs)?;
        if let Some(path) = &self.trace {
            files::write_json(path, &Trace::new(&profiled))?;
            note(format!("wrote {}: open it at https://ui.perfetto.dev or chrome://tracing", path.display()));
        }
        if let Some(path) = &self.html {
            files::write_bytes(path, html::page(&profiled)?.as_bytes())?;
            note(format!("wrote {}", path.display()));
        }
        if self.json { say::json(&profiled) } else { say::data(&report::text(&profiled, self.sort, self.top)) }
    }
}

/// That a plan is for another batch.
pub(crate) fn wrong_batch(plan: &Path, fixed: usize, found: usize) -> Failure {
    let message = format!("{} is for a batch of {fixed} alone, found --batch {found}", plan.display());
    Failure::new(Kind::Usage, message).with_help("a plan takes any batch if the model's is open and no --dim fixes it")
}

/// More runs than a day has time for are a mistake.
pub(crate) fn runs(text: &str) -> Result<usize, String> {
    const MOST: usize = 10_000_000;
    positive(text).ok().filter(|n| *n <= MOST).ok_or_else(|| format!("`{text}` is not a number from 1 to {MOST}"))
}

pub(crate) fn batch(text: &str) -> Result<usize, String> {
    positive(text)
        .ok()
        .filter(|n| *n <= MAX_BATCH)
        .ok_or_else(|| format!("`{text}` is not a number from 1 to {MAX_BATCH}"))
}
