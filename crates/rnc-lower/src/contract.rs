//! Matrix products in general: both sides computed when the model runs, of any rank.

use rnc_ir::NodeId;
use rnc_plan::kernel::{BLOCK, Contract, KernelSpec, Strides};
use rnc_plan::{Batch, Operand};

use crate::context::{Context, ValueId};
use crate::error::Reason;
use crate::layout::Layout;

/// One side of a product.
struct Side {
    from: From,
    /// Without the batch.
    dims: Vec<usize>,
}

enum From {
    Value(ValueId),
    /// The same for all samples.
    Constant(usize),
}

/// Lowers a product by NumPy's rules: the last two axes are matrices, those before broadcast, a vector is a row on the left and a column on the right.
pub(crate) fn matmul(cx: &mut Context<'_>, node: NodeId) -> Result<(), Reason> {
    let operands = cx.graph.operands(node).to_vec();
    let [mut a, mut b] = [side(cx, node, operands[0])?, side(cx, node, operands[1])?];
    if a.dims.len() == 1 {
        a.dims.insert(0, 1);
    }
    if b.dims.len() == 1 {
        b.dims.push(1);
    }
    let ([.., m, k], [.., p]) = (a.dims.as_slice(), b.dims.as_slice()) else {
        return Err(Reason::new("an operand is one number", "vectors and matrices"));
    };
    let (m, k, p) = (*m, *k, *p);
    let outer = a.dims.len().max(b.dims.len()) - 2;
    let axis = |side: &Side, axis: usize| {
        let own = side.dims.len() - 2;
        (axis + own).checked_sub(outer).map_or(1, |axis| side.dims[axis])
    };
    if cx.batch != Batch::Single && matches!(b.from, From::Value(_)) && cx.graph.ty(node).shape.rank() == 2 {
        return Err(Reason::new("the sum runs over the leading axis of a computed value", "a sum within samples"));
    }
    let mut result: Vec<usize> = (0..outer).map(|i| axis(&a, i).max(axis(&b, i))).collect();
    result.extend([m, p]);
    let strides = |side: &Side, [row, column, sum]: [usize; 3]| {
        let own = side.dims.len() - 2;
        let mut strides: Vec<usize> = (0..outer)
            .map(|i| match (i + own).checked_sub(outer) {
                Some(axis) if side.dims[axis] > 1 => side.dims[axis + 1..].iter().product(),
                _ => 0,
            })
            .collect();
        strides.extend([row, column]);
        let sample = matches!(side.from, From::Value(_)).then(|| side.dims.iter().product());
        Strides { sample, result: strides, sum }
    };
    let (a_strides, b_strides) = (strides(&a, [k, 0, 1]), strides(&b, [0, 1, p]));
    let kernel = Contract { result, sum: k, a: a_strides, b: b_strides };
    let places = [place(cx, &a)?, place(cx, &b)?];
    let to = cx.result(node, Layout::Planar, None)?;
    cx.emit(cx.name(node), KernelSpec::Contract(kernel), vec![to, places[0], places[1]])?;
    cx.define(node, Layout::Planar, to);
    Ok(())
}

fn side(cx: &mut Context<'_>, node: NodeId, id: NodeId) -> Result<Side, Reason> {
    let (ty, rank) = (cx.graph.ty(id), cx.graph.ty(node).shape.rank());
    let batched = cx.batch != Batch::Single;
    let misplaced = || {
        let found = format!("`{}` is {ty}, where the result has {rank} dimensions", cx.graph.node(id).name());
        Reason::new(found, "operands whose leading dimension is the batch, and constants without one")
    };
    if cx.graph.node(id).constant().is_none() {
        let value = cx.value(id)?;
        if batched && cx.graph.ty(id).shape.rank() != rank {
            return Err(misplaced());
        }
        return Ok(Side { from: From::Value(value), dims: cx.dims(value).to_vec() });
    }
    let mut dims = ty.shape.fixed().unwrap_or_default();
    if batched && dims.len() == rank {
        if dims[0] != 1 {
            return Err(misplaced());
        }
        dims.remove(0);
    }
    let mut lanes = cx.constant(id, "the elements")?.to_vec();
    lanes.resize(lanes.len().next_multiple_of(BLOCK), 0.0);
    let constant = cx.packer.vector(cx.name(id), lanes);
    Ok(Side { from: From::Constant(constant), dims })
}

fn place(cx: &mut Context<'_>, side: &Side) -> Result<Operand, Reason> {
    match side.from {
        From::Value(value) => cx.place(value, Layout::Planar),
        From::Constant(constant) => Ok(Operand::Constant(constant)),
    }
}
