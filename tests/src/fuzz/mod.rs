//! What rnc is fed from outside, made wrong on purpose: plans, ONNX models, graphs as text.
//!
//! What rnc does wrong is a panic, a signal, or a hang. `tests/tests/fuzz.rs` feeds some thousand mutants of random programs, `examples/fuzz_mutants.rs` as many as
//! one has time for.

mod fields;
mod plan;
#[path = "../../../crates/rnc-codegen/tests/support/mod.rs"]
mod support;
mod text;
mod wire;

use fastrand::Rng;
use rnc::CompileOptions;
use rnc_ir::Graph;
use rnc_onnx::ImportOptions;

pub use fields::{small_model, with_one_field_changed};

/// Models and graphs are compiled if their values have so many elements at the most, since the passes fold constants and lowering packs weights.
const MOST_ELEMENTS: usize = 1 << 22;

/// Something that rnc is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The header message of a plan file. What is accepted is compiled and run.
    Plan,
    /// An ONNX model. What is imported is compiled.
    Model,
    /// A graph in the text syntax. What is parsed is compiled.
    Text,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Plan, Self::Model, Self::Text];

    /// A name for files and command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Model => "model",
            Self::Text => "text",
        }
    }

    /// What a graph is in this form, if it can be.
    pub fn sound(self, graph: &Graph) -> Option<Vec<u8>> {
        match self {
            Self::Plan => plan::header(&rnc::compile_graph(graph.clone(), &CompileOptions::default()).ok()?),
            Self::Model => rnc_onnx::export(graph).ok(),
            Self::Text => Some(graph.to_string().into_bytes()),
        }
    }

    /// A changed copy.
    pub fn mutant(self, of: &[u8], rng: &mut Rng) -> Vec<u8> {
        match self {
            Self::Plan | Self::Model => wire::mutant(of, rng),
            Self::Text => text::mutant(of, rng),
        }
    }

    /// Feeds it to rnc. Whether it was accepted.
    ///
    /// # Panics
    /// If rnc does, or if it contradicts itself: if its verifier refuses what it compiled, or if what it printed reads differently.
    pub fn feed(self, bytes: &[u8]) -> bool {
        match self {
            Self::Plan => plan::feed(bytes),
            Self::Model => rnc_onnx::import_bytes(bytes, None, &ImportOptions::default()).is_ok_and(compile),
            Self::Text => text::parse(bytes).is_some_and(compile),
        }
    }
}

/// Whether it does not take long to compute a graph.
pub fn is_small(graph: &Graph) -> bool {
    let elements = |id| graph.ty(id).shape.elements().map_or(usize::MAX, |(n, _)| n);
    graph.ids().map(elements).fold(0usize, usize::saturating_add) <= MOST_ELEMENTS
}

fn compile(graph: Graph) -> bool {
    if !is_small(&graph) {
        return false;
    }
    let Ok(plan) = rnc::compile_graph(graph, &CompileOptions::default()) else { return false };
    rnc_plan::verify(&plan).unwrap_or_else(|error| panic!("the verifier refuses what was compiled: {error}"));
    true
}
