//! `rnc bisect`.

use std::path::PathBuf;

use rnc::bisect::{Answer, Guilty, Question, bisect};

use super::compile::Dims;
use super::failure::{Failure, Kind};
use super::run::{positive, tolerance};
use super::{files, passes, say};

const EXAMPLES: &str = "\
Examples:
  rnc bisect model.onnx                                 do the passes keep the results? if not: which one, where
  rnc bisect model.onnx -o guilty.rnc                   writes the smallest graph on which it happens
  rnc opt guilty.rnc --passes THE_PASS --explain        looks at it

Passes are judged by the reference interpreter, before and after. Whether kernels compute what the optimized graph says, `rnc compare` tells.
Exit code 4 if a pass changes the results.";

/// Find the pass, and its application, that changes what a model computes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bisect {
    /// The model: an ONNX file, or a graph in the text syntax (.rnc).
    model: PathBuf,
    /// Where to write the smallest graph found on which the guilty pass changes results.
    #[arg(short, long, value_name = "FILE.rnc")]
    output: Option<PathBuf>,
    /// Run these passes, in this order, instead of all.
    #[arg(long, value_name = "PASS,…", value_delimiter = ',')]
    passes: Vec<String>,
    /// How far an output may move, relative to its largest magnitude.
    #[arg(long, value_name = "X", default_value_t = 1e-4, value_parser = tolerance)]
    tolerance: f64,
    /// Samples of the random input, numbers from -1 to 1.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    batch: usize,
    /// Seed of the random input.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    dims: Dims,
}

impl Bisect {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let passes = passes::named(&self.passes)?;
        if let Some(output) = &self.output {
            files::check_target(output, [self.model.as_path()])?;
        }
        let graph = rnc::import_file(&self.model, &self.dims.sizes())?;
        let Self { batch, seed, tolerance, .. } = *self;
        let question = Question { graph: &graph, passes: &passes, batch, seed, tolerance };
        let answer = bisect(&question).map_err(|error| {
            Failure::failed(format!("the reference interpreter on {}: {error}", self.model.display()))
        })?;
        match answer {
            Answer::Same { applications, error } => {
                let allowed = self.tolerance;
                say::data(&format!(
                    "{applications} applications keep the results: within {error:.1e} of the largest, allowed {allowed:.1e}\n"
                ))
            }
            Answer::Guilty(guilty) => self.report(&guilty),
        }
    }

    fn report(&self, guilty: &Guilty) -> Result<(), Failure> {
        let Guilty { application, pass, what, difference, reproducer } = guilty;
        say::data(&format!("application {application} changes the results: {what}\n{difference}\n"))?;
        match &self.output {
            Some(path) => {
                files::write_bytes(path, reproducer.as_bytes())?;
                say::note(format!("wrote {}", path.display()));
            }
            None => say::data(&format!("\n{reproducer}"))?,
        }
        Err(Failure::new(Kind::Mismatch, format!("the pass `{pass}` changes the results")))
    }
}
