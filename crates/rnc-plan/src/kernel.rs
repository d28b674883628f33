//! Kernel specifications: what a step computes, with every size but the batch fixed.
//!
//! Two layouts occur, both with the samples of a batch one after the other:
//!
//! * **blocked**, `NCHW16c`: `[C/16][H][W][16]` a sample, the last block filled up to 16 lanes. What the lanes past C hold is
//!   unspecified: no kernel's result may depend on them. A vector of C features is the same with H = W = 1.
//! * **planar**: dense and row-major, as callers hand tensors over.
//!
//! Sizes and strides are in elements (of 4 bytes) unless a name says bytes.

use crate::strassen::Levels;
use crate::winograd::Filtering;

/// Lanes of a channel block.
pub const BLOCK: usize = 16;

/// Number of channel blocks that hold `channels` channels.
pub const fn blocks(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}

/// An `f32` that compares and hashes by its bits, so that specifications can be keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct F32(u32);

impl F32 {
    /// The value.
    pub const fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl From<f32> for F32 {
    fn from(value: f32) -> Self {
        Self(value.to_bits())
    }
}

impl std::fmt::Debug for F32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// What a step computes. Equal specifications share machine code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KernelSpec {
    /// Operands: result, x, weights, bias, and the residual if there is one.
    Conv(Conv),
    /// Operands: result, x, transformed weights, bias, and the residual if there is one.
    Winograd(Winograd),
    /// Operands: result, x, summed weights, bias, and the residual if there is one.
    Strassen(Strassen),
    /// Operands: result, x, weights, bias.
    Gemm(Gemm),
    /// Operands: result, x.
    Pool(Pool),
    /// Operands: result, then those of the program in order.
    Elementwise(Elementwise),
    /// Operands: result, x.
    Softmax(Softmax),
    /// Operands: result, source.
    Copy(Copy),
    /// Operands: result, x.
    Resample(Resample),
    /// Operands: result, a, b.
    Contract(Contract),
}

/// A function applied before the result is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The identity.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`.
    Clip {
        /// Lower bound.
        min: F32,
        /// Upper bound.
        max: F32,
    },
}

/// Channels, height and width of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Extent {
    /// Elements of one sample in the blocked layout.
    pub fn blocked_len(self) -> Option<usize> {
        blocks(self.channels).checked_mul(BLOCK)?.checked_mul(self.height)?.checked_mul(self.width)
    }

    /// Elements of one sample in the planar layout.
    pub fn planar_len(self) -> Option<usize> {
        self.channels.checked_mul(self.height)?.checked_mul(self.width)
    }
}

/// Layout of a convolution's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `NCHW16c`.
    Blocked,
    /// NCHW: how a model's input arrives; spares the stem a change of layout.
    Planar,
}

impl Source {
    /// Channels that the innermost loop of a convolution runs over before it moves to the next tap.
    pub const fn channel_block(self) -> usize {
        match self {
            Self::Blocked => BLOCK,
            Self::Planar => 1,
        }
    }
}

/// Geometry of windows, as `[h, w]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Padding above and to the left. What lies past the last row and column follows from the result's size.
    pub pad: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
}

impl Window {
    /// Taps of a window, those on padding included.
    pub const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// 2-D convolution with fused bias, residual and activation; the result is blocked.
///
/// Every element of the result is a sum in chains ([`crate::chain::plain`]): the bias, then one fused multiply-add a tap and channel, in the
/// order channel block (of [`Source::channel_block`] channels), kernel row, kernel column, channel in the block; taps on padding are left
/// out. The residual is added to the first chain. Then comes the activation. So the bits do not depend on the instruction set, the tile or the number of
/// threads.
///
/// With groups that share a block of 16 channels, a lane also multiplies the other groups' channels of its block, by zero: an infinity or NaN among
/// those becomes NaN in the lane. Not so if [`crate::weights::lane_group`] says that a lane reads its own group alone.
///
/// Weights are packed as [`crate::weights`] says. The bias holds `blocks(out) * 16` elements, the residual has the result's layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// The source's channels, height and width.
    pub input: Extent,
    /// The source's layout.
    pub source: Source,
    /// The result's channels, height and width.
    pub output: Extent,
    /// Groups.
    pub groups: usize,
    /// Windows.
    pub window: Window,
    /// Whether the fifth operand is added.
    pub residual: bool,
    /// Applied last.
    pub activation: Activation,
}

/// A 3×3 convolution with stride 1 or 2 by Winograd's minimal filtering F(tile×tile, 3×3), as [`crate::winograd`] says.
///
/// The result is that of [`Winograd::conv`] up to rounding. Its bits depend on the tile and on nothing else: the transforms have a fixed order of
/// operations, and each product of a position is a sum of one fused multiply-add a channel, in order and in chains ([`crate::chain::amplified`]). Then come `+ bias`, `+ residual` and the activation.
///
/// Weights are transformed by [`crate::winograd::WeightTransform`], and packed as [`crate::weights::ProductWeights`] says: a product is a pair of points, its channels are those of
/// the output channels' bundle ([`crate::weights::Bundles`]), with zeros for channels of other groups. The other operands are those of [`Conv`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Winograd {
    /// The convolution: blocked source, kernel 3×3, stride 1 or 2 along both axes, dilation 1, one group or groups that fill blocks.
    pub conv: Conv,
    /// Rows and columns of the result that are computed together: 2 or 4.
    pub tile: usize,
}

impl Winograd {
    /// The algorithm. `None` if there is none for the tile and the strides.
    pub fn filtering(&self) -> Option<Filtering> {
        let [down, across] = self.conv.window.stride;
        if down == across { Filtering::new(self.tile, down) } else { None }
    }
}

/// A pointwise convolution by Strassen's matrix product, as [`crate::strassen`] says.
///
/// The result is that of the convolution up to rounding. Its bits depend on the number of levels and on nothing else: sums have a fixed order, and each product is a sum of one
/// fused multiply-add a channel, in order and in chains ([`crate::chain::amplified`]). Then come `+ bias`, `+ residual` and the activation. The pixels of
/// the result, row by row, are grouped as 0 to parts - 1, and so on; the last group is filled up with zeros.
///
/// Weights are packed as [`crate::weights::ProductWeights`] says, where the 16 lanes of block `o` come from the output channels `p·out/parts + 16·o + lane` for all parts `p`, and
/// channel `c` from the input channels `p·channels/parts + c`. The other operands are those of [`Conv`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Strassen {
    /// The convolution: blocked source, kernel 1×1, no padding, every window inside of the source, one group, and channels in and out
    /// that are multiples of 16 times the parts.
    pub conv: Conv,
    /// How often the matrices are cut.
    pub levels: Levels,
}

/// `activation(x · W + bias)` on vectors of features; source and result are blocked with H = W = 1.
///
/// Weights are `[blocks(out)][features][16]`. The order of summation is that of [`Conv`] with one tap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gemm {
    /// Length of the source vector.
    pub features: usize,
    /// Length of the result vector.
    pub out: usize,
    /// Applied last.
    pub activation: Activation,
}

/// Maximum or mean over windows; source and result are blocked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Which.
    pub kind: PoolKind,
    /// The source's channels, height and width.
    pub input: Extent,
    /// The result's height and width.
    pub output: [usize; 2],
    /// Windows. A global pool is one window over everything.
    pub window: Window,
}

/// The function of a [`Pool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Maximum; NaN wins; padding never does.
    Max,
    /// Sum in row-major order, times the reciprocal of the number of elements of the source in the window.
    Average,
    /// The same, counting padding: elements outside of the source but inside of it padded by `pad` and by this much below and to the right.
    AverageWithPadding {
        /// Padding `[below, right]`.
        pad_end: [usize; 2],
    },
}

/// A small program on corresponding elements of its operands; every operand that is not per channel has the result's layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Elementwise {
    /// Iteration space of a sample.
    pub space: Space,
    /// How each operand is read.
    pub operands: Vec<Access>,
    /// Instructions; the last one's value is the result.
    pub program: Vec<Instruction>,
}

/// Iteration space of an [`Elementwise`] step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Blocked values of this many channel blocks of this many pixels.
    Blocked {
        /// Channel blocks.
        blocks: usize,
        /// Height times width.
        pixels: usize,
    },
    /// Planar values of this many elements a sample. Only [`Access::Full`] operands.
    Flat {
        /// Elements a sample.
        len: usize,
    },
}

impl Space {
    /// Elements of a sample. `None` on overflow.
    #[allow(clippy::len_without_is_empty, reason = "a space without elements is not valid")]
    pub fn len(self) -> Option<usize> {
        match self {
            Self::Blocked { blocks, pixels } => blocks.checked_mul(BLOCK)?.checked_mul(pixels),
            Self::Flat { len } => Some(len),
        }
    }
}

/// How an [`Elementwise`] operand is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Element by element.
    Full,
    /// One element a channel and sample, `[N][blocks][16]`.
    PerChannel,
    /// One element a channel, the same for every sample, `[blocks][16]`.
    PerChannelShared,
}

/// One instruction of an [`Elementwise`] program. Numbers name earlier instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// The element of an operand (0 is the first after the result).
    Operand(usize),
    /// A constant.
    Constant(F32),
    /// A function of one value.
    Unary(Unary, usize),
    /// A function of two values.
    Binary(Binary, usize, usize),
    /// The second of three values where the first is not 0 (NaN is not), the third where it is.
    Select(usize, usize, usize),
}

/// Functions of one value, with the definitions of the ONNX operators of these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// `max(x, 0)`; NaN stays.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `e^x`.
    Exp,
    /// Square root.
    Sqrt,
    /// Magnitude.
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
    /// -1, 0 or 1; NaN stays.
    Sign,
    /// Natural logarithm.
    Log,
    /// The error function.
    Erf,
}

/// Functions of two values.
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
    /// Maximum; NaN wins.
    Max,
    /// Minimum; NaN wins.
    Min,
    /// `a^b`, as `e^(b ln a)` with the sign of odd powers: relative error about `2^-23` times `b ln a`.
    Pow,
    /// 1 if `a = b`, else 0.
    Equal,
    /// 1 if `a > b`, else 0.
    Greater,
    /// 1 if `a ≥ b`, else 0.
    GreaterOrEqual,
}

/// Softmax over the middle axis of a planar `[outer][len][inner]` sample.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// Product of the axes before.
    pub outer: usize,
    /// The axis.
    pub len: usize,
    /// Product of the axes behind.
    pub inner: usize,
}

/// A linear map along the middle axis of an `[outer][len][inner]` sample (planar, or rows or columns of a blocked one): element `j` of the result's axis is a weighted
/// sum of elements of the source's, its taps. The sum starts with the first tap's product; each further tap is one fused multiply-add.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resample {
    /// Product of the axes before.
    pub outer: usize,
    /// The source's axis.
    pub len: usize,
    /// Product of the axes behind.
    pub inner: usize,
    /// By element of the result's axis: its taps, at least one.
    pub taps: Vec<Vec<Tap>>,
}

/// An element of the source's axis, and its part in the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tap {
    /// Index, below `len`.
    pub source: usize,
    /// Factor.
    pub weight: F32,
}

/// Products of two values, summed over one index: `result[i, …] = Σ_k a[i, …, k] · b[i, …, k]`, the result planar. The sum starts with the first product; each further one is one
/// fused multiply-add, in order. A matrix product of values is this with strides of 0 where an operand does not depend on an index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contract {
    /// The result's dimensions, one or more.
    pub result: Vec<usize>,
    /// How many products are summed.
    pub sum: usize,
    /// Where the first operand is read.
    pub a: Strides,
    /// Where the second operand is read.
    pub b: Strides,
}

/// Where an operand of a [`Contract`] is read, in elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Strides {
    /// From one sample to the next; nothing if all samples read the same.
    pub sample: Option<usize>,
    /// From one index of each of the result's dimensions to the next.
    pub result: Vec<usize>,
    /// From one product of a sum to the next.
    pub sum: usize,
}

impl Strides {
    /// The stride of the result's last dimension.
    pub fn last(&self) -> usize {
        self.result.last().copied().unwrap_or(0)
    }
}

/// Moves elements: layout changes, transposition, slices, padding, concatenation, broadcasting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Copy {
    /// Elements between a source's samples.
    pub source_sample: usize,
    /// Elements between the result's samples.
    pub result_sample: usize,
    /// First the whole sample of the result (`result_sample` elements) is set to this, if given.
    pub fill: Option<F32>,
    /// Then these are copied, in order.
    pub boxes: Vec<CopyBox>,
}

/// A box of elements to copy: element `(i, j, …)` goes from `source + Σ i·stride` to `result + Σ i·stride`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CopyBox {
    /// First element in the source's sample.
    pub source: usize,
    /// First element in the result's sample.
    pub result: usize,
    /// Loops, outermost first.
    pub loops: Vec<CopyLoop>,
}

/// One loop of a [`CopyBox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CopyLoop {
    /// Iterations.
    pub count: usize,
    /// Step in the source; zero broadcasts, negative reverses.
    pub source: isize,
    /// Step in the result.
    pub result: isize,
}
