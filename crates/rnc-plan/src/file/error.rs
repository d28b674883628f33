//! Why a plan file cannot be written or opened.

use std::io;
use std::path::PathBuf;

use super::layout::{MAGIC, VERSION};
use crate::convert::DecodeError;
use crate::limits::MAX_HEADER_BYTES;
use crate::verify::VerifyError;

/// Why a plan file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system refuses.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The header would be too large.
    #[error("the plan's header would have {found} bytes, the limit is {MAX_HEADER_BYTES}")]
    HeaderTooLarge {
        /// Its size in bytes.
        found: usize,
    },
}

/// Why a plan file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is something else.
    #[error("not a plan file: it starts with \"{found}\", expected \"{}\"; compile the model first", MAGIC.escape_ascii())]
    NotAPlan {
        /// Its first bytes, escaped.
        found: String,
    },
    /// Another version of the format.
    #[error("the plan has format version {found}, but this version of rnc reads version {supported}: {}", remedy(*found))]
    Version {
        /// Its version.
        found: u32,
        /// The version that can be read.
        supported: u32,
    },
    /// The file has flags that this version does not know.
    #[error(
        "the plan has flags {found:#x}, expected 0: it was made by a newer rnc; compile the model again with this one"
    )]
    Flags {
        /// Its flags.
        found: u32,
    },
    /// The file is too short.
    #[error(
        "the plan file is truncated: it has {found} bytes, expected {expected}; copy it again or compile the model again"
    )]
    Truncated {
        /// Its size in bytes.
        found: u64,
        /// What its size should be, at least.
        expected: u64,
    },
    /// The file is damaged.
    #[error("the plan file is damaged: {what}; copy it again or compile the model again")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// The header does not say a plan.
    #[error("the plan's header cannot be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// The plan is not valid.
    #[error("the plan is not valid: {0}")]
    Verify(#[from] VerifyError),
}

impl OpenError {
    pub(super) const fn corrupt(what: String) -> Self {
        Self::Corrupt { what }
    }
}

fn remedy(found: u32) -> &'static str {
    if found > VERSION {
        "it was made by a newer rnc; use that one, or compile the model again with this one"
    } else {
        "it was made by an older rnc; compile the model again"
    }
}
