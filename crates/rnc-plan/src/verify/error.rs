//! What the verifier says.

use crate::footprint::SpecError;
use crate::limits::{MAX_BATCH, MAX_ELEMENTS, MAX_RANK};
use crate::memory::MemoryError;
use crate::plan::ALIGN;

/// Why a plan is not valid. Everything is named by its index and name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// More of something than a plan may have.
    #[error("the plan has {found} {what}, the limit is {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// The limit, from [`crate::limits`].
        limit: usize,
    },
    /// The arena's size is not aligned.
    #[error("the arena has {found} bytes, expected a multiple of {ALIGN}")]
    ArenaAlign {
        /// Its size.
        found: usize,
    },
    /// The fixed batch is out of range.
    #[error("the batch is fixed to {found}, expected 1 to {MAX_BATCH}")]
    Batch {
        /// What it is.
        found: usize,
    },
    /// An input or output is not valid.
    #[error("{kind} {index} `{name}`: {problem}")]
    Port {
        /// `input` or `output`.
        kind: &'static str,
        /// Its index.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: PortError,
    },
    /// A buffer is not valid.
    #[error("buffer {index} `{name}`: {problem}")]
    Buffer {
        /// Its index.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: BufferError,
    },
    /// A constant is not valid.
    #[error("constant {index} `{name}`: {problem}")]
    Constant {
        /// Its index.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: ConstantError,
    },
    /// A step is not valid.
    #[error("step {index} `{name}`: {problem}")]
    Step {
        /// Its index.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: Box<StepError>,
    },
    /// The memory plan is not valid.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The recorded lower bound of the arena is wrong.
    #[error("the plan records {found} bytes as the lower bound of the arena, expected {expected}")]
    LowerBound {
        /// What is recorded.
        found: usize,
        /// The largest sum of buffers alive at one step.
        expected: usize,
    },
}

/// What is wrong with an input or output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Too many dimensions.
    #[error("has {found} dimensions, the limit is {MAX_RANK}")]
    Rank {
        /// How many.
        found: usize,
    },
    /// Another port of the same kind has its name.
    #[error("another one has the same name")]
    SameName,
    /// No elements, or too many.
    #[error("dimensions {dims:?} give no number of elements from 1 to {MAX_ELEMENTS}")]
    Elements {
        /// The dimensions of a sample.
        dims: Vec<usize>,
    },
    /// No step writes the output.
    #[error("no step writes it")]
    Unwritten,
}

/// What is wrong with a buffer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BufferError {
    /// Offset or size is not aligned.
    #[error("starts at byte {offset} and has {bytes} bytes, expected multiples of {ALIGN}")]
    Align {
        /// Its offset.
        offset: usize,
        /// Its size.
        bytes: usize,
    },
    /// It has no bytes.
    #[error("has no bytes")]
    Empty,
    /// No step uses it.
    #[error("no step uses it")]
    Unused,
    /// The recorded lifetime is not the real one.
    #[error("is recorded to live from step {} to {}, but is used from step {} to {}", found.0, found.1, expected.0, expected.1)]
    Lifetime {
        /// First and last step as recorded.
        found: (usize, usize),
        /// First and last step that use it.
        expected: (usize, usize),
    },
}

/// What is wrong with a constant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstantError {
    /// The offset is not aligned.
    #[error("starts at byte {offset}, expected a multiple of {ALIGN}")]
    Align {
        /// Its offset.
        offset: usize,
    },
    /// It ends behind the constant data.
    #[error("ends at byte {end} of constant data of {data_bytes} bytes")]
    Outside {
        /// Its end.
        end: u128,
        /// Size of the constant data.
        data_bytes: usize,
    },
}

/// What is wrong with a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Its kernel specification is not well-formed.
    #[error("the kernel specification is not valid: {0}")]
    Spec(#[from] SpecError),
    /// Wrong number of operands.
    #[error("has {found} operands, its kernel takes {expected}")]
    Count {
        /// How many there are.
        found: usize,
        /// How many the kernel takes.
        expected: usize,
    },
    /// An operand does not fit.
    #[error("operand {position} ({role}), {operand}: {problem}")]
    Operand {
        /// Position; 0 is the result.
        position: usize,
        /// Its part in the kernel.
        role: &'static str,
        /// What it names, with index and name.
        operand: String,
        /// What is wrong.
        problem: OperandError,
    },
}

/// What is wrong with an operand of a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperandError {
    /// The index names nothing.
    #[error("does not exist, the plan has {count}")]
    Missing {
        /// How many the plan has.
        count: usize,
    },
    /// An output is read.
    #[error("an output is never read")]
    OutputRead,
    /// A constant or input is written.
    #[error("a result must be a buffer or an output")]
    NotWritable,
    /// A buffer or input where all samples share the elements.
    #[error("all samples share it, so it must be a constant")]
    NotConstant,
    /// A constant where each sample has its own elements.
    #[error("each sample has its own, so it must be a buffer or an input")]
    NotPerSample,
    /// The kernel touches more than there is.
    #[error("the kernel touches {needed} bytes, but it has {available}")]
    Outside {
        /// Bytes touched, of a sample unless it is a constant.
        needed: usize,
        /// Bytes that it has, a sample unless it is a constant.
        available: usize,
    },
    /// The kernel's samples are further apart than a buffer has room for.
    #[error("the kernel's samples are {found} bytes apart, but it has {available} bytes a sample")]
    Stride {
        /// Bytes from sample to sample.
        found: usize,
        /// Size of the buffer.
        available: usize,
    },
    /// The kernel's samples are not as far apart as those of an input or output.
    #[error("the kernel's samples are {found} elements apart, expected {expected}: the elements of a sample")]
    PortStride {
        /// Elements from sample to sample.
        found: usize,
        /// Elements of a sample of the port.
        expected: usize,
    },
    /// Samples are read at another distance than they were written at.
    #[error("its samples are read {found} elements apart, but were written {expected} elements apart")]
    WrittenStride {
        /// Elements from sample to sample as read.
        found: usize,
        /// The same as last written.
        expected: usize,
    },
    /// No earlier step has written the buffer.
    #[error("is read, but no earlier step writes it")]
    ReadBeforeWritten,
    /// The result overwrites an operand that is still being read.
    #[error("is the buffer of the result too, which this operand must not be")]
    InPlace,
}
