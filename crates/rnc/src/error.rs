//! What can go wrong between a model and its plan.

use std::path::PathBuf;

use rnc_lower::LowerError;
use rnc_onnx::ImportError;

use crate::outputs::OutputError;

/// Why there is no plan of a model.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The model could not be imported.
    #[error("{}", import_message(path, error))]
    Import {
        /// The model's file.
        path: PathBuf,
        /// What the importer says.
        error: Box<ImportError>,
    },
    /// A graph's file could not be read.
    #[error("cannot read the graph {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file is not a graph in the text syntax.
    #[error("{}: {error}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<rnc_ir::ParseError>,
    },
    /// Sizes of symbolic dimensions were given for something that is not an ONNX model.
    #[error(
        "`{name}` was given a size, but this is a graph and no ONNX model: write the size into its input types instead"
    )]
    Dims {
        /// A dimension that was given.
        name: String,
    },
    /// The model does not have the outputs that were asked for.
    #[error(transparent)]
    Outputs(#[from] OutputError),
    /// A pass failed, or the graph was not valid before the first one.
    #[error(transparent)]
    Optimize(#[from] rnc_passes::Error),
    /// A pass left an invalid graph behind.
    #[error("the optimized graph is not valid (please report this): {0}")]
    Verify(#[from] Box<rnc_ir::VerifyError>),
    /// No kernels compute some nodes, or they do not fit together.
    #[error(transparent)]
    Lower(#[from] LowerError),
}

impl CompileError {
    /// Whether the model asks for what rnc does not have (and is not merely missing, damaged or misused).
    pub fn is_unsupported_model(&self) -> bool {
        match self {
            Self::Import { error, .. } => match **error {
                ImportError::Opset { .. } | ImportError::Unsupported { .. } => true,
                ImportError::Io { .. }
                | ImportError::NotOnnx { .. }
                | ImportError::UnknownDim { .. }
                | ImportError::ZeroDim { .. } => false,
            },
            Self::Lower(error) => match error {
                LowerError::Unsupported(_) | LowerError::NoInputs { .. } | LowerError::Batches { .. } => true,
                LowerError::Constants { .. } | LowerError::TooLarge { .. } => false,
            },
            Self::Read { .. }
            | Self::Text { .. }
            | Self::Dims { .. }
            | Self::Outputs(_)
            | Self::Optimize(_)
            | Self::Verify(_) => false,
        }
    }

    /// Whether the call was wrong, and not what it was about.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Dims { .. } | Self::Outputs(_) => true,
            Self::Import { error, .. } => {
                matches!(**error, ImportError::UnknownDim { .. } | ImportError::ZeroDim { .. })
            }
            Self::Read { .. } | Self::Text { .. } | Self::Optimize(_) | Self::Verify(_) | Self::Lower(_) => false,
        }
    }
}

/// Why a plan was not written.
#[derive(Debug, thiserror::Error)]
pub enum WritePlanError {
    /// The plan is not sound: a defect of rnc if it comes from the compiler.
    #[error("the plan is not sound: {0}")]
    Unsound(#[from] rnc_plan::VerifyError),
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] rnc_plan::WriteError),
}

/// The importer's own message names the file only where reading it failed.
fn import_message(path: &std::path::Path, error: &ImportError) -> String {
    match error {
        ImportError::Io { .. } => error.to_string(),
        ImportError::NotOnnx { .. }
        | ImportError::Opset { .. }
        | ImportError::UnknownDim { .. }
        | ImportError::ZeroDim { .. }
        | ImportError::Unsupported { .. } => format!("{}: {error}", path.display()),
    }
}
