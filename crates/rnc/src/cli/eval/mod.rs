//! `rnc eval`.

mod dataset;
mod html;
mod report;
mod tally;

use std::path::PathBuf;
use std::time::Instant;

use rnc::Session;
use rnc::classes::{highest, probabilities, rank};

use super::failure::Failure;
use super::images::{self, ImageOptions, Scores, Stream, StreamOptions, help_with};
use super::run::{Execution, Loaded, all_read, none_read, positive, run_samples};
use super::say::{json, note};
use super::{files, say};
use dataset::Dataset;
use report::Report;
use tally::{Judged, Tally};

const EXAMPLES: &str = "\
Examples:
  rnc eval resnet50.plan imagenet/val --labels imagenet-1k
  rnc eval cifar.plan cifar10/ --preprocess cifar10 --labels cifar10 --html report.html
  rnc eval model.plan photos/ --json > accuracy.json

DIR has a folder for each class with its images in it (and below). Folders are classes by their names if the labels have all of these;
by their numbers if all are numbers; and in alphabetical order if there are as many as the model has classes.";

/// Measure how often a classifier is right, on a folder of images for each class.
///
/// Reports top-1 and top-5 accuracy, recall and precision of each class, which classes are taken for which, and the worst mistakes: those that
/// the model was most certain of.
#[derive(Debug, clap::Args)]
#[command(after_help = help_with(EXAMPLES))]
pub(crate) struct Eval {
    /// The plan, as `rnc compile` made it.
    plan: PathBuf,
    /// A folder with a folder for each class.
    dir: PathBuf,
    #[command(flatten)]
    prepare: ImageOptions,
    /// Images in one run, where the plan leaves that open (16 if not given).
    #[arg(long, value_name = "N", value_parser = positive)]
    batch: Option<usize>,
    /// Mistakes to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    worst: usize,
    /// Write a page for the browser, with the mistakes as small pictures.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON: counts, classes, the confusion matrix, and every image's rank and guess.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    execution: Execution,
}

impl Eval {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folders = dataset::folders(&self.dir)?;
        let Loaded { session, .. } = self.execution.load(&self.plan)?;
        let labels = self.prepare.labels(session.plan())?;
        let classes = classes(&session, labels.as_deref())?;
        let data = Dataset::new(&self.dir, &folders, labels, classes)?;
        let read = images::files(&data.sources).chain(self.prepare.label_file()).chain([self.plan.as_path()]);
        files::check_targets(&self.html, read)?;
        let options = StreamOptions { preprocess: self.prepare.preprocess(session.plan()), batch: self.batch };
        let stream = Stream::new(&session, &data.sources, options)?;
        let start = Instant::now();
        let (judged, unreadable) = judge(&session, &stream, &data)?;
        if judged.is_empty() {
            return Err(none_read(data.sources.len()));
        }
        let seconds = start.elapsed().as_secs_f64();
        let tally = Tally::new(classes, judged);
        let report = Report { data: &data, tally: &tally, seconds, session: &session, worst: self.worst };
        if let Some(path) = &self.html {
            files::write_bytes(path, html::page(&report, stream.preparer())?.as_bytes())?;
            note(format!("wrote {}", path.display()));
        }
        if self.json { json(&report.json()) } else { say::data(&report.text()) }?;
        all_read(unreadable, data.sources.len())
    }
}

/// What the model says of every image that can be read.
fn judge(session: &Session, stream: &Stream, data: &Dataset) -> Result<(Vec<Judged>, usize), Failure> {
    let mut judged = Vec::with_capacity(data.sources.len());
    let unreadable = stream.run(&mut |samples, indices| {
        let outputs = run_samples(session, &samples)?;
        let scores = Scores::find(&outputs, None)?;
        for (index, row) in indices.iter().zip(scores.rows()) {
            let truth = data.truth[*index];
            let probabilities = probabilities(&row);
            let guess = highest(&row).unwrap_or(0);
            judged.push(Judged {
                source: *index,
                truth,
                guess,
                rank: rank(&row, truth),
                probability: probabilities[guess],
                truth_probability: probabilities[truth],
            });
        }
        Ok(())
    })?;
    Ok((judged, unreadable))
}

/// How many classes a model tells apart.
fn classes(session: &Session, labels: Option<&[String]>) -> Result<usize, Failure> {
    let plan = session.plan();
    let outputs: Vec<_> = plan
        .outputs
        .iter()
        .map(|port| (port.name.clone(), ndarray::ArrayD::zeros(plan.batch.shape(&port.dims, 1))))
        .collect();
    Scores::find(&outputs, labels).map(|scores| scores.classes())
}
