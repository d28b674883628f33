//! Writes a `gemm` that is no layer as the product, the factors and the sum that it stands for.
//!
//! ```text
//! before  %y = gemm(%a, %b, bias=%c) {alpha=0.5, trans_a=true} : f32[4,5]    %a: f32[3,4], %b: f32[3,5], %c: f32[4,5]
//! after   %a.t = transpose(%a) {perm=[1,0]} : f32[4,3]
//!         %y.product = matmul(%a.t, %b) : f32[4,5]
//!         %y.product.scaled = mul(%y.product, @y.product.factor) : f32[4,5]    @y.product.factor: 0.5
//!         %y = add(%y.product.scaled, %c) : f32[4,5]
//! ```
//!
//! A layer multiplies rows of the batch with a constant matrix, and adds one constant row to all: it has packed weights and a kernel. Anything else (ONNX's `Gemm` allows it) is
//! as general as `matmul`, and computed as that. What has no factor, addend or transposition gets no node for it.

use rnc_ir::op::{Activation, Binary, Gemm, Transpose};
use rnc_ir::{Graph, NodeId, Op, Tensor};

use crate::affine::is_one;
use crate::edit::{insert, rewrite};
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Rewrites every `gemm` whose left side is transposed, whose right side is computed, or whose addend is no constant row.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, apply)
}

/// Why a `gemm` is no layer.
struct Reason {
    gemm: Gemm,
    why: String,
}

fn find(graph: &Graph, id: NodeId) -> Match<Reason> {
    let Op::Gemm(gemm) = *graph.op(id) else { return Err(Miss::NoMatch) };
    let operands = graph.operands(id);
    let why = if gemm.trans_a {
        format!("{} is transposed", shown(graph, operands[0]))
    } else if graph.node(operands[1]).constant().is_none() {
        format!("{} is computed", shown(graph, operands[1]))
    } else if let Some(addend) = operands.get(2).filter(|addend| !is_constant_row(graph, **addend)) {
        format!("{} is no constant row", shown(graph, *addend))
    } else {
        return Err(Miss::NoMatch);
    };
    if gemm.activation != Activation::None {
        return refuse("it applies an activation");
    }
    Ok(Reason { gemm, why })
}

fn is_constant_row(graph: &Graph, id: NodeId) -> bool {
    graph.node(id).constant().is_some_and(|tensor| matches!(tensor.dims(), [] | [_] | [1, _]))
}

fn apply(graph: &mut Graph, id: NodeId, Reason { gemm, why }: Reason) -> Result<String, PassError> {
    let name = graph.node(id).name().to_owned();
    let operands = graph.operands(id).to_vec();
    let a = transposed(graph, id, operands[0], gemm.trans_a)?;
    let b = transposed(graph, id, operands[1], gemm.trans_b)?;
    if operands.len() == 2 && is_one(gemm.alpha) {
        rewrite(graph, id, Op::MatMul, &[a, b])?;
        return Ok(format!("{why}: a matmul"));
    }
    let product = insert(graph, id, &format!("{name}.product"), Op::MatMul, &[a, b])?;
    let (last, operands) = if let Some(addend) = operands.get(2) {
        (Binary::Add, [scaled(graph, id, product, gemm.alpha)?, scaled(graph, id, *addend, gemm.beta)?])
    } else {
        (Binary::Mul, [product, factor(graph, product, gemm.alpha)])
    };
    rewrite(graph, id, Op::Binary(last), &operands)?;
    Ok(format!("{why}: a matmul, its factors and its addend"))
}

/// `operand` with its two axes exchanged, if asked.
fn transposed(graph: &mut Graph, gemm: NodeId, operand: NodeId, exchange: bool) -> Result<NodeId, PassError> {
    if !exchange {
        return Ok(operand);
    }
    let name = format!("{}.t", graph.node(operand).name());
    insert(graph, gemm, &name, Op::Transpose(Transpose { perm: vec![1, 0] }), &[operand])
}

/// `value` times `by`, if that is not one.
fn scaled(graph: &mut Graph, gemm: NodeId, value: NodeId, by: f32) -> Result<NodeId, PassError> {
    if is_one(by) {
        return Ok(value);
    }
    let name = format!("{}.scaled", graph.node(value).name());
    let factor = factor(graph, value, by);
    insert(graph, gemm, &name, Op::Binary(Binary::Mul), &[value, factor])
}

/// The constant with which `value` is multiplied.
fn factor(graph: &mut Graph, value: NodeId, by: f32) -> NodeId {
    let name = format!("{}.factor", graph.node(value).name());
    graph.add_constant(&name, Tensor::f32([], vec![by]))
}
