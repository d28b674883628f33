//! `--expect`: outputs against a reference.

use std::path::Path;

use ndarray::ArrayD;
use rnc::compare::Difference;

use super::super::failure::{Failure, Kind};
use super::super::say::note;
use super::tensors;

/// Holds outputs against the arrays of the same names in an `.npz` or `.safetensors` file.
///
/// An output differs if one of its elements is farther than `tolerance` times the largest magnitude expected from the expected one.
pub(super) fn compare(outputs: &[(String, ArrayD<f32>)], path: &Path, tolerance: f64) -> Result<(), Failure> {
    let expected = tensors::read_arrays(path)?;
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
        let error = Difference::between(found, expected).relative();
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
