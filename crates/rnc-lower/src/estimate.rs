//! The cost model: how long a convolution takes by each algorithm, from its shape and a machine's description.
//!
//! Times are for one sample on one core: a batch reads weights less often, which makes the fast algorithms better still. The unit inside is the time
//! of one multiply-add of 16 lanes. Transforms and sums were measured on Zen 4, where that is a cycle; on Zen 5, where it is half of one, 130 measurements are off by 11 % in the mean,
//! most where weights take long to come.

use rnc_plan::Machine;
use rnc_plan::kernel::{BLOCK, Conv, Window, blocks};
use rnc_plan::strassen::Levels;
use rnc_plan::weights::{Bundles, weight_blocks};

use crate::choose::Algorithm;

/// What the two transforms take for one position of a patch of 16 channels: a load, a store, and the arithmetic of two dimensions.
const TRANSFORM: f64 = 5.0;

/// What it takes to begin and end the product of a position of a patch with 16 output channels.
const PRODUCT: f64 = 3.0;

/// What Strassen's sums take for a group of pixels and as many channel blocks: of the source, and of the result with what it takes to begin
/// and end its products.
const fn sums(levels: Levels) -> [f64; 2] {
    match levels {
        Levels::One => [14.0, 40.0],
        Levels::Two => [100.0, 350.0],
    }
}

/// What a block of rows is whose products stay in the second-level cache: so many rows at the most (with AVX-512), and so many bytes of sums or of transformed pixels (between what the two
/// kernels take). The weights stream by once for each block, after the first from the third-level cache and twice as fast.
const BLOCK_ROWS: f64 = 28.0;
/// See [`BLOCK_ROWS`].
const BLOCK_DATA: f64 = 640.0 * 1024.0;

/// Bytes of a vector of weights.
const VECTOR: f64 = 64.0;

/// Estimated microseconds.
pub(crate) fn microseconds(machine: &Machine, conv: &Conv, algorithm: Algorithm) -> f64 {
    // Multiply-adds in the time that a vector of weights takes to come.
    let stream = Stream { vector: VECTOR / machine.memory_bytes * machine.multiply_adds };
    multiply_adds(stream, conv, algorithm) / machine.multiply_adds / 1e3
}

/// Weights that come from memory while they are used.
#[derive(Clone, Copy)]
struct Stream {
    /// Multiply-adds in the time that a vector takes.
    vector: f64,
}

impl Stream {
    /// The time of so many multiply-adds while so many vectors stream in: neither is quite hidden behind the other, and the longer one counts the most.
    fn behind(self, multiply_adds: f64, vectors: f64) -> f64 {
        multiply_adds.hypot(vectors * self.vector)
    }

    /// The time of the products of a matrix of rows, each of so many bytes, with so many vectors of weights, of which a row takes each one so many times.
    fn products(self, [rows, row_bytes]: [f64; 2], vectors: f64, times: f64) -> f64 {
        let blocks = (rows / BLOCK_ROWS).max(rows * row_bytes / BLOCK_DATA).ceil();
        self.behind(rows * vectors * times, vectors * f64::midpoint(1.0, blocks))
    }
}

fn multiply_adds(stream: Stream, conv: &Conv, algorithm: Algorithm) -> f64 {
    let (inputs, outputs) = (conv.input.channels as f64, blocks(conv.output.channels) as f64);
    let input_blocks = blocks(conv.input.channels) as f64;
    match algorithm {
        Algorithm::Direct => {
            let vectors: usize =
                weight_blocks(conv).map_or(0, |(blocks, _)| blocks.iter().map(|block| block.depth).sum());
            let rows = taps_inside(&conv.window, 0, [conv.input.height, conv.output.height]);
            let columns = taps_inside(&conv.window, 1, [conv.input.width, conv.output.width]);
            stream.behind((rows * columns * vectors) as f64, (conv.window.taps() * vectors) as f64)
        }
        Algorithm::Strassen(levels) => {
            let (parts, count, sums) = (levels.parts() as f64, levels.products() as f64, sums(levels));
            let groups = (conv.output.height * conv.output.width).div_ceil(levels.parts()) as f64;
            let group_bytes = count * input_blocks / parts * VECTOR;
            let weights = count * inputs / parts * outputs / parts;
            stream.products([groups, group_bytes], weights, 1.0)
                + groups * (input_blocks * sums[0] + outputs * sums[1]) / parts
        }
        Algorithm::Winograd(filtering) => {
            let (positions, points) = (filtering.positions().pow(2) as f64, filtering.points().pow(2) as f64);
            let tile = filtering.tile();
            let tiles = (conv.output.height.div_ceil(tile) * conv.output.width.div_ceil(tile)) as f64;
            let bundle = Bundles::of(conv).map_or(inputs, |bundles| bundles.inputs as f64);
            let tile_bytes = positions * (bundle / BLOCK as f64).ceil() * VECTOR;
            stream.products([tiles, tile_bytes], points * bundle * outputs, positions / points)
                + tiles * positions * (input_blocks * TRANSFORM + outputs * (TRANSFORM + PRODUCT))
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
    use rnc_plan::kernel::{Activation, Extent, Source};

    #[test]
    fn a_direct_convolution_takes_its_multiply_adds_and_a_little_for_the_weights_that_come_meanwhile() {
        let machine = Machine { multiply_adds: 4.0, memory_bytes: 16.0, ..Machine::default() };
        let layer = |size: usize| Conv {
            input: Extent { channels: 32, height: size, width: size },
            source: Source::Blocked,
            output: Extent { channels: 64, height: size, width: size },
            groups: 1,
            window: Window { kernel: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1] },
            residual: false,
            activation: Activation::None,
        };
        let time = |size| microseconds(&machine, &layer(size), Algorithm::Direct);
        // Pixels × 32 × 4 vectors at 4 a nanosecond; 128 vectors of 64 bytes at 16 bytes a nanosecond.
        assert!((time(10) - 3.2f64.hypot(0.512)).abs() < 1e-9, "{}", time(10));
        assert!((time(1) - 0.032f64.hypot(0.512)).abs() < 1e-9, "{}", time(1));
    }

    #[test]
    fn taps_on_padding_do_not_count() {
        let window = Window { kernel: [3, 3], stride: [2, 2], pad: [1, 0], dilation: [1, 1] };
        assert_eq!([taps_inside(&window, 0, [14, 7]), taps_inside(&window, 1, [15, 7])], [20, 21]);
    }
}
