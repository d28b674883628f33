//! Chooses how a convolution is computed, by estimated time.
//!
//! Times are in cycles of a core that starts one multiply-add of 16 lanes a cycle; only their order matters. They are for one sample: a batch
//! reads weights less often, which makes Winograd better still.

use rnc_plan::kernel::{Conv, KernelSpec, Source, Strassen, Window, blocks};
use rnc_plan::strassen::PRODUCTS;
use rnc_plan::winograd::Filtering;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// As the model says it.
    Direct,
    /// By one level of Strassen's product.
    Strassen,
    /// By Winograd's method.
    Winograd(Filtering),
}

/// Bytes of weights that come from beyond the second-level cache in a cycle (measured on Zen 4 in the kernels themselves: 14 GB/s at 3.7 GHz).
const WEIGHT_BYTES: f64 = 4.0;

/// Cycles that the two transforms take for one position of a patch of 16 channels: a load, a store, and the arithmetic of two dimensions
/// (measured on Zen 4).
const TRANSFORM: f64 = 5.0;

/// Cycles that Strassen's sums take for a pair of pixels and a pair of channel blocks: of the source, and of the result with what it
/// takes to begin and end its seven products (measured on Zen 4).
const SUMS: [f64; 2] = [14.0, 40.0];

/// The fastest algorithm.
pub(crate) fn algorithm(conv: &Conv) -> Algorithm {
    let candidates = std::iter::once(Algorithm::Direct)
        .chain(is_product(conv).then_some(Algorithm::Strassen))
        .chain(filterings(conv).map(Algorithm::Winograd));
    let time = |algorithm: &Algorithm| time(conv, *algorithm);
    candidates.min_by(|a, b| time(a).total_cmp(&time(b))).unwrap_or(Algorithm::Direct)
}

/// Whether the convolution is a matrix product that Strassen's method cuts into quarters.
fn is_product(conv: &Conv) -> bool {
    let spec = KernelSpec::Strassen(Strassen { conv: conv.clone() });
    rnc_plan::footprint::operands(&spec).is_ok()
}

/// The forms of Winograd's method that compute the convolution.
fn filterings(conv: &Conv) -> impl Iterator<Item = Filtering> {
    let Window { kernel, stride, dilation, .. } = conv.window;
    let shape = kernel == [3, 3] && stride[0] == stride[1] && dilation == [1, 1];
    let fits = shape && conv.groups == 1 && conv.source == Source::Blocked;
    [4, 2].into_iter().filter(move |_| fits).filter_map(move |tile| Filtering::new(tile, stride[0]))
}

fn time(conv: &Conv, algorithm: Algorithm) -> f64 {
    let (inputs, outputs) = (conv.input.channels as f64, blocks(conv.output.channels) as f64);
    let input_blocks = blocks(conv.input.channels) as f64;
    let weights = |vectors: f64| vectors * 64.0 / WEIGHT_BYTES;
    match algorithm {
        Algorithm::Direct => {
            let channels = inputs / conv.groups as f64;
            let window = (conv.window.kernel[0] * conv.window.kernel[1]) as f64;
            let rows = taps_inside(&conv.window, 0, [conv.input.height, conv.output.height]);
            let columns = taps_inside(&conv.window, 1, [conv.input.width, conv.output.width]);
            ((rows * columns) as f64 * channels * outputs).max(weights(window * channels * outputs))
        }
        Algorithm::Strassen => {
            let pairs = (conv.output.height * conv.output.width).div_ceil(2) as f64;
            let products = pairs.max(weights(1.0)) * PRODUCTS as f64 * inputs / 2.0 * outputs / 2.0;
            products + pairs * (input_blocks * SUMS[0] + outputs * SUMS[1]) / 2.0
        }
        Algorithm::Winograd(filtering) => {
            let (positions, points) = (filtering.positions().pow(2) as f64, filtering.points().pow(2) as f64);
            let tile = filtering.tile();
            let tiles = (conv.output.height.div_ceil(tile) * conv.output.width.div_ceil(tile)) as f64;
            let products = (tiles * positions * inputs * outputs).max(weights(points * inputs * outputs));
            products + tiles * positions * (input_blocks + outputs) * TRANSFORM
        }
    }
}

/// Taps that fall on the source along an axis, over all windows. Those on padding cost nothing.
fn taps_inside(window: &Window, axis: usize, [input, output]: [usize; 2]) -> usize {
    let taps = (0..output).flat_map(|at| (0..window.kernel[axis]).map(move |tap| (at, tap)));
    let place = |(at, tap): (usize, usize)| at * window.stride[axis] + tap * window.dilation[axis];
    let pad = window.pad[axis];
    taps.filter(|at| (pad..pad + input).contains(&place(*at))).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_plan::kernel::{Activation, Extent};

    /// A layer of so many channels whose result is `size` × `size`.
    fn layer(channels: usize, size: usize, stride: usize) -> Conv {
        let output = Extent { channels, height: size, width: size };
        Conv {
            input: Extent { channels, height: size * stride, width: size * stride },
            source: Source::Blocked,
            output,
            groups: 1,
            window: Window { kernel: [3, 3], stride: [stride; 2], pad: [1, 1], dilation: [1, 1] },
            residual: false,
            activation: Activation::None,
        }
    }

    #[test]
    fn takes_the_algorithm_that_measured_best_on_the_layers_of_resnet50() {
        let winograd = |tile, stride| Algorithm::Winograd(Filtering::new(tile, stride).unwrap());
        for (channels, size, stride, best) in [
            (64, 56, 1, winograd(4, 1)),
            (128, 28, 1, winograd(4, 1)),
            (256, 14, 1, winograd(4, 1)),
            (512, 7, 1, winograd(2, 1)),
            (128, 28, 2, winograd(4, 2)),
            (256, 14, 2, winograd(2, 2)),
            (512, 7, 2, Algorithm::Direct),
        ] {
            assert_eq!(algorithm(&layer(channels, size, stride)), best, "{channels} channels, stride {stride}");
        }
    }

    #[test]
    fn multiplies_large_matrices_by_strassens_product() {
        for (inputs, outputs, size, stride, best) in [
            (64, 64, 56, 1, Algorithm::Direct),
            (64, 256, 56, 1, Algorithm::Direct),
            (256, 128, 56, 1, Algorithm::Strassen),
            (128, 512, 28, 1, Algorithm::Strassen),
            (256, 512, 28, 2, Algorithm::Strassen),
            (1024, 256, 14, 1, Algorithm::Strassen),
            (512, 2048, 7, 1, Algorithm::Strassen),
            (1000, 256, 14, 1, Algorithm::Direct),
        ] {
            let conv = layer(outputs, size, stride);
            let window = Window { kernel: [1, 1], pad: [0, 0], ..conv.window };
            let conv = Conv { input: Extent { channels: inputs, ..conv.input }, window, ..conv };
            assert_eq!(algorithm(&conv), best, "{inputs} to {outputs} channels");
        }
    }

    #[test]
    fn computes_directly_what_winograd_cannot_and_what_is_not_worth_it() {
        let base = layer(64, 56, 1);
        let window = base.window;
        for conv in [
            Conv { groups: 4, ..base.clone() },
            Conv { window: Window { stride: [3, 3], ..window }, ..base.clone() },
            Conv { window: Window { stride: [1, 2], ..window }, ..base.clone() },
            Conv { window: Window { dilation: [2, 2], ..window }, ..base.clone() },
            Conv { window: Window { kernel: [1, 1], ..window }, ..base.clone() },
            Conv { source: Source::Planar, ..base.clone() },
            layer(64, 1, 1),
            layer(3, 32, 1),
        ] {
            assert_eq!(algorithm(&conv), Algorithm::Direct, "{conv:?}");
        }
    }
}
