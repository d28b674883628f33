//! The runtime of rnc: loads a plan, makes its code, runs it.
//!
//! A [`Session`] holds code and weights and is shared; a [`Workspace`] holds the memory of one run at a time. Runs spread each step's tasks over
//! the threads of the process's one [`pool`] in a fixed way, so results do not depend on timing.

mod arena;
pub mod error;
mod lock;
mod options;
pub mod pool;
mod run;
mod running;
mod schedule;
pub mod session;
mod spans;
mod tensors;
mod width;

pub use error::{LoadError, RunError};
pub use options::Options;
pub use rnc_codegen::{Announce, Isa};
pub use run::Observed;
pub use running::Running;
pub use session::{Session, Workspace};
pub use spans::Span;
pub use tensors::{InputViews, OutputArrays};
