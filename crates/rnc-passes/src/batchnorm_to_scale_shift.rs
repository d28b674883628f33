//! Writes a batch normalisation that no convolution could take up as a multiply and an add.
//!
//! ```text
//! before  %n = batch_norm(%x, @gamma, @beta, @mean, @var) {epsilon=1e-5} : f32[N,64,56,56]
//! after   %n.scaled = mul(%x, @gamma) : f32[N,64,56,56]         with new contents of @gamma, now f32[1,64,1,1]
//!         %n = add(%n.scaled, @beta) : f32[N,64,56,56]          and of @beta, likewise
//! ```
//!
//! The algebra is `fold_batchnorm`'s: `scale = gamma / sqrt(var + epsilon)`, `shift = beta - mean · scale`. Pre-activation
//! networks (He et al., "Identity Mappings in Deep Residual Networks", 2016) have such norms in front of their convolutions:
//! these cannot go into a convolution with padding, because the padding is added after the shift.

use rnc_ir::op::Binary;
use rnc_ir::{Graph, NodeId, Op, Tensor};

use crate::edit::{inherit_name, insert, rewrite};
use crate::fold_batchnorm::scale_shift;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, sweep};

/// Rewrites every batch norm with constant statistics.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, apply)
}

struct ScaleShift {
    scale: Tensor,
    shift: Tensor,
}

fn find(graph: &Graph, id: NodeId) -> Match<ScaleShift> {
    let Op::BatchNorm(norm) = graph.op(id) else { return Err(Miss::NoMatch) };
    let affine = scale_shift(graph, id, *norm)?;
    let (Some(scale), Some(shift)) = (affine.scale, affine.shift) else { return Err(Miss::NoMatch) };
    let mut dims = vec![1; graph.ty(id).shape.rank()];
    let channel = dims.get_mut(1).ok_or(Miss::NoMatch)?;
    *channel = scale.len();
    let tensor = |values: Vec<f64>| Tensor::f32(dims.clone(), values.iter().map(|v| *v as f32).collect::<Vec<_>>());
    Ok(ScaleShift { scale: tensor(scale), shift: tensor(shift) })
}

fn apply(graph: &mut Graph, id: NodeId, found: ScaleShift) -> Result<String, PassError> {
    let &[x, gamma, beta, ..] = graph.operands(id) else { unreachable!("a batch norm has five operands") };
    let [gamma_name, beta_name] = [gamma, beta].map(|constant| graph.node(constant).name().to_owned());
    let scale = graph.add_constant(&gamma_name, found.scale);
    let shift = graph.add_constant(&beta_name, found.shift);
    let name = format!("{}.scaled", graph.node(id).name());
    let scaled = insert(graph, id, &name, Op::Binary(Binary::Mul), &[x, scale])?;
    rewrite(graph, id, Op::Binary(Binary::Add), &[scaled, shift])?;
    inherit_name(graph, scale, &gamma_name);
    inherit_name(graph, shift, &beta_name);
    Ok("written as a multiply and an add".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::testing::{ops, refusal, rewritten};

    #[test]
    fn rewrites_norms_of_any_rank() {
        for shape in ["N,4,3,3", "N,4", "2,4,5"] {
            let text = format!(
                "graph @g(%x: f32[{shape}]) -> (%n) {{
                   @g = random(2, 0.5, 1.5) : f32[4]
                   @b = random(3) : f32[4]
                   @m = random(4) : f32[4]
                   @v = random(5, 0.5, 1.5) : f32[4]
                   %n = batch_norm(%x, @g, @b, @m, @v) {{epsilon=1e-5}} : f32[{shape}]
                 }}"
            );
            let (graph, _) = rewritten(super::run, &text);
            assert_eq!(ops(&graph), ["mul", "add"]);
            assert_eq!(graph.find("g").map(|g| graph.ty(g).shape.rank()), Some(shape.split(',').count()));
        }
    }

    #[test]
    fn refuses_statistics_that_are_not_constant() {
        let text = "graph @g(%x: f32[N,4,3,3], %m: f32[4]) -> (%n) {
               @g = random(2, 0.5, 1.5) : f32[4]
               @b = random(3) : f32[4]
               @v = random(5, 0.5, 1.5) : f32[4]
               %n = batch_norm(%x, @g, @b, %m, @v) {epsilon=1e-5} : f32[N,4,3,3]
             }";
        assert!(refusal(super::run, text).unwrap().contains("%m is not constant"));
    }
}
