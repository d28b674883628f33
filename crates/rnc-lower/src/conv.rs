//! Convolutions.

use rnc_ir::op::{self, Conv2d};
use rnc_ir::{Graph, NodeId};
use rnc_plan::Operand;
use rnc_plan::kernel::{Activation, BLOCK, Conv, Extent, Source, Strassen, Window, Winograd, blocks};

use crate::choose::Algorithm;
use crate::context::{Context, ValueId};
use crate::error::Reason;
use crate::layout::{Layout, extent};
use crate::linear::{self, Linear};
use crate::pack::GemmWeights;

/// Most channels of a planar source: the innermost loop of a convolution runs over its channels one by one.
pub(crate) const PLANAR_CHANNELS: usize = 4;

/// Lowers a convolution: to a GEMM if every sample is a vector, else to a convolution that reads the model's input as it comes.
pub(crate) fn lower(cx: &mut Context<'_>, node: NodeId, conv: &Conv2d) -> Result<(), Reason> {
    let operands = Operands::of(cx.graph, node, conv);
    let weights = cx.constant(operands.weights, "the weights")?;
    let x = cx.value(operands.x)?;
    let (input, output) = (extent_of(cx.dims(x))?, extent_of(&cx.sample(node))?);
    let bias = bias(cx, operands.bias, output.channels)?;
    if is_linear(conv, input, output) {
        let weights = GemmWeights { features: input.channels, out: output.channels, transposed: true, factor: 1.0 };
        let activation = activation(conv.activation);
        return linear::emit(cx, &Linear { node, x, matrix: operands.weights, weights, bias, activation });
    }
    let planar = !cx.has(x, Layout::Blocked) && input.channels <= PLANAR_CHANNELS && conv.groups == 1;
    let (source, layout) = if planar { (Source::Planar, Layout::Planar) } else { (Source::Blocked, Layout::Blocked) };
    let spec = Conv {
        input,
        source,
        output,
        groups: conv.groups,
        window: window(&conv.window),
        residual: conv.residual,
        activation: activation(conv.activation),
    };
    let (algorithm, choice) = cx.chooser.choose(&spec, weights);
    let name = cx.graph.node(operands.weights).name();
    let packed = match algorithm {
        Algorithm::Direct => cx.packer.conv(operands.weights, name, weights, &spec),
        Algorithm::Strassen(levels) => {
            let spec = Strassen { conv: spec.clone(), levels };
            cx.packer.strassen(operands.weights, name, weights, &spec)
        }
        Algorithm::Winograd(filtering) => {
            let spec = Winograd { conv: spec.clone(), tile: filtering.tile() };
            cx.packer.winograd(operands.weights, name, weights, &spec)
        }
    };
    let packed = packed.ok_or_else(|| Reason::new("packed weights overflow", "weights that fit into memory"))?;
    let x = cx.place(x, layout)?;
    let residual = operands.residual.map(|r| residual(cx, node, r, x)).transpose()?;
    let in_place = residual.as_ref().filter(|r| r.dies).map(|r| r.place);
    let result = cx.result(node, Layout::Blocked, in_place)?;
    let mut places = vec![result, x, Operand::Constant(packed), Operand::Constant(bias)];
    places.extend(residual.map(|r| r.place));
    cx.emit(cx.name(node), algorithm.kernel(spec), places)?;
    cx.explain(choice);
    cx.define(node, Layout::Blocked, result);
    Ok(())
}

/// The plan's form of an activation.
pub(crate) fn activation(activation: op::Activation) -> Activation {
    match activation {
        op::Activation::None => Activation::None,
        op::Activation::Relu => Activation::Relu,
        op::Activation::Clip { min, max } => Activation::Clip { min: min.into(), max: max.into() },
    }
}

/// The plan's form of a window: what lies past the last row and column follows from the result's size.
pub(crate) fn window(window: &op::Window) -> Window {
    Window { kernel: window.kernel, stride: window.stride, pad: window.pad_begin, dilation: window.dilation }
}

/// The extent of a sample that an operator of images takes.
pub(crate) fn extent_of(dims: &[usize]) -> Result<Extent, Reason> {
    extent(dims).ok_or_else(|| Reason::new(format!("a sample has the dimensions {dims:?}"), "[C,H,W]"))
}

struct Operands {
    x: NodeId,
    weights: NodeId,
    bias: Option<NodeId>,
    residual: Option<NodeId>,
}

impl Operands {
    fn of(graph: &Graph, node: NodeId, conv: &Conv2d) -> Self {
        let mut rest = graph.operands(node).iter().copied();
        let mut next = || rest.next().expect("a verified node has all operands");
        let (x, weights) = (next(), next());
        let bias = conv.bias.then(&mut next);
        Self { x, weights, bias, residual: conv.residual.then(next) }
    }
}

/// Packs a bias for all lanes; zeros if there is none.
fn bias(cx: &mut Context<'_>, bias: Option<NodeId>, channels: usize) -> Result<usize, Reason> {
    let (name, data) = match bias {
        Some(id) => (cx.graph.node(id).name(), cx.constant(id, "the bias")?),
        None => ("zeros", &[][..]),
    };
    let mut lanes = data.to_vec();
    lanes.resize(blocks(channels) * BLOCK, 0.0);
    Ok(cx.packer.vector(name, lanes))
}

/// Whether the convolution is a matrix product: one pixel, one tap, nothing that a GEMM cannot do.
fn is_linear(conv: &Conv2d, input: Extent, output: Extent) -> bool {
    let one = |e: Extent| e.height == 1 && e.width == 1;
    let taps = conv.window.kernel == [1, 1] && conv.window.pad_begin == [0, 0];
    one(input) && one(output) && taps && conv.groups == 1 && !conv.residual
}

struct Residual {
    place: Operand,
    /// Whether the result may take its place.
    dies: bool,
}

fn residual(cx: &mut Context<'_>, node: NodeId, operand: NodeId, x: Operand) -> Result<Residual, Reason> {
    let value: ValueId = cx.value(operand)?;
    let place = cx.place(value, Layout::Blocked)?;
    let dies = matches!(place, Operand::Buffer(_)) && place != x && cx.dies_after(value, &[node]);
    Ok(Residual { place, dies })
}
