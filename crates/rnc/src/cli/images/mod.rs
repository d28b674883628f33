//! What commands that take images have in common: options, files, runs in batches, classes.

mod scores;
mod sources;
mod stream;

use std::path::Path;

use clap::Args;
use rnc::Plan;
use rnc::image::{Preprocess, Source, labels, preset};

use super::failure::{Failure, Kind};
use super::say::note;

pub(crate) use scores::Scores;
pub(crate) use sources::{in_folder, sources};
pub(crate) use stream::{Stream, StreamOptions};

/// The end of the help of a command that prepares images: its examples, then what is to be said of preprocessing.
pub(crate) fn help_with(examples: &str) -> String {
    format!("{examples}\n\n{PREPROCESSING}")
}

const PREPROCESSING: &str = "\
Preprocessing of images (KIND, or settings as KEY=VALUE, or KIND and then settings, between commas):
  imagenet      torchvision's: shorter side to 256 for a model of 224, centre crop, RGB/255, less mean .485 .456 .406, over std .229 .224 .225
  timm-bicubic  as imagenet, with bicubic interpolation
  cifar10       as imagenet, but the image must have the model's size
  open-nsfw     stretched to 256×256 for a model of 224, centre crop, BGR from 0 to 255 less 104 117 123
  caffe         resized and cropped as imagenet, BGR from 0 to 255 less 104 117 123
  unit          resized and cropped as imagenet, RGB/255
  none          the image must have the model's size, RGB from 0 to 255
  resize=never|cover|stretch  size=PIXELS or crop=SHARE (0.875 is 224 of 256)  interpolation=nearest|bilinear|bicubic|lanczos
  order=rgb|bgr  range=1|255  mean=A/B/C  std=A/B/C";

/// How images are prepared, and what classes are called.
#[derive(Debug, Args)]
pub(crate) struct ImageOptions {
    /// What to do to images; what the plan says if not given, and `imagenet` if it says nothing.
    #[arg(long, value_name = "KIND", value_parser = preset::parse)]
    pub preprocess: Option<Preprocess>,
    /// Names of the classes: imagenet-1k, cifar10, or a file with one a line, in the order of the scores. The plan's if not given.
    #[arg(long, value_name = "SET|FILE")]
    pub labels: Option<String>,
}

impl ImageOptions {
    /// The preprocessing for a plan's images. Says so where it is a guess.
    pub(crate) fn preprocess(&self, plan: &Plan) -> Preprocess {
        self.preprocess.or(plan.images.preprocess).unwrap_or_else(|| {
            note("images are prepared as `imagenet`: the plan names no preprocessing (--preprocess, here or at `rnc compile`, does)");
            preset::PRESETS[0].preprocess
        })
    }

    /// The file with the labels, if it is one.
    pub(crate) fn label_file(&self) -> Option<&Path> {
        self.labels.as_deref().filter(|labels| labels::named(labels).is_none()).map(Path::new)
    }

    /// Names of a plan's classes, if there are any.
    pub(crate) fn labels(&self, plan: &Plan) -> Result<Option<Vec<String>>, Failure> {
        match &self.labels {
            Some(labels) => read_labels(labels).map(Some),
            None => Ok(Some(plan.images.labels.clone()).filter(|labels| !labels.is_empty())),
        }
    }
}

/// Class names of a known set, or of a file with one a line.
pub(crate) fn read_labels(set_or_file: &str) -> Result<Vec<String>, Failure> {
    if let Some(known) = labels::named(set_or_file) {
        return Ok(known);
    }
    let path = Path::new(set_or_file);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let known = labels::SETS.map(|set| set.name).join(", ");
        Failure::file("read", path, error)
            .with_help(format!("--labels takes a file with one name a line, or one of: {known}"))
    })?;
    Ok(labels::parse(&text))
}

/// The files among sources of images.
pub(crate) fn files(sources: &[Source]) -> impl Iterator<Item = &Path> {
    sources.iter().filter_map(|source| match source {
        Source::File(path) => Some(path.as_path()),
        Source::Bytes { .. } => None,
    })
}

/// Arguments that name no images as they stand.
fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, message)
        .with_help("images are files, folders, patterns with *, ? or […], or - for standard input")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_preset() {
        for preset in preset::PRESETS {
            assert!(PREPROCESSING.contains(&format!("\n  {:<12}  {}\n", preset.name, preset.about)), "{}", preset.name);
        }
    }

    #[test]
    fn labels_are_of_a_known_set_or_a_file() {
        assert_eq!(read_labels("cifar10").unwrap().len(), 10);
        let error = read_labels("/nowhere/labels.txt").unwrap_err().to_string();
        assert!(error.contains("cannot read /nowhere/labels.txt"), "{error}");
    }
}
