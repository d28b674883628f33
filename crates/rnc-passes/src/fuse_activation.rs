//! Applies `relu` and `clip` inside the convolution or `Gemm` before them.
//!
//! ```text
//! before  %c = conv2d(%x, @w, residual=%y) {pad=1} : f32[N,64,56,56]
//!         %r = relu(%c) : f32[N,64,56,56]
//! after   %r = conv2d(%x, @w, residual=%y) {pad=1, activation=relu} : f32[N,64,56,56]
//! ```
//!
//! The function is applied to each element before its one store, instead of in a second pass over memory. It computes the
//! same bits. Functions with exponentials stay operators of their own.

use rnc_ir::op::{Activation, Unary};
use rnc_ir::{Graph, NodeId, Op};

use crate::edit::{absorb, rewrite};
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Fuses every `relu` and `clip` whose operand is a convolution or a `Gemm` that only it reads.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, |graph, id, op| {
        let producer = graph.operands(id)[0];
        let what = format!("applied inside {}", shown(graph, producer));
        let operands = graph.operands(producer).to_vec();
        rewrite(graph, producer, op, &operands)?;
        absorb(graph, producer, id);
        Ok(what)
    })
}

/// The producer's operator with the activation.
fn find(graph: &Graph, id: NodeId) -> Match<Op> {
    let Op::Unary(unary) = graph.op(id) else { return Err(Miss::NoMatch) };
    let activation = activation_of(*unary)?;
    let producer = graph.operands(id)[0];
    let mut op = graph.op(producer).clone();
    let slot = match &mut op {
        Op::Conv2d(conv) => &mut conv.activation,
        Op::Gemm(gemm) => &mut gemm.activation,
        Op::Input
        | Op::Constant(_)
        | Op::BatchNorm(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::MatMul
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
    let name = shown(graph, producer);
    if *slot != Activation::None {
        return refuse(format!("{name} has an activation already"));
    }
    if graph.sole_user(producer).is_none() {
        return refuse(format!("the result of {name} is used more than once"));
    }
    *slot = activation;
    Ok(op)
}

fn activation_of(unary: Unary) -> Match<Activation> {
    match unary {
        Unary::Relu => Ok(Activation::Relu),
        Unary::Clip { min, max } if min == 0.0 && max == f32::INFINITY => Ok(Activation::Relu),
        Unary::Clip { min, max } => Ok(Activation::Clip { min, max }),
        Unary::LeakyRelu { .. }
        | Unary::Sigmoid
        | Unary::HardSigmoid { .. }
        | Unary::HardSwish
        | Unary::Silu
        | Unary::Tanh
        | Unary::Exp
        | Unary::Sqrt
        | Unary::Abs
        | Unary::Neg
        | Unary::Reciprocal
        | Unary::Floor
        | Unary::Ceil
        | Unary::Log
        | Unary::Erf
        | Unary::Round
        | Unary::Sign => Err(Miss::NoMatch),
    }
}

#[cfg(test)]
mod tests {
    use rnc_ir::Op;
    use rnc_ir::op::Activation;

    use crate::testing::{ops, refusal, rewritten};

    fn conv_then(activation: &str, results: &str) -> String {
        format!(
            "graph @g(%x: f32[N,3,5,5], %y: f32[N,4,5,5]) -> ({results}) {{
               @w = random(1) : f32[4,3,3,3]
               %c = conv2d(%x, @w, residual=%y) {{pad=1}} : f32[N,4,5,5]
               %r = {activation} : f32[N,4,5,5]
             }}"
        )
    }

    fn fused(activation: &str) -> Activation {
        let (graph, _) = rewritten(super::run, &conv_then(activation, "%r"));
        assert_eq!(ops(&graph), ["conv2d"]);
        let Op::Conv2d(conv) = graph.op(graph.find("r").unwrap()) else { panic!("{graph}") };
        conv.activation
    }

    #[test]
    fn fuses_relu_and_clip_into_a_convolution_with_a_residual() {
        assert_eq!(fused("relu(%c)"), Activation::Relu);
        assert_eq!(fused("clip(%c) {min=0.0, max=0.5}"), Activation::Clip { min: 0.0, max: 0.5 });
        assert_eq!(fused("clip(%c) {min=0.0, max=inf}"), Activation::Relu);
    }

    #[test]
    fn fuses_into_a_gemm() {
        let (graph, _) = rewritten(
            super::run,
            "graph @g(%x: f32[N,3]) -> (%r) {
               @w = random(1) : f32[4,3]
               %c = gemm(%x, @w) {trans_b=true} : f32[N,4]
               %r = relu(%c) : f32[N,4]
             }",
        );
        assert_eq!(ops(&graph), ["gemm"]);
    }

    #[test]
    fn refuses_a_second_activation() {
        let (graph, log) = rewritten(
            super::run,
            "graph @g(%x: f32[N,3]) -> (%s) {
               @w = random(1) : f32[4,3]
               %c = gemm(%x, @w) {trans_b=true} : f32[N,4]
               %r = clip(%c) {min=-1.0, max=0.5} : f32[N,4]
               %s = relu(%r) : f32[N,4]
             }",
        );
        assert_eq!(ops(&graph), ["gemm", "relu"]);
        assert!(log.refusals().next().unwrap().to_string().contains("%r has an activation already"));
    }

    #[test]
    fn refuses_when_the_convolution_s_result_is_used_twice() {
        assert!(refusal(super::run, &conv_then("relu(%c)", "%r, %c")).unwrap().contains("more than once"));
    }

    #[test]
    fn leaves_functions_with_exponentials_alone() {
        let (graph, log) = rewritten(super::run, &conv_then("silu(%c)", "%r"));
        assert_eq!(ops(&graph), ["conv2d", "silu"]);
        assert!(log.entries().is_empty());
    }
}
