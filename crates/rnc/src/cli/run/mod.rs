//! `rnc run`.

mod expect;
mod measure;
mod report;
mod save;
mod tensors;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rnc::classes::{Guess, best};
use rnc::image::Source;
use rnc::{Isa, Options, Session};

use super::failure::Failure;
use super::files;
use super::images::{self, ImageOptions, Scores, Stream, StreamOptions, help_with};
use super::say::note;
use measure::Collector;
use report::{Format, Report};

pub(crate) use measure::{Measured, Samples, Statistics, measure, run_samples};
pub(crate) use report::{guesses_text, percent};
pub(crate) use tensors::{read_arrays, read_inputs};

const EXAMPLES: &str = "\
Examples:
  rnc run resnet50.plan cat.jpg dog.png --labels imagenet-1k
  rnc run resnet50.plan photos/ --top 1 --csv > photos.csv     all images in a folder and below
  rnc run cifar.plan 'shots/*.png' --preprocess cifar10 --labels cifar10
  curl -s https://example.org/cat.jpg | rnc run resnet50.plan -
  rnc run resnet50.plan photos/ --save embeddings.npy          what the model computes, one row an image
  rnc run model.plan --input x.npy --save out.npz              tensors in, tensors out: .npy, .npz, .safetensors
  rnc run model.plan --input left=a.npy --input right=b.npz    several inputs
  rnc run model.plan --input x.npy --expect reference.npz      exit code 4 if results differ
  rnc run resnet50.plan --input x.npy --threads 1 --repeat 50  times
  RNC_ISA=avx2 rnc run ...                                     another instruction set, the same bits

An image that cannot be read is reported and left out; the exit code is 1 then.";

/// Run a plan on images or tensors.
///
/// Images are classified: the most probable classes of each go to stdout. Tensors come from .npy, .npz and .safetensors files (f32); what
/// comes out is summed up on stdout and written whole by --save.
#[derive(Debug, clap::Args)]
#[command(after_help = help_with(EXAMPLES))]
pub(crate) struct Run {
    /// The plan, as `rnc compile` made it.
    plan: PathBuf,
    /// Images to classify (JPEG, PNG, WebP, BMP): files, folders, patterns, or - for standard input.
    #[arg(conflicts_with = "input")]
    images: Vec<PathBuf>,
    /// An input tensor: .npy; or .npz or .safetensors (the array of the input's name, or the only one), which without NAME give all inputs.
    #[arg(long, value_name = "[NAME=]FILE", conflicts_with = "preprocess")]
    input: Vec<String>,
    #[command(flatten)]
    prepare: ImageOptions,
    /// Images in one run, where the plan leaves that open (16 if not given).
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "input")]
    batch: Option<usize>,
    /// How many classes to show (5 for images). Also classifies what came from tensors.
    #[arg(long, value_name = "K", value_parser = positive)]
    top: Option<usize>,
    /// Write all outputs: to a .npz or .safetensors file, named as in the model, or the only one to a .npy file.
    #[arg(long, value_name = "OUT.npz")]
    save: Option<PathBuf>,
    /// Hold the outputs against those in a .npz or .safetensors file: exit code 4 if one differs.
    #[arg(long, value_name = "REF.npz")]
    expect: Option<PathBuf>,
    /// How far outputs may be from those expected, relative to the largest magnitude expected.
    #[arg(long, value_name = "X", default_value_t = 1e-4, requires = "expect", value_parser = tolerance)]
    tolerance: f64,
    #[command(flatten)]
    execution: Execution,
    /// Run N times more, after one run to warm up, and report times and GFLOP/s (of the first batch of images).
    #[arg(long, value_name = "N", value_parser = positive)]
    repeat: Option<usize>,
    /// Print JSON: times, outputs, classes.
    #[arg(long)]
    json: bool,
    /// Print the classes as CSV: file, rank, class, label, probability.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// What a plan is run with.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Execution {
    /// Instruction set: baseline, avx2 or avx512. The best one of this CPU if not given.
    #[arg(long, env = "RNC_ISA", value_name = "ISA")]
    isa: Option<Isa>,
    /// Threads; all CPUs of this process if not given.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
}

impl Execution {
    /// Loads a plan and makes its code.
    pub(crate) fn load(self, path: &Path) -> Result<Loaded, Failure> {
        load(path, self.isa, self.threads)
    }
}

/// A session and how long it took to load.
pub(crate) struct Loaded {
    pub session: Session,
    pub time: Duration,
}

impl Run {
    /// All files that a run reads beside its images.
    fn files_read(&self) -> impl Iterator<Item = &Path> {
        let tensors = self.input.iter().map(|input| tensors::file_of(input));
        let single = [Some(self.plan.as_path()), self.expect.as_deref(), self.prepare.label_file()];
        tensors.chain(single.into_iter().flatten())
    }

    pub(crate) fn run(&self) -> Result<(), Failure> {
        let sources = images::sources(&self.images)?;
        if let Some(save) = &self.save {
            files::check_target(save, self.files_read().chain(images::files(&sources)))?;
            save::check(save)?;
        }
        let Loaded { session, time: load } = self.execution.load(&self.plan)?;
        let labels = self.prepare.labels(session.plan())?;
        let Ran { measured, names, unreadable } = if sources.is_empty() {
            let samples = read_inputs(session.plan(), &self.input)?;
            Ran { measured: measure(&session, samples, self.repeat.unwrap_or(0))?, names: Vec::new(), unreadable: 0 }
        } else {
            self.run_images(&session, &sources)?
        };
        let classes = self.classes(&measured, labels.as_deref())?;
        let report =
            Report { session: &session, load, measured: &measured, names: &names, classes: classes.as_deref() };
        // Printing comes last: that nobody reads it must not keep files from being written or results from being compared.
        if let Some(save) = &self.save {
            save::outputs(save, &measured.outputs)?;
        }
        let verdict = self.expect.as_ref().map(|path| expect::compare(&measured.outputs, path, self.tolerance));
        let printed = report.print(self.format());
        verdict.unwrap_or(Ok(())).and(printed).and(all_read(unreadable, sources.len()))
    }

    fn run_images(&self, session: &Session, sources: &[Source]) -> Result<Ran, Failure> {
        let options = StreamOptions { preprocess: self.prepare.preprocess(session.plan()), batch: self.batch };
        let stream = Stream::new(session, sources, options)?;
        let mut collector = Collector::new(session);
        let mut names = Vec::new();
        let start = Instant::now();
        let unreadable = stream.run(&mut |samples, indices| {
            names.extend(indices.iter().map(|index| sources[*index].name()));
            collector.run(samples)
        })?;
        let time = start.elapsed();
        if names.is_empty() {
            return Err(none_read(sources.len()));
        }
        if names.len() > 1 {
            let rate = names.len() as f64 / time.as_secs_f64();
            note(format!(
                "{} images in {:.2} s: {rate:.1} images/s, decoding included",
                names.len(),
                time.as_secs_f64()
            ));
        }
        Ok(Ran { measured: collector.finish(self.repeat.unwrap_or(0))?, names, unreadable })
    }

    /// The best classes of each sample, if they were asked for; for images also unasked, if the model gives scores, and as many as the plan has names for.
    fn classes(&self, measured: &Measured, labels: Option<&[String]>) -> Result<Option<Vec<Vec<Guess>>>, Failure> {
        let top = self.top.unwrap_or(5);
        let classes = || {
            let scores = Scores::find(&measured.outputs, labels)?;
            Ok(scores.rows().map(|row| best(&row, top, labels)).collect())
        };
        match (self.top.is_some() || self.prepare.labels.is_some() || self.csv, self.images.is_empty()) {
            (true, _) => classes().map(Some),
            (false, false) => Ok(classes().map_err(|failure| say_why_no_classes(labels, &failure)).ok()),
            (false, true) => Ok(None),
        }
    }

    const fn format(&self) -> Format {
        match (self.json, self.csv) {
            (true, _) => Format::Json,
            (false, true) => Format::Csv,
            (false, false) => Format::Text,
        }
    }
}

/// Says why no classes are shown, where there are names for them.
fn say_why_no_classes(labels: Option<&[String]>, failure: &Failure) {
    if labels.is_some() {
        note(format!("warning: {failure}"));
    }
}

/// What came of a run.
struct Ran {
    measured: Measured,
    /// By sample: the image's name. Empty for tensors.
    names: Vec<String>,
    /// Images that could not be read.
    unreadable: usize,
}

/// Whether all of so many images could be read.
pub(crate) fn all_read(unreadable: usize, images: usize) -> Result<(), Failure> {
    match unreadable {
        0 => Ok(()),
        n => {
            Err(Failure::failed(format!("{n} of {images} images could not be used; they are left out of the results"))
                .with_help("the errors above name them"))
        }
    }
}

/// That no image at all could be read.
pub(crate) fn none_read(images: usize) -> Failure {
    let what = if images == 1 { "the image" } else { "none of the images" };
    let not = if images == 1 { "cannot" } else { "can" };
    Failure::failed(format!("{what} {not} be used")).with_help(
        "the errors above say why; JPEG, PNG, WebP and BMP are understood, and tensors are given with --input",
    )
}

/// Loads a plan and makes its code.
pub(crate) fn load(path: &Path, isa: Option<Isa>, threads: Option<usize>) -> Result<Loaded, Failure> {
    let start = Instant::now();
    let options = Options { isa, threads, ..Options::default() };
    let session = Session::load(path, &options)?;
    Ok(Loaded { session, time: start.elapsed() })
}

pub(crate) fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("`{text}` is not a number from 1 up"))
}

pub(crate) fn tolerance(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0);
    value.ok_or_else(|| format!("`{text}` is not a number from 0 up"))
}

/// More threads than any machine has CPUs are a mistake.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=1024).contains(n))
        .ok_or_else(|| format!("`{text}` is not a number from 1 to 1024"))
}
