//! What a picture tells of a constant's numbers.

use serde::Serialize;

/// Bars of a histogram.
const BARS: usize = 32;

/// Statistics of a constant. Numbers that are not finite are counted and otherwise left out.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Statistics {
    minimum: f32,
    maximum: f32,
    mean: f64,
    deviation: f64,
    zeros: usize,
    not_finite: usize,
    /// How many numbers fall into each of the equal parts from minimum to maximum.
    histogram: Vec<usize>,
}

impl Statistics {
    /// Of at least one finite number; otherwise there is nothing to tell.
    pub fn of(values: &[f32]) -> Option<Self> {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let minimum = finite().reduce(f32::min)?;
        let maximum = finite().reduce(f32::max)?;
        let count = finite().count();
        let mean = finite().map(f64::from).sum::<f64>() / count as f64;
        let variance = finite().map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count as f64;
        let mut histogram = vec![0; BARS];
        let scale = BARS as f64 / (f64::from(maximum) - f64::from(minimum));
        for value in finite() {
            // One number alone has no scale, and stands in the first bar.
            let bar = ((f64::from(value) - f64::from(minimum)) * scale) as usize;
            histogram[bar.min(BARS - 1)] += 1;
        }
        let zeros = finite().filter(|value| *value == 0.0).count();
        let not_finite = values.len() - count;
        Some(Self { minimum, maximum, mean, deviation: variance.sqrt(), zeros, not_finite, histogram })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "these numbers are exact")]
    fn numbers_that_are_not_finite_are_counted_apart() {
        let found = Statistics::of(&[1.0, f32::NAN, -3.0, 0.0, f32::INFINITY, 2.0]).unwrap();
        assert_eq!((found.minimum, found.maximum, found.mean), (-3.0, 2.0, 0.0));
        assert_eq!((found.zeros, found.not_finite), (1, 2));
        assert!((found.deviation - 3.5f64.sqrt()).abs() < 1e-12);
        assert_eq!((found.histogram[0], found.histogram[BARS - 1]), (1, 1));
        assert_eq!(found.histogram.iter().sum::<usize>(), 4);
        assert!(Statistics::of(&[]).is_none() && Statistics::of(&[f32::NAN]).is_none());
    }

    #[test]
    fn equal_numbers_stand_in_one_bar() {
        assert_eq!(Statistics::of(&[0.5; 7]).unwrap().histogram[0], 7);
        let widest = Statistics::of(&[f32::MIN, f32::MAX]).unwrap();
        assert_eq!((widest.histogram[0], widest.histogram[BARS - 1]), (1, 1));
    }
}
