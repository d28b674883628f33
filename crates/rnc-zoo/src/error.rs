//! What can go wrong when a model is built.

use rnc_ir::TypeError;

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
    /// The graph could not be written as ONNX.
    #[error("the model could not be written as ONNX: {0}")]
    Export(#[from] rnc_onnx::ExportError),
}
