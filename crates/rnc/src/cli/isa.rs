//! `rnc isa`.

use rnc::Isa;
use serde::Serialize;

use super::failure::Failure;
use super::say;

const EXAMPLES: &str = "\
Examples:
  rnc isa                                    what `--isa` takes here
  for isa in $(rnc isa); do rnc run x.plan --input x.npy --isa $isa --save $isa.npz; done    the same bits from each";

/// List the instruction sets that this CPU has, best last.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Isas {
    /// Print JSON: {"supported": [...], "best": "..."}.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    supported: Vec<&'static str>,
    best: &'static str,
}

impl Isas {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let supported: Vec<_> = Isa::ALL.into_iter().filter(|isa| isa.is_supported()).map(Isa::name).collect();
        if self.json {
            return say::json(&Answer { supported, best: Isa::best().name() });
        }
        say::data(&format!("{}\n", supported.join("\n")))
    }
}
