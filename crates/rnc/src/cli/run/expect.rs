//! `--expect`: outputs against a reference.

use std::path::Path;

use ndarray::ArrayD;

use super::super::failure::{Failure, Kind};
use super::super::say::note;
use super::tensors;

/// Holds outputs against the arrays of the same names in an `.npz` file.
///
/// An output differs if one of its elements is farther than `tolerance` times the largest magnitude expected from the expected one.
pub(super) fn compare(outputs: &[(String, ArrayD<f32>)], path: &Path, tolerance: f64) -> Result<(), Failure> {
    let expected = tensors::read_npz(path)?;
    let mut wrong = Vec::new();
    for (name, expected) in &expected {
        let Some((_, found)) = outputs.iter().find(|(known, _)| known == name) else {
            let known = outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("{} has an array `{name}`; the model's outputs are {known}", path.display());
            return Err(Failure::failed(message));
        };
        if found.shape() != expected.shape() {
            wrong.push(format!("`{name}` has shape {:?}, expected {:?}", found.shape(), expected.shape()));
            continue;
        }
        let error = relative_error(found, expected);
        note(format!("{name}: error {error:.3e} of the largest magnitude, allowed {tolerance:.3e}"));
        if error.is_nan() || error > tolerance {
            wrong.push(format!("`{name}` is off by {error:.3e} of the largest magnitude, allowed {tolerance:.3e}"));
        }
    }
    if expected.is_empty() {
        return Err(Failure::failed(format!("{} holds no arrays", path.display())));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(Kind::Mismatch, format!("outputs differ: {}", wrong.join("; "))))
    }
}

/// The largest difference over the largest finite magnitude expected. NaN if a number is NaN in one and not in the other.
#[allow(clippy::float_cmp, reason = "equal numbers, infinities among them, have no difference")]
fn relative_error(found: &ArrayD<f32>, expected: &ArrayD<f32>) -> f64 {
    let finite = expected.iter().filter(|value| value.is_finite());
    let largest = finite.fold(0.0f64, |largest, value| largest.max(f64::from(value.abs())));
    let mut worst = 0.0f64;
    for (found, expected) in found.iter().zip(expected) {
        if found == expected || (found.is_nan() && expected.is_nan()) {
            continue;
        }
        let error = (f64::from(*found) - f64::from(*expected)).abs();
        if error.is_nan() {
            return f64::NAN;
        }
        worst = worst.max(error);
    }
    if worst == 0.0 { 0.0 } else { worst / largest }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn errors_are_relative_to_the_largest_magnitude_and_nan_is_no_number() {
        let expected = array![10.0f32, 0.0].into_dyn();
        assert_eq!(relative_error(&array![10.0, 1.0].into_dyn(), &expected), 0.1);
        assert_eq!(relative_error(&expected, &expected), 0.0);
        assert!(relative_error(&array![10.0, f32::NAN].into_dyn(), &expected).is_nan());
        assert!(relative_error(&array![1.0].into_dyn(), &array![0.0].into_dyn()).is_infinite());
        let infinite = array![f32::INFINITY, 2.0].into_dyn();
        assert_eq!(relative_error(&infinite, &infinite), 0.0);
        assert_eq!(relative_error(&array![f32::INFINITY, 3.0].into_dyn(), &infinite), 0.5);
        assert!(relative_error(&array![1.0, 2.0].into_dyn(), &infinite).is_infinite());
    }
}
