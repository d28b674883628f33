//! What can go wrong when a plan is loaded or run.

use std::path::{Path, PathBuf};

use rnc_codegen::CodegenError;
use rnc_plan::file::OpenError;
use rnc_plan::verify::VerifyError;

/// Why a plan could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not there, or is no intact plan of a version that this program reads.
    #[error("{}", opening(path, error))]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: OpenError,
    },
    /// The plan would compute nonsense.
    #[error("the plan is not sound: {0}")]
    Unsound(#[from] VerifyError),
    /// No code could be made for this machine.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
}

/// Names the file, which errors of the system do themselves.
fn opening(path: &Path, error: &OpenError) -> String {
    match error {
        OpenError::Io { .. } => error.to_string(),
        _ => format!("{}: {error}", path.display()),
    }
}

/// Why a run did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The model has no such input.
    #[error("the model has no input `{found}`; it has {expected}")]
    UnknownInput {
        /// The name that was given.
        found: String,
        /// The names that exist.
        expected: String,
    },
    /// An input was not given, or more than once.
    #[error("input `{name}` must be given once, and was given {found} times")]
    InputCount {
        /// The input.
        name: String,
        /// How often it was given.
        found: usize,
    },
    /// An input has the wrong shape.
    #[error("input `{name}` must have shape [{expected}], found {found:?}")]
    Shape {
        /// The input.
        name: String,
        /// The dimensions that fit.
        expected: String,
        /// Those found.
        found: Vec<usize>,
    },
    /// Two inputs have different batches.
    #[error("input `{name}` has a batch of {found}, but the inputs before it have {expected}")]
    Batch {
        /// The later input.
        name: String,
        /// The batch of the first input.
        expected: usize,
        /// The later input's.
        found: usize,
    },
    /// A slice handed to `run_into` has the wrong length.
    #[error("the memory for `{name}` must hold {expected} elements, found {found}")]
    Length {
        /// Input or output.
        name: String,
        /// Elements needed.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A workspace of another session.
    #[error("the workspace was made by another session; make one with this session's `workspace()`")]
    ForeignWorkspace,
    /// Not as many slices as the model has inputs or outputs.
    #[error("the model has {expected} {what}, found {found}")]
    Count {
        /// "inputs" or "outputs".
        what: &'static str,
        /// How many it has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The batch times the arena's size is no memory that there is.
    #[error("a batch of {batch} needs more memory than there is: {error}")]
    Memory {
        /// Batch.
        batch: usize,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// A run in the background has no thread.
    #[error("the system gives no thread for the run: {error}")]
    Thread {
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The run is another process's.
    #[error("the run belongs to the process that this one was forked from; start one here")]
    Forked,
    /// Someone wrote into the plan file, or cut it, since it was loaded.
    #[error(
        "the plan file changed after it was loaded, so there is no saying what was computed; load it again, and replace plan files (as `mv` does) instead of writing into them"
    )]
    PlanChanged,
}
