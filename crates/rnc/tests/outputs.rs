//! `rnc compile --features` and `--outputs`, driven as a user does.

mod support;

use std::fs::File;

use ndarray::ArrayD;
use ndarray_npy::{NpzReader, write_npy};
use rnc_reference::Value;
use support::{CLASSES, Folder, fixture, images, rnc};

/// The outputs of a plan on some images.
fn run(folder: &Folder, plan: &str, x: &ArrayD<f32>) -> Vec<(String, ArrayD<f32>)> {
    let (input, saved) = (folder.path("x.npy"), folder.path("y.npz"));
    write_npy(&input, x).unwrap();
    rnc(&["run", plan, "--input", &input, "--save", &saved]).succeeds();
    let mut npz = NpzReader::new(File::open(&saved).unwrap()).unwrap();
    let names: Vec<String> = npz.names().unwrap();
    names.into_iter().map(|name| (name.clone(), npz.by_name(&name).unwrap())).collect()
}

#[test]
fn features_are_what_the_last_pool_gives_and_other_values_come_by_name() {
    let folder = Folder::new();
    let x = images(2, 9).into_dyn();
    let inputs = [("input".to_owned(), Value::from(x.clone()))].into();
    let values = rnc_reference::run_all(&fixture().graph, &inputs).unwrap();
    let value = |name: &str| values[&fixture().graph.find(name).unwrap()].as_f32().unwrap().clone();
    let near = |found: &ArrayD<f32>, expected: &ArrayD<f32>| {
        assert_eq!(found.shape(), expected.shape());
        let largest = expected.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4 * largest));
    };

    let plan = folder.path("features.plan");
    rnc(&["compile", &fixture().model, "-o", &plan, "--features"]).succeeds();
    let found = run(&folder, &plan, &x);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "features");
    near(&found[0].1, &value("flatten"));

    let plan = folder.path("taps.plan");
    rnc(&["compile", &fixture().model, "-o", &plan, "--outputs", "layer2.0.relu,logits,maxpool"]).succeeds();
    let found = run(&folder, &plan, &x);
    let mut names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["layer2.0.relu", "logits", "maxpool"]);
    for (name, array) in &found {
        match name.as_str() {
            "logits" => assert_eq!(array.shape(), [2, CLASSES]),
            name => near(array, &value(name)),
        }
    }
}

#[test]
fn a_value_that_is_not_there_is_a_usage_error_that_names_some_that_are() {
    let folder = Folder::new();
    let plan = folder.path("x.plan");
    let run = rnc(&["compile", &fixture().model, "-o", &plan, "--outputs", "layer2"]).exits(2);
    assert!(run.stderr.contains("layer2.0.relu1"), "{}", run.stderr);
    rnc(&["compile", &fixture().model, "-o", &plan, "--outputs", "logits", "--features"]).exits(2);
    assert!(folder.files().is_empty());
}
