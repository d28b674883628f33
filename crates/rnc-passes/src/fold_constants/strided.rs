//! Walking a row-major tensor by strides.

/// Row-major strides, in elements, of a tensor of these dimensions.
pub(super) fn row_major(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis] as isize;
    }
    strides
}

/// Strides with which a tensor of dimensions `from` reads as one of dimensions `to` by broadcasting.
pub(super) fn broadcast(from: &[usize], to: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; to.len() - from.len()];
    strides.extend(row_major(from).into_iter().zip(from).map(|(stride, dim)| if *dim == 1 { 0 } else { stride }));
    strides
}

/// The offsets `start + Σ index · stride` for all indices below `dims`, in row-major order of the indices.
pub(super) struct Offsets<'a> {
    dims: &'a [usize],
    strides: &'a [isize],
    index: Vec<usize>,
    offset: isize,
    left: usize,
}

impl<'a> Offsets<'a> {
    pub(super) fn new(dims: &'a [usize], strides: &'a [isize], start: usize) -> Self {
        Self { dims, strides, index: vec![0; dims.len()], offset: start as isize, left: dims.iter().product() }
    }
}

impl Iterator for Offsets<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let current = self.offset as usize;
        for axis in (0..self.dims.len()).rev() {
            self.index[axis] += 1;
            self.offset += self.strides[axis];
            if self.index[axis] < self.dims[axis] {
                break;
            }
            self.offset -= self.strides[axis] * self.dims[axis] as isize;
            self.index[axis] = 0;
        }
        Some(current)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_in_row_major_order_of_the_indices() {
        let walk = |dims: &[usize], strides: &[isize], start| Offsets::new(dims, strides, start).collect::<Vec<_>>();
        assert_eq!(walk(&[2, 3], &row_major(&[2, 3]), 0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(walk(&[3, 2], &[1, 3], 0), [0, 3, 1, 4, 2, 5]);
        assert_eq!(walk(&[2, 2], &[3, -2], 2), [2, 0, 5, 3]);
        assert_eq!(walk(&[], &[], 7), [7]);
        assert_eq!(walk(&[2, 0], &[0, 1], 0), []);
    }

    #[test]
    fn repeats_axes_that_are_stretched() {
        assert_eq!(broadcast(&[3, 1], &[2, 3, 4]), [0, 1, 0]);
    }
}
