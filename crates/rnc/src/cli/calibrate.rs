//! `rnc calibrate`.

use std::path::PathBuf;

use rnc::{Isa, machine};
use serde::Serialize;

use super::failure::Failure;
use super::say::{self, note};

const EXAMPLES: &str = "\
Examples:
  rnc calibrate                  a second; `rnc compile` uses the result on this host from now on
  rnc calibrate -o zen4.json     look, but let `rnc compile` be

Estimates choose among algorithms for each convolution. Without a calibration they assume 3.7 multiply-adds of 16 lanes and
30 bytes of weights a nanosecond, much like a Zen 4 core. `rnc inspect PLAN --choices` shows what came of it; `rnc compile --tune`
measures the kernels themselves.";

/// Measure what a core of this machine can do, for the estimates of `rnc compile`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Calibrate {
    /// Instruction set; the best of this CPU if not given.
    #[arg(long, env = "RNC_ISA")]
    isa: Option<Isa>,
    /// File to write instead of the one that `rnc compile` reads.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    machine: String,
    multiply_adds_per_ns: f64,
    gflops: f64,
    memory_gb_per_s: f64,
    file: PathBuf,
}

impl Calibrate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let isa = self.isa.unwrap_or_else(Isa::best);
        if !isa.is_supported() {
            return Err(Failure::isa(isa));
        }
        let file = self.output.clone().or_else(|| machine::files().map(|files| files.machine));
        let file = file.ok_or_else(|| {
            Failure::failed("there is no home directory to keep the result in").with_help("give a file: -o FILE")
        })?;
        let found = machine::calibrate(isa)
            .ok_or_else(|| Failure::failed("the kernels to be measured do not run: is there enough memory?"))?;
        machine::save(&found, isa, &file).map_err(|error| Failure::file("write", &file, error))?;
        let answer = Answer {
            multiply_adds_per_ns: found.multiply_adds,
            gflops: found.multiply_adds * 32.0,
            memory_gb_per_s: found.memory_bytes,
            machine: found.name,
            file,
        };
        if self.json {
            return say::json(&answer);
        }
        let Answer { machine, multiply_adds_per_ns, gflops, memory_gb_per_s, file } = answer;
        say::data(&format!(
            "machine  {machine}\ncompute  {gflops:.1} GFLOP/s a core ({multiply_adds_per_ns:.2} multiply-adds of 16 lanes a nanosecond)\nweights  {memory_gb_per_s:.1} GB/s from memory\n"
        ))?;
        note(format!("wrote {}", file.display()));
        Ok(())
    }
}
