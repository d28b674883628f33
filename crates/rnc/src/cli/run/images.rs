//! Image files as batches of samples.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{ArrayD, Axis};
use rnc::Plan;
use rnc::plan::Batch;

use super::super::failure::Failure;
use super::measure::Samples;
use super::preprocess::{ImageInput, Preprocess};

/// Images in one run if the batch is open: enough to keep all threads busy, few enough to keep memory small.
const MAX_BATCH: usize = 16;

/// Decodes and prepares images, a batch at a time. A fixed batch is filled up with the last image.
pub(super) fn batches<'a>(
    plan: &Plan,
    files: &'a [PathBuf],
    preprocess: Preprocess,
) -> Result<impl Iterator<Item = Result<Samples, Failure>> + 'a, Failure> {
    let [port] = plan.inputs.as_slice() else {
        let names = plan.inputs.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("images need a model with one input, this one has {}: {names}", plan.inputs.len());
        return Err(Failure::failed(message).with_help("give tensors: --input NAME=FILE.npy"));
    };
    let Some(input) = ImageInput::of(&port.dims) else {
        let message =
            format!("input `{}` takes samples of shape {:?}, images are [3, H, W] or [H, W, 3]", port.name, port.dims);
        return Err(Failure::failed(message).with_help("give a tensor: --input FILE.npy"));
    };
    let has_batch = plan.batch != Batch::Single;
    if !has_batch && files.len() > 1 {
        let message = format!("the model takes one image a run, without a batch; {} are named", files.len());
        return Err(Failure::failed(message).with_help("run it once for each"));
    }
    let (least, most) = plan.batch.fixed().map_or((1, MAX_BATCH), |n| (n, n));
    let name = port.name.clone();
    let progress = progress(files.len());
    Ok(files.chunks(most).map(move |files| {
        let mut samples = Vec::with_capacity(most.min(files.len()));
        for file in files {
            let sample = preprocess.apply(&decode(file)?, input);
            samples.push(sample.map_err(|problem| Failure::failed(format!("{}: {problem}", file.display())))?);
            progress.inc(1);
        }
        let array = match samples.as_slice() {
            [one] if !has_batch => one.clone(),
            samples => stack(samples, least)?,
        };
        Ok(Samples { inputs: vec![(name.clone(), array)], wanted: files.len() })
    }))
}

/// Stacks samples to a batch of at least `least`.
fn stack(samples: &[ArrayD<f32>], least: usize) -> Result<ArrayD<f32>, Failure> {
    let missing = least.saturating_sub(samples.len());
    let last = samples.last().into_iter().cycle().take(missing);
    let views: Vec<_> = samples.iter().chain(last).map(|array| array.view()).collect();
    ndarray::stack(Axis(0), &views).map_err(|error| Failure::failed(format!("cannot make a batch of images: {error}")))
}

/// Decodes an image file, turned upright as its metadata says.
fn decode(path: &Path) -> Result<RgbImage, Failure> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = reader.map_err(|error| Failure::file("read", path, error))?;
    let decoded = reader.into_decoder().and_then(|mut decoder| {
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image.into_rgb8())
    });
    decoded.map_err(|error| {
        Failure::failed(format!("{}: not an image that can be read: {error}", path.display()))
            .with_help("JPEG, PNG, WebP and BMP are understood; tensors are given with --input")
    })
}

/// A progress bar on stderr if there are many images and somebody watches.
fn progress(images: usize) -> ProgressBar {
    if images <= MAX_BATCH {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} images, {eta} left");
    ProgressBar::new(images as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_batch_is_filled_up_with_the_last_image() {
        let samples = [ArrayD::from_elem(vec![2], 1.0f32), ArrayD::from_elem(vec![2], 2.0)];
        let batch = stack(&samples, 4).unwrap();
        assert_eq!(batch.shape(), [4, 2]);
        assert_eq!(batch.iter().copied().collect::<Vec<_>>(), [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(stack(&samples, 1).unwrap().shape(), [2, 2]);
    }

    #[test]
    fn a_file_that_is_no_image_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cat.jpg");
        std::fs::write(&path, "no image").unwrap();
        assert!(decode(&path).unwrap_err().to_string().contains("cat.jpg: not an image"));
    }
}
