//! How much a program takes that only runs plans.

use std::path::Path;

use object::{Object, ObjectSegment};

/// `cargo build --profile small` makes it 3.7 MB; built as the tests are, for speed and without link-time optimisation, it is 6.4 MB. What would be linked by accident
/// (the importer, the passes, another target of Cranelift) takes more than the difference.
const MOST: u64 = 6_700_000;

#[test]
fn a_program_that_only_runs_plans_is_small() {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples/run_plan");
    let file = std::fs::read(program).unwrap();
    let file = object::File::parse(file.as_slice()).unwrap();
    // What is loaded: without names of functions and lines of source, which `strip` takes away.
    let bytes: u64 = file.segments().map(|segment| segment.file_range().1).sum();
    assert!(bytes > 1_000_000 && bytes < MOST, "{bytes} bytes");
}
