//! Copies, which are boxes of strided loops, and maps along an axis.

use super::{Footprint, SpecError, at_most, elements};
use crate::kernel::{Copy, CopyBox, CopyLoop, Resample};
use crate::limits::{MAX_BOXES, MAX_ELEMENTS, MAX_LOOPS, MAX_TAPS};

/// Each box lies in its samples and writes no element twice (as far as [`writes_once`] sees); boxes may overlap each other.
pub(super) fn copy(copy: &Copy) -> Result<Vec<Footprint>, SpecError> {
    at_most("source_sample", copy.source_sample, MAX_ELEMENTS)?;
    at_most("result_sample", copy.result_sample, MAX_ELEMENTS)?;
    if copy.fill.is_none() && copy.boxes.is_empty() {
        return Err(SpecError::NothingToDo);
    }
    if copy.boxes.len() > MAX_BOXES {
        let found = copy.boxes.len() as u128;
        return Err(SpecError::TooLarge { what: "number of boxes", found, limit: MAX_BOXES });
    }
    let mut source = 0;
    let mut result = if copy.fill.is_some() { copy.result_sample } else { 0 };
    for (index, part) in copy.boxes.iter().enumerate() {
        check_loops(index, part)?;
        let side =
            |name, base, step: fn(&CopyLoop) -> isize, len| end(&Side { index, name, base, len }, &part.loops, step);
        source = source.max(side("source", part.source, |l| l.source, copy.source_sample)?);
        result = result.max(side("result", part.result, |l| l.result, copy.result_sample)?);
    }
    let strided = |footprint, sample_stride| Footprint { sample_stride, ..footprint };
    Ok(vec![
        strided(Footprint::result(result), copy.result_sample),
        strided(Footprint::read("source", source), copy.source_sample),
    ])
}

/// Every tap lies on the source's axis, so each line of the result is made of whole lines of the source.
pub(super) fn resample(resample: &Resample) -> Result<Vec<Footprint>, SpecError> {
    let Resample { outer, len, inner, ref taps } = *resample;
    for (what, size) in [("outer", outer), ("len", len), ("inner", inner), ("taps", taps.len())] {
        at_most(what, size, MAX_ELEMENTS)?;
    }
    at_most("number of taps", taps.iter().map(Vec::len).sum(), MAX_TAPS)?;
    for (row, taps) in taps.iter().enumerate() {
        at_most("number of taps of an element", taps.len(), MAX_TAPS)?;
        if let Some(tap) = taps.iter().find(|tap| tap.source >= len) {
            return Err(SpecError::TapOutside { row, found: tap.source, len });
        }
    }
    let result = elements("result", &[outer, taps.len(), inner])?;
    Ok(vec![Footprint::result(result), Footprint::read("x", elements("x", &[outer, len, inner])?)])
}

fn check_loops(index: usize, part: &CopyBox) -> Result<(), SpecError> {
    if part.loops.len() > MAX_LOOPS {
        return Err(SpecError::TooLarge { what: "number of loops", found: part.loops.len() as u128, limit: MAX_LOOPS });
    }
    for each in &part.loops {
        at_most("count of a loop", each.count, MAX_ELEMENTS)?;
    }
    if writes_once(&part.loops) { Ok(()) } else { Err(SpecError::BoxRepeats { index }) }
}

/// Whether the loops are nested in the result: ordered by step, each steps over all that the smaller ones touch. Boxes of a dense or
/// blocked layout are. It implies that no element is written twice, so that the loops may run in any order and in parallel.
fn writes_once(loops: &[CopyLoop]) -> bool {
    let mut steps: Vec<(u128, u128)> = loops
        .iter()
        .filter(|l| l.count > 1)
        .map(|l| (l.result.unsigned_abs() as u128, (l.count - 1) as u128))
        .collect();
    steps.sort_unstable();
    let mut reach = 0u128;
    steps.into_iter().all(|(step, times)| {
        let nested = step > reach;
        reach += step * times;
        nested
    })
}

/// One side of a box.
struct Side {
    index: usize,
    name: &'static str,
    base: usize,
    len: usize,
}

/// One past the highest element that a side of a box touches. Counts are at most 2^29 and steps 2^63, so that `i128` cannot overflow.
fn end(side: &Side, loops: &[CopyLoop], step: fn(&CopyLoop) -> isize) -> Result<usize, SpecError> {
    let (mut first, mut last) = (side.base as i128, side.base as i128);
    for each in loops {
        let reach = (each.count as i128 - 1) * step(each) as i128;
        first += reach.min(0);
        last += reach.max(0);
    }
    if first < 0 || last >= side.len as i128 {
        return Err(SpecError::BoxOutside { index: side.index, side: side.name, first, last, len: side.len });
    }
    Ok(last as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::super::operands;
    use super::*;
    use crate::kernel::{F32, KernelSpec};

    fn row(count: usize, source: isize, result: isize) -> CopyLoop {
        CopyLoop { count, source, result }
    }

    /// The last 4 of 10 elements, reversed and doubled into 8.
    fn reversed() -> Copy {
        let loops = vec![row(4, -1, 2), row(2, 0, 1)];
        Copy { source_sample: 10, result_sample: 8, fill: None, boxes: vec![CopyBox { source: 9, result: 0, loops }] }
    }

    fn refused(change: impl FnOnce(&mut Copy)) -> SpecError {
        let mut spec = reversed();
        change(&mut spec);
        operands(&KernelSpec::Copy(spec)).unwrap_err()
    }

    #[test]
    fn measures_negative_and_zero_steps() {
        let found: Vec<_> =
            copy(&reversed()).unwrap().iter().map(|f| (f.elements_per_sample, f.sample_stride)).collect();
        assert_eq!(found, [(8, 8), (10, 10)]);
    }

    #[test]
    fn a_fill_touches_the_whole_sample_and_no_source() {
        let spec = Copy { fill: Some(F32::from(0.0)), boxes: vec![], ..reversed() };
        let found: Vec<_> = copy(&spec).unwrap().iter().map(|f| f.elements_per_sample).collect();
        assert_eq!(found, [8, 0]);
    }

    #[test]
    fn refuses_boxes_that_leave_their_samples() {
        let below = SpecError::BoxOutside { index: 0, side: "source", first: -1, last: 2, len: 10 };
        assert_eq!(refused(|c| c.boxes[0].source = 2), below);
        let above = SpecError::BoxOutside { index: 0, side: "result", first: 1, last: 8, len: 8 };
        assert_eq!(refused(|c| c.boxes[0].result = 1), above);
        let far = refused(|c| c.boxes[0].loops[0].source = isize::MIN);
        assert!(matches!(far, SpecError::BoxOutside { side: "source", .. }));
        assert!(matches!(refused(|c| c.boxes[0].source = usize::MAX), SpecError::BoxOutside { .. }));
    }

    #[test]
    fn refuses_boxes_that_write_an_element_twice() {
        assert_eq!(refused(|c| c.boxes[0].loops[1].result = 0), SpecError::BoxRepeats { index: 0 });
        assert_eq!(refused(|c| c.boxes[0].loops[0].result = 1), SpecError::BoxRepeats { index: 0 });
        assert_eq!(
            refused(|c| c.boxes[0].loops = vec![row(MAX_ELEMENTS, 0, isize::MIN); 8]),
            SpecError::BoxRepeats { index: 0 }
        );
    }

    #[test]
    fn refuses_empty_and_oversized_copies() {
        assert_eq!(refused(|c| c.boxes.clear()), SpecError::NothingToDo);
        assert_eq!(refused(|c| c.boxes[0].loops[0].count = 0), SpecError::Zero { what: "count of a loop" });
        assert_eq!(refused(|c| c.source_sample = 0), SpecError::Zero { what: "source_sample" });
        assert!(matches!(
            refused(|c| c.boxes[0].loops = vec![row(1, 0, 0); 9]),
            SpecError::TooLarge { what: "number of loops", .. }
        ));
        let many = refused(|c| c.boxes = vec![CopyBox { source: 0, result: 0, loops: vec![] }; MAX_BOXES + 1]);
        assert!(matches!(many, SpecError::TooLarge { what: "number of boxes", .. }));
    }
}
