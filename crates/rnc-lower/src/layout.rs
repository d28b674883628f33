//! The two layouts of a sample and their sizes.

use rnc_plan::kernel::{BLOCK, Extent};

/// Layout of a sample in memory: see [`rnc_plan::kernel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// `[C/16][H][W][16]`.
    Blocked,
    /// Dense, row-major.
    Planar,
}

/// Channels, height and width of a sample that has a blocked layout: `[C,H,W]`, or `[K]` with H = W = 1.
pub(crate) fn extent(dims: &[usize]) -> Option<Extent> {
    match *dims {
        [channels, height, width] => Some(Extent { channels, height, width }),
        [channels] => Some(Extent { channels, height: 1, width: 1 }),
        _ => None,
    }
}

/// Elements of a sample in a layout; `None` on overflow, or if the sample has no such layout.
pub(crate) fn len(dims: &[usize], layout: Layout) -> Option<usize> {
    match layout {
        Layout::Blocked => extent(dims)?.blocked_len(),
        Layout::Planar => dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim)),
    }
}

/// Whether the blocked and the planar layout of a sample are the same bytes.
pub(crate) fn coincide(dims: &[usize]) -> bool {
    extent(dims).is_some_and(|e| e.height * e.width == 1 && e.channels.is_multiple_of(BLOCK))
}

/// Whether samples of these dimensions with the same elements in row-major order are the same bytes in the blocked layout.
pub(crate) fn same_blocked(a: &[usize], b: &[usize]) -> bool {
    let shape = |dims| extent(dims).map(|e| (e.channels, e.height * e.width));
    shape(a).is_some() && shape(a) == shape(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_coincide_for_vectors_that_fill_their_blocks() {
        assert!(coincide(&[32]) && coincide(&[16, 1, 1]));
        assert!(!coincide(&[24]) && !coincide(&[16, 2, 1]) && !coincide(&[16, 1]));
    }

    #[test]
    fn pixels_may_be_rearranged_into_other_rows() {
        assert!(same_blocked(&[8, 2, 6], &[8, 3, 4]) && same_blocked(&[8, 1, 1], &[8]));
        assert!(!same_blocked(&[8, 2, 6], &[96]) && !same_blocked(&[2, 3], &[2, 3]));
    }

    #[test]
    fn counts_the_lanes_past_the_last_channel() {
        assert_eq!(len(&[17, 2, 3], Layout::Blocked), Some(2 * 16 * 6));
        assert_eq!(len(&[17, 2, 3], Layout::Planar), Some(17 * 6));
        assert_eq!(len(&[2, 3], Layout::Blocked), None);
        assert_eq!(len(&[usize::MAX, 2, 2], Layout::Planar), None);
    }
}
