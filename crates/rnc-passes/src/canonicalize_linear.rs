//! Writes products with a constant matrix in one form: `gemm` with `trans_b`, no factors, and a bias of `[N]`.
//!
//! ```text
//! before  %y = matmul(%x, @w) : f32[N,10]                            @w: f32[64,10]
//! after   %y = gemm(%x, @w) {trans_b=true} : f32[N,10]               @w: f32[10,64], transposed
//!
//! before  %y = gemm(%x, @w, bias=@c) {alpha=0.5, beta=2.0} : f32[N,10]    @w: f32[64,10], @c: f32[1,10]
//! after   %y = gemm(%x, @w, bias=@c) {trans_b=true} : f32[N,10]           @w: f32[10,64], @c: f32[10], with factors
//! ```
//!
//! `alpha·x·W + beta·c = x·(alpha·W) + (beta·c)`, and a row that is added to every row of the result is a bias, whatever the rank that it is
//! written with. An `add` of a constant behind the product is `fold_scale_shift`'s.

use rnc_ir::op::{Activation, Gemm};
use rnc_ir::{DType, Graph, NodeId, Op, Tensor};

use crate::affine::{LARGEST_SHARED_WEIGHTS, is_one};
use crate::edit::{inherit_name, rewrite};
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Rewrites every 2-D `MatMul` and every `Gemm` whose right side is constant.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, apply)
}

/// The canonical operator, with the constants that change.
struct Linear {
    gemm: Gemm,
    weights: Option<Tensor>,
    bias: Option<Tensor>,
}

fn find(graph: &Graph, id: NodeId) -> Match<Linear> {
    let gemm = match graph.op(id) {
        Op::Gemm(gemm) => *gemm,
        Op::MatMul => as_gemm(graph, id)?,
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Softmax(_)
        | Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Resize(_)
        | Op::Reduce(_)
        | Op::Identity => return Err(Miss::NoMatch),
    };
    let operands = graph.operands(id);
    let weights = canonical_weights(graph, operands[1], gemm)?;
    let bias = if gemm.bias { canonical_bias(graph, operands[2], id, gemm)? } else { None };
    let canonical = Gemm { alpha: 1.0, beta: 1.0, trans_b: true, ..gemm };
    if Op::Gemm(canonical) == *graph.op(id) && weights.is_none() && bias.is_none() {
        return Err(Miss::NoMatch);
    }
    Ok(Linear { gemm: canonical, weights, bias })
}

/// A `MatMul` of two matrices as a `Gemm`.
fn as_gemm(graph: &Graph, id: NodeId) -> Match<Gemm> {
    let ranks: Vec<usize> = graph.operands(id).iter().map(|o| graph.ty(*o).shape.rank()).collect();
    if graph.ty(id).dtype != DType::F32 {
        return Err(Miss::NoMatch);
    }
    if ranks != [2, 2] {
        return refuse(format!("its operands have {} and {} dimensions, and not 2", ranks[0], ranks[1]));
    }
    Ok(Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false, bias: false, activation: Activation::None })
}

/// The right side as N×K times `alpha`, if it is not so already.
fn canonical_weights(graph: &Graph, id: NodeId, gemm: Gemm) -> Match<Option<Tensor>> {
    let name = shown(graph, id);
    let Some(tensor) = graph.node(id).constant() else {
        return refuse(format!("the right side {name} is not constant"));
    };
    let (Some(values), &[rows, columns]) = (tensor.as_f32(), tensor.dims()) else { return Err(Miss::NoMatch) };
    if gemm.trans_b && is_one(gemm.alpha) {
        return Ok(None);
    }
    if graph.use_count(id) > 1 && values.len() > LARGEST_SHARED_WEIGHTS {
        return refuse(format!("the right side {name} has another use, and is too large to copy"));
    }
    let scaled = |value: f32| (f64::from(gemm.alpha) * f64::from(value)) as f32;
    let (dims, new): (_, Vec<f32>) = if gemm.trans_b {
        ([rows, columns], values.iter().copied().map(scaled).collect())
    } else {
        let column = |n: usize| (0..rows).map(move |k| values[k * columns + n]);
        ([columns, rows], (0..columns).flat_map(column).map(scaled).collect())
    };
    finite(&new, values).then_some(Some(Tensor::f32(dims, new))).ok_or_else(|| overflow(&name, "alpha"))
}

/// The addend as `[N]` times `beta`, if it is not so already.
fn canonical_bias(graph: &Graph, id: NodeId, result: NodeId, gemm: Gemm) -> Match<Option<Tensor>> {
    let name = shown(graph, id);
    let columns = graph.ty(result).shape.dims().get(1).and_then(|dim| dim.fixed()).ok_or(Miss::NoMatch)?;
    let Some(tensor) = graph.node(id).constant() else {
        return if is_one(gemm.beta) { Ok(None) } else { refuse(format!("the addend {name} is not constant")) };
    };
    let values = tensor.as_f32().ok_or(Miss::NoMatch)?;
    let is_row = matches!(tensor.dims(), [] | [_] | [1, _]);
    if !is_row || (values.len() != 1 && values.len() != columns) {
        let what = graph.ty(id);
        return refuse(format!("the addend {name}, {what}, is no row of {columns} elements"));
    }
    if tensor.dims() == [columns] && is_one(gemm.beta) {
        return Ok(None);
    }
    let element = |n: usize| if values.len() == 1 { values[0] } else { values[n] };
    let new: Vec<f32> = (0..columns).map(|n| (f64::from(gemm.beta) * f64::from(element(n))) as f32).collect();
    finite(&new, values).then_some(Some(Tensor::f32([columns], new))).ok_or_else(|| overflow(&name, "beta"))
}

/// Whether a factor made no finite element infinite.
fn finite(new: &[f32], old: &[f32]) -> bool {
    new.iter().all(|v| v.is_finite()) || !old.iter().all(|v| v.is_finite())
}

fn overflow(name: &str, factor: &str) -> Miss {
    Miss::Refused(format!("{name} times {factor} would not be finite"))
}

fn apply(graph: &mut Graph, id: NodeId, linear: Linear) -> Result<String, PassError> {
    let Linear { gemm, weights, bias } = linear;
    let what = match (&weights, &bias) {
        (Some(_), Some(_)) => "written as gemm with trans_b, and with a bias of one dimension",
        (None, Some(_)) => "written with a bias of one dimension",
        (Some(_) | None, None) => "written as gemm with trans_b",
    };
    let mut operands = graph.operands(id).to_vec();
    let mut renames = Vec::new();
    for (position, tensor) in [(1, weights), (2, bias)] {
        let Some(tensor) = tensor else { continue };
        let name = graph.node(operands[position]).name().to_owned();
        operands[position] = graph.add_constant(&name, tensor);
        renames.push((operands[position], name));
    }
    rewrite(graph, id, Op::Gemm(gemm), &operands)?;
    for (constant, name) in renames {
        inherit_name(graph, constant, &name);
    }
    Ok(what.to_owned())
}

#[cfg(test)]
mod tests {
    use rnc_ir::Op;

    use crate::testing::{ops, refusal, rewritten};

    #[test]
    fn makes_a_transposed_gemm_of_a_matrix_product() {
        let (graph, _) = rewritten(
            super::run,
            "graph @g(%x: f32[N,5]) -> (%y) { @w = random(1) : f32[5,4] %y = matmul(%x, @w) : f32[N,4] }",
        );
        assert_eq!(ops(&graph), ["gemm"]);
        let weights = graph.find("w").unwrap();
        assert_eq!(graph.ty(weights).to_string(), "f32[4,5]");
    }

    #[test]
    fn folds_factors_and_makes_a_bias_of_any_row() {
        for bias in ["4", "1,4", "1", "", "1,1"] {
            for (trans_b, weights) in [(true, "4,5"), (false, "5,4")] {
                let text = format!(
                    "graph @g(%x: f32[N,5]) -> (%y) {{
                       @w = random(1) : f32[{weights}]
                       @c = random(2) : f32[{bias}]
                       %y = gemm(%x, @w, bias=@c) {{alpha=0.5, beta=-2.0, trans_b={trans_b}}} : f32[N,4]
                     }}"
                );
                let (graph, _) = rewritten(super::run, &text);
                let Op::Gemm(gemm) = graph.op(graph.find("y").unwrap()) else { panic!("{graph}") };
                assert!(gemm.trans_b && (gemm.alpha, gemm.beta) == (1.0, 1.0));
                assert_eq!(graph.ty(graph.find("c").unwrap()).to_string(), "f32[4]");
            }
        }
    }

    #[test]
    fn leaves_a_canonical_gemm_alone() {
        let (_, log) = rewritten(
            super::run,
            "graph @g(%x: f32[N,5]) -> (%y) {
               @w = random(1) : f32[4,5]
               @c = random(2) : f32[4]
               %y = gemm(%x, @w, bias=@c) {trans_b=true} : f32[N,4]
             }",
        );
        assert!(log.entries().is_empty());
    }

    #[test]
    fn refuses_operands_that_are_not_constant_or_have_another_rank() {
        let text = "graph @g(%x: f32[N,5], %w: f32[5,4]) -> (%y) { %y = matmul(%x, %w) : f32[N,4] }";
        assert!(refusal(super::run, text).unwrap().contains("%w is not constant"));
        let text = "graph @g(%x: f32[N,2,5]) -> (%y) { @w = random(1) : f32[5,4] %y = matmul(%x, @w) : f32[N,2,4] }";
        assert!(refusal(super::run, text).unwrap().contains("3 and 2 dimensions"));
        let text = "graph @g(%x: f32[3,5], %c: f32[3,4]) -> (%y) {
               @w = random(1) : f32[5,4]
               %y = gemm(%x, @w, bias=%c) {beta=2.0} : f32[3,4]
             }";
        assert!(refusal(super::run, text).unwrap().contains("addend %c"));
    }

    #[test]
    fn refuses_an_addend_that_differs_from_row_to_row() {
        let text = "graph @g(%x: f32[3,5]) -> (%y) {
               @w = random(1) : f32[5,4]
               @c = random(2) : f32[3,1]
               %y = gemm(%x, @w, bias=@c) : f32[3,4]
             }";
        assert!(refusal(super::run, text).unwrap().contains("f32[3,1]"));
    }

    #[test]
    fn refuses_factors_that_overflow() {
        let text = "graph @g(%x: f32[3,1]) -> (%y) {
               @w = constant [3e38] : f32[1,1]
               %y = gemm(%x, @w) {alpha=10.0} : f32[3,1]
             }";
        assert!(refusal(super::run, text).unwrap().contains("alpha"));
    }
}
