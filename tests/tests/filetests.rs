//! File tests of the passes: `tests/filetests/<pass>/*.rnc`, each with one snapshot in `snapshots/`.
//!
//! A file starts with `// passes: a, b` (or `// passes: all`, the whole pipeline); the rest is a graph in the IR's text
//! syntax. A test parses and verifies it, checks that printing and parsing give it back, runs the passes, verifies the
//! result, holds the numbers of both graphs against each other with the reference interpreter, and compares the graph
//! before, the graph after and the passes' log with the snapshot. To accept what changed, run
//! `INSTA_UPDATE=always cargo test --release -p rnc-tests --test filetests`, and read the diff.
//!
//! It is an error if a file has no snapshot, a snapshot has no file, or a pass has no file that shows it fire or none that
//! shows it leave something alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rnc_ir::{DType, Dim, Graph, Tensor, TensorType, parse, parse_with, verify};
use rnc_passes::{PASSES, Report, optimize, run_named};
use rnc_reference::Value;

/// The batch size in comparisons.
const BATCH: usize = 2;

/// How far results may be apart, relative to the largest magnitude of that output.
///
/// A fold rounds each weight once more, 2⁻²⁴ relative, so a sum of K products moves by at most 2⁻²³ · Σ|w·x|. The files have
/// values of about ±1, K ≤ 150, and at most some 10 layers in a row, where Σ|w·x| is below some 30 times the largest
/// result: 10 · 30 · 2⁻²³ ≈ 4e-5.
const TOLERANCE: f64 = 5e-5;

#[test]
fn every_file_gives_its_snapshot_and_keeps_its_numbers() {
    let failed: Vec<String> = files()
        .into_iter()
        .filter(|file| catch_unwind(AssertUnwindSafe(|| check(file))).is_err())
        .map(|file| file.name())
        .collect();
    assert!(failed.is_empty(), "failed (see above): {failed:?}");
}

#[test]
fn every_snapshot_of_a_file_has_that_file() {
    let names: BTreeSet<String> = files().iter().map(FileTest::name).collect();
    let orphans: Vec<PathBuf> = fs::read_dir(root().join("snapshots"))
        .expect("the folder of snapshots")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "snap"))
        .filter(|path| fs::read_to_string(path).expect("a snapshot").contains("source: tests/tests/filetests.rs"))
        .filter(|path| !path.file_stem().is_some_and(|stem| names.contains(&*stem.to_string_lossy())))
        .collect();
    assert!(orphans.is_empty(), "snapshots without a file in tests/filetests: {orphans:?}");
}

#[test]
fn every_pass_is_shown_firing_and_leaving_something_alone() {
    let (mut fires, mut leaves) = (BTreeSet::new(), BTreeSet::new());
    for file in files() {
        let mut graph = file.graph();
        for pass in file.run(&mut graph).passes {
            if pass.pass != file.folder {
                continue;
            }
            if pass.stats.applied > 0 {
                fires.insert(pass.pass);
            }
            if pass.stats.refused > 0 || pass.stats.applied == 0 {
                leaves.insert(pass.pass);
            }
        }
    }
    for pass in PASSES {
        assert!(fires.contains(pass.name), "no file in tests/filetests/{} has it fire", pass.name);
        assert!(leaves.contains(pass.name), "no file in tests/filetests/{} has it leave something alone", pass.name);
    }
}

/// One `.rnc` file.
struct FileTest {
    folder: String,
    stem: String,
    text: String,
}

impl FileTest {
    fn name(&self) -> String {
        format!("{}__{}", self.folder, self.stem)
    }

    fn graph(&self) -> Graph {
        parse(&self.text).unwrap_or_else(|e| panic!("{}: {e}", self.name()))
    }

    fn run(&self, graph: &mut Graph) -> Report {
        let list = self.text.lines().next().and_then(|line| line.strip_prefix("// passes:"));
        let list = list.unwrap_or_else(|| panic!("{} does not start with `// passes: …`", self.name()));
        let result = match list.trim() {
            "all" => optimize(graph, &mut |_, _| {}),
            list => run_named(graph, &list.split(',').map(str::trim).collect::<Vec<_>>(), &mut |_, _| {}),
        };
        result.unwrap_or_else(|e| panic!("{}: {e}", self.name()))
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// All files, by folder and name.
fn files() -> Vec<FileTest> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.sort();
        paths
    };
    let stem = |path: &Path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let mut files = Vec::new();
    for folder in list(&root().join("tests/filetests")) {
        for path in list(&folder) {
            assert!(path.extension().is_some_and(|e| e == "rnc"), "{} is no .rnc file", path.display());
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            files.push(FileTest { folder: stem(&folder), stem: stem(&path), text });
        }
    }
    assert!(!files.is_empty(), "no files in tests/filetests");
    files
}

fn check(file: &FileTest) {
    let before = file.graph();
    verify(&before).unwrap_or_else(|e| panic!("{}: {e}", file.name()));
    assert_prints_and_parses(&before);
    let mut after = before.clone();
    let report = file.run(&mut after);
    assert_prints_and_parses(&after);
    assert_same_numbers(&before, &after);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        let log = if report.log.entries().is_empty() { "(nothing)\n".to_owned() } else { report.log.to_string() };
        insta::assert_snapshot!(file.name(), format!("{before}\n==== after ====\n{after}\n==== log ====\n{log}"));
    });
}

/// Printing and parsing gives the same graph and the same text; large constants, which print as a hash, come from the graph.
fn assert_prints_and_parses(graph: &Graph) {
    let text = graph.to_string();
    let constant =
        |name: &str, _: &TensorType, _: u64| graph.find(name).and_then(|id| graph.node(id).constant()).cloned();
    let parsed = parse_with(&text, &constant).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert!(parsed.same(graph), "parsed back differently:\n{text}");
    assert_eq!(parsed.to_string(), text);
}

/// Runs both graphs on the same pseudo-random inputs.
fn assert_same_numbers(before: &Graph, after: &Graph) {
    let inputs: BTreeMap<String, Value> = before
        .inputs()
        .iter()
        .enumerate()
        .map(|(i, id)| (before.node(*id).name().to_owned(), random(before.ty(*id), i as u64)))
        .collect();
    let expected = rnc_reference::run(before, &inputs).unwrap_or_else(|e| panic!("{e}\n{before}"));
    let found = rnc_reference::run(after, &inputs).unwrap_or_else(|e| panic!("{e}\n{after}"));
    assert!(expected.keys().eq(found.keys()), "outputs were {:?}, and are {:?}", expected.keys(), found.keys());
    for (name, expected) in &expected {
        let found = &found[name];
        assert_eq!(expected.ty(), found.ty(), "output {name}");
        let (Some(expected), Some(found)) = (expected.as_f32(), found.as_f32()) else {
            assert_eq!(expected, found, "output {name}");
            continue;
        };
        let largest = expected.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
        for (a, b) in expected.iter().zip(found) {
            let apart = (f64::from(*a) - f64::from(*b)).abs();
            assert!(apart <= TOLERANCE * largest, "output {name}: {a} before, {b} after, largest {largest}\n{after}");
        }
    }
}

/// Values in ±1 (integers: 0 to 9), the same for the same seed.
fn random(ty: &TensorType, seed: u64) -> Value {
    let dims: Vec<usize> = ty.shape.dims().iter().map(|dim| if let Dim::Fixed(n) = dim { *n } else { BATCH }).collect();
    let mut state = seed;
    let mut next = move || {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let count = dims.iter().product();
    let tensor = match ty.dtype {
        DType::F32 => {
            let values: Vec<f32> = (0..count).map(|_| (next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0).collect();
            Tensor::f32(dims, values)
        }
        DType::I64 => Tensor::i64(dims, (0..count).map(|_| (next() % 10) as i64).collect::<Vec<_>>()),
    };
    Value::from(&tensor)
}
