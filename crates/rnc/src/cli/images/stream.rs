//! Image files through a session, in batches.

use indicatif::{ProgressBar, ProgressStyle};
use ndarray::ArrayD;
use rnc::Session;
use rnc::image::{Batch, ImageInput, Preparer, Preprocess, Source, Workers, load};
use rnc::plan;

use super::super::failure::Failure;
use super::super::run::Samples;

/// Images in one run if the batch is open: enough to keep all threads busy, few enough to keep memory small.
const MAX_BATCH: usize = 16;

/// Who gets batches: the samples, and the indices of their images.
type Take<'a> = &'a mut dyn FnMut(Samples, &[usize]) -> Result<(), Failure>;

/// Images on their way through a session.
pub(crate) struct Stream<'a> {
    session: &'a Session,
    sources: &'a [Source],
    preparer: Preparer,
    input: String,
    batch: Option<usize>,
}

/// How images go through.
#[derive(Clone, Copy)]
pub(crate) struct StreamOptions {
    /// What is done to them.
    pub preprocess: Preprocess,
    /// Images a run, where the plan leaves that open.
    pub batch: Option<usize>,
}

impl<'a> Stream<'a> {
    /// Finds out whether a plan takes images.
    pub fn new(session: &'a Session, sources: &'a [Source], options: StreamOptions) -> Result<Self, Failure> {
        let plan = session.plan();
        let [port] = plan.inputs.as_slice() else {
            let names = plan.inputs.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("images need a model with one input, this one has {}: {names}", plan.inputs.len());
            return Err(Failure::failed(message).with_help("give tensors: --input NAME=FILE.npy"));
        };
        let Some(input) = ImageInput::of(&port.dims) else {
            let message = format!(
                "input `{}` takes samples of shape {:?}, images are [3, H, W] or [H, W, 3]",
                port.name, port.dims
            );
            return Err(Failure::failed(message).with_help("give a tensor: --input FILE.npy"));
        };
        if plan.batch == plan::Batch::Single && sources.len() > 1 {
            let message = format!("the model takes one image a run, without a batch; {} are named", sources.len());
            return Err(Failure::failed(message).with_help("run it once for each"));
        }
        let preparer = Preparer::new(options.preprocess, input);
        Ok(Self { session, sources, preparer, input: port.name.clone(), batch: options.batch })
    }

    /// What of an image the model sees.
    pub fn preparer(&self) -> &Preparer {
        &self.preparer
    }

    /// Hands batches to `take`, each with the indices of its images, and says how many images could not be read; each of them is noted. A fixed batch is filled up
    /// with zeros.
    pub fn run(&self, take: Take<'_>) -> Result<usize, Failure> {
        let fixed = self.session.plan().batch.fixed();
        let batch = fixed.or(self.batch).unwrap_or(MAX_BATCH);
        let progress = progress(self.sources.len());
        let mut unreadable = 0;
        load(self.sources, &self.preparer, (batch, workers(self.session.threads())), &mut |batch: Batch| {
            let images = batch.errors.len();
            for error in batch.errors.iter().flatten() {
                unreadable += 1;
                progress.suspend(|| super::note(format!("error: {error}")));
            }
            let indices: Vec<usize> =
                batch.errors.iter().enumerate().filter(|(_, e)| e.is_none()).map(|(i, _)| batch.first + i).collect();
            if !indices.is_empty() {
                take(self.samples(batch, fixed)?, &indices)?;
            }
            progress.inc(images as u64);
            Ok::<(), Failure>(())
        })?;
        progress.finish_and_clear();
        Ok(unreadable)
    }

    /// The samples of a batch's readable images as the model's input.
    fn samples(&self, batch: Batch, fixed: Option<usize>) -> Result<Samples, Failure> {
        let Batch { errors, samples, .. } = batch;
        let len = self.preparer.input().len();
        let wanted = errors.iter().filter(|error| error.is_none()).count();
        let mut data = if wanted == errors.len() {
            samples
        } else {
            let good = samples.chunks_exact(len).zip(&errors).filter(|(_, error)| error.is_none());
            good.flat_map(|(sample, _)| sample.iter().copied()).collect()
        };
        let rows = fixed.unwrap_or(wanted);
        data.resize(rows * len, 0.0);
        let plan = self.session.plan();
        let shape = plan.batch.shape(&plan.inputs[0].dims, rows);
        let array = ArrayD::from_shape_vec(shape, data)
            .map_err(|error| Failure::failed(format!("cannot make a batch of images: {error}")))?;
        Ok(Samples { inputs: vec![(self.input.clone(), array)], wanted })
    }
}

/// Who decodes images for a session of so many threads: those CPUs that it leaves free, or all of them between its runs. Two threads decode and prepare
/// photographs some nine times as fast as they run ResNet-50.
fn workers(threads: usize) -> Workers {
    let cpus = rnc::machine::cpus();
    match cpus.saturating_sub(threads) {
        0 => Workers::Between(cpus),
        free => Workers::Ahead(free.min(threads.div_ceil(4))),
    }
}

/// A progress bar on stderr if there are many images and somebody watches.
fn progress(images: usize) -> ProgressBar {
    if images <= MAX_BATCH {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} images, {per_sec}, {eta} left");
    ProgressBar::new(images as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
