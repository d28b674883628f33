//! Reads ONNX models into the rnc graph IR, and writes graphs back as ONNX.
//!
//! [`import_file`] and [`import_bytes`] take models of opset 6 to 27 and give a verified
//! [`Graph`](rnc_ir::Graph). Everything that a model has and rnc does not know is found in one go: an
//! [`ImportError::Unsupported`] lists all [`Problem`]s, by node. Models are not trusted: no bytes make the import
//! panic, read files outside of the model's folder, or allocate memory that the model does not account for.
//!
//! What ONNX computes at run time only to have a shape (`Shape → Gather → Concat → Reshape`) is computed at import and
//! never enters the graph.
//!
//! [`export`] writes any graph as ONNX, opset 17 or 19.

#![forbid(unsafe_code)]

mod attributes;
mod error;
mod export;
mod external;
mod import;
mod model;
mod node;
mod oddities;
mod ops;
mod order;
mod proto;
mod shape_arithmetic;
mod signature;
mod state;
mod tensors;
#[cfg(test)]
mod testing;
mod wire;

pub use error::{ExportError, ImportError, Place, Problem};
pub use export::export;
pub use import::{ImportOptions, import_bytes, import_file, import_file_noting};
pub use oddities::Oddity;
pub use ops::{OPERATORS, Operator};
