//! Folds batch norms and per-channel constants into the convolution or `Gemm` behind them.
//!
//! ```text
//! before  %b = batch_norm(%x, @gamma, @beta, @mean, @var) {epsilon=1e-5} : f32[N,64,56,56]
//!         %c = conv2d(%b, @w) : f32[N,32,56,56]
//! after   %c = conv2d(%x, @w, bias=@beta) : f32[N,32,56,56]      with new contents of @w and @beta
//! ```
//!
//! What comes before is `scale · x + shift` for each input channel `i` (see `fold_batchnorm` and `fold_scale_shift`), also several in a row:
//!
//! ```text
//! Σᵢ W[o,i] · (scale[i] · x[i] + shift[i]) + b[o] = Σᵢ (W[o,i] · scale[i]) · x[i] + (b[o] + Σᵢ W[o,i] · shift[i])
//! ```
//!
//! Padding is zeros behind the shift. Before it they would have to be `-shift / scale`, so a convolution with padding takes no shift, only factors.
//!
//! Pre-activation networks without an activation between normalisation and convolution have this, and models that normalise their own input.

use rnc_ir::op::{Conv2d, Gemm};
use rnc_ir::{Graph, NodeId, Op, Tensor};

use crate::affine::{self, Affine, LARGEST_SHARED_WEIGHTS};
use crate::edit::{bypass, inherit_name, rewrite};
use crate::fold_batchnorm::scale_shift;
use crate::fold_scale_shift::affine_of_constant;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Folds what stands before every convolution and `Gemm`, as far as only that reads it.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, apply)
}

/// The nodes that go, from the consumer backwards, and the consumer's new constants.
struct Fold {
    nodes: Vec<NodeId>,
    x: NodeId,
    weights: Tensor,
    /// With its name; none if there was none and none is needed.
    bias: Option<(String, Tensor)>,
}

fn find(graph: &Graph, id: NodeId) -> Match<Fold> {
    let padded = match graph.op(id) {
        Op::Conv2d(conv) => conv.window.pad_begin != [0, 0] || conv.window.pad_end != [0, 0],
        Op::Gemm(_) => false,
        _ => return Err(Miss::NoMatch),
    };
    let mut x = graph.operands(id)[0];
    let mut total = Total::default();
    loop {
        match affine_before(graph, x, padded) {
            Ok(Some((operand, affine))) => {
                total.compose(x, &affine);
                x = operand;
            }
            // What is nearer can go in by itself.
            Ok(None) | Err(_) if !total.nodes.is_empty() => break,
            Ok(None) => return Err(Miss::NoMatch),
            Err(miss) => return Err(miss),
        }
    }
    let (weights, bias) = constants(graph, id, &total)?;
    Ok(Fold { nodes: total.nodes, x, weights, bias })
}

/// `scale · x + shift` of several nodes. No scale is all ones, no shift all zeros.
#[derive(Default)]
struct Total {
    nodes: Vec<NodeId>,
    scale: Option<Vec<f64>>,
    shift: Option<Vec<f64>>,
}

impl Total {
    /// Puts a node before those that are there already.
    fn compose(&mut self, node: NodeId, before: &Affine) {
        self.nodes.push(node);
        let scale = |c: usize| self.scale.as_ref().map_or(1.0, |scale| scale[c]);
        if let Some(shift) = &before.shift {
            let old = |c: usize| self.shift.as_ref().map_or(0.0, |shift| shift[c]);
            self.shift = Some(shift.iter().enumerate().map(|(c, shift)| scale(c) * shift + old(c)).collect());
        }
        if let Some(factors) = &before.scale {
            self.scale = Some(factors.iter().enumerate().map(|(c, factor)| scale(c) * factor).collect());
        }
    }
}

/// The operand of a node and what the node does to its channels, if it is affine and only one node reads it. A shift is refused if there is padding behind it.
fn affine_before(graph: &Graph, id: NodeId, padded: bool) -> Match<Option<(NodeId, Affine)>> {
    let found = match graph.op(id) {
        Op::BatchNorm(norm) => Some((graph.operands(id)[0], scale_shift(graph, id, *norm)?)),
        Op::Binary(binary) => affine_of_constant(graph, id, *binary)?,
        _ => None,
    };
    let Some((operand, affine)) = found else { return Ok(None) };
    if graph.sole_user(id).is_none() {
        return refuse(format!("{} is used more than once", shown(graph, id)));
    }
    if padded && affine.shift.iter().flatten().any(|shift| *shift != 0.0) {
        return refuse(format!("{} shifts channels, which padding behind it does not take part in", shown(graph, id)));
    }
    Ok(Some((operand, affine)))
}

/// New weights, and the new bias with its name.
fn constants(graph: &Graph, id: NodeId, total: &Total) -> Match<(Tensor, Option<(String, Tensor)>)> {
    let operands = graph.operands(id);
    let weights_name = shown(graph, operands[1]);
    let Some(tensor) = graph.node(operands[1]).constant() else {
        return refuse(format!("the weights {weights_name} are not constant"));
    };
    let Some(weights) = tensor.as_f32() else { return Err(Miss::NoMatch) };
    if graph.use_count(operands[1]) > 1 && weights.len() > LARGEST_SHARED_WEIGHTS {
        return refuse(format!("the weights {weights_name} have another use, and are too large to copy"));
    }
    let form = Form::of(graph.op(id), tensor.dims())?;
    let mut bias = vec![0.0f64; form.outputs];
    let mut bias_name = format!("{}.bias", graph.node(id).name());
    if let Some(old) = operands.get(2).filter(|_| form.bias) {
        let values = graph.node(*old).constant().filter(|t| t.dims() == [form.outputs]).and_then(Tensor::as_f32);
        let Some(values) = values else {
            return refuse(format!("the bias {} is not a constant of one element a channel", shown(graph, *old)));
        };
        bias = values.iter().map(|v| f64::from(*v)).collect();
        graph.node(*old).name().clone_into(&mut bias_name);
    }
    let mut scaled = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let (output, input) = form.channels(index);
        let weight = f64::from(*weight);
        if let Some(shift) = &total.shift {
            bias[output] += form.alpha * weight * shift[input];
        }
        scaled.push((total.scale.as_ref().map_or(weight, |scale| weight * scale[input])) as f32);
    }
    let bias: Vec<f32> = bias.into_iter().map(|v| v as f32).collect();
    if scaled.iter().chain(&bias).any(|v| !v.is_finite()) {
        return refuse(format!("the folded weights {weights_name} or their bias would not be finite"));
    }
    let needed = form.bias || total.shift.is_some();
    Ok((Tensor::f32(tensor.dims(), scaled), needed.then(|| (bias_name, Tensor::f32([form.outputs], bias)))))
}

/// How a consumer stores its weights.
struct Form {
    outputs: usize,
    /// Input channels of a group.
    inputs: usize,
    /// Output channels of a group.
    group_outputs: usize,
    /// Elements of one output and input channel.
    taps: usize,
    /// K×N instead of N×K.
    transposed: bool,
    bias: bool,
    /// Factor of the product.
    alpha: f64,
}

impl Form {
    fn of(op: &Op, dims: &[usize]) -> Match<Self> {
        match (op, dims) {
            (Op::Conv2d(Conv2d { groups, bias, .. }), &[outputs, inputs, height, width]) => Ok(Self {
                outputs,
                inputs,
                group_outputs: outputs / groups,
                taps: height * width,
                transposed: false,
                bias: *bias,
                alpha: 1.0,
            }),
            (Op::Gemm(Gemm { bias, trans_b, alpha, beta, .. }), &[rows, columns]) => {
                if *bias && !affine::is_one(*beta) {
                    return refuse("its addend has a factor of its own");
                }
                let (outputs, inputs) = if *trans_b { (rows, columns) } else { (columns, rows) };
                let alpha = f64::from(*alpha);
                let transposed = !trans_b;
                Ok(Self { outputs, inputs, group_outputs: outputs, taps: 1, transposed, bias: *bias, alpha })
            }
            _ => Err(Miss::NoMatch),
        }
    }

    /// Output and input channel of an element of the weights.
    fn channels(&self, index: usize) -> (usize, usize) {
        if self.transposed {
            return (index % self.outputs, index / self.outputs);
        }
        let (output, input) = (index / self.taps / self.inputs, index / self.taps % self.inputs);
        (output, output / self.group_outputs * self.inputs + input)
    }
}

fn apply(graph: &mut Graph, id: NodeId, fold: Fold) -> Result<String, PassError> {
    let names: Vec<String> = fold.nodes.iter().rev().map(|node| shown(graph, *node)).collect();
    let old = graph.operands(id).to_vec();
    let weights_name = graph.node(old[1]).name().to_owned();
    let mut bias_name = None;
    let weights = graph.add_constant(&weights_name, fold.weights);
    let mut op = graph.op(id).clone();
    let mut operands = vec![fold.x, weights];
    let mut rest = &old[2..];
    if let Some((name, bias)) = fold.bias {
        let with_bias = affine::with_bias(&op);
        rest = if with_bias == op { &old[3..] } else { rest };
        op = with_bias;
        operands.push(graph.add_constant(&name, bias));
        bias_name = Some(name);
    }
    operands.extend(rest);
    rewrite(graph, id, op, &operands)?;
    for node in fold.nodes {
        bypass(graph, node, fold.x);
    }
    inherit_name(graph, weights, &weights_name);
    if let Some(name) = bias_name {
        inherit_name(graph, operands[2], &name);
    }
    Ok(format!("took in {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, ops, refusal, rewritten};

    const NORM: &str = "@g = random(2, 0.5, 1.5) : f32[4]
               @b = random(3) : f32[4]
               @m = random(4) : f32[4]
               @v = random(5, 0.5, 1.5) : f32[4]
               @k = random(6, 0.5, 1.5) : f32[4,1,1]";

    /// A graph whose `%a` is made of `%x` by the given text, and read by `%c`.
    fn graph(before: &str, conv: &str, results: &str) -> String {
        format!(
            "graph @g(%x: f32[N,4,5,5], %weights: f32[3,4,1,1], %y: f32[N,3,5,5]) -> ({results}) {{
               @w = random(1) : f32[3,4,3,3]
               @grouped = random(1) : f32[6,2,3,3]
               @point = random(7) : f32[3,4,1,1]
               @bias = random(8) : f32[3]
               {NORM}
               {before}
               %c = {conv}
             }}"
        )
    }

    const BATCH_NORM: &str = "%a = batch_norm(%x, @g, @b, @m, @v) {epsilon=1e-5}";

    #[test]
    fn folds_a_batch_norm_into_convolutions_without_padding() {
        for conv in [
            "conv2d(%a, @w)",
            "conv2d(%a, @w) {stride=2}",
            "conv2d(%a, @grouped) {groups=2}",
            "conv2d(%a, @point, bias=@bias, residual=%y) {activation=relu}",
            "conv2d(%a, @point, residual=%y)",
        ] {
            let (graph, log) = rewritten(super::run, &graph(BATCH_NORM, conv, "%c"));
            assert_eq!(ops(&graph), ["conv2d"], "{conv}");
            assert_eq!(log.entries().len(), 1);
        }
    }

    #[test]
    fn folds_several_in_a_row_and_keeps_names() {
        let before = "%s = sub(%x, @k) %d = div(%s, @k) %a = batch_norm(%d, @g, @b, @m, @v) {epsilon=1e-5}";
        let (graph, log) = rewritten(super::run, &graph(before, "conv2d(%a, @w, bias=@bias)", "%c"));
        assert_eq!(ops(&graph), ["conv2d"]);
        let mut left = names(&graph);
        left.retain(|name| ["w", "bias", "c", "a", "d", "s"].contains(name));
        left.sort_unstable();
        assert_eq!(left, ["bias", "c", "w"]);
        assert!(log.to_string().contains("%c: applied: took in %s, %d, %a"), "{log}");
    }

    #[test]
    fn folds_factors_into_a_convolution_with_padding_and_leaves_the_shift() {
        let before = "%s = sub(%x, @k) %a = div(%s, @k)";
        let (graph, _) = rewritten(super::run, &graph(before, "conv2d(%a, @w) {pad=1}", "%c"));
        assert_eq!(ops(&graph), ["sub", "conv2d"]);
    }

    #[test]
    fn folds_into_a_gemm_of_either_layout() {
        for (dims, attributes) in [("3,4", "{trans_b=true}"), ("4,3", "{alpha=2.0}")] {
            for bias in ["", ", bias=@bias"] {
                let text = format!(
                    "graph @g(%x: f32[N,4]) -> (%c) {{
                       @w = random(1) : f32[{dims}]
                       @bias = random(8) : f32[3]
                       {NORM}
                       %a = batch_norm(%x, @g, @b, @m, @v) {{epsilon=1e-5}}
                       %c = gemm(%a, @w{bias}) {attributes}
                     }}"
                );
                assert_eq!(ops(&rewritten(super::run, &text).0), ["gemm"], "{dims}{bias}");
            }
        }
    }

    #[test]
    fn refuses_a_shift_before_padding() {
        let reason = refusal(super::run, &graph(BATCH_NORM, "conv2d(%a, @w) {pad=1}", "%c")).unwrap();
        assert!(reason.contains("%a shifts channels"), "{reason}");
    }

    #[test]
    fn refuses_when_the_normalised_value_is_used_twice() {
        let reason = refusal(super::run, &graph(BATCH_NORM, "conv2d(%a, @w)", "%c, %a")).unwrap();
        assert!(reason.contains("%a is used more than once"), "{reason}");
    }

    #[test]
    fn refuses_weights_that_are_not_constant() {
        let reason = refusal(super::run, &graph(BATCH_NORM, "conv2d(%a, %weights)", "%c")).unwrap();
        assert!(reason.contains("%weights are not constant"), "{reason}");
    }

    #[test]
    fn leaves_alone_what_is_not_affine() {
        for before in ["%a = relu(%x)", "%a = max(%x, @k)", "%a = add(%x, %x)"] {
            let (graph, log) = rewritten(super::run, &graph(before, "conv2d(%a, @w)", "%c"));
            assert_eq!((ops(&graph).len(), log.entries().len()), (2, 0), "{before}");
        }
    }
}
