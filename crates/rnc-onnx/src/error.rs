//! What can go wrong while a model is read or written.

use std::fmt;
use std::path::PathBuf;

/// Why a model could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The model's file cannot be read.
    #[error("cannot read the model {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are not a `ModelProto`.
    #[error("this is not an ONNX model: {reason}")]
    NotOnnx {
        /// What the parser stumbled over.
        reason: String,
    },
    /// The model's version of the default operator set is not one that is understood.
    #[error(
        "the model uses {found}; supported: opset 6 to 27 of the default domain (re-export the model, or use onnx.version_converter)"
    )]
    Opset {
        /// What the model says.
        found: String,
    },
    /// [`ImportOptions::dims`](crate::ImportOptions::dims) names a dimension that the model does not have.
    #[error("the model has no symbolic dimension `{name}`; it has {}", list_or_none(known))]
    UnknownDim {
        /// The name that was given.
        name: String,
        /// The names that exist, sorted.
        known: Vec<String>,
    },
    /// A size given for a symbolic dimension is not one.
    #[error("dimension `{name}` was given the size 0; sizes start at 1")]
    ZeroDim {
        /// The name that was given.
        name: String,
    },
    /// The model is broken, or uses what rnc does not know. All problems that were found are listed.
    #[error("{}", report(problems))]
    Unsupported {
        /// The problems, in the order of the model. Never empty.
        problems: Vec<Problem>,
    },
}

/// One thing in a model that cannot be imported. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// The attribute, operand or property concerned.
    pub subject: String,
    /// What the model says there.
    pub found: String,
    /// What would do.
    pub supported: String,
}

/// Where in a model a [`Problem`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The model as a whole.
    Model,
    /// A graph input of this name.
    Input(String),
    /// A graph output of this name.
    Output(String),
    /// An initializer of this name.
    Initializer(String),
    /// A node.
    Node {
        /// Its name or, when it has none, the name of its first output.
        name: String,
        /// Its operator, with the domain in front unless that is the default one.
        operator: String,
        /// Version of the default operator set.
        opset: i64,
    },
}

/// Why a graph could not be written as ONNX.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// ONNX has no form for this node.
    #[error("node `{node}` ({op}) cannot be written as ONNX: {reason}")]
    Node {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// What is in the way.
        reason: String,
    },
    /// An output is called as an input is, but is another value: ONNX has one name for both.
    #[error("output `{output}` has the name of an input that is another value; rename one of them")]
    OutputName {
        /// The name.
        output: String,
    },
    /// Protobuf messages end at 2 GiB.
    #[error("the model would have {bytes} bytes; an ONNX file holds at most {limit}")]
    TooLarge {
        /// Bytes needed, about.
        bytes: u64,
        /// Bytes possible.
        limit: u64,
    },
    /// The encoder failed.
    #[error("the model cannot be encoded: {reason}")]
    Encode {
        /// Its reason.
        reason: String,
    },
}

/// Why one node (or input, or initializer) cannot be imported.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It depends on a value that has been reported already.
    Poisoned,
    /// It is a problem of its own: subject, what was found, what is supported.
    Issue { subject: String, found: String, supported: String },
}

impl Fault {
    pub(crate) fn new(subject: impl Into<String>, found: impl Into<String>, supported: impl Into<String>) -> Self {
        Self::Issue { subject: subject.into(), found: found.into(), supported: supported.into() }
    }

    /// The problem at `place`, unless it has been reported before.
    pub(crate) fn at(self, place: Place) -> Option<Problem> {
        match self {
            Self::Poisoned => None,
            Self::Issue { subject, found, supported } => Some(Problem { place, subject, found, supported }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("the model"),
            Self::Input(name) => write!(f, "input `{name}`"),
            Self::Output(name) => write!(f, "output `{name}`"),
            Self::Initializer(name) => write!(f, "initializer `{name}`"),
            Self::Node { name, operator, opset } => write!(f, "node `{name}` ({operator}, opset {opset})"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: found {}; supported: {}", self.place, self.subject, self.found, self.supported)
    }
}

fn report(problems: &[Problem]) -> String {
    let mut text = match problems {
        [_] => "the model cannot be imported:".to_owned(),
        all => format!("the model cannot be imported; {} problems:", all.len()),
    };
    for problem in problems {
        text.push_str("\n  - ");
        text.push_str(&problem.to_string());
    }
    text
}

fn list_or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_problem_on_a_line_of_its_own() {
        let place = Place::Node { name: "c".into(), operator: "Conv".into(), opset: 13 };
        let first =
            Problem { place, subject: "attribute `group`".into(), found: "0".into(), supported: "1 and more".into() };
        let second = Problem { place: Place::Input("x".into()), ..first.clone() };
        let text = ImportError::Unsupported { problems: vec![first, second] }.to_string();
        let expected = "the model cannot be imported; 2 problems:\n  - node `c` (Conv, opset 13): attribute `group`: \
                        found 0; supported: 1 and more\n  - input `x`: attribute `group`: found 0; supported: 1 and more";
        assert_eq!(text, expected);
    }

    #[test]
    fn names_the_dimensions_that_exist() {
        let error = ImportError::UnknownDim { name: "B".into(), known: vec!["H".into(), "N".into()] };
        assert_eq!(error.to_string(), "the model has no symbolic dimension `B`; it has `H`, `N`");
        assert!(ImportError::UnknownDim { name: "B".into(), known: vec![] }.to_string().ends_with("it has none"));
    }
}
