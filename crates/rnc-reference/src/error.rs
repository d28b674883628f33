//! What can go wrong: the caller's inputs, or one operator.

use rnc_ir::{DType, TensorType};

/// Why a graph could not be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The graph has an input that the caller did not give.
    #[error("input `{name}` is missing: the graph expects {expected} under this name")]
    MissingInput {
        /// The input.
        name: String,
        /// Its type in the graph.
        expected: TensorType,
    },
    /// The caller gave a value that the graph has no input for.
    #[error("the graph has no input `{name}`; its inputs are {known}")]
    UnknownInput {
        /// Name that the caller used.
        name: String,
        /// The graph's inputs, for the message.
        known: String,
    },
    /// The element type, the rank or a fixed dimension of an input is wrong.
    #[error("input `{name}` should be {expected}, found {found}")]
    InputType {
        /// The input.
        name: String,
        /// Its type in the graph.
        expected: TensorType,
        /// Type of the value that was given.
        found: TensorType,
    },
    /// Two dimensions that are the batch symbol were given different sizes.
    #[error("input `{name}` has batch size {found}, but input `{first}` has {expected}: all must agree")]
    InconsistentBatch {
        /// The input that disagrees.
        name: String,
        /// Its batch size.
        found: usize,
        /// The input that bound the symbol first.
        first: String,
        /// The batch size that this one gave.
        expected: usize,
    },
    /// A value's type has the batch symbol, but no input has it.
    #[error("`{node}` has type {ty}, but no input of the graph says what the batch size N is")]
    UnboundBatch {
        /// The node.
        node: String,
        /// Its type.
        ty: TensorType,
    },
    /// A value would be larger than the interpreter accepts.
    #[error("`{node}` of type {ty} has more than {limit} elements at this batch size: use a smaller batch or model")]
    TooLarge {
        /// The node.
        node: String,
        /// Its type.
        ty: TensorType,
        /// [`MAX_ELEMENTS`](crate::MAX_ELEMENTS).
        limit: usize,
    },
    /// An operator could not be evaluated.
    #[error("`{node}` ({op}): {fault}")]
    Node {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// What is wrong.
        #[source]
        fault: Fault,
    },
}

/// Why one operator could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The operator is not defined for this element type.
    #[error("elements of type {found} are not supported here, only f32")]
    UnsupportedType {
        /// Element type of the operand.
        found: DType,
    },
    /// An integer was divided by zero.
    #[error("an i64 is divided by zero")]
    DivisionByZero,
    /// Operator, operands and type of a node do not fit together. Type inference rules this out for every graph that was
    /// built through `Graph`'s methods, so it is a bug in rnc.
    #[error("bug in rnc: {0}")]
    Internal(String),
}
