//! The generator of all weights: one independent stream a tensor, the same on every machine.
//!
//! A stream is `SplitMix64` (Steele, Lea and Flood, 2014) started at a hash of the seed and the tensor's name, so a tensor's
//! values do not depend on which tensors were made before it. Normal values are sums of eight 16-bit uniforms
//! (Irwin-Hall): integer arithmetic, then `+ - * /` and `sqrt`, which IEEE 754 defines to the last bit. The functions of a
//! platform's maths library are not used.

/// A stream of random numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Standard deviation of [`Random::bell`]: the root of 8 times the variance of a uniform over 0..65536.
    fn bell_deviation() -> f64 {
        (8.0 * (65536.0 * 65536.0 - 1.0) / 12.0_f64).sqrt()
    }

    /// The stream of a tensor.
    pub(crate) fn of(seed: u64, tensor: &str) -> Self {
        let hash = tensor
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        // One step between seed and name: without it, seeds and names that differ by the same bits would cancel.
        Self(Self(seed).next() ^ hash)
    }

    /// 64 uniform bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A bell-shaped integer: eight 16-bit uniforms summed, less their mean.
    fn bell(&mut self) -> i32 {
        let sum = |word: u64| (0..4).map(|i| (word >> (16 * i) & 0xffff) as i32).sum::<i32>();
        sum(self.next()) + sum(self.next()) - 8 * 65535 / 2
    }

    /// A value with mean 0 and variance 1, close to normal and never beyond ±4.9.
    pub(crate) fn normal(&mut self) -> f64 {
        f64::from(self.bell()) / Self::bell_deviation()
    }

    /// A uniform value in `low..high`.
    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// Filters of `length` values each, normal with the given deviation; each filter's mean is taken away, so that what its
    /// inputs have in common does not reach the result.
    pub(crate) fn filters(&mut self, filters: usize, length: usize, deviation: f64) -> Vec<f32> {
        let scale = deviation / Self::bell_deviation();
        let mut values = Vec::with_capacity(filters * length);
        let mut filter = vec![0_i32; length];
        for _ in 0..filters {
            filter.fill_with(|| self.bell());
            let mean = filter.iter().map(|v| i64::from(*v)).sum::<i64>() as f64 / length as f64;
            values.extend(filter.iter().map(|v| (scale * (f64::from(*v) - mean)) as f32));
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_values_of_splitmix64() {
        // The first outputs for seed 1234567, as listed with the reference implementation.
        let mut random = Random(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn normal_values_have_mean_zero_and_variance_one() {
        let mut random = Random::of(7, "x");
        let values: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = values.iter().sum::<f64>() / 1e5;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 1e5;
        // Four standard errors: 1/sqrt(1e5) = 0.0032 for the mean, at most sqrt(2/1e5) = 0.0045 for the variance.
        assert!(mean.abs() < 0.013 && (variance - 1.0).abs() < 0.018, "mean {mean}, variance {variance}");
    }

    #[test]
    fn streams_differ_by_seed_and_by_name() {
        let first = |seed, name| Random::of(seed, name).next();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
    }

    #[test]
    fn every_filter_has_mean_zero() {
        for filter in Random::of(0, "w").filters(8, 147, 0.5).chunks(147) {
            let sum: f64 = filter.iter().map(|v| f64::from(*v)).sum();
            // 147 roundings to f32 of values up to 2.5.
            assert!(sum.abs() < 147.0 * 1.5e-7, "{sum}");
        }
    }
}
