//! What can go wrong while code is made.

use cranelift_module::ModuleError;

use crate::isa::Isa;

/// Why a plan's code could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// The host is not a machine that code can be made for.
    #[error("cannot generate code on this machine: {0}")]
    Host(String),
    /// The CPU lacks the instruction set that was asked for.
    #[error("this CPU cannot run {0} code: it does not have {feature}; the best it has is {best}", feature = _0.missing_feature().unwrap_or("what it takes"), best = Isa::best())]
    UnsupportedIsa(Isa),
    /// The names of functions were to be written for `perf`.
    #[error("cannot write {}, which RNC_PERF_MAP asks for: {error}", path.display())]
    PerfMap {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Cranelift refused a function: a defect of rnc.
    #[error("Cranelift refused a generated function (please report this): {0}")]
    Module(#[from] Box<ModuleError>),
    /// The assembler refused an instruction: a defect of rnc.
    #[cfg(target_arch = "x86_64")]
    #[error("the assembler refused a generated instruction (please report this): {0}")]
    Assembler(#[from] iced_x86::IcedError),
    /// The layer would need an unreasonable amount of code.
    #[error(
        "the code of {kernel} would have {found} operations laid out, the limit is {limit}: the layer is too large, or its window"
    )]
    TooMuchCode {
        /// The layer.
        kernel: String,
        /// What it would take.
        found: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The layer is so large that an offset does not fit into an instruction.
    #[error("{what} is {bytes} bytes away, more than the 2 GiB that an instruction can reach: the layer is too large")]
    TooLarge {
        /// What is far away.
        what: &'static str,
        /// How far.
        bytes: usize,
    },
}

impl CodegenError {
    pub(crate) fn host(error: impl std::fmt::Display) -> Self {
        Self::Host(error.to_string())
    }
}

/// A distance in bytes as an instruction takes it.
///
/// # Errors
/// If it does not fit into 32 bits.
pub(crate) fn near(what: &'static str, bytes: impl TryInto<i64>) -> Result<i32, CodegenError> {
    let bytes = bytes.try_into().unwrap_or(i64::MAX);
    i32::try_from(bytes).map_err(|_| CodegenError::TooLarge { what, bytes: bytes.unsigned_abs() as usize })
}

impl From<ModuleError> for CodegenError {
    fn from(error: ModuleError) -> Self {
        Self::Module(Box::new(error))
    }
}
