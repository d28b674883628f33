//! What the documentation quotes is what the files say.

use std::fs;
use std::path::Path;

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
