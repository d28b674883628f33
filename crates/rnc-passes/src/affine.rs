//! The algebra that `fold_batchnorm` and `fold_scale_shift` share: a per-channel `y = scale · x + shift` behind a
//! convolution or a `Gemm` goes into its weights and bias.
//!
//! ```text
//! scale · (W·x + b) + shift = (scale · W)·x + (scale · b + shift)
//! ```
//!
//! Channel is axis 1 of the result: a convolution's output channel, a `Gemm`'s column. Everything is computed in `f64`
//! and rounded once.

use rnc_ir::op::{Activation, Conv2d, Gemm};
use rnc_ir::{Graph, NodeId, Op, Tensor};

use crate::edit::{absorb, inherit_name, rewrite};
use crate::matching::{Match, Miss, PassError, refuse, shown};

/// Weights that other nodes use too are copied, but only up to this many elements: a hostile graph could multiply them.
pub(crate) const LARGEST_SHARED_WEIGHTS: usize = 1 << 22;

/// A per-channel `y = scale · x + shift`; `None` is all ones, or all zeros.
pub(crate) struct Affine {
    pub scale: Option<Vec<f64>>,
    pub shift: Option<Vec<f64>>,
}

/// A fold that was found possible, with its new constants.
pub(crate) struct Fold {
    producer: NodeId,
    weights: Option<Tensor>,
    bias: Tensor,
    bias_name: String,
}

/// How a producer stores its weights and addend.
struct Producer {
    weights: NodeId,
    bias: Option<NodeId>,
    layout: Layout,
}

/// Where the output channel is in the weights.
#[derive(Clone, Copy)]
enum Layout {
    /// Outermost: OIHW, or N×K.
    Outer,
    /// Innermost: K×N.
    Inner,
}

/// Whether `affine`, applied to the result of `producer`, can go into it. The new bias is called `bias_name` if there was none.
pub(crate) fn plan(graph: &Graph, producer: NodeId, affine: &Affine, bias_name: &str) -> Match<Fold> {
    let parts = producer_parts(graph, producer)?;
    let name = shown(graph, producer);
    let weights = match &affine.scale {
        None => None,
        Some(scale) => Some(scaled_weights(graph, &parts, scale)?),
    };
    let channels = affine.scale.as_ref().or(affine.shift.as_ref()).map_or(0, Vec::len);
    let old = match parts.bias {
        None => vec![0.0; channels],
        Some(bias) => {
            let values = graph.node(bias).constant().filter(|t| t.dims() == [channels]).and_then(Tensor::as_f32);
            let Some(values) = values else {
                return refuse(format!("the bias of {name} is not a constant of one element a channel"));
            };
            values.to_vec()
        }
    };
    let one = |c: usize| {
        let scale = affine.scale.as_ref().map_or(1.0, |s| s[c]);
        let shift = affine.shift.as_ref().map_or(0.0, |s| s[c]);
        (f64::from(old[c]) * scale + shift) as f32
    };
    let bias: Vec<f32> = (0..channels).map(one).collect();
    if bias.iter().any(|b| !b.is_finite()) {
        return refuse(format!("the folded bias of {name} would not be finite"));
    }
    let bias_name = parts.bias.map_or(bias_name, |b| graph.node(b).name()).to_owned();
    Ok(Fold { producer, weights, bias: Tensor::f32([channels], bias), bias_name })
}

/// Carries out a fold; `last`, the node that applied the affine function, goes.
pub(crate) fn apply(graph: &mut Graph, last: NodeId, fold: Fold) -> Result<String, PassError> {
    let Fold { producer, weights, bias, bias_name } = fold;
    let what = format!("folded into {}", shown(graph, producer));
    let weights_name = graph.node(graph.operands(producer)[1]).name().to_owned();
    let mut operands = graph.operands(producer)[..2].to_vec();
    if let Some(weights) = weights {
        operands[1] = graph.add_constant(&weights_name, weights);
    }
    operands.push(graph.add_constant(&bias_name, bias));
    let op = with_bias(graph.op(producer));
    rewrite(graph, producer, op, &operands)?;
    absorb(graph, producer, last);
    inherit_name(graph, operands[1], &weights_name);
    inherit_name(graph, operands[2], &bias_name);
    Ok(what)
}

/// The parts of a producer that an affine function can go into.
fn producer_parts(graph: &Graph, producer: NodeId) -> Match<Producer> {
    let (bias, layout, activation, residual) = match graph.op(producer) {
        Op::Conv2d(Conv2d { bias, activation, residual, .. }) => (*bias, Layout::Outer, *activation, *residual),
        Op::Gemm(Gemm { bias, activation, trans_b, beta, .. }) => {
            if *bias && !is_one(*beta) {
                return refuse(format!("the addend of {} has a factor of its own", shown(graph, producer)));
            }
            (*bias, if *trans_b { Layout::Outer } else { Layout::Inner }, *activation, false)
        }
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
    if graph.sole_user(producer).is_none() {
        return refuse(format!("the result of {name} is used more than once"));
    }
    if activation != Activation::None {
        return refuse(format!("{name} has an activation already"));
    }
    if residual {
        return refuse(format!("{name} has a residual already"));
    }
    let operands = graph.operands(producer);
    Ok(Producer { weights: operands[1], bias: bias.then(|| operands[2]), layout })
}

fn scaled_weights(graph: &Graph, parts: &Producer, scale: &[f64]) -> Match<Tensor> {
    let name = shown(graph, parts.weights);
    let Some(tensor) = graph.node(parts.weights).constant() else {
        return refuse(format!("the weights {name} are not constant"));
    };
    let Some(values) = tensor.as_f32() else { return Err(Miss::NoMatch) };
    if graph.use_count(parts.weights) > 1 && values.len() > LARGEST_SHARED_WEIGHTS {
        return refuse(format!("the weights {name} have another use, and are too large to copy"));
    }
    let channels = scale.len();
    let per_channel = values.len().checked_div(channels).unwrap_or(0).max(1);
    let channel = |i: usize| match parts.layout {
        Layout::Outer => i / per_channel,
        Layout::Inner => i % channels,
    };
    let scaled: Vec<f32> = values.iter().enumerate().map(|(i, w)| (f64::from(*w) * scale[channel(i)]) as f32).collect();
    if scaled.iter().any(|w| !w.is_finite()) {
        return refuse(format!("the folded weights {name} would not be finite"));
    }
    Ok(Tensor::f32(tensor.dims(), scaled))
}

/// Whether a factor can be left out: it is exactly 1.
pub(crate) fn is_one(factor: f32) -> bool {
    factor.to_bits() == 1.0f32.to_bits()
}

/// A convolution's or `Gemm`'s operator with a bias operand.
pub(crate) fn with_bias(op: &Op) -> Op {
    let mut op = op.clone();
    if let Op::Conv2d(conv) = &mut op {
        conv.bias = true;
    } else if let Op::Gemm(gemm) = &mut op {
        gemm.bias = true;
        gemm.beta = 1.0;
    }
    op
}
