//! What rnc is fed from outside, made wrong on purpose: plans, ONNX models, graphs as text.
//!
//! Each function takes bytes and returns whether they were accepted; what rnc does wrong is a panic, a signal, or a hang. `fuzz/` calls them under libFuzzer;
//! `tests/tests/fuzz.rs` with mutants of random programs.

#[path = "../../../crates/rnc-codegen/tests/support/guarded.rs"]
#[allow(missing_docs, dead_code, reason = "it is a helper of tests, and they use all of it")]
mod guarded;
mod plan;
pub mod wire;

use rnc::CompileOptions;
use rnc_onnx::ImportOptions;

pub use plan::{header, plan};

/// Models and graphs are compiled if their values have so many elements at the most, since the passes fold constants and lowering packs weights.
const MOST_ELEMENTS: usize = 1 << 22;

/// An ONNX model: imports it, and compiles what was imported.
pub fn onnx(bytes: &[u8]) -> bool {
    let Ok(graph) = rnc_onnx::import_bytes(bytes, None, &ImportOptions::default()) else { return false };
    compile(graph)
}

/// A graph in the text syntax: parses and compiles it; what is printed is read back as the same.
pub fn text(bytes: &[u8]) -> bool {
    let Some(graph) = std::str::from_utf8(bytes).ok().and_then(|text| rnc_ir::parse(text).ok()) else { return false };
    let printed = rnc_ir::print(&graph);
    let again = rnc_ir::parse(&printed).unwrap_or_else(|error| panic!("{error}, in what was printed:\n{printed}"));
    assert_eq!(without_hashes(&rnc_ir::print(&again)), without_hashes(&printed));
    compile(graph)
}

/// Printed constants without their hashes: reading makes elements up, which have others.
fn without_hashes(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once("hash=").map_or(line, |(before, _)| before)).collect()
}

fn compile(graph: rnc_ir::Graph) -> bool {
    let elements = |id| graph.ty(id).shape.elements().map_or(usize::MAX, |(n, _)| n);
    if graph.ids().map(elements).fold(0usize, usize::saturating_add) > MOST_ELEMENTS {
        return false;
    }
    let Ok(plan) = rnc::compile_graph(graph, &CompileOptions::default()) else { return false };
    rnc_plan::verify(&plan).unwrap_or_else(|error| panic!("the verifier refuses what was compiled: {error}"));
    true
}
