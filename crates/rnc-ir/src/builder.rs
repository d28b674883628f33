//! Comfort for building graphs in Rust: one method an operator, attributes as named fields.

use crate::graph::{Graph, NodeId};
use crate::infer::TypeError;
use crate::op::{
    Activation, AveragePool, Axis, BatchNorm, Binary, Conv2d, Gemm, Op, Pool, Reduce, Reshape, Unary, Window,
};
use crate::types::{Dim, Shape, Tensor, TensorType};
use crate::verify::{VerifyError, verify};

/// Builds a [`Graph`] node by node. A name that is taken gets a suffix.
///
/// ```
/// use rnc_ir::{ConvArgs, Dim, GraphBuilder, Tensor, TensorType};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut b = GraphBuilder::new("tiny");
/// let x = b.input("x", TensorType::f32([Dim::Batch, 3.into(), 8.into(), 8.into()]));
/// let w = b.constant("w", Tensor::f32([4, 3, 3, 3], vec![0.5; 4 * 27]));
/// let conv = b.conv2d("conv", ConvArgs::new(x, w).stride(2).pad(1))?;
/// let y = b.relu("y", conv)?;
/// b.output("y", y);
/// assert_eq!(b.finish()?.ty(y).to_string(), "f32[N,4,4,4]");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

/// Operands and attributes of [`GraphBuilder::conv2d`]. The kernel is the weights'.
#[derive(Clone, Copy, Debug)]
pub struct ConvArgs {
    /// Operand `x`.
    pub input: NodeId,
    /// Weights, OIHW.
    pub weight: NodeId,
    /// Bias of O.
    pub bias: Option<NodeId>,
    /// Added before the activation; of the result's type.
    pub residual: Option<NodeId>,
    /// Steps between windows, `[h, w]`.
    pub stride: [usize; 2],
    /// Padding at the top and left.
    pub pad_begin: [usize; 2],
    /// Padding at the bottom and right.
    pub pad_end: [usize; 2],
    /// Distance between taps, `[h, w]`.
    pub dilation: [usize; 2],
    /// Number of groups.
    pub groups: usize,
    /// Applied last.
    pub activation: Activation,
}

impl ConvArgs {
    /// Stride 1, no padding, dilation 1, one group, no bias, residual or activation.
    pub const fn new(input: NodeId, weight: NodeId) -> Self {
        Self {
            input,
            weight,
            bias: None,
            residual: None,
            stride: [1, 1],
            pad_begin: [0, 0],
            pad_end: [0, 0],
            dilation: [1, 1],
            groups: 1,
            activation: Activation::None,
        }
    }

    /// With this stride in both directions.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride: [stride, stride], ..self }
    }

    /// With this padding on all four sides.
    #[must_use]
    pub const fn pad(self, pad: usize) -> Self {
        Self { pad_begin: [pad, pad], pad_end: [pad, pad], ..self }
    }

    /// With this dilation in both directions.
    #[must_use]
    pub const fn dilation(self, dilation: usize) -> Self {
        Self { dilation: [dilation, dilation], ..self }
    }

    /// In this many groups.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// With this bias.
    #[must_use]
    pub const fn bias(self, bias: NodeId) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// With this residual.
    #[must_use]
    pub const fn residual(self, residual: NodeId) -> Self {
        Self { residual: Some(residual), ..self }
    }

    /// With this activation.
    #[must_use]
    pub const fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }
}

/// Every method that adds a node returns its value, or the [`TypeError`] of an operator that does not take its
/// operands; the graph is unchanged then.
#[allow(clippy::missing_errors_doc)]
impl GraphBuilder {
    /// An empty graph of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { graph: Graph::new(name) }
    }

    /// The graph so far, for types and names.
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// A graph input.
    pub fn input(&mut self, name: &str, ty: TensorType) -> NodeId {
        self.graph.add_input(name, ty)
    }

    /// A constant.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> NodeId {
        self.graph.add_constant(name, tensor)
    }

    /// Any operator, for those that have no method here.
    pub fn op(&mut self, name: &str, op: Op, operands: &[NodeId]) -> Result<NodeId, TypeError> {
        self.graph.add(name, op, operands)
    }

    /// A convolution.
    pub fn conv2d(&mut self, name: &str, args: ConvArgs) -> Result<NodeId, TypeError> {
        let ConvArgs { stride, pad_begin, pad_end, dilation, groups, activation, bias, residual, .. } = args;
        let kernel = kernel_of(self.graph.ty(args.weight));
        let window = Window { kernel, stride, pad_begin, pad_end, dilation };
        let conv = Conv2d { window, groups, bias: bias.is_some(), residual: residual.is_some(), activation };
        let operands: Vec<_> = [args.input, args.weight].into_iter().chain(bias).chain(residual).collect();
        self.op(name, Op::Conv2d(conv), &operands)
    }

    /// Batch normalisation with `[scale, bias, mean, variance]`.
    pub fn batch_norm(
        &mut self,
        name: &str,
        x: NodeId,
        [scale, bias, mean, variance]: [NodeId; 4],
        epsilon: f32,
    ) -> Result<NodeId, TypeError> {
        self.op(name, Op::BatchNorm(BatchNorm { epsilon }), &[x, scale, bias, mean, variance])
    }

    /// A function of one operand.
    pub fn unary(&mut self, name: &str, unary: Unary, x: NodeId) -> Result<NodeId, TypeError> {
        self.op(name, Op::Unary(unary), &[x])
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, name: &str, x: NodeId) -> Result<NodeId, TypeError> {
        self.unary(name, Unary::Relu, x)
    }

    /// A function of two operands.
    pub fn binary(&mut self, name: &str, binary: Binary, a: NodeId, b: NodeId) -> Result<NodeId, TypeError> {
        self.op(name, Op::Binary(binary), &[a, b])
    }

    /// `a + b`.
    pub fn add(&mut self, name: &str, a: NodeId, b: NodeId) -> Result<NodeId, TypeError> {
        self.binary(name, Binary::Add, a, b)
    }

    /// `a * b`.
    pub fn mul(&mut self, name: &str, a: NodeId, b: NodeId) -> Result<NodeId, TypeError> {
        self.binary(name, Binary::Mul, a, b)
    }

    /// Maximum over windows, output sizes rounded down.
    pub fn max_pool(&mut self, name: &str, x: NodeId, window: Window) -> Result<NodeId, TypeError> {
        self.op(name, Op::MaxPool(Pool { window, ceil_mode: false }), &[x])
    }

    /// Mean over windows.
    pub fn average_pool(&mut self, name: &str, x: NodeId, pool: AveragePool) -> Result<NodeId, TypeError> {
        self.op(name, Op::AveragePool(pool), &[x])
    }

    /// Mean over H and W.
    pub fn global_average_pool(&mut self, name: &str, x: NodeId) -> Result<NodeId, TypeError> {
        self.op(name, Op::GlobalAveragePool, &[x])
    }

    /// All dimensions behind the first as one.
    pub fn flatten(&mut self, name: &str, x: NodeId) -> Result<NodeId, TypeError> {
        let dims = self.graph.ty(x).shape.dims();
        let rest = Shape::new(dims.iter().skip(1).copied()).elements().and_then(|(n, batch)| (!batch).then_some(n));
        let Some(rest) = rest else {
            let problem = format!("{} has no number of elements behind its first dimension", self.graph.ty(x));
            return Err(TypeError::Attribute { op: "reshape", attribute: "shape", problem });
        };
        let first = dims.first().copied().unwrap_or(Dim::Fixed(1));
        self.reshape(name, x, Shape::new([first, rest.into()]))
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, name: &str, x: NodeId, shape: Shape) -> Result<NodeId, TypeError> {
        self.op(name, Op::Reshape(Reshape { shape }), &[x])
    }

    /// A fully connected layer, `x · weightᵀ + bias`: `x` M×K, `weight` N×K, `bias` of N.
    pub fn gemm(&mut self, name: &str, x: NodeId, weight: NodeId, bias: Option<NodeId>) -> Result<NodeId, TypeError> {
        let gemm = Gemm {
            alpha: 1.0,
            beta: 1.0,
            trans_a: false,
            trans_b: true,
            bias: bias.is_some(),
            activation: Activation::None,
        };
        let operands: Vec<_> = [x, weight].into_iter().chain(bias).collect();
        self.op(name, Op::Gemm(gemm), &operands)
    }

    /// `exp(x - max) / sum` along an axis.
    pub fn softmax(&mut self, name: &str, x: NodeId, axis: usize) -> Result<NodeId, TypeError> {
        self.op(name, Op::Softmax(Axis { axis }), &[x])
    }

    /// Operands joined along an axis.
    pub fn concat(&mut self, name: &str, operands: &[NodeId], axis: usize) -> Result<NodeId, TypeError> {
        self.op(name, Op::Concat(Axis { axis }), operands)
    }

    /// A reduction over axes.
    pub fn reduce(&mut self, name: &str, x: NodeId, reduce: Reduce) -> Result<NodeId, TypeError> {
        self.op(name, Op::Reduce(reduce), &[x])
    }

    /// Makes a value an output of this name.
    pub fn output(&mut self, name: impl Into<String>, value: NodeId) {
        self.graph.add_output(name, value);
    }

    /// The graph, verified.
    ///
    /// # Errors
    /// If it does not hold an invariant: no output, two outputs of one name, an input of an impossible type.
    pub fn finish(self) -> Result<Graph, VerifyError> {
        verify(&self.graph)?;
        Ok(self.graph)
    }
}

/// The last two of four dimensions. For other types any kernel will do: inference refuses the weights before it looks.
pub(crate) fn kernel_of(weight: &TensorType) -> [usize; 2] {
    match weight.shape.dims() {
        [_, _, Dim::Fixed(kh), Dim::Fixed(kw)] => [*kh, *kw],
        _ => [1, 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(channels: usize, size: usize) -> TensorType {
        TensorType::f32([Dim::Batch, channels.into(), size.into(), size.into()])
    }

    fn ones(dims: &[usize]) -> Tensor {
        Tensor::f32(dims, vec![1.0; dims.iter().product()])
    }

    #[test]
    fn builds_a_residual_block_with_its_head() {
        let mut b = GraphBuilder::new("block");
        let x = b.input("x", images(8, 6));
        let w = b.constant("w", ones(&[8, 2, 3, 3]));
        let v = b.constant("v", ones(&[8]));
        let conv = b.conv2d("conv", ConvArgs::new(x, w).pad(2).dilation(2).groups(4).bias(v)).unwrap();
        let bn = b.batch_norm("bn", conv, [v; 4], 1e-5).unwrap();
        let fused = ConvArgs::new(bn, w).pad(1).groups(4).residual(x).activation(Activation::Relu);
        let fused = b.conv2d("fused", fused).unwrap();
        let sum = b.add("sum", fused, x).unwrap();
        let relu = b.relu("relu", sum).unwrap();
        let pool = b.max_pool("pool", relu, Window::new([3, 3]).stride(2).pad(1)).unwrap();
        let mean = b.global_average_pool("mean", pool).unwrap();
        let flat = b.flatten("flat", mean).unwrap();
        let fc = b.constant("fc", ones(&[10, 8]));
        let logits = b.gemm("logits", flat, fc, None).unwrap();
        let out = b.softmax("out", logits, 1).unwrap();
        b.output("out", out);
        let g = b.finish().unwrap();
        assert_eq!(g.ty(fused), &images(8, 6));
        assert_eq!(g.ty(pool), &images(8, 3));
        assert_eq!(g.ty(out), &TensorType::f32([Dim::Batch, 10.into()]));
        assert_eq!((g.operands(conv), g.operands(fused)), (&[x, w, v][..], &[bn, w, x][..]));
    }

    #[test]
    fn refuses_with_the_type_error_of_the_operator() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", images(8, 6));
        let v = b.constant("v", ones(&[8]));
        assert!(matches!(b.conv2d("c", ConvArgs::new(x, v)), Err(TypeError::Operand { what: "weight", .. })));
        let square = b.input("square", TensorType::f32([1.into(), Dim::Batch]));
        assert!(matches!(b.flatten("f", square), Err(TypeError::Attribute { .. })));
        assert!(matches!(b.finish(), Err(VerifyError::NoOutput)));
    }
}
