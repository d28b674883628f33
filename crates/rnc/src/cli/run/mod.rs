//! `rnc run`.

mod classify;
mod expect;
mod images;
mod measure;
mod preprocess;
mod report;
mod tensors;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ndarray::ArrayD;
use rnc::{Isa, Options, Session};

use super::failure::{Failure, Kind};
use super::files;
use preprocess::Preprocess;
use report::Report;

pub(crate) use classify::{Guess, classify};
pub(crate) use measure::{Measured, Samples, Statistics, measure};
pub(crate) use report::guesses_text;
pub(crate) use tensors::{read_inputs, read_npz};

const EXAMPLES: &str = "\
Examples:
  rnc run resnet50.plan cat.jpg dog.png --labels models/imagenet1k.labels.txt
  rnc run cifar.plan *.png --preprocess cifar10 --labels models/cifar10.labels.txt --top 1
  rnc run model.plan --input x.npy --save out.npz              tensors in, tensors out
  rnc run model.plan --input left=a.npy --input right=b.npz    several inputs
  rnc run model.plan --input x.npy --expect reference.npz      exit code 4 if results differ
  rnc run resnet50.plan --input x.npy --threads 1 --repeat 50  times
  RNC_ISA=avx2 rnc run ...                                     another instruction set, the same bits

Preprocessing of images:
  imagenet  shorter side to 256/224 of the model's size, centre crop, RGB/255, less mean .485 .456 .406, over std .229 .224 .225
  cifar10   as imagenet, but the image must have the model's size
  caffe     resized and cropped as imagenet, BGR from 0 to 255 less 104 117 123
  unit      resized and cropped as imagenet, RGB/255
  none      the image must have the model's size, RGB from 0 to 255";

/// Run a plan on images or tensors.
///
/// Images are classified: the most probable classes of each go to stdout. Tensors come from .npy and .npz files (f32); what comes out
/// is summed up on stdout and written whole by --save.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// The plan, as `rnc compile` made it.
    plan: PathBuf,
    /// Images to classify (JPEG, PNG, WebP, BMP).
    #[arg(conflicts_with = "input")]
    images: Vec<PathBuf>,
    /// An input tensor: .npy, or .npz (the array of the input's name, or the only one). A .npz without NAME gives all inputs.
    #[arg(long, value_name = "[NAME=]FILE")]
    input: Vec<String>,
    /// What to do to images.
    #[arg(long, value_name = "KIND", default_value = "imagenet")]
    preprocess: Preprocess,
    /// Names of the classes, one a line, in the order of the scores.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How many classes to show (5 for images). Also classifies what came from tensors.
    #[arg(long, value_name = "K", value_parser = positive)]
    top: Option<usize>,
    /// Write all outputs to a .npz file, named as in the model.
    #[arg(long, value_name = "OUT.npz")]
    save: Option<PathBuf>,
    /// Hold the outputs against those in a .npz file: exit code 4 if one differs.
    #[arg(long, value_name = "REF.npz")]
    expect: Option<PathBuf>,
    /// How far outputs may be from those expected, relative to the largest magnitude expected.
    #[arg(long, value_name = "X", default_value_t = 1e-4, requires = "expect", value_parser = tolerance)]
    tolerance: f64,
    /// Instruction set: baseline, avx2 or avx512. The best one of this CPU if not given.
    #[arg(long, env = "RNC_ISA", value_name = "ISA")]
    isa: Option<Isa>,
    /// Threads; all CPUs of this process if not given.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// Run N times more, after one run to warm up, and report times and GFLOP/s (of the first batch of images).
    #[arg(long, value_name = "N", value_parser = positive)]
    repeat: Option<usize>,
    /// Print JSON: times, outputs, classes.
    #[arg(long)]
    json: bool,
}

/// A session and how long it took to load.
pub(crate) struct Loaded {
    pub session: Session,
    pub time: Duration,
}

impl Run {
    /// All files that a run reads.
    fn files_read(&self) -> impl Iterator<Item = &Path> {
        let tensors =
            self.input.iter().map(|input| Path::new(input.split_once('=').map_or(input.as_str(), |(_, file)| file)));
        let single = [Some(&self.plan), self.labels.as_ref(), self.expect.as_ref()];
        tensors.chain(single.into_iter().flatten().chain(&self.images).map(PathBuf::as_path))
    }

    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(save) = &self.save {
            files::check_target(save, self.files_read())?;
        }
        let labels = self.labels.as_deref().map(classify::read_labels).transpose()?;
        let Loaded { session, time: load } = load(&self.plan, self.isa, self.threads)?;
        let measured = if self.images.is_empty() {
            let samples = read_inputs(session.plan(), &self.input)?;
            measure(&session, std::iter::once(Ok(samples)), self.repeat.unwrap_or(0))?
        } else {
            let batches = images::batches(session.plan(), &self.images, self.preprocess)?;
            measure(&session, batches, self.repeat.unwrap_or(0))?
        };
        let classes = self.classes(&measured, labels.as_deref())?;
        let report = Report { run: self, session: &session, load, measured: &measured, classes: classes.as_deref() };
        // Printing comes last: that nobody reads it must not keep files from being written or results from being compared.
        if let Some(save) = &self.save {
            save_outputs(save, &measured.outputs)?;
        }
        let verdict = self.expect.as_ref().map(|path| expect::compare(&measured.outputs, path, self.tolerance));
        let printed = report.print();
        verdict.unwrap_or(Ok(())).and(printed)
    }

    /// The best classes of each sample, if they were asked for; for images also unasked, if the model gives scores.
    fn classes(&self, measured: &Measured, labels: Option<&[String]>) -> Result<Option<Vec<Vec<Guess>>>, Failure> {
        let classes = || classify::classify_all(&measured.outputs, self.top.unwrap_or(5), labels);
        match (self.top.is_some() || labels.is_some(), self.images.is_empty()) {
            (true, _) => classes().map(Some),
            (false, false) => Ok(classes().ok()),
            (false, true) => Ok(None),
        }
    }
}

/// Loads a plan and makes its code.
pub(crate) fn load(path: &Path, isa: Option<Isa>, threads: Option<usize>) -> Result<Loaded, Failure> {
    let start = Instant::now();
    let options = Options { isa, threads, ..Options::default() };
    let session = Session::load(path, &options)?;
    Ok(Loaded { session, time: start.elapsed() })
}

/// Writes outputs to an `.npz` file.
fn save_outputs(path: &Path, outputs: &[(String, ArrayD<f32>)]) -> Result<(), Failure> {
    files::write(path, |file| {
        let mut npz = ndarray_npy::NpzWriter::new(std::io::BufWriter::new(file));
        for (name, array) in outputs {
            npz.add_array(name.as_str(), array).map_err(std::io::Error::other)?;
        }
        npz.finish().map_err(std::io::Error::other)?;
        Ok(())
    })
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

/// A failure of the command line, with a pointer to this command's help.
fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, message).with_help("`rnc run --help` has examples")
}
