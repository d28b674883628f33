//! Every command that the documentation shows works: what stands in its `sh` blocks is executed, in the order in which it stands there.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Folder, of_nobody};

/// Commands that are not executed here, by how they start, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo build", "what the tests run is built"),
    ("cargo test", "it is the test suite"),
    ("cargo fmt", "CI does"),
    ("cargo clippy", "CI does"),
    ("cargo bench", "takes minutes; the benches are built by the test suite"),
    ("cargo fuzz", "needs a nightly compiler; the same mutators run in tests/fuzz.rs"),
    ("cargo +nightly", "needs a nightly compiler"),
    ("MIRIFLAGS=", "needs a nightly compiler"),
    ("export RUSTFLAGS=", "belongs to a command for a nightly compiler"),
    ("INSTA_UPDATE=always", "changes snapshots"),
    ("rm -f snapshots/", "changes snapshots"),
    ("python3 -m pip install", "needs the network; CI does"),
    ("pip install", "needs the network; CI does"),
    ("models/fetch.sh", "needs the network; CI does"),
    ("tests/ort/", "needs ONNX Runtime; CI does, with --quick"),
    ("python3 benches/peers/bench.py", "installs other runtimes"),
    ("cargo run --release -p rnc-tests --example onnx_backend", "needs ONNX's tests; CI does"),
    ("cargo run --release -p rnc-tests --example random_programs", "takes hours; tests/random.rs runs 300 programs"),
    (
        "cargo run --release -p rnc-tests --example fuzz_mutants",
        "takes ten minutes; tests/fuzz.rs runs some thousand mutants",
    ),
    ("cargo run --release -p rnc-tests --example fuzz_seeds", "writes a corpus for cargo fuzz"),
    ("cargo run --release -p rnc-codegen --example layers", "takes minutes"),
    ("cargo run --release -- opt tests/filetests/fuse_hard_swish", "the files of an example that is told, not kept"),
];

/// Programs that not every machine has.
const OPTIONAL: &[&str] = &["dot", "perf", "gdb", "mdbook"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All pages that show commands.
fn pages() -> Vec<String> {
    let mut pages =
        ["README.md", "models/README.md", "tests/ort/README.md", "benches/peers/README.md"].map(str::to_owned).to_vec();
    let docs =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    pages.extend(
        docs.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
            .map(|name| format!("docs/{name}")),
    );
    pages.sort();
    pages
}

/// The lines of a page's `sh` blocks.
fn commands(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut shell = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            shell = language == "sh";
        } else if shell && !line.trim().is_empty() {
            commands.push(line.to_owned());
        }
    }
    commands
}

fn is_elsewhere(command: &str) -> bool {
    ELSEWHERE.iter().any(|(start, _)| command.starts_with(start))
}

/// Whether a program that the command needs is missing.
fn lacks(command: &str) -> bool {
    let words = || command.split(|c: char| c.is_whitespace() || c == '|');
    let missing = |program: &&&str| {
        words().any(|word| word == **program) && !Command::new("which").arg(program).output().unwrap().status.success()
    };
    OPTIONAL.iter().find(missing).is_some()
}

/// What the pages' commands find where they run: the project's folders, photographs, a model.
fn workplace() -> Folder {
    let folder = Folder::new();
    for name in ["models", "tests", "crates", "docs", "book.toml"] {
        std::os::unix::fs::symlink(root().join(name), folder.path(name)).unwrap();
    }
    for (i, class) in ["tabby", "beagle"].into_iter().enumerate() {
        fs::create_dir_all(folder.path(&format!("photos/{class}"))).unwrap();
        for n in 0..3u32 {
            let pixel =
                |x: u32, y: u32| image::Rgb([(x + n * 40) as u8, (y * (i as u32 + 1)) as u8, (x * y / 300) as u8]);
            let photo = image::RgbImage::from_fn(320, 240, pixel);
            photo.save(folder.path(&format!("photos/{class}/{n}.png"))).unwrap();
        }
    }
    // Decoders look at what is in a file, not at its name.
    fs::copy(folder.path("photos/tabby/0.png"), folder.path("photo.jpg")).unwrap();
    fs::copy(folder.path("photos/beagle/0.png"), folder.path("photos/beagle/3.jpg")).unwrap();
    folder
}

/// A command line as it is run here: with the programs that are built already.
fn localized(command: &str) -> String {
    let built = Path::new(support::RNC).parent().unwrap().display().to_string();
    let line = command.replace("cargo run --release -- ", "rnc ").replace("target/release/rnc ", "rnc ");
    match line.split_once("--example ") {
        Some((_, example)) if line.starts_with("cargo run") => {
            format!("{built}/examples/{}", example.replacen(" -- ", " ", 1))
        }
        _ => line,
    }
}

fn execute(page: &str) {
    let folder = workplace();
    let path = format!("{}:{}", Path::new(support::RNC).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let commands: Vec<String> =
        commands(page).into_iter().filter(|command| !is_elsewhere(command) && !lacks(command)).collect();
    if commands.iter().any(|command| command.contains("resnet50."))
        && !commands.iter().any(|command| command.contains("zoo resnet50"))
    {
        support::rnc(&["zoo", "resnet50", "-o", &folder.path("resnet50.onnx")]).succeeds();
    }
    for command in commands {
        let line = localized(&command);
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &line]).current_dir(folder.path(".")).env("PATH", &path);
        let run = support::finish(of_nobody(&mut shell));
        assert_eq!(run.code, 0, "{page}: {command}\n--- stdout\n{}\n--- stderr\n{}", run.stdout, run.stderr);
    }
}

#[test]
fn the_commands_of_the_readme_work() {
    execute("README.md");
}

#[test]
fn the_commands_of_the_book_work() {
    for page in pages().iter().filter(|page| *page != "README.md") {
        execute(page);
    }
}

#[test]
fn what_is_not_executed_has_a_reason_that_still_has_a_command() {
    let all: Vec<String> = pages().iter().flat_map(|page| commands(page)).collect();
    for (start, reason) in ELSEWHERE {
        assert!(all.iter().any(|command| command.starts_with(start)), "no page shows `{start}` any more ({reason})");
    }
    assert!(all.iter().filter(|command| !is_elsewhere(command)).count() > 50, "most commands are executed");
}

#[test]
fn commands_stand_in_sh_blocks_where_they_are_found() {
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        let indented = text
            .lines()
            .find(|line| ["    rnc ", "    cargo ", "    python3 "].iter().any(|start| line.starts_with(start)));
        assert_eq!(indented, None, "{page}");
    }
}

#[test]
fn the_book_has_every_page_and_its_links_lead_somewhere() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for page in pages().iter().filter_map(|page| page.strip_prefix("docs/")).filter(|page| *page != "SUMMARY.md") {
        assert!(summary.contains(&format!("({page})")), "docs/SUMMARY.md does not have {page}");
    }
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                assert!(root().join(&page).parent().unwrap().join(file).exists(), "{page} links to {target}");
            }
        }
    }
}
