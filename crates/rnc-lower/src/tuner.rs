//! What lowering asks of someone who can measure kernels.

use rnc_plan::kernel::{Conv, KernelSpec};
use rnc_plan::{Measured, TileSize};

/// A kernel to be measured, with the register tile to use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trial {
    /// The kernel.
    pub kernel: KernelSpec,
    /// The register tile of a direct convolution; code generation chooses if not given.
    pub tile: Option<TileSize>,
}

/// Measures kernels on the host. Lowering knows no code generator; whoever has one hands this in.
pub trait Tuner {
    /// Hears how many convolutions there will be.
    fn expect(&self, convolutions: usize) {
        let _ = convolutions;
    }

    /// Register tiles to try for a direct convolution.
    fn tiles(&self, conv: &Conv) -> Vec<TileSize>;

    /// Microseconds that each trial takes for one sample on one core, with its weights out of the caches; `None` for one that cannot be measured.
    fn measure(&self, trials: &[Trial]) -> Vec<Option<f64>>;

    /// Where it measures.
    fn place(&self) -> Measured;
}
