//! What can go wrong when a model is built.

use rnc_ir::TypeError;
use safetensors::{Dtype, SafeTensorError};

/// Why a model could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ZooError {
    /// No model of this name.
    #[error("the zoo has no model `{name}`; it has {}", known.join(", "))]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: Vec<&'static str>,
    },
    /// An option is out of range.
    #[error("option {option} is {found}, expected {expected}")]
    Option {
        /// The field of [`crate::ZooOptions`].
        option: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// A layer does not fit the one before it.
    #[error("layer `{layer}`: {source}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// Why it does not fit.
        source: TypeError,
    },
    /// The weights are no safetensors file.
    #[error("the weights could not be read as safetensors: {0}")]
    SafeTensors(#[from] SafeTensorError),
    /// The weights' tensors are not those of the model.
    #[error(
        "the weights are not those of `{model}`, {} tensors differ: {}",
        problems.len(),
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Weights {
        /// Name of the model.
        model: String,
        /// Every tensor that differs: those of the model in its order, then those that it has not.
        problems: Vec<WeightProblem>,
    },
    /// The graph could not be written as ONNX.
    #[error("the model could not be written as ONNX: {0}")]
    Export(#[from] rnc_onnx::ExportError),
}

/// In what a tensor of a weights file differs from the model's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightProblem {
    /// The model has it, the file has not.
    #[error("`{name}` is missing, expected F32 {expected:?}")]
    Missing {
        /// Name of the tensor.
        name: String,
        /// The model's shape.
        expected: Vec<usize>,
    },
    /// The file has it, the model has not.
    #[error("`{name}` {found:?} is superfluous")]
    Superfluous {
        /// Name of the tensor.
        name: String,
        /// The file's shape.
        found: Vec<usize>,
    },
    /// It has another shape or element type.
    #[error("`{name}` is {dtype} {found:?}, expected F32 {expected:?}")]
    Type {
        /// Name of the tensor.
        name: String,
        /// The file's element type.
        dtype: Dtype,
        /// The file's shape.
        found: Vec<usize>,
        /// The model's shape.
        expected: Vec<usize>,
    },
}
