//! Folds an inference batch normalisation into the convolution or `Gemm` before it.
//!
//! ```text
//! before  %c = conv2d(%x, @w) {pad=1} : f32[N,64,56,56]
//!         %b = batch_norm(%c, @gamma, @beta, @mean, @var) {epsilon=1e-5} : f32[N,64,56,56]
//! after   %b = conv2d(%x, @w, bias=@beta) {pad=1} : f32[N,64,56,56]        with new contents of @w and @beta
//! ```
//!
//! Ioffe and Szegedy, "Batch Normalization" (2015), section 3.1: at inference, with fixed statistics,
//!
//! ```text
//! y = gamma · (x - mean) / sqrt(var + epsilon) + beta = scale · x + shift
//! scale = gamma / sqrt(var + epsilon),  shift = beta - mean · scale
//! ```
//!
//! per channel, which the convolution's linearity takes up (see `affine.rs`).

use rnc_ir::op::BatchNorm;
use rnc_ir::{Graph, NodeId, Op, Tensor};

use crate::affine::{self, Affine, Fold};
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Folds every batch norm whose operand is a convolution or a `Gemm` that only it reads.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, affine::apply)
}

fn find(graph: &Graph, id: NodeId) -> Match<Fold> {
    let Op::BatchNorm(norm) = graph.op(id) else { return Err(Miss::NoMatch) };
    let producer = graph.operands(id)[0];
    let (Op::Conv2d(_) | Op::Gemm(_)) = graph.op(producer) else {
        return refuse(format!("its operand {} is no convolution or gemm", shown(graph, producer)));
    };
    let affine = scale_shift(graph, id, *norm)?;
    let bias_name = graph.node(graph.operands(id)[2]).name();
    affine::plan(graph, producer, &affine, bias_name)
}

/// A batch norm as `scale · x + shift`, if its statistics are constants that make a finite scale.
pub(crate) fn scale_shift(graph: &Graph, id: NodeId, norm: BatchNorm) -> Match<Affine> {
    let &[_, gamma, beta, mean, var] = graph.operands(id) else { return Err(Miss::NoMatch) };
    let values = |of: NodeId| match graph.node(of).constant().and_then(Tensor::as_f32) {
        Some(values) => Ok(values),
        None => refuse(format!("its operand {} is not constant", shown(graph, of))),
    };
    let (gamma, beta, mean, var) = (values(gamma)?, values(beta)?, values(mean)?, values(var)?);
    let scale: Vec<f64> = gamma
        .iter()
        .zip(var)
        .map(|(gamma, var)| f64::from(*gamma) / (f64::from(*var) + f64::from(norm.epsilon)).sqrt())
        .collect();
    let shift: Vec<f64> = beta
        .iter()
        .zip(mean)
        .zip(&scale)
        .map(|((beta, mean), scale)| f64::from(*beta) - f64::from(*mean) * scale)
        .collect();
    let bad = |values: &[f64]| values.iter().position(|v| !(*v as f32).is_finite());
    if let Some(channel) = bad(&scale).or_else(|| bad(&shift)) {
        return refuse(format!("channel {channel} has no finite scale and shift (variance {})", var[channel]));
    }
    Ok(Affine { scale: Some(scale), shift: Some(shift) })
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, ops, refusal, rewritten};

    const NORM: &str = "@g = random(2, 0.5, 1.5) : f32[4]
               @b = random(3) : f32[4]
               @m = random(4) : f32[4]
               @v = random(5, 0.5, 1.5) : f32[4]";

    #[test]
    fn folds_into_a_convolution_and_keeps_the_last_name() {
        let (graph, log) = rewritten(
            super::run,
            &format!(
                "graph @g(%x: f32[N,3,5,5]) -> (%r) {{
                   @w = random(1) : f32[4,3,3,3]
                   {NORM}
                   %c = conv2d(%x, @w) {{pad=1}} : f32[N,4,5,5]
                   %n = batch_norm(%c, @g, @b, @m, @v) {{epsilon=1e-3}} : f32[N,4,5,5]
                   %r = relu(%n) : f32[N,4,5,5]
                 }}"
            ),
        );
        assert_eq!(ops(&graph), ["conv2d", "relu"]);
        let mut left = names(&graph);
        left.sort_unstable();
        assert_eq!(left, ["b", "n", "r", "w", "x"]);
        assert_eq!(log.entries().len(), 1);
    }

    #[test]
    fn folds_two_in_a_row_into_a_convolution_with_groups_and_bias() {
        let (graph, _) = rewritten(
            super::run,
            &format!(
                "graph @g(%x: f32[N,4,5,5]) -> (%n2) {{
                   @w = random(1) : f32[4,2,1,1]
                   @bias = random(9) : f32[4]
                   {NORM}
                   %c = conv2d(%x, @w, bias=@bias) {{groups=2}} : f32[N,4,5,5]
                   %n1 = batch_norm(%c, @g, @b, @m, @v) {{epsilon=1e-5}} : f32[N,4,5,5]
                   %n2 = batch_norm(%n1, @b, @g, @m, @v) {{epsilon=1e-5}} : f32[N,4,5,5]
                 }}"
            ),
        );
        assert_eq!(ops(&graph), ["conv2d"]);
    }

    #[test]
    fn folds_into_a_gemm_of_either_layout() {
        for (dims, attributes) in [("4,3", "{trans_b=true}"), ("3,4", "{alpha=2.0}")] {
            let (graph, _) = rewritten(
                super::run,
                &format!(
                    "graph @g(%x: f32[N,3]) -> (%n) {{
                       @w = random(1) : f32[{dims}]
                       {NORM}
                       %c = gemm(%x, @w) {attributes} : f32[N,4]
                       %n = batch_norm(%c, @g, @b, @m, @v) {{epsilon=1e-5}} : f32[N,4]
                     }}"
                ),
            );
            assert_eq!(ops(&graph), ["gemm"]);
        }
    }

    fn refused(conv: &str, rest: &str, results: &str) -> String {
        let text = format!(
            "graph @g(%x: f32[N,3,5,5], %weights: f32[4,3,1,1]) -> ({results}) {{
               @w = random(1) : f32[4,3,1,1]
               @zero = constant [0.0, 1.0, 1.0, 1.0] : f32[4]
               {NORM}
               %c = {conv} : f32[N,4,5,5]
               {rest}
             }}"
        );
        refusal(super::run, &text).unwrap()
    }

    #[test]
    fn refuses_when_the_convolution_s_result_is_used_twice() {
        let norm = "%n = batch_norm(%c, @g, @b, @m, @v) {epsilon=1e-5} : f32[N,4,5,5]";
        assert!(refused("conv2d(%x, @w)", norm, "%n, %c").contains("more than once"));
    }

    #[test]
    fn refuses_weights_that_are_not_constant_and_activations() {
        let norm = "%n = batch_norm(%c, @g, @b, @m, @v) {epsilon=1e-5} : f32[N,4,5,5]";
        assert!(refused("conv2d(%x, %weights)", norm, "%n").contains("not constant"));
        assert!(refused("conv2d(%x, @w) {activation=relu}", norm, "%n").contains("activation"));
    }

    #[test]
    fn refuses_a_variance_of_zero_without_epsilon() {
        let norm = "%n = batch_norm(%c, @g, @b, @m, @zero) {epsilon=0.0} : f32[N,4,5,5]";
        assert!(refused("conv2d(%x, @w)", norm, "%n").contains("channel 0"));
    }

    #[test]
    fn refuses_behind_an_operator_that_is_not_linear() {
        let norm = "%n = batch_norm(%c, @g, @b, @m, @v) {epsilon=1e-5} : f32[N,4,5,5]";
        let text = format!("graph @g(%x: f32[N,4,5,5]) -> (%n) {{ {NORM} %c = relu(%x) : f32[N,4,5,5] {norm} }}");
        assert!(refusal(super::run, &text).unwrap().contains("no convolution"));
    }
}
