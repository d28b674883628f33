//! The plan of rnc: what the machine will do, as plain data.
//!
//! A [`Plan`] holds no machine code and no absolute address. It can be checked and written to a file, and one file runs on every CPU
//! that the code generator knows.
//!
//! * [`footprint`] recomputes what a kernel touches; [`verify`](verify()) holds that against the plan's buffers; [`memory`] checks that
//!   buffers which are alive together do not overlap. Together they make running a plan from outside safe.
//! * [`file`](mod@file) writes and opens plan files; `docs/plan-format.md` describes them.

pub mod chain;
pub mod choice;
mod convert;
pub mod cost;
pub mod data;
pub mod file;
pub mod footprint;
pub mod images;
pub mod kernel;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod plan;
mod proto;
#[cfg(test)]
mod sample;
pub mod strassen;
pub mod verify;
pub mod weights;
pub mod winograd;

pub use choice::{Candidate, Choice, Measured, TileSize, Tuning};
pub use convert::DecodeError;
pub use data::ConstantData;
pub use file::{
    DataCheck, FileHeader, OpenError, OpenOptions, WriteError, from_bytes, open_file, read_header, to_bytes, write_file,
};
pub use footprint::{Footprint, SpecError};
pub use machine::Machine;
pub use memory::MemoryError;
pub use plan::{ALIGN, Batch, Buffer, Constant, Listing, Operand, Plan, Port, Step};
pub use verify::{Verified, VerifiedPlan, VerifyError, verify};
