//! Machine code from kernel specifications.
//!
//! Every [`KernelSpec`](rnc_plan::kernel::KernelSpec) becomes a function over a range of tasks. Convolutions and GEMMs run in *leaves*, register
//! tiles that are written once against [`emitter::Emitter`] and come out as AVX-512, AVX2 or portable 128-bit code; everything around
//! them, and everything that is bound by memory, is Cranelift's.

mod clif;
pub mod code;
pub mod emitter;
pub mod error;
#[cfg(feature = "gdb")]
pub mod gdb;
mod grid;
pub mod isa;
mod kernels;
mod module;
#[cfg(feature = "object")]
pub mod object;
mod panels;
pub mod symbols;
mod taps;
mod tile;
mod tiling;

pub use code::{Code, Compiled, RegisterTile, Request, Target};
pub use error::CodegenError;
pub use isa::Isa;
pub use kernels::Tasks;
pub use symbols::Announce;
pub use tiling::candidates as tiles;
