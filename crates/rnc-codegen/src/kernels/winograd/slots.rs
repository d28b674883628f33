//! The order in which positions lie in scratch memory: those that are multiplied with the same weights stand together, in the order of the weights.

use rnc_plan::winograd::Filtering;

use super::super::products::Kind;

/// The place of a position in scratch memory.
pub(super) fn slot(filtering: Filtering, [row, column]: [usize; 2]) -> usize {
    let (i, j) = (filtering.point(row), filtering.point(column));
    let before = |point: usize| (0..point).map(|point| filtering.copies(point)).sum::<usize>();
    let across = filtering.copies(j);
    before(i) * filtering.positions() + filtering.copies(i) * before(j) + (row - before(i)) * across + column
        - before(j)
}

/// Products of consecutive positions: with consecutive weights, or all with the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First slot.
    pub(super) slot: usize,
    /// First pair of points.
    pub(super) weights: usize,
    pub(super) kind: Kind,
}

/// All products, as few runs as can be, in the order of the weights.
pub(super) fn runs(filtering: Filtering) -> Vec<Run> {
    let points = filtering.points();
    let mut runs: Vec<Run> = Vec::new();
    let mut slot = 0;
    for weights in 0..points * points {
        let count = filtering.copies(weights / points) * filtering.copies(weights % points);
        match runs.last_mut() {
            Some(Run { kind: Kind { count: last, shared: false }, .. }) if count == 1 => *last += 1,
            _ => runs.push(Run { slot, weights, kind: Kind { count, shared: count > 1 } }),
        }
        slot += count;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Filtering> {
        [(2, 1), (4, 1), (2, 2), (4, 2)].into_iter().filter_map(|(tile, stride)| Filtering::new(tile, stride))
    }

    #[test]
    fn slots_are_a_permutation_that_keeps_equal_weights_together() {
        for f in all() {
            let places = (0..f.positions()).flat_map(|row| (0..f.positions()).map(move |column| [row, column]));
            let mut by_slot: Vec<_> =
                places.map(|[r, c]| (slot(f, [r, c]), f.point(r) * f.points() + f.point(c))).collect();
            by_slot.sort_unstable();
            assert!(by_slot.iter().enumerate().all(|(i, (slot, _))| *slot == i), "{f:?}: {by_slot:?}");
            assert!(by_slot.is_sorted_by_key(|(_, weights)| *weights), "{f:?}: {by_slot:?}");
        }
    }

    #[test]
    fn runs_cover_every_slot_with_its_weights() {
        for f in all() {
            let mut next = 0;
            for Run { slot, weights, kind } in runs(f) {
                assert_eq!(slot, next);
                next += kind.count;
                let copies = f.copies(weights / f.points()) * f.copies(weights % f.points());
                assert_eq!(copies, if kind.shared { kind.count } else { 1 });
            }
            assert_eq!(next, f.positions().pow(2));
        }
        assert_eq!(runs(Filtering::new(4, 1).unwrap()).len(), 1);
    }
}
