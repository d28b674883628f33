//! Where parameters come from: a seed, or a file.

use rnc_ir::Tensor;

use crate::random::Random;
use crate::weights::Weights;

/// The source of a model's parameters.
pub(crate) enum Parameters<'a> {
    /// Each is drawn from the stream of this seed and its name.
    Seeded(u64),
    /// Each is in a file.
    Loaded(Weights<'a>),
}

impl Parameters<'_> {
    /// A parameter of these dimensions. `seeded` draws its values where there is no file.
    pub(crate) fn take(&mut self, name: &str, dims: &[usize], seeded: impl FnOnce(&mut Random) -> Vec<f32>) -> Tensor {
        let values = match self {
            Self::Seeded(seed) => seeded(&mut Random::of(*seed, name)),
            Self::Loaded(weights) => weights.take(name, dims),
        };
        Tensor::f32(dims, values)
    }
}
