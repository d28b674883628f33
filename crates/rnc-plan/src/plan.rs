//! The plan: a flat list of steps over a flat list of buffers, with constants. Plain data.

use crate::choice::{Choice, Tuning};
use crate::data::ConstantData;
use crate::images::Images;
use crate::kernel::KernelSpec;

/// Alignment of buffers and constants in bytes: a cache line, and a 512-bit vector.
pub const ALIGN: usize = 64;

/// A compiled model.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model's name.
    pub name: String,
    /// Version of rnc that made the plan.
    pub producer: String,
    /// How many samples a run takes.
    pub batch: Batch,
    /// What callers hand in, planar.
    pub inputs: Vec<Port>,
    /// What callers get, planar.
    pub outputs: Vec<Port>,
    /// Parts of the arena.
    pub buffers: Vec<Buffer>,
    /// Parts of the constant data.
    pub constants: Vec<Constant>,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Size of the arena in bytes a sample.
    pub arena_bytes: usize,
    /// The largest sum of buffers alive at one step, in bytes a sample: no arena can be smaller for this list of steps.
    pub arena_lower_bound: usize,
    /// The graph as text after import and after the passes, for `inspect`. Constants print as type and hash.
    pub listing: Listing,
    /// Where the choices of the steps were made.
    pub tuning: Tuning,
    /// How images become samples, and names of classes.
    pub images: Images,
    /// The bytes of the constants.
    pub data: ConstantData,
}

/// The graph's text at the two ends of the optimizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// After import.
    pub imported: String,
    /// After the passes.
    pub optimized: String,
}

/// How many samples a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Any number from 1, decided by the inputs of each run.
    Symbolic,
    /// Always this many.
    Fixed(usize),
    /// One, and the tensors have no dimension for it: the model knows no batch.
    Single,
}

impl Batch {
    /// How many samples a run takes, if the plan says so.
    pub const fn fixed(self) -> Option<usize> {
        match self {
            Self::Symbolic => None,
            Self::Fixed(n) => Some(n),
            Self::Single => Some(1),
        }
    }

    /// Dimensions of a tensor of so many samples: the batch comes first, if the model knows one.
    pub fn shape(self, sample: &[usize], samples: usize) -> Vec<usize> {
        let leading = match self {
            Self::Symbolic | Self::Fixed(_) => Some(samples),
            Self::Single => None,
        };
        leading.into_iter().chain(sample.iter().copied()).collect()
    }
}

/// An input or output of the model: `f32`, planar, the leading dimension being the batch unless that is [`Batch::Single`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Dimensions of one sample, without the batch.
    pub dims: Vec<usize>,
}

impl Port {
    /// Elements of one sample. `None` on overflow.
    pub fn sample_len(&self) -> Option<usize> {
        self.dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim))
    }
}

/// A part of the arena. For a batch of `n` it starts at `n * offset` and has `n * bytes` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Name of the value that it holds first.
    pub name: String,
    /// Start, in bytes a sample, a multiple of [`ALIGN`].
    pub offset: usize,
    /// Size in bytes a sample, a multiple of [`ALIGN`].
    pub bytes: usize,
    /// First step that writes it.
    pub first_step: usize,
    /// Last step that reads or writes it.
    pub last_step: usize,
}

/// A part of the constant data: packed weights, a bias, a per-channel factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Name.
    pub name: String,
    /// Start in the constant data in bytes, a multiple of [`ALIGN`].
    pub offset: usize,
    /// Size in bytes.
    pub bytes: usize,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name of the value that it computes.
    pub name: String,
    /// What it computes.
    pub kernel: KernelSpec,
    /// Operands in the kernel's order: the result first.
    pub operands: Vec<Operand>,
    /// How the kernel was chosen, if there was a choice.
    pub choice: Option<Choice>,
}

impl Step {
    /// A step without a choice.
    pub fn new(name: impl Into<String>, kernel: KernelSpec, operands: Vec<Operand>) -> Self {
        Self { name: name.into(), kernel, operands, choice: None }
    }
}

/// Where an operand of a step lives. Every operand starts at the start of what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Index into [`Plan::buffers`].
    Buffer(usize),
    /// Index into [`Plan::constants`]; only read.
    Constant(usize),
    /// Index into [`Plan::inputs`]; only read.
    Input(usize),
    /// Index into [`Plan::outputs`]; only written, never read.
    Output(usize),
}
