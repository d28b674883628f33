//! `rnc compile`.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rnc::image::{Images, Preprocess, preset};
use rnc::lint::Lint;
use rnc::plan::limits::MAX_BATCH;
use rnc::{CompileOptions, Compiled, Isa, Outputs, Source};

use super::failure::Failure;
use super::files;
use super::images;
use super::inspect::kernel;
use super::passes;
use super::say::{ms, note, size};
use super::tuning::{self, Tuning};

const EXAMPLES: &str = "\
Examples:
  rnc compile resnet50.onnx -o resnet50.plan
  rnc compile resnet50.onnx -o resnet50-4.plan --dim N=4     fix the batch
  rnc compile resnet50.onnx -o embed.plan --features         embeddings: what the last pool gives
  rnc compile resnet50.onnx -o resnet50.plan --preprocess imagenet --labels imagenet-1k   the plan then knows what images it wants
  rnc compile model.onnx -o taps.plan --outputs layer2,layer3
  rnc compile model.onnx -o model.plan --explain             every rewrite, and why others did not happen
  rnc compile model.onnx -o model.plan --tune                the kernels that are fastest on this host

An open batch stays open: the plan takes any number of images a run. The plan holds no machine code; the same file runs on
AVX-512, AVX2 and 128-bit CPUs and gives the same bits there.";

/// Compile an ONNX model to a plan.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Compile {
    /// The model: an ONNX file, or a graph in the text syntax (.rnc).
    model: PathBuf,
    /// The plan file to write.
    #[arg(short, long, value_name = "PLAN")]
    output: PathBuf,
    #[command(flatten)]
    dims: Dims,
    /// Print every rewrite and every near miss.
    #[arg(long)]
    explain: bool,
    /// Compute convolutions as the model says them: no Winograd, no Strassen. Slower, and with the rounding of plain f32 sums.
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    outputs: Chosen,
    #[command(flatten)]
    images: ImageFacts,
    /// Measure every convolution's candidates on this host (some seconds; a second time, none) instead of estimating their times.
    #[arg(long)]
    tune: bool,
    /// Instruction set that times are estimated and measured for; the best of this CPU if not given.
    #[arg(long, env = "RNC_ISA")]
    isa: Option<Isa>,
}

/// What the plan computes.
#[derive(Debug, clap::Args)]
struct Chosen {
    /// Compute the features of images instead of their classes: what the last pool gives, as vectors.
    #[arg(long)]
    features: bool,
    /// Compute these values of the model, outputs or not, by their names.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', conflicts_with = "features")]
    outputs: Vec<String>,
}

impl Chosen {
    fn outputs(&self) -> Outputs {
        match self.outputs.as_slice() {
            _ if self.features => Outputs::Features,
            [] => Outputs::Model,
            names => Outputs::Named(names.to_vec()),
        }
    }
}

/// What the plan says about images.
#[derive(Debug, clap::Args)]
struct ImageFacts {
    /// Store in the plan what is done to images: a kind, or settings; `rnc run --help` lists them.
    #[arg(long, value_name = "KIND", value_parser = preset::parse)]
    preprocess: Option<Preprocess>,
    /// Store names of the classes in the plan: imagenet-1k, cifar10, or a file with one a line.
    #[arg(long, value_name = "SET|FILE")]
    labels: Option<String>,
}

impl ImageFacts {
    fn images(&self) -> Result<Images, Failure> {
        let labels = self.labels.as_deref().map(images::read_labels).transpose()?.unwrap_or_default();
        Ok(Images { preprocess: self.preprocess, labels })
    }
}

/// Sizes of symbolic dimensions.
#[derive(Debug, clap::Args)]
pub(crate) struct Dims {
    /// Give a symbolic dimension a size; a dimension without a name is called INPUT[AXIS]. May be given several times.
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dim)]
    dims: Vec<(String, usize)>,
}

impl Dims {
    /// The options that these sizes are.
    pub(crate) fn sizes(&self) -> CompileOptions {
        CompileOptions { dims: self.dims.iter().cloned().collect(), ..CompileOptions::default() }
    }

    /// The same, with times estimated for this host.
    pub(crate) fn options(&self, isa: Isa) -> Result<CompileOptions, Failure> {
        Ok(CompileOptions { machine: tuning::machine(isa)?, ..self.sizes() })
    }
}

impl Compile {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        files::check_target(&self.output, [self.model.as_path()])?;
        let isa = self.isa.unwrap_or_else(Isa::best);
        let options = CompileOptions {
            exact: self.exact,
            outputs: self.outputs.outputs(),
            images: self.images.images()?,
            ..self.dims.options(isa)?
        };
        let source = Source::File(&self.model);
        let compiled = if self.tune {
            let tuning = Tuning::new(isa)?;
            let compiled = rnc::compile_tuned(source, &options, &tuning.tuner)?;
            tuning.finish();
            compiled
        } else {
            rnc::compile(source, &options)?
        };
        let start = Instant::now();
        rnc::write_plan(&compiled.plan, &self.output)?;
        let write = start.elapsed();
        warn(&compiled.lints);
        if self.explain {
            note(compiled.passes.log.to_string().trim_end());
        }
        note(summary(&compiled, write).trim_end());
        note(format!("wrote {}", self.output.display()));
        Ok(())
    }
}

/// Most oddities of a model that are shown.
const MOST_WARNINGS: usize = 20;

/// Shows what is odd about a model.
pub(crate) fn warn(lints: &[Lint]) {
    lints.iter().take(MOST_WARNINGS).for_each(|lint| note(format!("warning: {lint}")));
    if let Some(more) = lints.len().checked_sub(MOST_WARNINGS).filter(|more| *more > 0) {
        note(format!("warning: {more} more like these"));
    }
}

/// What there is to say about a compilation, for people; ends with a line break.
pub(crate) fn summary(compiled: &Compiled, write: Duration) -> String {
    let Compiled { plan, passes, operators, times, lints: _ } = compiled;
    let mut text = passes::table(passes);
    let mut line = |name: &str, value: String| writeln!(text, "{name:<12} {value}").expect("a string grows");
    line("operators", format!("{} after import, {} after the passes", operators.imported, operators.optimized));
    line("steps", format!("{} ({})", plan.steps.len(), kernel::counts(plan)));
    line("weights", size(plan.data.bytes().len()));
    line("activations", peak(plan.arena_bytes, plan.arena_lower_bound));
    line("work", format!("{:.2} GFLOP a sample", kernel::flops(plan) as f64 / 1e9));
    let total = times.import + times.optimize + times.lower + write;
    line(
        "time",
        format!(
            "{:.0} ms: import {:.0}, passes {:.0}, lowering {:.0}, writing {:.0}",
            ms(total),
            ms(times.import),
            ms(times.optimize),
            ms(times.lower),
            ms(write)
        ),
    );
    text
}

/// Peak memory beside its lower bound.
pub(crate) fn peak(arena: usize, bound: usize) -> String {
    let beside =
        if arena == bound { " (equal)".to_owned() } else { format!(" (+{})", size(arena.saturating_sub(bound))) };
    format!("{} a sample at the peak; lower bound {}{beside}", size(arena), size(bound))
}

/// `NAME=SIZE`. The name is all before the last `=`.
fn dim(text: &str) -> Result<(String, usize), String> {
    let (name, size) = text.rsplit_once('=').ok_or_else(|| format!("`{text}` is not NAME=SIZE, as in N=4"))?;
    match size.parse() {
        Ok(size) if (1..=MAX_BATCH).contains(&size) && !name.is_empty() => Ok((name.to_owned(), size)),
        _ => Err(format!("`{text}` is not NAME=SIZE with a size from 1 to {MAX_BATCH}, as in N=4")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_is_a_name_and_a_size_from_one_up() {
        assert_eq!(dim("N=4"), Ok(("N".to_owned(), 4)));
        assert_eq!(dim("a=b[0]=12"), Ok(("a=b[0]".to_owned(), 12)));
        for wrong in ["N", "N=", "=4", "N=0", "N=-1", "N=x"] {
            assert!(dim(wrong).unwrap_err().contains("as in N=4"), "{wrong}");
        }
    }
}
