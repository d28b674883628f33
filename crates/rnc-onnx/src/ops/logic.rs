//! Comparisons, logic and choices. Of values known at import they are shape arithmetic; of values computed when the model runs they are numbers, 1 and 0.

use rnc_ir::Op;
use rnc_ir::op::Binary;

use crate::error::Fault;
use crate::node::NodeCx;
use crate::shape_arithmetic::{self as arithmetic, Comparison};
use crate::state::Value;

/// Whether all operands are known at import.
fn all_known(cx: &NodeCx) -> Result<bool, Fault> {
    for position in 0..cx.node.input.len() {
        if let Some(value) = cx.optional(position)
            && cx.state.array(value)?.is_none()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `Equal`, `Greater`, `Less`, ….
pub(super) fn compare(cx: &mut NodeCx, comparison: Comparison) -> Result<Value, Fault> {
    if all_known(cx)? {
        return arithmetic::compare(cx, comparison);
    }
    cx.at_most(2)?;
    let (a, b) = (cx.operand(0, "A")?, super::elementwise::aligned(cx, 1, "B")?);
    let (function, a, b) = match comparison {
        Comparison::Equal => (Binary::Equal, a, b),
        Comparison::Greater => (Binary::Greater, a, b),
        Comparison::GreaterOrEqual => (Binary::GreaterOrEqual, a, b),
        Comparison::Less => (Binary::Greater, b, a),
        Comparison::LessOrEqual => (Binary::GreaterOrEqual, b, a),
    };
    cx.emit(Op::Binary(function), &[a, b])
}

/// `Not`.
pub(super) fn not(cx: &mut NodeCx) -> Result<Value, Fault> {
    if all_known(cx)? {
        return arithmetic::logic_not(cx);
    }
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    let one = cx.scalar_constant("one", 1.0);
    cx.emit(Op::Binary(Binary::Sub), &[one, x])
}

/// `And`, `Or`: the smaller and the larger of two truth values.
pub(super) fn both(cx: &mut NodeCx, function: Binary) -> Result<Value, Fault> {
    cx.at_most(2)?;
    let (a, b) = (cx.operand(0, "A")?, super::elementwise::aligned(cx, 1, "B")?);
    cx.emit(Op::Binary(function), &[a, b])
}

/// `Where`.
pub(super) fn choose(cx: &mut NodeCx) -> Result<Value, Fault> {
    if all_known(cx)? {
        return arithmetic::where_(cx);
    }
    cx.at_most(3)?;
    let (a, b) = (cx.operand(1, "X")?, cx.operand(2, "Y")?);
    let condition = truth(cx, 0, "condition")?;
    cx.emit(Op::Where, &[condition, a, b])
}

/// A truth value as a number; one that is known at import becomes a constant.
fn truth(cx: &mut NodeCx, position: usize, what: &str) -> Result<Value, Fault> {
    let value = cx.operand(position, what)?;
    match cx.state.array(value)? {
        Some(array) if !array.elem.is_float() => arithmetic::as_floats(cx, &array),
        _ => Ok(value),
    }
}
