//! The operators of the graph, one variant each, matched exhaustively everywhere.
//!
//! Names and meanings are ONNX's where ONNX has the operator. Attributes that ONNX takes as operands (the shape of a
//! `Reshape`, the bounds of a `Slice`, the amounts of a `Pad`) are attributes here: the importer resolves them, so
//! every value has a static type.

use crate::resize::Resize;
use crate::types::{Shape, Tensor};

/// What a node computes. Operands are listed in order; `[x]` marks one that is present if the attribute of that name is
/// set.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A graph input. No operands.
    Input,
    /// A constant. No operands.
    Constant(Tensor),
    /// 2-D convolution: `x` NCHW, `weight` OIHW with I = C/groups, `[bias]` of O, `[residual]` of the result's shape.
    /// The result is `activation(conv(x, weight) + bias + residual)`.
    Conv2d(Conv2d),
    /// Inference batch normalisation over axis 1: `x`, `scale`, `bias`, `mean`, `var`, the last four of shape `[C]`.
    BatchNorm(BatchNorm),
    /// An elementwise function of one operand.
    Unary(Unary),
    /// An elementwise function of two operands with `NumPy` broadcasting.
    Binary(Binary),
    /// The elements of the second operand where the first is not 0, of the third where it is, with `NumPy` broadcasting.
    Where,
    /// Maximum over windows of NCHW; padding never wins.
    MaxPool(Pool),
    /// Mean over windows of NCHW.
    AveragePool(AveragePool),
    /// Mean over H and W of NCHW, giving `[N,C,1,1]`.
    GlobalAveragePool,
    /// Maximum over H and W of NCHW, giving `[N,C,1,1]`.
    GlobalMaxPool,
    /// `activation(alpha · A' · B' + beta · C)` with `A'` (M×K) and `B'` (K×N) transposed as asked; `[c]` broadcasts to
    /// M×N.
    Gemm(Gemm),
    /// Matrix product with `NumPy`'s rules for ranks above two.
    MatMul,
    /// `exp(x - max) / sum` along `axis` (non-negative).
    Softmax(Axis),
    /// Operands joined along `axis` (non-negative); any number of them.
    Concat(Axis),
    /// The same elements, row-major, under another shape.
    Reshape(Reshape),
    /// Axes reordered: result axis `i` is operand axis `perm[i]`.
    Transpose(Transpose),
    /// A strided box of the operand.
    Slice(Slice),
    /// The operand inside a border of a constant value.
    Pad(Pad),
    /// `NumPy` broadcasting to a larger shape.
    Expand(Reshape),
    /// Another number of elements along some axes, interpolated: see [`crate::resize`].
    Resize(Resize),
    /// A reduction over axes.
    Reduce(Reduce),
    /// The operand itself (also `Dropout` at inference).
    Identity,
}

/// Attributes of [`Op::Conv2d`].
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Window geometry; `window.kernel` equals the weights' last two dimensions.
    pub window: Window,
    /// Number of groups; divides the input's and the result's channels.
    pub groups: usize,
    /// Whether a bias operand follows the weights.
    pub bias: bool,
    /// Whether a residual operand comes last.
    pub residual: bool,
    /// Applied last.
    pub activation: Activation,
}

/// Window geometry of convolutions and pools, as `[h, w]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Padding before the first row and column (top, left).
    pub pad_begin: [usize; 2],
    /// Padding after the last row and column (bottom, right).
    pub pad_end: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
}

impl Window {
    /// A window with stride 1, dilation 1 and no padding.
    pub const fn new(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: [1, 1], pad_begin: [0, 0], pad_end: [0, 0], dilation: [1, 1] }
    }

    /// The same window with this stride in both directions.
    #[must_use]
    pub const fn stride(mut self, stride: usize) -> Self {
        self.stride = [stride, stride];
        self
    }

    /// The same window with this padding on all four sides.
    #[must_use]
    pub const fn pad(mut self, pad: usize) -> Self {
        self.pad_begin = [pad, pad];
        self.pad_end = [pad, pad];
        self
    }
}

/// A function fused behind a convolution or a GEMM.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// The identity.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
}

/// Attributes of [`Op::BatchNorm`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance under the square root.
    pub epsilon: f32,
}

/// Functions of [`Op::Unary`], with ONNX's definitions. [`Unary::Abs`] and [`Unary::Neg`] also take `i64`, the others
/// `f32` only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// `max(x, 0)`.
    Relu,
    /// `x` if `x >= 0`, else `alpha * x`.
    LeakyRelu {
        /// Slope of the negative part.
        alpha: f32,
    },
    /// `min(max(x, min), max)`.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `max(0, min(1, alpha * x + beta))`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x * max(0, min(1, x / 6 + 0.5))`.
    HardSwish,
    /// `x * sigmoid(x)`.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `e^x`.
    Exp,
    /// Square root.
    Sqrt,
    /// `|x|`.
    Abs,
    /// `-x`.
    Neg,
    /// `1 / x`.
    Reciprocal,
    /// Largest integer not above `x`.
    Floor,
    /// Smallest integer not below `x`.
    Ceil,
    /// The nearest integer; of two, the even one.
    Round,
    /// -1, 0 or 1.
    Sign,
    /// Natural logarithm.
    Log,
    /// The error function, `2/√π ∫₀ˣ exp(-t²) dt`.
    Erf,
}

/// Functions of [`Op::Binary`]. Both operands are `f32`, or, for arithmetic, maxima and minima, both are `i64`. There is no type of truth values: comparisons
/// give 1 and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// `max(a, b)`.
    Max,
    /// `min(a, b)`.
    Min,
    /// `a` to the power of `b`.
    Pow,
    /// 1 where `a = b`, else 0.
    Equal,
    /// 1 where `a > b`, else 0.
    Greater,
    /// 1 where `a ≥ b`, else 0.
    GreaterOrEqual,
}

/// Attributes of [`Op::MaxPool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Window geometry.
    pub window: Window,
    /// Round the output size up instead of down (a last window may hang over the padded end).
    pub ceil_mode: bool,
}

/// Attributes of [`Op::AveragePool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// Windows.
    pub pool: Pool,
    /// Whether padded elements count in the divisor. Elements beyond the padding (by `ceil_mode`) never do.
    pub count_include_pad: bool,
}

/// Attributes of [`Op::Gemm`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of the addend.
    pub beta: f32,
    /// `A` is stored K×M.
    pub trans_a: bool,
    /// `B` is stored N×K.
    pub trans_b: bool,
    /// Whether the addend `C` is a third operand.
    pub bias: bool,
    /// Applied last.
    pub activation: Activation,
}

/// An axis, counted from the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Index of the axis.
    pub axis: usize,
}

/// Attributes of [`Op::Reshape`] and [`Op::Expand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// The result's shape.
    pub shape: Shape,
}

/// Attributes of [`Op::Transpose`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transpose {
    /// A permutation of `0..rank`.
    pub perm: Vec<usize>,
}

/// Attributes of [`Op::Slice`]: one entry an axis. Result element `i` of an axis is operand element `start + i * step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// First element taken.
    pub starts: Vec<usize>,
    /// Number of elements taken; `None` takes the whole axis (needed where it is the batch).
    pub sizes: Vec<Option<usize>>,
    /// Distance between elements; may be negative, never zero.
    pub steps: Vec<isize>,
}

/// Attributes of [`Op::Pad`]: one entry an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// Elements added before.
    pub begin: Vec<usize>,
    /// Elements added after.
    pub end: Vec<usize>,
    /// Their value.
    pub value: f32,
}

/// Attributes of [`Op::Reduce`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduce {
    /// The reduction.
    pub kind: ReduceKind,
    /// Axes reduced, ascending, not empty.
    pub axes: Vec<usize>,
    /// Keep reduced axes with size 1.
    pub keep_dims: bool,
}

/// Reductions of [`Op::Reduce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    /// Arithmetic mean.
    Mean,
    /// Sum.
    Sum,
    /// Maximum.
    Max,
}

impl Op {
    /// The operator's name in the text syntax.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Constant(_) => "constant",
            Self::Conv2d(_) => "conv2d",
            Self::BatchNorm(_) => "batch_norm",
            Self::Unary(u) => u.name(),
            Self::Binary(b) => b.name(),
            Self::Where => "where",
            Self::MaxPool(_) => "max_pool",
            Self::AveragePool(_) => "average_pool",
            Self::GlobalAveragePool => "global_average_pool",
            Self::GlobalMaxPool => "global_max_pool",
            Self::Gemm(_) => "gemm",
            Self::MatMul => "matmul",
            Self::Softmax(_) => "softmax",
            Self::Concat(_) => "concat",
            Self::Reshape(_) => "reshape",
            Self::Transpose(_) => "transpose",
            Self::Slice(_) => "slice",
            Self::Pad(_) => "pad",
            Self::Expand(_) => "expand",
            Self::Resize(_) => "resize",
            Self::Reduce(r) => match r.kind {
                ReduceKind::Mean => "reduce_mean",
                ReduceKind::Sum => "reduce_sum",
                ReduceKind::Max => "reduce_max",
            },
            Self::Identity => "identity",
        }
    }

    /// How many operands the operator takes, as `(least, most)`.
    pub const fn arity(&self) -> (usize, usize) {
        match self {
            Self::Input | Self::Constant(_) => (0, 0),
            Self::Conv2d(c) => {
                let n = 2 + c.bias as usize + c.residual as usize;
                (n, n)
            }
            Self::BatchNorm(_) => (5, 5),
            Self::Binary(_) | Self::MatMul => (2, 2),
            Self::Where => (3, 3),
            Self::Gemm(g) => {
                let n = 2 + g.bias as usize;
                (n, n)
            }
            Self::Concat(_) => (1, usize::MAX),
            Self::Unary(_)
            | Self::MaxPool(_)
            | Self::AveragePool(_)
            | Self::GlobalAveragePool
            | Self::GlobalMaxPool
            | Self::Softmax(_)
            | Self::Reshape(_)
            | Self::Transpose(_)
            | Self::Slice(_)
            | Self::Pad(_)
            | Self::Expand(_)
            | Self::Resize(_)
            | Self::Reduce(_)
            | Self::Identity => (1, 1),
        }
    }
}

impl Unary {
    /// The function's name in the text syntax.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Clip { .. } => "clip",
            Self::Sigmoid => "sigmoid",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::HardSwish => "hard_swish",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Exp => "exp",
            Self::Sqrt => "sqrt",
            Self::Abs => "abs",
            Self::Neg => "neg",
            Self::Reciprocal => "reciprocal",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Round => "round",
            Self::Sign => "sign",
            Self::Log => "log",
            Self::Erf => "erf",
        }
    }
}

impl Binary {
    /// The function's name in the text syntax.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Max => "max",
            Self::Min => "min",
            Self::Pow => "pow",
            Self::Equal => "equal",
            Self::Greater => "greater",
            Self::GreaterOrEqual => "greater_or_equal",
        }
    }
}
