//! `rnc inspect --html`, as far as it can be seen without a browser; `tests/browser/report.py` has one.

mod support;

use std::fs;

use support::{Folder, fixture, rnc};

/// The data that a page holds.
fn data(page: &str) -> serde_json::Value {
    let text = fs::read_to_string(page).unwrap();
    let start = text.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let end = start + text[start..].find("</script>").unwrap();
    serde_json::from_str(&text[start..end]).unwrap()
}

#[test]
fn the_page_of_a_model_has_all_that_the_page_of_its_plan_has_and_how_it_came_to_be() {
    let folder = Folder::new();
    let (of_model, of_plan) = (folder.path("model.html"), folder.path("plan.html"));
    rnc(&["inspect", &fixture().model, "--html", &of_model]).succeeds();
    rnc(&["inspect", &fixture().plan, "--html", &of_plan]).succeeds();
    let (model, plan) = (data(&of_model), data(&of_plan));
    assert_eq!(model["report"], plan["report"]);
    let boxes = |page: &serde_json::Value, graph: &str| page[graph]["nodes"].as_array().unwrap().len();
    for graph in ["imported", "optimized"] {
        assert_eq!(boxes(&model, graph), boxes(&plan, graph));
    }
    assert!(plan["passes"].is_null() && model["profile"].is_null());
    let applied = |entry: &&serde_json::Value| entry["applied"] == true && entry["pass"] == "fuse_residual_add";
    assert_eq!(model["passes"]["log"].as_array().unwrap().iter().filter(applied).count(), 8);
}

#[test]
fn a_profile_has_a_time_for_each_step() {
    let folder = Folder::new();
    let page = folder.path("page.html");
    let threads = ["--threads", "1", "--runs", "3"];
    rnc(&[&["inspect", &fixture().plan, "--html", &page, "--profile"], threads.as_slice()].concat()).succeeds();
    let page = data(&page);
    let steps = page["profile"]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), page["report"]["steps"].as_array().unwrap().len());
    assert!(steps.iter().all(|step| step["median_us"].as_f64().unwrap() > 0.0));
    assert_eq!(page["profile"]["threads"], 1);
}

#[test]
fn refuses_to_write_over_what_it_reads_and_a_profile_without_a_page() {
    let folder = Folder::new();
    let model = folder.path("model.onnx");
    fs::copy(&fixture().model, &model).unwrap();
    let before = fs::read(&model).unwrap();
    assert!(rnc(&["inspect", &model, "--html", &model]).exits(2).stderr.contains("would be overwritten"));
    assert_eq!(fs::read(&model).unwrap(), before);
    rnc(&["inspect", &model, "--profile"]).exits(2);
    rnc(&["inspect", &model, "--html", &folder.path("x.html"), "--json"]).exits(2);
    assert_eq!(folder.files(), ["model.onnx"]);
}
