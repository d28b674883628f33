//! The graph IR of rnc.
//!
//! A [`Graph`] holds tensors and operators: what a model says, and after the passes what it says in fewer and larger
//! operators. [`print`](print()) and [`parse`](parse()) are its text syntax, [`verify`](verify()) checks its
//! invariants.

pub mod builder;
pub mod graph;
pub mod infer;
pub mod op;
pub mod parse;
pub mod print;
pub mod resize;
pub mod suffix;
pub mod types;
pub mod verify;

pub use builder::{ConvArgs, GraphBuilder};
pub use graph::{Graph, Node, NodeId, Output};
pub use infer::{TypeError, infer, window_output};
pub use op::Op;
pub use parse::{ParseError, parse, parse_with};
pub use print::print;
pub use suffix::Suffixes;
pub use types::{DType, Dim, Shape, Tensor, TensorData, TensorType};
pub use verify::{Verified, VerifyError, verify};
