//! Chooses how a convolution is computed, by estimated time.
//!
//! Times are in cycles of a core that starts one multiply-add of 16 lanes a cycle; only their order matters. They are for one sample: a batch
//! reads weights less often, which makes Winograd better still.

use rnc_plan::kernel::{Conv, Source, blocks};

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// As the model says it.
    Direct,
    /// By Winograd's F(tile×tile, 3×3).
    Winograd {
        /// Rows and columns of a tile.
        tile: usize,
    },
}

/// Bytes of weights that come from beyond the second-level cache in a cycle (measured on Zen 4: 20 GB/s at 3.7 GHz).
const WEIGHT_BYTES: f64 = 6.0;

/// Cycles that the two transforms take for one position of a patch of 16 channels: a load, a store, and the arithmetic of two dimensions
/// (measured on Zen 4).
const TRANSFORM: f64 = 5.0;

/// The fastest algorithm.
pub(crate) fn algorithm(conv: &Conv) -> Algorithm {
    let winograd = [4, 2].map(|tile| Algorithm::Winograd { tile });
    let candidates = std::iter::once(Algorithm::Direct).chain(winograd.into_iter().filter(|_| is_winograd(conv)));
    let time = |algorithm: &Algorithm| time(conv, *algorithm);
    candidates.min_by(|a, b| time(a).total_cmp(&time(b))).unwrap_or(Algorithm::Direct)
}

/// Whether Winograd's method computes the convolution.
fn is_winograd(conv: &Conv) -> bool {
    let window = conv.window;
    let shape = window.kernel == [3, 3] && window.stride == [1, 1] && window.dilation == [1, 1];
    shape && conv.groups == 1 && conv.source == Source::Blocked
}

fn time(conv: &Conv, algorithm: Algorithm) -> f64 {
    let (inputs, outputs) = (conv.input.channels as f64, blocks(conv.output.channels) as f64);
    let input_blocks = blocks(conv.input.channels) as f64;
    let weights = |vectors: f64| vectors * 64.0 / WEIGHT_BYTES;
    match algorithm {
        Algorithm::Direct => {
            let depth = (conv.window.kernel[0] * conv.window.kernel[1]) as f64 * inputs / conv.groups as f64;
            let pixels = (conv.output.height * conv.output.width) as f64;
            (pixels * depth * outputs).max(weights(depth * outputs))
        }
        Algorithm::Winograd { tile } => {
            let positions = ((tile + 2) * (tile + 2)) as f64;
            let tiles = (conv.output.height.div_ceil(tile) * conv.output.width.div_ceil(tile)) as f64;
            let products = (tiles * positions * inputs * outputs).max(weights(positions * inputs * outputs));
            products + tiles * positions * (input_blocks + outputs) * TRANSFORM
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_plan::kernel::{Activation, Extent, Window};

    fn layer(channels: usize, size: usize) -> Conv {
        let extent = Extent { channels, height: size, width: size };
        Conv {
            input: extent,
            source: Source::Blocked,
            output: extent,
            groups: 1,
            window: Window { kernel: [3, 3], stride: [1, 1], pad: [1, 1], dilation: [1, 1] },
            residual: false,
            activation: Activation::None,
        }
    }

    #[test]
    fn takes_the_algorithm_that_measured_best_on_the_layers_of_resnet50() {
        for (channels, size, tile) in [(64, 56, 4), (128, 28, 4), (256, 14, 4), (512, 7, 2)] {
            assert_eq!(algorithm(&layer(channels, size)), Algorithm::Winograd { tile }, "{channels} channels");
        }
    }

    #[test]
    fn computes_directly_what_winograd_cannot_and_what_is_not_worth_it() {
        let base = layer(64, 56);
        let window = base.window;
        for conv in [
            Conv { groups: 4, ..base.clone() },
            Conv { window: Window { stride: [2, 2], ..window }, ..base.clone() },
            Conv { window: Window { dilation: [2, 2], ..window }, ..base.clone() },
            Conv { window: Window { kernel: [1, 1], ..window }, ..base.clone() },
            Conv { source: Source::Planar, ..base.clone() },
            layer(64, 1),
            layer(3, 32),
        ] {
            assert_eq!(algorithm(&conv), Algorithm::Direct, "{conv:?}");
        }
    }
}
