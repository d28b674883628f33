//! `rnc zoo`.

use std::path::PathBuf;

use rnc::ir::Dim;
use rnc_zoo::ZooOptions;

use super::failure::{Failure, Kind};
use super::{files, say};

const EXAMPLES: &str = "\
Examples:
  rnc zoo --list
  rnc zoo resnet50 -o resnet50.onnx
  rnc zoo resnet18 -o tiny.onnx --size 64 --classes 10 --batch 1
  rnc zoo deeplabv3_resnet50 -o street.onnx --size 512x1024 --classes 19
  rnc zoo seresnet50 -o seresnet50.onnx --weights seresnet50.safetensors

Without other words, a model has the classes and the image size that it was designed for: ImageNet's 1000 and 224, CIFAR-10's 10 and 32 (names in
_cifar), Pascal VOC's 21 (segmentation).";

/// Build a ResNet as an ONNX model, with seeded (untrained) weights or with those of a file.
///
/// The graph is what a training framework exports: convolutions, batch normalisations, activations and additions, named and ordered as
/// torchvision and timm do. The same seed gives the same bytes on every machine.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Zoo {
    /// Which model; --list lists them.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// The ONNX file to write.
    #[arg(short, long, value_name = "FILE.onnx", required_unless_present = "list")]
    output: Option<PathBuf>,
    /// List the models.
    #[arg(long, conflicts_with_all = ["name", "output"])]
    list: bool,
    /// Seed of all weights.
    #[arg(long, default_value_t = 0, conflicts_with = "weights")]
    seed: u64,
    /// A .safetensors file with the weights, in the names that torchvision or timm give them.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Number of classes.
    #[arg(long)]
    classes: Option<usize>,
    /// Fix the batch; it is open otherwise, and each run chooses.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Height and width of the images in pixels: 224, or 224x320.
    #[arg(long, value_name = "PX|HxW", value_parser = size)]
    size: Option<[usize; 2]>,
}

impl Zoo {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if self.list {
            let names: Vec<_> = rnc_zoo::names().collect();
            return say::data(&format!("{}\n", names.join("\n")));
        }
        let (Some(name), Some(output)) = (&self.name, &self.output) else {
            return Err(Failure::new(Kind::Usage, "a model and an output file are needed"));
        };
        files::check_target(output, self.weights.as_deref())?;
        let known = ZooOptions::for_model(name)?;
        let options = ZooOptions {
            seed: self.seed,
            classes: self.classes.unwrap_or(known.classes),
            batch: self.batch.map_or(Dim::Batch, Dim::Fixed),
            size: self.size,
            ..known
        };
        let graph = match &self.weights {
            None => rnc_zoo::build(name, &options)?,
            Some(path) => {
                let weights = std::fs::read(path).map_err(|error| Failure::file("read", path, error))?;
                rnc_zoo::build_with_weights(name, &options, &weights)?
            }
        };
        let bytes = rnc_onnx::export(&graph).map_err(|error| Failure::failed(error.to_string()))?;
        files::write_bytes(output, &bytes)?;
        say::note(format!("wrote {} ({})", output.display(), say::size(bytes.len())));
        Ok(())
    }
}

/// `224`, or `HEIGHTxWIDTH`.
fn size(text: &str) -> Result<[usize; 2], String> {
    let number = |text: &str| text.parse().ok().filter(|n| *n > 0);
    let sides = text.split_once('x').map_or([text; 2], |(height, width)| [height, width]);
    let [Some(height), Some(width)] = sides.map(number) else {
        return Err(format!("`{text}` is no size: give pixels, as 224 or 224x320 (height and width)"));
    };
    Ok([height, width])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_one_side_of_a_square_or_height_and_width() {
        assert_eq!(size("224"), Ok([224, 224]));
        assert_eq!(size("224x320"), Ok([224, 320]));
        for wrong in ["", "0", "224x", "x224", "224x0", "1x2x3", "-1"] {
            assert!(size(wrong).unwrap_err().contains("224x320"), "{wrong}");
        }
    }
}
