//! What the documentation quotes is what the files say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// How many of ONNX's backend tests that pass have an operator in their model, and the one with the fewest others.
fn proofs(manifest: &str) -> BTreeMap<&str, (usize, (usize, &str))> {
    let mut proofs: BTreeMap<&str, (usize, (usize, &str))> = BTreeMap::new();
    for line in manifest.lines() {
        let mut columns = line.split('\t');
        let (Some(test), Some("passes"), Some(_), Some(operators)) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let others = operators.split(',').count();
        for operator in operators.split(',') {
            let (count, simplest) = proofs.entry(operator).or_insert((0, (usize::MAX, "")));
            *count += 1;
            *simplest = (*simplest).min((others, test));
        }
    }
    proofs
}

/// The table of operators as the importer and the manifest have it.
fn operators() -> String {
    let manifest = read("tests/backend/manifest.tsv");
    let proofs = proofs(&manifest);
    let mut table = String::from(
        "| ONNX operator | operands and attributes | refused | in the graph | backend tests |\n|---|---|---|---|---|\n",
    );
    for operator in rnc_onnx::OPERATORS {
        let rnc_onnx::Operator { name, takes, refuses, becomes, .. } = operator;
        let proof = proofs.get(name).map_or_else(String::new, |(count, (_, test))| {
            format!("{count}: {}{}", test.split('/').nth(1).unwrap_or(test), if *count > 1 { ", …" } else { "" })
        });
        writeln!(table, "| `{name}` | {takes} | {refuses} | {becomes} | {proof} |").expect("a string grows");
    }
    table
}

/// Fails if what a page has between two marks is not this; with `RNC_BLESS`, it is after that.
#[track_caller]
fn page_has(path: &str, [begin, end]: [&str; 2], text: &str) {
    let page = read(path);
    let [begin, end] = [begin, end].map(|mark| page.find(mark).expect("the page has both marks"));
    let begin = begin + page[begin..].find('\n').expect("a line") + 1;
    let fresh = format!("{}\n{text}\n{}", &page[..begin], &page[end..]);
    if std::env::var_os("RNC_BLESS").is_some() {
        fs::write(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path), &fresh).expect("it can be written");
    }
    let stale = "is stale: RNC_BLESS=1 cargo test --release -p rnc-tests --test docs";
    assert!(fresh == read(path), "{path} {stale}");
}

#[test]
fn the_table_of_operators_is_the_importers() {
    page_has("docs/operators.md", ["<!-- operators: ", "<!-- end of operators -->"], &operators());
}

/// What the runtime is linked with, by the names of the crates that are not rnc's.
fn crates_of_the_runtime() -> Vec<String> {
    let arguments = ["tree", "-p", "rnc-runtime", "-e", "normal,no-proc-macro", "--target", "x86_64-unknown-linux-gnu"];
    let tree = Command::new(env!("CARGO")).args(arguments).args(["--prefix", "none", "--locked"]).output();
    let tree = String::from_utf8(tree.expect("cargo runs").stdout).expect("names");
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let names: BTreeSet<&str> = names.filter(|name| !name.is_empty() && !name.starts_with("rnc-")).collect();
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_crates_of_the_runtime_are_those_that_the_page_has() {
    let crates = crates_of_the_runtime();
    assert!(crates.len() > 20, "cargo tree gave {crates:?}");
    let text = format!("{} crates: {}.\n", crates.len(), crates.join(", "));
    page_has("docs/reliability.md", ["<!-- crates of the runtime: ", "<!-- end of crates -->"], &text);
}

fn read(path: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code blocks of a language in a Markdown text.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    // Fences stand at the start of a line; those inside of a comment do not.
    let fence = format!("\n```{language}\n");
    let ends = |rest: &'t str| &rest[..rest.find("\n```").map_or(rest.len(), |end| end + 1)];
    text.split(fence.as_str()).skip(1).map(ends).collect()
}

#[test]
fn the_pass_of_adding_a_pass_is_the_one_in_the_tree() {
    let page = read("docs/adding-a-pass.md");
    let rust = blocks(&page, "rust");
    assert_eq!(format!("{}\n{}", rust[0], rust[1]), read("crates/rnc-passes/src/fuse_hard_swish.rs"));
    assert!(read("crates/rnc-passes/src/lib.rs").contains(rust[2]));
    assert!(read("crates/rnc-passes/src/pipeline.rs").contains(rust[3]));
    let text = blocks(&page, "text");
    for file in ["both_orders", "refusals"] {
        let test = read(&format!("tests/filetests/fuse_hard_swish/{file}.rnc"));
        assert!(text.contains(&test.as_str()), "{file}.rnc is not as the page has it");
        let snapshot = read(&format!("snapshots/fuse_hard_swish__{file}.snap"));
        let log = snapshot.split("==== log ====\n").nth(1).expect("a log");
        assert!(text.iter().any(|block| block.ends_with(log)), "the log of {file} is not as the page has it");
    }
}
