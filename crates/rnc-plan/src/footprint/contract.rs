//! Contractions.

use super::{Footprint, SpecError, at_most, elements};
use crate::kernel::{Contract, Strides};
use crate::limits::{MAX_ELEMENTS, MAX_LOOPS};

/// Every index of an operand is a sum of indices times strides, so the largest ones give its bound.
pub(super) fn contract(spec: &Contract) -> Result<Vec<Footprint>, SpecError> {
    at_most("number of dimensions", spec.result.len(), MAX_LOOPS)?;
    for size in &spec.result {
        at_most("dimension of the result", *size, MAX_ELEMENTS)?;
    }
    at_most("sum", spec.sum, MAX_ELEMENTS)?;
    let result = elements("result", &spec.result)?;
    Ok(vec![Footprint::result(result), operand(spec, "a", &spec.a)?, operand(spec, "b", &spec.b)?])
}

fn operand(spec: &Contract, name: &'static str, strides: &Strides) -> Result<Footprint, SpecError> {
    if strides.result.len() != spec.result.len() {
        let (found, expected) = (strides.result.len(), spec.result.len());
        return Err(SpecError::Strides { operand: name, found, expected });
    }
    // Also those of dimensions of one element, which the bound below does not see.
    if let Some(stride) = strides.result.iter().chain([&strides.sum]).find(|stride| **stride > MAX_ELEMENTS) {
        return Err(SpecError::TooLarge { what: "stride", found: *stride as u128, limit: MAX_ELEMENTS });
    }
    let counts = spec.result.iter().chain([&spec.sum]);
    let last = counts
        .zip(strides.result.iter().chain([&strides.sum]))
        .fold(0u128, |last, (count, stride)| last.saturating_add((*count as u128 - 1).saturating_mul(*stride as u128)));
    let len = usize::try_from(last + 1).ok().filter(|len| *len <= MAX_ELEMENTS);
    let len = len.ok_or(SpecError::TooLarge { what: name, found: last + 1, limit: MAX_ELEMENTS })?;
    match strides.sample {
        None => Ok(Footprint::shared(name, len)),
        Some(sample) => {
            at_most("elements between samples", sample, MAX_ELEMENTS)?;
            if sample < len {
                return Err(SpecError::TooLarge { what: name, found: len as u128, limit: sample });
            }
            Ok(Footprint { sample_stride: sample, ..Footprint::read(name, len) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::operands;
    use super::*;
    use crate::kernel::KernelSpec;

    /// A product of a 3×4 and a shared 4×5 matrix for each of two heads.
    fn product() -> Contract {
        Contract {
            result: vec![2, 3, 5],
            sum: 4,
            a: Strides { sample: Some(24), result: vec![12, 4, 0], sum: 1 },
            b: Strides { sample: None, result: vec![0, 0, 1], sum: 5 },
        }
    }

    fn refused(change: impl FnOnce(&mut Contract)) -> SpecError {
        let mut spec = product();
        change(&mut spec);
        operands(&KernelSpec::Contract(spec)).unwrap_err()
    }

    #[test]
    fn the_largest_indices_are_the_bounds() {
        let found = operands(&KernelSpec::Contract(product())).unwrap();
        assert_eq!(found, [Footprint::result(30), Footprint::read("a", 24), Footprint::shared("b", 20)]);
    }

    #[test]
    fn refuses_strides_that_leave_the_sample_and_sizes_that_overflow() {
        assert_eq!(refused(|s| s.a.sample = Some(23)), SpecError::TooLarge { what: "a", found: 24, limit: 23 });
        assert!(matches!(refused(|s| s.b.sum = usize::MAX), SpecError::TooLarge { what: "stride", .. }));
        assert!(matches!(refused(|s| s.result[0] = 1 << 40), SpecError::TooLarge { .. }));
        let stride_of_one_element = |s: &mut Contract| (s.result[0], s.a.result[0]) = (1, 1 << 61);
        assert!(matches!(refused(stride_of_one_element), SpecError::TooLarge { what: "stride", .. }));
        assert_eq!(refused(|s| s.sum = 0), SpecError::Zero { what: "sum" });
        assert_eq!(refused(|s| s.b.result.truncate(2)), SpecError::Strides { operand: "b", found: 2, expected: 3 });
        assert_eq!(refused(|s| s.result.clear()), SpecError::Zero { what: "number of dimensions" });
    }
}
