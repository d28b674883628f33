//! Operators that rearrange elements in ways that the graph has no operator for: they are written as reshapes, transpositions, slices and concatenations.

use rnc_ir::op::{Axis, Pad, Reshape, Slice, Transpose};
use rnc_ir::{Dim, Op, Shape};

use super::slice::whole;
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, axis_of, normal_axis, operand_subject};
use crate::shape_arithmetic;
use crate::state::Value;

/// Most pieces that an operator is cut into.
const MAX_PIECES: usize = 4096;

/// Most elements along an axis that gets a border of its own elements; a plan takes no more.
const LARGEST_AXIS: usize = 1 << 29;

/// `[batch, C, H, W]` and the block size of `DepthToSpace` and `SpaceToDepth`.
fn blocks(cx: &mut NodeCx) -> Result<(Value, [Dim; 4], usize), Fault> {
    let found = cx.attributes.int("blocksize")?.unwrap_or(0);
    cx.at_most(1)?;
    let x = cx.operand(0, "input")?;
    let shape = cx.shape(x)?;
    let block = usize::try_from(found).ok().filter(|block| (1..=1024).contains(block));
    let (Some(block), [n, c, h, w]) = (block, shape.dims()) else {
        let found = format!("{found} for a value of {shape}");
        return Err(Fault::new(subject("blocksize"), found, "1 to 1024, and a value of [N,C,H,W]"));
    };
    Ok((x, [*n, *c, *h, *w], block))
}

fn fixed<const N: usize>(dims: [Dim; N]) -> Result<[usize; N], Fault> {
    let sizes: Option<Vec<usize>> = dims.iter().map(|dim| dim.fixed()).collect();
    sizes
        .and_then(|sizes| sizes.try_into().ok())
        .ok_or_else(|| Fault::new("operand 0 (input)", Shape::new(dims).to_string(), "numbers behind the batch"))
}

fn divided(size: usize, by: usize, what: &str) -> Result<usize, Fault> {
    if size.is_multiple_of(by) {
        return Ok(size / by);
    }
    Err(Fault::new(subject("blocksize"), format!("{by} for {size} {what}"), format!("a divisor of the {what}")))
}

/// `DepthToSpace`: channels become blocks of pixels (Shi et al., 2016).
pub(super) fn depth_to_space(cx: &mut NodeCx) -> Result<Value, Fault> {
    let mode = cx.attributes.string("mode")?.unwrap_or("DCR").to_owned();
    let (x, [n, c, h, w], block) = blocks(cx)?;
    let [c, h, w] = fixed([c, h, w])?;
    let channels = divided(c, block * block, "channels")?;
    let (b, inner) = (Dim::Fixed(block), Dim::Fixed(channels));
    let (dims, perm) = match mode.as_str() {
        "DCR" => ([n, b, b, inner, Dim::Fixed(h), Dim::Fixed(w)], vec![0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, inner, b, b, Dim::Fixed(h), Dim::Fixed(w)], vec![0, 1, 4, 2, 5, 3]),
        other => return Err(Fault::new(subject("mode"), format!("`{other}`"), "DCR, CRD")),
    };
    let split = cx.reshaped(x, dims)?;
    let moved = cx.step(Op::Transpose(Transpose { perm }), &[split])?;
    let shape = Shape::new([n, inner, Dim::Fixed(h * block), Dim::Fixed(w * block)]);
    cx.emit(Op::Reshape(Reshape { shape }), &[moved])
}

/// `SpaceToDepth`: blocks of pixels become channels.
pub(super) fn space_to_depth(cx: &mut NodeCx) -> Result<Value, Fault> {
    let (x, [n, c, h, w], block) = blocks(cx)?;
    let [c, h, w] = fixed([c, h, w])?;
    let (rows, columns) = (divided(h, block, "rows")?, divided(w, block, "columns")?);
    let (b, rows, columns) = (Dim::Fixed(block), Dim::Fixed(rows), Dim::Fixed(columns));
    let split = cx.reshaped(x, [n, Dim::Fixed(c), rows, b, columns, b])?;
    let moved = cx.step(Op::Transpose(Transpose { perm: vec![0, 3, 5, 1, 2, 4] }), &[split])?;
    let shape = Shape::new([n, Dim::Fixed(c * block * block), rows, columns]);
    cx.emit(Op::Reshape(Reshape { shape }), &[moved])
}

/// `Tile`: each axis repeated; the batch once.
pub(super) fn tile(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.at_most(2)?;
    let mut x = cx.operand(0, "input")?;
    let repeats = cx.integers(1, "repeats")?;
    let rank = cx.shape(x)?.rank();
    let counts: Option<Vec<usize>> = repeats.iter().map(|n| usize::try_from(*n).ok()).collect();
    let fault = |found: String| Fault::new(operand_subject(1, "repeats"), found, format!("{rank} numbers from 1"));
    let found = || super::window::shortened(&repeats);
    let counts = counts.filter(|counts| counts.len() == rank).ok_or_else(|| fault(found()))?;
    for (axis, count) in counts.into_iter().enumerate() {
        match count {
            1 => {}
            2..=MAX_PIECES => x = cx.step(Op::Concat(Axis { axis }), &vec![x; count])?,
            _ => return Err(fault(found())),
        }
    }
    cx.finish(x)
}

/// Elements of an axis, by the index that each has in the value: one slice for each run of indices with a constant step, joined.
fn picked(cx: &mut NodeCx, x: Value, axis: usize, indices: &[usize]) -> Result<Value, Fault> {
    let shape = cx.shape(x)?;
    let mut pieces = Vec::new();
    let mut rest = indices;
    while let [first, ..] = rest {
        let step = rest.get(1).map_or(1, |second| *second as isize - *first as isize);
        let along = |i: usize| first.checked_add_signed(step * i as isize);
        // A step of 0 repeats an element, which is no slice.
        let longest = if step == 0 { 1 } else { rest.len() };
        let len = (0..longest).take_while(|i| along(*i) == Some(rest[*i])).count().max(1);
        let mut op: Slice = whole(&shape);
        op.starts[axis] = *first;
        op.steps[axis] = if len == 1 { 1 } else { step };
        op.sizes[axis] = Some(len);
        pieces.push(cx.step(Op::Slice(op), &[x])?);
        rest = &rest[len..];
        if pieces.len() > MAX_PIECES {
            let found = format!("more than {MAX_PIECES} runs of indices");
            return Err(Fault::new("indices", found, "indices that follow each other"));
        }
    }
    match pieces.as_slice() {
        [] => Err(Fault::new("indices", "none", "one or more")),
        [one] => Ok(*one),
        _ => cx.step(Op::Concat(Axis { axis }), &pieces),
    }
}

/// `Gather` of known indices; of known data it is shape arithmetic.
pub(super) fn gather(cx: &mut NodeCx) -> Result<Value, Fault> {
    let x = cx.operand(0, "data")?;
    if cx.state.array(x)?.is_some() {
        return shape_arithmetic::gather(cx);
    }
    let found = cx.attributes.int("axis")?.unwrap_or(0);
    cx.at_most(2)?;
    let shape = cx.shape(x)?;
    let axis = normal_axis(found, shape.rank())?;
    let Dim::Fixed(length) = shape.dims()[axis] else {
        let found = format!("{found}, the batch of {shape}");
        return Err(Fault::new(subject("axis"), found, "an axis that is not the batch"));
    };
    let indices = cx.array(1, "indices")?;
    let chosen = indices.data.iter().map(|index| index.as_integer().and_then(|index| axis_of(index, length)));
    let chosen: Option<Vec<usize>> = chosen.collect();
    let chosen = chosen.ok_or_else(|| {
        let supported = format!("integers from -{length} to {length} - 1");
        Fault::new(operand_subject(1, "indices"), indices.to_string(), supported)
    })?;
    let y = picked(cx, x, axis, &chosen)?;
    let dims = shape.dims();
    let inner = indices.dims.iter().map(|dim| Dim::Fixed(*dim));
    let dims: Vec<Dim> = dims[..axis].iter().copied().chain(inner).chain(dims[axis + 1..].iter().copied()).collect();
    let y = cx.reshaped(y, dims)?;
    cx.finish(y)
}

/// What a border that is not constant holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Border {
    /// The mirror image, the edge not repeated.
    Reflect,
    /// The nearest element.
    Edge,
    /// The other end.
    Wrap,
}

impl Border {
    /// The element of an axis of `size` that an index before or behind it stands for.
    fn index(self, at: isize, size: usize) -> usize {
        let last = size as isize - 1;
        let index = match self {
            Self::Edge => at.clamp(0, last),
            Self::Wrap => at.rem_euclid(size as isize),
            Self::Reflect if last == 0 => 0,
            Self::Reflect => {
                let within = at.rem_euclid(2 * last);
                within.min(2 * last - within)
            }
        };
        index as usize
    }
}

/// A border of elements of the value itself, axis by axis.
pub(super) fn bordered(cx: &mut NodeCx, x: Value, pad: &Pad, border: Border) -> Result<Value, Fault> {
    let mut y = x;
    for axis in 0..pad.begin.len() {
        let (begin, end) = (pad.begin[axis], pad.end[axis]);
        if begin == 0 && end == 0 {
            continue;
        }
        let shape = cx.shape(y)?;
        let Dim::Fixed(size) = shape.dims()[axis] else {
            return Err(Fault::new(operand_subject(1, "pads"), "padding of the batch", "padding within samples"));
        };
        if begin.max(end) > MAX_PIECES || size > LARGEST_AXIS {
            let found = format!("{begin} and {end} beside {size} elements");
            let supported = format!("at most {MAX_PIECES}, beside at most {LARGEST_AXIS}");
            return Err(Fault::new(operand_subject(1, "pads"), found, supported));
        }
        let range = -(begin as isize)..(size + end) as isize;
        let indices: Vec<usize> = range.map(|at| border.index(at, size)).collect();
        y = picked(cx, y, axis, &indices)?;
    }
    cx.finish(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_is_called_like_a_helper_keeps_its_name() {
        let once = crate::testing::int_tensor("once", &[2], &[1, 1]);
        let model = crate::testing::Model::new(13).batch_input("y.1", &[3]).init(once);
        let graph = model.node("Tile", &["y.1", "once"], &["y"], []).output("y").import();
        assert!(graph.find("y.1").is_some() && graph.find("y").is_some());
    }

    #[test]
    fn borders_repeat_mirror_or_wrap() {
        let of = |border: Border| (-4..7).map(|at| border.index(at, 3)).collect::<Vec<_>>();
        assert_eq!(of(Border::Edge), [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]);
        assert_eq!(of(Border::Wrap), [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(of(Border::Reflect), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(Border::Reflect.index(-5, 1), 0);
    }
}
