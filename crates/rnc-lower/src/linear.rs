//! Matrix products with a constant matrix.

use rnc_ir::NodeId;
use rnc_ir::op;
use rnc_plan::kernel::{Activation, BLOCK, Gemm, KernelSpec, blocks};
use rnc_plan::{Batch, Operand};

use crate::batch;
use crate::context::{Context, ValueId};
use crate::contract;
use crate::conv;
use crate::error::Reason;
use crate::layout::Layout;
use crate::pack::GemmWeights;

/// Lowers `activation(alpha · A · B' + beta · C)` with constant `B` and `C`: `alpha` and `beta` go into the packed constants.
pub(crate) fn gemm(cx: &mut Context<'_>, node: NodeId, gemm: &op::Gemm) -> Result<(), Reason> {
    let (a, matrix) = (cx.graph.operands(node)[0], cx.graph.operands(node)[1]);
    if gemm.trans_a {
        return Err(Reason::new("A is transposed, which mixes the samples of the batch", "A of shape [batch, K]"));
    }
    cx.constant(matrix, "the elements of B")?;
    let x = cx.value(a)?;
    let (features, out) = (vector(cx.dims(x))?, vector(&cx.sample(node))?);
    let mut lanes = match cx.graph.operands(node).get(2) {
        Some(bias) => addend(cx, *bias, out)?,
        None => vec![0.0; out],
    };
    if gemm.beta.to_bits() != 1.0f32.to_bits() {
        lanes = lanes.iter().map(|lane| lane * gemm.beta).collect();
    }
    lanes.resize(blocks(out) * BLOCK, 0.0);
    let name = cx.graph.operands(node).get(2).map_or("zeros", |bias| cx.name(*bias));
    let bias = cx.packer.vector(name, lanes);
    let weights = GemmWeights { features, out, transposed: gemm.trans_b, factor: gemm.alpha };
    emit(cx, &Linear { node, x, matrix, weights, bias, activation: conv::activation(gemm.activation) })
}

/// Lowers the product of a batch of vectors with a constant matrix; any other one is a contraction.
pub(crate) fn matmul(cx: &mut Context<'_>, node: NodeId) -> Result<(), Reason> {
    let (a, matrix) = (cx.graph.operands(node)[0], cx.graph.operands(node)[1]);
    let is_matrix = cx.graph.node(matrix).constant().is_some() && cx.graph.ty(matrix).shape.rank() == 2;
    let vectors = cx.samples.get(&a).is_some_and(|dims| dims.len() == 1) && cx.sample(node).len() == 1;
    if !is_matrix || !vectors || cx.batch == Batch::Single {
        return contract::matmul(cx, node);
    }
    let x = cx.value(a)?;
    let (features, out) = (vector(cx.dims(x))?, vector(&cx.sample(node))?);
    let bias = cx.packer.vector("zeros", vec![0.0; blocks(out) * BLOCK]);
    let weights = GemmWeights { features, out, transposed: false, factor: 1.0 };
    emit(cx, &Linear { node, x, matrix, weights, bias, activation: Activation::None })
}

/// A product to emit.
pub(crate) struct Linear {
    pub node: NodeId,
    pub x: ValueId,
    /// The constant matrix, and how it is packed.
    pub matrix: NodeId,
    pub weights: GemmWeights,
    /// Index of the packed bias.
    pub bias: usize,
    pub activation: Activation,
}

/// Emits the step of a product of a vector, `[K]` or `[K,1,1]`, with a constant matrix.
pub(crate) fn emit(cx: &mut Context<'_>, linear: &Linear) -> Result<(), Reason> {
    let Linear { node, x, matrix, weights, bias, activation } = *linear;
    let data = cx.constant(matrix, "the matrix")?;
    let packed = cx.packer.gemm(matrix, cx.name(matrix), data, weights);
    let packed = packed.ok_or_else(|| Reason::new("the packed matrix overflows", "a matrix that fits into memory"))?;
    let x = cx.place(x, Layout::Blocked)?;
    let result = cx.result(node, Layout::Blocked, None)?;
    let kernel = KernelSpec::Gemm(Gemm { features: weights.features, out: weights.out, activation });
    cx.emit(cx.name(node), kernel, vec![result, x, Operand::Constant(packed), Operand::Constant(bias)])?;
    cx.define(node, Layout::Blocked, result);
    Ok(())
}

fn vector(dims: &[usize]) -> Result<usize, Reason> {
    match dims {
        [len] => Ok(*len),
        _ => Err(Reason::new(
            format!("a sample has the dimensions {dims:?}"),
            "samples that are vectors (values of rank 2)",
        )),
    }
}

/// The addend of a GEMM as one element for each of `out` features.
fn addend(cx: &Context<'_>, bias: NodeId, out: usize) -> Result<Vec<f32>, Reason> {
    let data = cx.constant(bias, "the elements of C")?;
    let dims = cx.graph.ty(bias).shape.fixed().unwrap_or_default();
    let (dims, data) = batch::constant_sample(&dims, data, 2)?;
    match (dims.as_slice(), data) {
        ([1], [one]) => Ok(vec![*one; out]),
        ([n], _) if *n == out => Ok(data.to_vec()),
        _ => Err(Reason::new(format!("C is {}", cx.graph.ty(bias)), format!("C that broadcasts to [1,{out}]"))),
    }
}
