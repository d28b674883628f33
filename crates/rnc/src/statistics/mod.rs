//! Statistics of times: what a set of samples looks like, and whether two sets differ by more than the machine's noise.

mod bootstrap;

use serde::{Deserialize, Serialize};

pub use bootstrap::{Estimate, LEAST_ROUNDS, Medians, Pairing, Rates, Resampled, ratio};

/// The `q`-quantile of samples that are sorted, between neighbours by linear interpolation (type 7 of Hyndman and Fan, 1996; what NumPy does). `None` of no
/// samples.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// The sample in the middle, or the mean of the two there. `None` of no samples.
pub fn median(samples: &[f64]) -> Option<f64> {
    quantile(&sorted(samples), 0.5)
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Samples in a few numbers, in the samples' unit but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The smallest.
    pub min: f64,
    /// See [`median`].
    pub median: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// The [`quantile`] that 90 % do not exceed.
    pub p90: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// Standard deviation (with n - 1) over mean. `None` of one sample.
    pub coefficient_of_variation: Option<f64>,
}

impl Summary {
    /// Of samples in any order. `None` of no samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let sorted = sorted(samples);
        let quantile = |q| quantile(&sorted, q);
        let n = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let squares = sorted.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        Some(Self {
            min: *sorted.first()?,
            median: quantile(0.5)?,
            mean,
            p90: quantile(0.9)?,
            p95: quantile(0.95)?,
            p99: quantile(0.99)?,
            max: *sorted.last()?,
            coefficient_of_variation: (sorted.len() > 1).then(|| (squares / (n - 1.0)).sqrt() / mean),
        })
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8, 16], [0, .1, .5, .9, .99, 1])
        let samples = [1.0, 2.0, 4.0, 8.0, 16.0];
        let expected = [(0.0, 1.0), (0.1, 1.4), (0.5, 4.0), (0.9, 12.8), (0.99, 15.68), (1.0, 16.0)];
        for (q, expected) in expected {
            let found = quantile(&samples, q).unwrap();
            assert!((found - expected).abs() < 1e-12, "{q}: {found}");
        }
        assert_eq!((quantile(&[], 0.5), quantile(&[3.0], 0.99)), (None, Some(3.0)));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(median(&[5.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(&[5.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_summary_does_not_depend_on_the_order() {
        let summary = Summary::of(&[4.0, 2.0, 6.0, 8.0]).unwrap();
        assert_eq!((summary.min, summary.median, summary.mean, summary.max), (2.0, 5.0, 5.0, 8.0));
        // The variance is (1 + 9 + 1 + 9) / 3.
        assert!((summary.coefficient_of_variation.unwrap() - (20.0f64 / 3.0).sqrt() / 5.0).abs() < 1e-15);
        assert_eq!(summary, Summary::of(&[8.0, 6.0, 4.0, 2.0]).unwrap());
        assert!((summary.p90 - 7.4).abs() < 1e-12 && summary.p95 < summary.p99 && summary.p99 < summary.max);
    }

    #[test]
    fn one_sample_has_no_variation_and_none_no_summary() {
        let summary = Summary::of(&[3.0]).unwrap();
        assert_eq!((summary.min, summary.p99, summary.coefficient_of_variation), (3.0, 3.0, None));
        assert_eq!(Summary::of(&[]), None);
    }
}
