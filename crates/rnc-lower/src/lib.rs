//! Lowers a verified graph to a plan: layouts, kernels, weight packing, memory planning.
//!
//! [`lower`] walks the nodes that the outputs need in topological order and turns each into steps of a [`rnc_plan::Plan`]:
//!
//! * **Batch.** The leading dimension of every value that is not a constant is the batch; a *sample* is a value without it.
//! * **Layouts.** A value lives in the blocked or the planar layout ([`rnc_plan::kernel`]), or in both: the kernels that read it ask for
//!   the one they need, and a conversion is inserted once and remembered.
//! * **Algorithms.** Convolutions are computed directly, by Winograd's method or by Strassen's product, whichever is estimated to be faster on a described machine, or measured to be by a [`Tuner`]. The plan
//!   keeps what was considered, and how exact the choice is on a sample.
//! * **Fusion.** Trees of elementwise nodes become one program. Everything else was fused by the passes before.
//! * **In place.** A residual or an elementwise operand that nothing needs afterwards gives its buffer to the result.
//! * **Memory.** Buffers whose lifetimes do not meet share the arena. The plan reports the size reached and the lower bound.
//! * **Packing.** Constants are written once, in the order in which the kernels read them.
//!
//! What cannot be lowered is reported for all nodes at once.

mod accuracy;
mod batch;
mod choose;
mod context;
mod contract;
mod conv;
mod elementwise;
mod error;
mod estimate;
mod fuse;
#[cfg(test)]
mod interpret;
mod layout;
mod linear;
mod lower;
mod memory;
mod movement;
mod pack;
mod pool;
mod program;
mod reduce;
mod resize;
mod softmax;
#[cfg(test)]
mod tests;
mod tuner;
mod view;

pub use error::{LowerError, Unsupported};
pub use lower::{LowerOptions, lower};
pub use tuner::{Trial, Tuner};
