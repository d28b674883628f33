//! How exact an algorithm is on a layer's own weights: a sample of its results, with the operations that the kernels do in `f32`, against sums in `f64`.

use rnc_plan::chain::{self, Product};
use rnc_plan::kernel::Conv;
use rnc_plan::strassen::Levels;
use rnc_plan::winograd::{Filtering, WeightTransform};

use crate::choose::Algorithm;

/// Output channels in the sample.
const OUTPUTS: usize = 4;
/// Windows, or pairs of pixels, in the sample.
const WINDOWS: usize = 8;

/// The largest error of a sample of results, relative to the largest result. Pixels are uniform in -1..1; weights are the layer's, `[O][I][kh][kw]`. Bias
/// and residual are left out.
pub(crate) fn sample_error(conv: &Conv, algorithm: Algorithm, weights: &[f32]) -> f32 {
    let channels = conv.input.channels / conv.groups;
    let sample = Sample { conv, weights, channels, outputs: outputs(conv, algorithm) };
    let mut pixels = Pixels(0x9e37_79b9_7f4a_7c15);
    let mut worst = Worst::default();
    match algorithm {
        Algorithm::Direct => sample.direct(&mut pixels, &mut worst),
        Algorithm::Strassen(levels) => sample.strassen(levels, &mut pixels, &mut worst),
        Algorithm::Winograd(filtering) => sample.winograd(filtering, &mut pixels, &mut worst),
    }
    worst.relative()
}

/// Output channels, spread over all of them; for Strassen's sake in the first part, if there are parts.
fn outputs(conv: &Conv, algorithm: Algorithm) -> Vec<usize> {
    let parts = if let Algorithm::Strassen(levels) = algorithm { levels.parts() } else { 1 };
    let part = conv.output.channels.div_ceil(parts);
    let count = OUTPUTS.min(part);
    (0..count).map(|i| i * part / count).collect()
}

/// Uniform numbers, always the same.
struct Pixels(u64);

impl Pixels {
    fn next(&mut self) -> f32 {
        // xorshift64 (G. Marsaglia, 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// The largest error and the largest result so far.
#[derive(Default)]
struct Worst {
    error: f64,
    result: f64,
}

impl Worst {
    fn see(&mut self, found: f32, exact: f64) {
        self.error = self.error.max((f64::from(found) - exact).abs());
        self.result = self.result.max(exact.abs());
    }

    fn relative(&self) -> f32 {
        if self.result > 0.0 { (self.error / self.result) as f32 } else { 0.0 }
    }
}

struct Sample<'a> {
    conv: &'a Conv,
    weights: &'a [f32],
    /// Input channels that a result depends on.
    channels: usize,
    outputs: Vec<usize>,
}

impl Sample<'_> {
    /// The filter of an output and an input channel.
    fn filter(&self, output: usize, channel: usize) -> &[f32] {
        let taps = self.conv.window.taps();
        &self.weights[(output * self.channels + channel) * taps..][..taps]
    }

    fn direct(&self, pixels: &mut Pixels, worst: &mut Worst) {
        let taps = self.conv.window.taps();
        let step = self.conv.source.channel_block();
        let blocks = (0..self.channels).step_by(step).map(|first| first..self.channels.min(first + step));
        let terms: Vec<(usize, usize)> =
            blocks.flat_map(|block| (0..taps).flat_map(move |tap| block.clone().map(move |c| (c, tap)))).collect();
        let chain_len = chain::plain(step, taps) * step * taps;
        for _ in 0..WINDOWS {
            let x = pixels.take(self.channels * taps);
            for output in &self.outputs {
                let factors = |(c, tap): (usize, usize)| (x[c * taps + tap], self.filter(*output, c)[tap]);
                let product = |sum: f32, (x, w): (f32, f32)| x.mul_add(w, sum);
                let chain = |terms: &[(usize, usize)]| terms.iter().copied().map(factors).fold(0.0, product);
                let sum = terms.chunks(chain_len).map(chain).fold(0.0, |sum: f32, chain| sum + chain);
                let exact = terms.iter().copied().map(factors).map(|(x, w)| f64::from(x) * f64::from(w)).sum();
                worst.see(sum, exact);
            }
        }
    }

    fn winograd(&self, filtering: Filtering, pixels: &mut Pixels, worst: &mut Worst) {
        let (size, points, m) = (filtering.positions(), filtering.points(), filtering.tile());
        let transform = WeightTransform::new(filtering);
        let patches: Vec<Vec<f32>> = (0..self.channels).map(|_| pixels.take(size * size)).collect();
        let data: Vec<Vec<f32>> = patches.iter().map(|patch| filtering.positions_of(patch)).collect();
        let point: Vec<usize> = (0..size * size)
            .map(|position| filtering.point(position / size) * points + filtering.point(position % size))
            .collect();
        let mut transformed = vec![0.0f32; points * points];
        for output in &self.outputs {
            let mut products = vec![Product::default(); size * size];
            let mut exact = vec![0.0f64; m * m];
            for (c, (patch, data)) in patches.iter().zip(&data).enumerate() {
                let filter: &[f32; 9] = self.filter(*output, c).try_into().expect("Winograd's filters are 3×3");
                transform.apply(filter, |place, value| transformed[place] = value);
                for (position, product) in products.iter_mut().enumerate() {
                    product.multiply_add(data[position], transformed[point[position]]);
                }
                for (i, exact) in exact.iter_mut().enumerate() {
                    let at =
                        |axis: usize, tap: usize| [i / m, i % m][axis] * filtering.stride() + [tap / 3, tap % 3][axis];
                    let pixel = |tap: usize| f64::from(patch[at(0, tap) * size + at(1, tap)]);
                    *exact += (0..9).map(|tap| f64::from(filter[tap]) * pixel(tap)).sum::<f64>();
                }
            }
            let products: Vec<f32> = products.into_iter().map(Product::sum).collect();
            filtering.results_of(&products).into_iter().zip(exact).for_each(|(found, exact)| worst.see(found, exact));
        }
    }

    fn strassen(&self, levels: Levels, pixels: &mut Pixels, worst: &mut Worst) {
        let (parts, products) = (levels.parts(), levels.products());
        let part = [self.channels / parts, self.conv.output.channels / parts];
        let mut factors = [vec![0.0f32; products], vec![0.0f32; products]];
        for _ in 0..WINDOWS {
            let x = pixels.take(parts * self.channels);
            for output in &self.outputs {
                let mut sums = vec![Product::default(); products];
                let mut exact = vec![0.0f64; parts * parts];
                for c in 0..part[0] {
                    let element = |i: usize| [i / parts, i % parts];
                    let pixel = |[pixel, p]: [usize; 2]| x[pixel * self.channels + p * part[0] + c];
                    let weight = |[p, q]: [usize; 2]| self.filter(q * part[1] + output, p * part[0] + c)[0];
                    let a: Vec<f32> = (0..parts * parts).map(element).map(pixel).collect();
                    let b: Vec<f32> = (0..parts * parts).map(element).map(weight).collect();
                    levels.data(&a, &mut factors[0]);
                    levels.weights(&b, &mut factors[1]);
                    for ((sum, data), weight) in sums.iter_mut().zip(&factors[0]).zip(&factors[1]) {
                        sum.multiply_add(*data, *weight);
                    }
                    for (i, exact) in exact.iter_mut().enumerate() {
                        let [row, column] = element(i);
                        let term = |k: usize| f64::from(a[row * parts + k]) * f64::from(b[k * parts + column]);
                        *exact += (0..parts).map(term).sum::<f64>();
                    }
                }
                let mut found = vec![0.0f32; parts * parts];
                levels.results(&sums.into_iter().map(Product::sum).collect::<Vec<_>>(), &mut found);
                found.into_iter().zip(exact).for_each(|(found, exact)| worst.see(found, exact));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_plan::kernel::{Activation, Extent, Source, Window};

    fn conv(kernel: usize, stride: usize) -> Conv {
        let extent = Extent { channels: 256, height: 14, width: 14 };
        Conv {
            input: extent,
            source: Source::Blocked,
            output: extent,
            groups: 1,
            window: Window { kernel: [kernel; 2], stride: [stride; 2], pad: [kernel / 2; 2], dilation: [1; 2] },
            residual: false,
            activation: Activation::None,
        }
    }

    /// Rounding errors of sums of 256 and 2304 products, and their amplification by the transforms: a wrong formula gives errors near 1.
    #[test]
    fn errors_are_those_of_f32_and_no_more() {
        let winograd = |tile, stride| Algorithm::Winograd(Filtering::new(tile, stride).unwrap());
        for (kernel, stride, algorithm) in [
            (1, 1, Algorithm::Direct),
            (1, 1, Algorithm::Strassen(Levels::One)),
            (1, 1, Algorithm::Strassen(Levels::Two)),
            (3, 1, Algorithm::Direct),
            (3, 1, winograd(2, 1)),
            (3, 1, winograd(4, 1)),
            (3, 2, winograd(2, 2)),
            (3, 2, winograd(4, 2)),
        ] {
            let weights = Pixels(7).take(256 * 256 * kernel * kernel);
            let error = sample_error(&conv(kernel, stride), algorithm, &weights);
            assert!((1e-8..6e-6).contains(&error), "{algorithm:?}: {error}");
        }
    }

    #[test]
    fn weights_of_zero_have_no_error() {
        assert!(sample_error(&conv(1, 1), Algorithm::Strassen(Levels::Two), &vec![0.0; 256 * 256]) <= 0.0);
    }
}
