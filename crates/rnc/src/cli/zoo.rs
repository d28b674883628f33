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
  rnc zoo resnet18 -o tiny.onnx --size 64 --classes 10 --batch 1";

/// Build a ResNet as an ONNX model with seeded (untrained) weights.
///
/// The graph is what a training framework exports: convolutions, batch normalisations, activations and additions, named and ordered as
/// torchvision does. The same seed gives the same bytes on every machine.
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
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of classes.
    #[arg(long, default_value_t = 1000)]
    classes: usize,
    /// Fix the batch; it is open otherwise, and each run chooses.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Height and width of the images in pixels.
    #[arg(long, value_name = "PX", default_value_t = 224)]
    size: usize,
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
        files::check_target(output, [])?;
        let batch = self.batch.map_or(Dim::Batch, Dim::Fixed);
        let options = ZooOptions { seed: self.seed, classes: self.classes, batch, image: self.size };
        let bytes = rnc_zoo::build_onnx(name, &options)?;
        files::write_bytes(output, &bytes)?;
        say::note(format!("wrote {} ({})", output.display(), say::size(bytes.len())));
        Ok(())
    }
}
