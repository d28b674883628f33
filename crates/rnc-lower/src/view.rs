//! Movements of elements between layouts as boxes of strided loops.
//!
//! A movement is a nest of axes; along each, both sides walk along one of their own axes. In the planar layout, and along rows and columns
//! of the blocked one, a walk is a strided loop. Along the channels of the blocked layout it is not: the offset jumps at every 16th
//! channel. But it repeats: it is a short pattern that recurs a constant distance further on. So the channels are cut into runs of lanes
//! with constant steps, and the runs of the recurring pattern become loops over the blocks. The number of boxes does not depend on the
//! number of channels.

use rnc_plan::kernel::{BLOCK, Copy, CopyBox, CopyLoop, Extent, F32};

use crate::layout::{Layout, extent};

/// A sample of these dimensions in a layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub dims: &'a [usize],
    pub layout: Layout,
}

/// Movement along one axis of a view: index `start + i * step` for `i` from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub axis: usize,
    pub start: usize,
    pub step: isize,
}

impl Walk {
    /// Along the whole axis.
    pub(crate) const fn whole(axis: usize) -> Self {
        Self { axis, start: 0, step: 1 }
    }

    /// Index 0 of the axis, again and again.
    pub(crate) const fn still(axis: usize) -> Self {
        Self { axis, start: 0, step: 0 }
    }

    const fn index(self, i: usize) -> usize {
        self.start.wrapping_add_signed(self.step * i as isize)
    }
}

/// One axis of a movement. Every axis of the result occurs in exactly one, every axis of the source in one at most (index 0 if in none).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub count: usize,
    pub source: Walk,
    pub result: Walk,
}

/// The copy that makes `result[walk] = source[walk]` on all `axes`; what they do not reach is set to `fill`, if given.
///
/// The dimensions are those of existing values (a product of at most 2²⁹), and the walks stay within them.
pub(crate) fn copy(source: View<'_>, result: View<'_>, axes: &[Axis], fill: Option<f32>) -> Copy {
    let mut boxes = vec![CopyBox { source: 0, result: 0, loops: Vec::new() }];
    for axis in axes {
        let pieces = pieces(source, result, axis);
        boxes = boxes.iter().flat_map(|outer| pieces.iter().map(|inner| nest(outer, inner))).collect();
    }
    for each in &mut boxes {
        simplify(&mut each.loops);
    }
    Copy { source_sample: source.len(), result_sample: result.len(), fill: fill.map(F32::from), boxes }
}

/// The copy of a whole sample from one layout to another.
pub(crate) fn convert(dims: &[usize], from: Layout, to: Layout) -> Copy {
    let whole =
        |(axis, count): (usize, &usize)| Axis { count: *count, source: Walk::whole(axis), result: Walk::whole(axis) };
    let axes: Vec<_> = dims.iter().enumerate().map(whole).collect();
    copy(View { dims, layout: from }, View { dims, layout: to }, &axes, None)
}

impl View<'_> {
    fn blocked(&self) -> Option<Extent> {
        match self.layout {
            Layout::Blocked => extent(self.dims),
            Layout::Planar => None,
        }
    }

    fn len(&self) -> usize {
        crate::layout::len(self.dims, self.layout).expect("sizes were checked when the values were made")
    }

    /// Offset of an index of an axis, all other indices being 0.
    fn offset(&self, axis: usize, index: usize) -> usize {
        match (self.blocked(), axis) {
            (Some(e), 0) => index / BLOCK * (BLOCK * e.height * e.width) + index % BLOCK,
            (Some(e), 1) => index * BLOCK * e.width,
            (Some(_), _) => index * BLOCK,
            (None, _) => index * self.dims[axis + 1..].iter().product::<usize>(),
        }
    }

    fn at(&self, walk: Walk, i: usize) -> usize {
        self.offset(walk.axis, walk.index(i))
    }

    /// After how many steps the pattern of offsets recurs: 1 if it is a line.
    fn period(&self, walk: Walk) -> usize {
        let jumps = self.blocked().is_some_and(|e| walk.axis == 0 && e.height * e.width > 1);
        if jumps && walk.step != 0 { BLOCK >> walk.step.trailing_zeros().min(4) } else { 1 }
    }

    /// Steps until a walk in single steps first enters a block at its start.
    fn steps_to_block(&self, walk: Walk) -> Option<usize> {
        let lane = walk.start % BLOCK;
        match walk.step {
            _ if self.period(walk) == 1 => None,
            1 => Some((BLOCK - lane) % BLOCK),
            -1 => Some((lane + 1) % BLOCK),
            _ => None,
        }
    }
}

/// An axis as boxes that follow each other.
fn pieces(source: View<'_>, result: View<'_>, axis: &Axis) -> Vec<CopyBox> {
    let at = |i| (source.at(axis.source, i), result.at(axis.result, i));
    let period = source.period(axis.source).max(result.period(axis.result));
    if period == 1 {
        return runs(&at, 0, axis.count.min(2), axis.count, (1, 0, 0));
    }
    let to_block = result.steps_to_block(axis.result).or_else(|| source.steps_to_block(axis.source));
    let begin = to_block.unwrap_or(0).min(axis.count);
    let (periods, rest) = ((axis.count - begin) / period, (axis.count - begin) % period);
    let end = axis.count - rest;
    let mut pieces = runs(&at, 0, begin, begin, (1, 0, 0));
    if periods > 0 {
        let (here, next) = (at(begin), if periods > 1 { at(begin + period) } else { at(begin) });
        let again = (periods, distance(here.0, next.0), distance(here.1, next.1));
        pieces.extend(runs(&at, begin, period, period, again));
    }
    pieces.extend(runs(&at, end, rest, rest, (1, 0, 0)));
    pieces
}

/// Cuts the steps `begin .. begin + len` into runs with constant distances, and runs that recur at constant distances into loops of runs;
/// each within a loop `again`. With `len` 2 and a larger `count`, the first two steps stand for a line of `count` steps.
fn runs(
    at: &dyn Fn(usize) -> (usize, usize),
    begin: usize,
    len: usize,
    count: usize,
    again: (usize, isize, isize),
) -> Vec<CopyBox> {
    let points: Vec<_> = (begin..begin + len).map(|i| (at(i), 1, (0, 0))).collect();
    let mut lines = chain(&points);
    if let ([line], true) = (lines.as_mut_slice(), count > len) {
        line.count = count;
    }
    let starts: Vec<_> = lines.iter().map(|line| (line.start, line.count, line.step)).collect();
    chain(&starts)
        .iter()
        .map(|outer| {
            let inner = outer.shape;
            let step = |count, (source, result)| CopyLoop { count, source, result };
            let loops = vec![step(again.0, (again.1, again.2)), step(outer.count, outer.step), step(inner.0, inner.1)];
            CopyBox { source: outer.start.0, result: outer.start.1, loops }
        })
        .collect()
}

/// A start, and a shape: a number of elements at constant distances.
type Thing = ((usize, usize), usize, (isize, isize));

/// Things of one shape at constant distances.
struct Line {
    start: (usize, usize),
    shape: (usize, (isize, isize)),
    count: usize,
    step: (isize, isize),
}

/// Joins neighbours of one shape at constant distances, greedily.
fn chain(things: &[Thing]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut last = (0, 0);
    for (start, count, step) in things {
        let shape = (*count, *step);
        let gap = (distance(last.0, start.0), distance(last.1, start.1));
        last = *start;
        match lines.last_mut() {
            Some(line) if line.shape == shape && (line.count == 1 || line.step == gap) => {
                line.step = gap;
                line.count += 1;
            }
            _ => lines.push(Line { start: *start, shape, count: 1, step: (0, 0) }),
        }
    }
    lines
}

const fn distance(from: usize, to: usize) -> isize {
    to as isize - from as isize
}

fn nest(outer: &CopyBox, inner: &CopyBox) -> CopyBox {
    let loops = outer.loops.iter().chain(&inner.loops).copied().filter(|l| l.count > 1).collect();
    CopyBox { source: outer.source + inner.source, result: outer.result + inner.result, loops }
}

/// Orders loops by falling steps in the result, so that the innermost writes the nearest elements, and joins those that continue each other.
fn simplify(loops: &mut Vec<CopyLoop>) {
    loops.sort_by_key(|l| std::cmp::Reverse(l.result.unsigned_abs()));
    let mut joined: Vec<CopyLoop> = Vec::with_capacity(loops.len());
    for inner in loops.drain(..) {
        let reach = inner.count as isize;
        match joined.last_mut() {
            Some(outer) if outer.source == inner.source * reach && outer.result == inner.result * reach => {
                *outer = CopyLoop { count: outer.count * inner.count, ..inner };
            }
            _ => joined.push(inner),
        }
    }
    *loops = joined;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Offset by the definition of the layouts.
    fn naive_offset(view: View<'_>, index: &[usize]) -> usize {
        match (view.layout, index) {
            (Layout::Planar, _) => index.iter().zip(view.dims).fold(0, |offset, (i, dim)| offset * dim + i),
            (Layout::Blocked, [c, y, x]) => ((c / 16 * view.dims[1] + y) * view.dims[2] + x) * 16 + c % 16,
            (Layout::Blocked, [c]) => *c,
            (Layout::Blocked, _) => panic!("no such layout"),
        }
    }

    fn run(copy: &Copy, source: &[usize]) -> Vec<Option<usize>> {
        let mut result = vec![None; copy.result_sample];
        for each in &copy.boxes {
            let total: usize = each.loops.iter().map(|l| l.count).product();
            for flat in 0..total {
                let (mut from, mut to, mut rest) = (each.source as isize, each.result as isize, flat);
                for l in each.loops.iter().rev() {
                    from += (rest % l.count) as isize * l.source;
                    to += (rest % l.count) as isize * l.result;
                    rest /= l.count;
                }
                assert!(result[to as usize].is_none(), "written twice");
                result[to as usize] = Some(source[from as usize]);
            }
        }
        result
    }

    /// Compares a copy with the movement element by element.
    fn check(source: View<'_>, result: View<'_>, axes: &[Axis]) -> Copy {
        let made = copy(source, result, axes, None);
        let numbers: Vec<_> = (0..made.source_sample).collect();
        let mut expected = vec![None; made.result_sample];
        for flat in 0..axes.iter().map(|a| a.count).product() {
            let (mut from, mut to, mut rest) = (vec![0; source.dims.len()], vec![0; result.dims.len()], flat);
            for axis in axes.iter().rev() {
                let i = (rest % axis.count) as isize;
                rest /= axis.count;
                from[axis.source.axis] += (axis.source.start as isize + i * axis.source.step) as usize;
                to[axis.result.axis] += (axis.result.start as isize + i * axis.result.step) as usize;
            }
            expected[naive_offset(result, &to)] = Some(naive_offset(source, &from));
        }
        assert_eq!(run(&made, &numbers), expected);
        made
    }

    fn layout() -> impl Strategy<Value = Layout> {
        prop_oneof![Just(Layout::Blocked), Just(Layout::Planar)]
    }

    /// A walk of `count` steps, and the size of an axis that it fits in.
    fn walk(count: usize) -> impl Strategy<Value = (usize, usize, isize)> {
        (0usize..20, -20isize..=20, 0usize..20).prop_map(move |(before, step, after)| {
            let reach = (count - 1) * step.unsigned_abs();
            let start = if step < 0 { before + reach } else { before };
            (before + reach + 1 + after, start, step)
        })
    }

    proptest! {
        #[test]
        fn boxes_move_what_the_index_map_says(
            (counts, walks) in prop::array::uniform3(1usize..40).prop_flat_map(|c| (Just(c), c.map(walk))),
            starts in prop::array::uniform3(0usize..20),
            sides in (layout(), layout()),
            perm in Just([0usize, 1, 2]).prop_shuffle(),
            small in 0usize..3,
        ) {
            let mut counts = counts;
            counts[small] = counts[small].min(4);
            counts[(small + 1) % 3] = counts[(small + 1) % 3].min(3);
            let (mut from, mut to) = ([0; 3], [0; 3]);
            let axes: Vec<_> = (0..3).map(|i| {
                let (size, start, step) = walks[i];
                from[i] = size;
                to[perm[i]] = starts[i] + counts[i] + 2;
                Axis {
                    count: counts[i],
                    source: Walk { axis: i, start, step },
                    result: Walk { axis: perm[i], start: starts[i], step: 1 },
                }
            }).collect();
            check(View { dims: &from, layout: sides.0 }, View { dims: &to, layout: sides.1 }, &axes);
        }

        #[test]
        fn conversions_keep_every_element(dims in prop::array::uniform3(1usize..40), from in layout(), to in layout()) {
            let view = |layout| View { dims: &dims, layout };
            let axes: Vec<_> = (0..3).map(|i| Axis { count: dims[i], source: Walk::whole(i), result: Walk::whole(i) }).collect();
            let made = check(view(from), view(to), &axes);
            prop_assert_eq!(made, convert(&dims, from, to));
        }
    }

    #[test]
    fn boxes_do_not_grow_with_the_channels() {
        let made = convert(&[2048, 7, 7], Layout::Blocked, Layout::Planar);
        let loops = |l: &[CopyLoop]| l.iter().map(|l| (l.count, l.source, l.result)).collect::<Vec<_>>();
        assert_eq!(made.boxes.len(), 1);
        assert_eq!(loops(&made.boxes[0].loops), [(128, 784, 784), (16, 1, 49), (49, 16, 1)]);
        assert_eq!(convert(&[2047, 7, 7], Layout::Blocked, Layout::Planar).boxes.len(), 2);
        let large = [1 << 27, 2, 2];
        assert_eq!(convert(&large, Layout::Planar, Layout::Blocked).boxes.len(), 1);
    }

    #[test]
    fn whole_blocks_of_channels_are_one_run() {
        let axis = |i, count, start| Axis { count, source: Walk::whole(i), result: Walk { axis: i, start, step: 1 } };
        let (from, to) = ([32, 4, 4], [64, 4, 4]);
        let view = |dims| View { dims, layout: Layout::Blocked };
        let made = check(view(&from), view(&to), &[axis(0, 32, 32), axis(1, 4, 0), axis(2, 4, 0)]);
        assert_eq!(made.boxes.len(), 1);
        assert_eq!(made.boxes[0].loops.len(), 1, "{:?}", made.boxes);
    }

    #[test]
    fn channels_that_straddle_blocks_recur() {
        let axis = |i, count, start| Axis { count, source: Walk::whole(i), result: Walk { axis: i, start, step: 1 } };
        let (from, to) = ([256, 3, 3], [266, 3, 3]);
        let view = |dims| View { dims, layout: Layout::Blocked };
        let made = check(view(&from), view(&to), &[axis(0, 256, 10), axis(1, 3, 0), axis(2, 3, 0)]);
        assert!(made.boxes.len() <= 5, "{:?}", made.boxes);
    }
}
