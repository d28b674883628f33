//! What can be chosen about a compilation.

use std::collections::BTreeMap;

use rnc_plan::Machine;
use rnc_plan::images::{Images, Preprocess};

use crate::outputs::Outputs;

/// What can be chosen about a compilation.
///
/// ```
/// use rnc::CompileOptions;
/// use rnc::image::{labels, preset};
///
/// let options = CompileOptions::default()
///     .dim("N", 4)
///     .preprocess(preset::parse("imagenet")?)
///     .labels(labels::named("imagenet-1k").unwrap_or_default());
/// assert_eq!((options.dims["N"], options.images.labels.len()), (4, 1000));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompileOptions {
    /// Sizes of an ONNX model's symbolic dimensions by name, as in `--dim N=4`. A dimension without a name is called `input[axis]`. The
    /// leading dimension of an input stays open (and is the batch of each run) unless it has a size here.
    pub dims: BTreeMap<String, usize>,
    /// Only algorithms that compute the sums that the model says: slower, and as accurate as `f32` sums are.
    pub exact: bool,
    /// What the plan computes.
    pub outputs: Outputs,
    /// The machine that the times are estimated for by which algorithms are chosen.
    pub machine: Machine,
    /// How images become samples, and names of classes: what the plan tells its users.
    pub images: Images,
}

impl CompileOptions {
    /// With a size for a symbolic dimension.
    #[must_use]
    pub fn dim(mut self, name: impl Into<String>, size: usize) -> Self {
        self.dims.insert(name.into(), size);
        self
    }

    /// With none but algorithms that compute the sums that the model says.
    #[must_use]
    pub fn exact(self) -> Self {
        Self { exact: true, ..self }
    }

    /// With other outputs than the model's.
    #[must_use]
    pub fn outputs(self, outputs: Outputs) -> Self {
        Self { outputs, ..self }
    }

    /// With algorithms chosen for this machine.
    #[must_use]
    pub fn machine(self, machine: Machine) -> Self {
        Self { machine, ..self }
    }

    /// With what is done to images before the model gets them.
    #[must_use]
    pub fn preprocess(mut self, preprocess: Preprocess) -> Self {
        self.images.preprocess = Some(preprocess);
        self
    }

    /// With names of the classes, in their order.
    #[must_use]
    pub fn labels(mut self, labels: Vec<String>) -> Self {
        self.images.labels = labels;
        self
    }
}
