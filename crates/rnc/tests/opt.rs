//! `rnc opt`, driven as a user does.

mod support;

use std::fs;

use support::{Folder, fixture, rnc};

/// Names of the passes in `rnc opt --list`, in the order in which they run.
fn listed() -> Vec<String> {
    let list = rnc(&["opt", "--list"]).succeeds().stdout;
    list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn prints_the_optimized_graph_which_inspect_prints_too() {
    let run = rnc(&["opt", &fixture().model]).succeeds();
    let inspect = rnc(&["inspect", &fixture().model, "--ir", "optimized"]).succeeds();
    assert_eq!(run.stdout, inspect.stdout);
    assert!(run.stderr.contains("fold_batchnorm") && !run.stdout.contains("batch_norm"), "{}", run.stdout);
}

#[test]
fn what_it_writes_as_onnx_is_the_same_model_and_has_nothing_left_to_optimize() {
    let folder = Folder::new();
    let (model, plan) = (folder.path("optimized.onnx"), folder.path("optimized.plan"));
    let run = rnc(&["opt", &fixture().model, "-o", &model]).succeeds();
    assert_eq!(run.stdout, "");
    rnc(&["compile", &model, "-o", &plan]).succeeds();
    let steps = |plan: &str| {
        let json = rnc(&["inspect", plan, "--steps", "--json"]).succeeds().json();
        json["steps"].as_array().unwrap().iter().map(|step| step["kernel"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(steps(&plan), steps(&fixture().plan));
    // Fused activations and residuals are nodes of their own in ONNX; nothing else is left.
    let again = rnc(&["opt", &model, "--explain"]).succeeds().stderr;
    let fused = |line: &str| line.starts_with("fuse_activation: ") || line.starts_with("fuse_residual_add: ");
    let others: Vec<_> = again.lines().filter(|line| line.contains(": applied: ") && !fused(line)).collect();
    assert_eq!(others, Vec::<&str>::new());
}

#[test]
fn runs_the_passes_it_is_told_in_that_order() {
    let passes = "fuse_activation,fold_batchnorm";
    let run = rnc(&["opt", &fixture().model, "--passes", passes, "--explain"]).succeeds();
    assert!(run.stderr.contains("fold_batchnorm: %"), "{}", run.stderr);
    assert!(!run.stdout.contains("batch_norm") && run.stdout.contains("= relu("), "{}", run.stdout);
    let until = rnc(&["opt", &fixture().model, "--passes", passes, "--until", "fuse_activation"]).succeeds();
    assert!(until.stdout.contains("batch_norm"), "{}", until.stdout);
}

#[test]
fn emits_the_graph_after_each_pass() {
    let folder = Folder::new();
    let (stages, last) = (folder.path("a/stages"), folder.path("last.rnc"));
    rnc(&["opt", &fixture().model, "--emit-each", &stages, "-o", &last]).succeeds();
    let mut names: Vec<_> =
        fs::read_dir(&stages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = ["imported".to_owned()].into_iter().chain(listed()).enumerate();
    assert_eq!(names, expected.map(|(i, pass)| format!("{i:02}-{pass}.rnc")).collect::<Vec<_>>());
    let text = |name: &str| fs::read_to_string(format!("{stages}/{name}")).unwrap();
    assert_eq!(text(&names[0]), rnc(&["inspect", &fixture().model, "--ir", "imported"]).succeeds().stdout);
    assert_eq!(text(names.last().unwrap()), fs::read_to_string(&last).unwrap());
}

#[test]
fn optimizes_a_graph_in_the_text_syntax() {
    let folder = Folder::new();
    let file = folder.path("gate.rnc");
    fs::write(&file, "graph @gate(%x: f32[N,4]) -> (%m) { %s = sigmoid(%x) %m = mul(%x, %s) }").unwrap();
    let run = rnc(&["opt", &file, "--passes", "fuse_silu"]).succeeds();
    assert!(run.stdout.contains("%m = silu(%x)"), "{}", run.stdout);
    // ONNX has no silu before opset 24: it is two nodes there.
    rnc(&["opt", &file, "-o", &folder.path("gate.onnx")]).succeeds();
    assert!(
        rnc(&["opt", &folder.path("gate.onnx"), "--until", "eliminate_dead"]).succeeds().stdout.contains("sigmoid")
    );
}

#[test]
fn refuses_what_makes_no_sense_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let (model, out) = (&fixture().model, folder.path("out.onnx"));
    for (arguments, part) in [
        (vec!["opt", model, "--passes", "fold_pad,fold_bn"], "there is no pass `fold_bn`"),
        (vec!["opt", model, "--passes", "fold_pad", "--until", "fuse_silu"], "not among the passes that are to run"),
        (vec!["opt", model, "-o", "model.plan"], "neither in .onnx nor in .rnc"),
        (vec!["opt", model, "-o", model], "would be overwritten"),
        (vec!["opt"], "required"),
        (vec!["opt", "--list", "--until", "fold_pad"], "cannot be used with"),
        (vec!["opt", model, "-o", &out, "--dim", "B=2"], "`B`"),
    ] {
        let run = rnc(&arguments).exits(2);
        assert!(run.stderr.contains(part), "no {part:?} in:\n{}", run.stderr);
    }
    assert!(!fs::exists(&out).unwrap());
    let occupied = folder.path("occupied");
    fs::write(&occupied, "").unwrap();
    assert!(rnc(&["opt", model, "--emit-each", &occupied, "-o", &out]).exits(1).stderr.contains("occupied"));
    assert!(!fs::exists(&out).unwrap());
}
