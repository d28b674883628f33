//! Why a graph cannot be lowered.

use std::fmt;

use rnc_ir::Dim;

/// Why [`crate::lower`] made no plan.
#[derive(Debug, thiserror::Error)]
pub enum LowerError {
    /// Nodes that no kernel computes: all of them, in topological order.
    #[error("{}", list(.0))]
    Unsupported(Vec<Unsupported>),
    /// Without inputs there is no batch.
    #[error("graph `{graph}` has no inputs: a plan needs at least one, whose leading dimension is the batch")]
    NoInputs {
        /// Name of the graph.
        graph: String,
    },
    /// The inputs' leading dimensions differ.
    #[error(
        "inputs `{first}` and `{other}` have different leading dimensions, {first_batch} and {other_batch}: the leading dimension of \
         every input must be the batch"
    )]
    Batches {
        /// Name of an input.
        first: String,
        /// Its leading dimension.
        first_batch: Dim,
        /// Name of another input.
        other: String,
        /// Its leading dimension.
        other_batch: Dim,
    },
    /// The packed constants do not fit into memory.
    #[error("no memory for {bytes} bytes of packed constants")]
    Constants {
        /// Their size.
        bytes: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// The packed constants or the arena overflow the address space.
    #[error("the {what} of graph `{graph}` would be larger than the address space")]
    TooLarge {
        /// "packed constants" or "arena".
        what: &'static str,
        /// Name of the graph.
        graph: String,
    },
}

/// A node that cannot be lowered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Name of the node.
    pub node: String,
    /// Name of its operator.
    pub operator: &'static str,
    /// What was found.
    pub found: String,
    /// What would be supported.
    pub supported: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}): {}; supported: {}", self.node, self.operator, self.found, self.supported)
    }
}

/// What was found at a node, and what would be supported: an [`Unsupported`] that does not know its node yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    pub found: String,
    pub supported: String,
}

impl Reason {
    pub(crate) fn new(found: impl Into<String>, supported: impl Into<String>) -> Self {
        Self { found: found.into(), supported: supported.into() }
    }
}

fn list(nodes: &[Unsupported]) -> String {
    let mut text = match nodes.len() {
        1 => String::from("one node cannot be lowered:"),
        n => format!("{n} nodes cannot be lowered:"),
    };
    for node in nodes {
        text.push_str("\n  ");
        text.push_str(&node.to_string());
    }
    text
}
