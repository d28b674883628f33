//! Limits on what a plan may say, so that sizes, generated code and the time to make it stay bounded for untrusted plans.
//!
//! They are far above what real models need. [`crate::footprint`] and [`crate::verify`](crate::verify()) enforce them.

/// Elements of one sample of an operand, or of a shared operand: byte offsets in it fit in an `i32`.
pub const MAX_ELEMENTS: usize = 1 << 29;
/// Any single extent, stride, or distance between the first and the last tap of a window.
pub const MAX_EXTENT: usize = 1 << 24;
/// Channels of a convolution's or pool's operand.
pub const MAX_CHANNELS: usize = 1 << 20;
/// Rows or columns of padding on one side.
pub const MAX_PAD: usize = 1 << 12;
/// Taps of a convolution's window: code may be unrolled over them.
pub const MAX_CONV_TAPS: usize = 1 << 12;
/// Taps of a pool's window. A global pool of 1024×1024 has this many, so code must loop over them.
pub const MAX_POOL_TAPS: usize = 1 << 20;
/// Instructions of an elementwise program: code is unrolled over them.
pub const MAX_INSTRUCTIONS: usize = 64;
/// Operands of an elementwise program.
pub const MAX_PROGRAM_OPERANDS: usize = 16;
/// Boxes of one copy step: code may be unrolled over them.
pub const MAX_BOXES: usize = 1 << 13;
/// Boxes of all copy steps of a plan.
pub const MAX_PLAN_BOXES: usize = 1 << 16;
/// Loops of one box.
pub const MAX_LOOPS: usize = 8;
/// Taps of one resample step.
pub const MAX_TAPS: usize = 1 << 16;
/// Steps of a plan.
pub const MAX_STEPS: usize = 1 << 16;
/// Buffers of a plan.
pub const MAX_BUFFERS: usize = 1 << 16;
/// Constants of a plan.
pub const MAX_CONSTANTS: usize = 1 << 16;
/// Inputs of a plan, and outputs of a plan.
pub const MAX_PORTS: usize = 1 << 12;
/// Dimensions of an input or output, without the batch.
pub const MAX_RANK: usize = 32;
/// Samples of a run. Times [`MAX_ARENA_BYTES`] this still fits in an `i64`.
pub const MAX_BATCH: usize = 1 << 20;
/// Bytes of the arena a sample.
pub const MAX_ARENA_BYTES: usize = 1 << 40;
/// Bytes of a plan file's header: bounds the memory that decoding an untrusted file takes.
pub const MAX_HEADER_BYTES: usize = 1 << 25;
