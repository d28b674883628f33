//! What a layer does to the mean and variance of its channels.
//!
//! Batch-norm statistics must be close to what their convolution really gives, or the scale of the activations drifts by a
//! factor a layer. They are computed here by a mean-field estimate: channels are treated as independent and, before a `ReLU`, as
//! normal; the filters' true sums and sums of squares are used. The image is taken to have mean 0 and variance 1.
//! Only `+ - * /` and `sqrt` occur, so results are the same on every machine.

/// Mean and variance of each channel of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moments(Vec<Channel>);

/// Mean and variance of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Channel {
    /// Mean over positions and images.
    pub mean: f64,
    /// Variance over positions and images.
    pub variance: f64,
}

impl Moments {
    /// Channels with mean 0 and variance 1: a normalised image.
    pub(crate) fn standard(channels: usize) -> Self {
        Self(vec![Channel { mean: 0.0, variance: 1.0 }; channels])
    }

    /// The channels of several values, one after the other.
    pub(crate) fn joined<'m>(values: impl IntoIterator<Item = &'m Self>) -> Self {
        Self(values.into_iter().flat_map(|value| value.0.iter().copied()).collect())
    }

    /// Number of channels.
    pub(crate) fn channels(&self) -> usize {
        self.0.len()
    }

    /// The channels in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Channel> + '_ {
        self.0.iter().copied()
    }

    /// Each channel changed by a function of its index and moments.
    pub(crate) fn map(&self, f: impl Fn(usize, Channel) -> Channel) -> Self {
        Self(self.iter().enumerate().map(|(i, channel)| f(i, channel)).collect())
    }

    /// After a convolution with these weights, `out` filters in `groups` groups. Padding is ignored.
    pub(crate) fn convolved(&self, weights: &[f32], out: usize, groups: usize) -> Self {
        let inputs = self.channels() / groups;
        let taps = weights.len() / (out * inputs);
        let filter = |(o, filter): (usize, &[f32])| {
            let group = o / (out / groups);
            let mut result = Channel { mean: 0.0, variance: 0.0 };
            for (input, taps) in self.0[group * inputs..].iter().zip(filter.chunks_exact(taps)) {
                let (mut sum, mut squares) = (0.0, 0.0);
                for w in taps.iter().map(|w| f64::from(*w)) {
                    sum += w;
                    squares += w * w;
                }
                result.mean += sum * input.mean;
                result.variance += squares * input.variance;
            }
            result
        };
        Self(weights.chunks_exact(inputs * taps).enumerate().map(filter).collect())
    }

    /// After an addition of independent values.
    pub(crate) fn added(&self, other: &Self) -> Self {
        let sum = |(a, b): (Channel, Channel)| Channel { mean: a.mean + b.mean, variance: a.variance + b.variance };
        Self(self.iter().zip(other.iter()).map(sum).collect())
    }

    /// After a multiplication.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        self.map(|_, x| Channel { mean: factor * x.mean, variance: factor * factor * x.variance })
    }

    /// After a weighted mean of neighbours with this sum of squared weights. Neighbours are correlated, by about a third.
    pub(crate) fn averaged(&self, squares: f64) -> Self {
        self.map(|_, x| Channel { mean: x.mean, variance: (squares + (1.0 - squares) / 3.0) * x.variance })
    }

    /// With channels of zeros before and behind.
    pub(crate) fn padded(&self, begin: usize, end: usize) -> Self {
        let zeros = |n| std::iter::repeat_n(Channel { mean: 0.0, variance: 0.0 }, n);
        Self(zeros(begin).chain(self.iter()).chain(zeros(end)).collect())
    }

    /// Mean of the channels' variances.
    pub(crate) fn mean_variance(&self) -> f64 {
        self.iter().map(|x| x.variance).sum::<f64>() / self.channels() as f64
    }

    /// After `max(x, 0)`.
    ///
    /// For a normal x with mean t and variance 1, E max(x, 0) = φ(t) + t·Φ(t) and E max(x, 0)² = (t² + 1)·Φ(t) + t·φ(t).
    pub(crate) fn rectified(&self) -> Self {
        self.map(|_, x| {
            let deviation = x.variance.sqrt();
            if deviation == 0.0 {
                return Channel { mean: x.mean.max(0.0), variance: 0.0 };
            }
            let t = x.mean / deviation;
            let (density, below) = (normal_density(t), normal_below(t));
            let mean = density + t * below;
            let square = (t * t + 1.0) * below + t * density;
            Channel { mean: deviation * mean, variance: x.variance * (square - mean * mean).max(0.0) }
        })
    }

    /// After a 3×3 maximum: neighbours are strongly correlated, so it lifts the mean by about one deviation.
    pub(crate) fn max_pooled(&self) -> Self {
        self.map(|_, x| Channel { mean: x.mean + x.variance.sqrt(), variance: x.variance })
    }
}

/// The standard normal density φ(t).
fn normal_density(t: f64) -> f64 {
    // e^-y = (e^(-y/1024))^1024, the inner one by four terms of its series; beyond 9 deviations φ is as good as 0.
    let z = t * t / 2048.0;
    let mut power =
        if t.abs() > 9.0 { 0.0 } else { 1.0 / (1.0 + z * (1.0 + z / 2.0 * (1.0 + z / 3.0 * (1.0 + z / 4.0)))) };
    for _ in 0..10 {
        power *= power;
    }
    power / std::f64::consts::TAU.sqrt()
}

/// The standard normal distribution function Φ(t), to 3e-7: Abramowitz and Stegun, 7.1.28.
fn normal_below(t: f64) -> f64 {
    const COEFFICIENTS: [f64; 6] =
        [0.070_523_078_4, 0.042_282_012_3, 0.009_270_527_2, 0.000_152_014_3, 0.000_276_567_2, 0.000_043_063_8];
    let x = t.abs() * std::f64::consts::FRAC_1_SQRT_2;
    let mut denominator = 1.0 + x * COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * x + c);
    for _ in 0..4 {
        denominator *= denominator;
    }
    // erf(x) = 1 - 1/denominator
    let beyond = 0.5 / denominator;
    if t < 0.0 { beyond } else { 1.0 - beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relu_of_a_normal_channel_has_the_known_moments() {
        // (mean, deviation) of the operand; mean and variance of the result, from tables of φ and Φ.
        let cases = [
            ((0.0, 1.0), (0.398_942_3, 0.340_845_1)),
            ((1.0, 1.0), (1.083_315_5, 0.751_087_8)),
            ((-1.0, 1.0), (0.083_315_5, 0.068_398_4)),
            ((-2.0, 2.0), (0.166_631_0, 0.273_593_6)),
            ((20.0, 1.0), (20.0, 1.0)),
            ((-20.0, 1.0), (0.0, 0.0)),
            ((3.0, 0.0), (3.0, 0.0)),
        ];
        for ((mean, deviation), (expected_mean, expected_variance)) in cases {
            let found = Moments(vec![Channel { mean, variance: deviation * deviation }]).rectified().0[0];
            // Φ is good to 3e-7, its factor here is at most 2·deviation² = 8, and the table has seven digits.
            let close = |a: f64, b: f64| (a - b).abs() < 3e-6;
            let good = close(found.mean, expected_mean) && close(found.variance, expected_variance);
            assert!(good, "{mean} ± {deviation}: {found:?}");
        }
    }

    #[test]
    fn a_grouped_convolution_reads_only_its_own_group() {
        let channel = |mean, variance| Channel { mean, variance };
        let input = Moments(vec![channel(1.0, 1.0), channel(10.0, 4.0)]);
        // Two groups of one channel, one filter each, two taps a filter.
        let result = input.convolved(&[1.0, 2.0, 3.0, -1.0], 2, 2);
        assert_eq!(result, Moments(vec![channel(3.0, 5.0), channel(20.0, 40.0)]));
    }

    #[test]
    fn a_full_convolution_sums_over_all_channels() {
        let channel = |mean, variance| Channel { mean, variance };
        let input = Moments(vec![channel(1.0, 1.0), channel(10.0, 4.0)]);
        assert_eq!(input.convolved(&[2.0, 0.5], 1, 1), Moments(vec![channel(7.0, 5.0)]));
    }

    #[test]
    fn a_mean_of_neighbours_keeps_the_mean_and_a_part_of_the_variance() {
        let input = Moments(vec![Channel { mean: 2.0, variance: 3.0 }]);
        assert_eq!(input.averaged(1.0), input, "a mean of one value");
        // (1 + 3·ρ) / 4 with ρ = 1/3, the textbook's variance of a mean of four.
        assert_eq!(input.averaged(0.25), Moments(vec![Channel { mean: 2.0, variance: 1.5 }]));
    }

    #[test]
    fn channels_of_zeros_stay_zero_through_a_relu() {
        let channel = |mean, variance| Channel { mean, variance };
        let padded = Moments(vec![channel(30.0, 1.0)]).padded(1, 2);
        let zero = channel(0.0, 0.0);
        assert_eq!(padded.rectified(), Moments(vec![zero, channel(30.0, 1.0), zero, zero]));
        assert_eq!(padded.mean_variance().to_bits(), 0.25_f64.to_bits());
    }
}
