//! `rnc inspect`, driven as a user does.

mod support;

use std::fs;

use support::{Folder, choices, fixture, rnc};

fn is_convolution(kernel: &serde_json::Value) -> bool {
    let kernel = kernel.as_str().unwrap();
    ["conv ", "winograd ", "strassen "].iter().any(|kind| kernel.starts_with(kind))
}

#[test]
fn inspect_shows_plan_and_model_as_text_and_json() {
    let plan = rnc(&["inspect", &fixture().plan, "--steps", "--memory"]).succeeds().stdout;
    for part in [
        "batch        open",
        "input: f32[N, 3, 32, 32]",
        "logits: f32[N, 10]",
        "conv 7×7/2 relu",
        "lower bound",
        "from step",
    ] {
        assert!(plan.contains(part), "no {part:?} in:\n{plan}");
    }
    let [from_plan, from_model] = [&fixture().plan, &fixture().model]
        .map(|file| rnc(&["inspect", file, "--steps", "--memory", "--ir", "optimized", "--json"]).succeeds().json());
    for part in ["plan", "steps", "memory", "ir"] {
        assert!(!from_plan[part].is_null(), "no {part}");
        assert_eq!(from_plan[part], from_model[part], "{part}");
    }
    assert_eq!((&from_plan["format"]["version"], &from_model["format"]), (&6.into(), &serde_json::Value::Null));
    let steps = from_plan["steps"].as_array().unwrap();
    assert_eq!(steps.len() as u64, from_plan["plan"]["step_count"].as_u64().unwrap());
    assert_eq!(steps.iter().filter(|step| is_convolution(&step["kernel"])).count(), 20);

    for when in ["imported", "optimized"] {
        let [plan, model] =
            [&fixture().plan, &fixture().model].map(|file| rnc(&["inspect", file, "--ir", when]).succeeds().stdout);
        assert_eq!(plan, model);
        assert_eq!(plan.matches("batch_norm(").count(), if when == "imported" { 20 } else { 0 });
        assert!(plan.starts_with("graph @resnet18("));
    }
    let folder = Folder::new();
    fs::write(folder.path("bad.rnc"), "graph @g(%x: f32[N,2]) -> (%y) { %y = rely(%x) }").unwrap();
    let run = rnc(&["inspect", &folder.path("bad.rnc")]).exits(1);
    assert!(run.stderr.contains("bad.rnc: line 1, column") && run.stderr.contains("`rely`"), "{}", run.stderr);
}

#[test]
fn inspect_says_what_each_convolution_was_chosen_from_and_how_exact_it_is() {
    let choices = choices(&fixture().plan);
    assert_eq!(choices.len(), 20);
    for choice in &choices {
        let candidates = choice["candidates"].as_array().unwrap();
        let times: Vec<f64> = candidates.iter().map(|c| c["estimated_us"].as_f64().unwrap()).collect();
        assert!(times.is_sorted() && times[0] > 0.0, "{choice}");
        assert!(candidates.iter().any(|c| c["name"] == "direct"), "{choice}");
        assert!((0.0..1e-5).contains(&choice["error"].as_f64().unwrap()), "{choice}");
    }
    let text = rnc(&["inspect", &fixture().plan, "--choices"]).succeeds().stdout;
    for part in ["machine      generic (estimated)", "instead of", "winograd F(4×4)"] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn dot_draws_the_graph_of_a_plan_and_of_a_model() {
    let plan = rnc(&["inspect", &fixture().plan, "--dot"]).succeeds().stdout;
    let model = rnc(&["inspect", &fixture().model, "--dot"]).succeeds().stdout;
    assert!(plan.starts_with("digraph ") && plan.ends_with("}\n"), "{plan}");
    let operators = |dot: &str| dot.lines().filter(|line| line.contains("[label=\"conv2d 3×3")).count();
    assert_eq!((operators(&plan), operators(&model)), (16, 16));
    let imported = rnc(&["inspect", &fixture().plan, "--dot", "--ir", "imported"]).succeeds().stdout;
    assert!(imported.contains("batch_norm") && !plan.contains("batch_norm"), "{imported}");
    rnc(&["inspect", &fixture().plan, "--dot", "--json"]).exits(2);
}
