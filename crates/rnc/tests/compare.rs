//! `rnc compare`, driven as a user does.

mod support;

use std::fs::{self, File};

use ndarray_npy::{NpzWriter, write_npy};
use rnc_reference::Value;
use support::{Folder, SIZE, fixture, images, rnc, supported};

/// Two convolutions, of which the second has weights of the given seed, and a head.
fn network(seed: u32) -> String {
    format!(
        "graph @net(%x: f32[N,3,12,12]) -> (%y) {{
           @w1 = random(1) : f32[20,3,3,3]
           @w2 = random({seed}) : f32[32,20,3,3]
           @w3 = random(3) : f32[10,32]
           %first = conv2d(%x, @w1) {{pad=1}}
           %hidden = relu(%first)
           %second = conv2d(%hidden, @w2) {{pad=1, stride=2}}
           %gate = sigmoid(%second)
           %gated = mul(%second, %gate)
           %mean = global_average_pool(%gated)
           %flat = reshape(%mean) {{shape=[N,32]}}
           %y = gemm(%flat, @w3) {{trans_b=true}}
         }}"
    )
}

#[test]
fn every_value_of_a_model_agrees_on_every_instruction_set_and_any_batch() {
    for isa in supported() {
        for batch in ["1", "3"] {
            let run = rnc(&["compare", &fixture().model, "--isa", &isa, "--batch", batch, "--json"]).succeeds().json();
            let values = run["values"].as_array().unwrap();
            let names: Vec<_> = values.iter().map(|value| value["name"].as_str().unwrap()).collect();
            assert!(names.contains(&"layer1.0.relu") && names.last() == Some(&"logits"), "{names:?}");
            assert!(run["first_beyond"].is_null());
        }
    }
}

#[test]
fn a_plan_that_computes_something_else_is_found_at_the_layer_where_it_begins() {
    let folder = Folder::new();
    let (right, wrong, plan) = (folder.path("right.rnc"), folder.path("wrong.rnc"), folder.path("wrong.plan"));
    fs::write(&right, network(2)).unwrap();
    fs::write(&wrong, network(4)).unwrap();
    rnc(&["compile", &wrong, "-o", &plan]).succeeds();
    rnc(&["compare", &plan, "--model", &wrong]).succeeds();
    let run = rnc(&["compare", &plan, "--model", &right]).exits(4);
    assert!(run.stderr.contains("`second` is off by") || run.stderr.contains("`gated` is off by"), "{}", run.stderr);
    let marked: Vec<_> = run.stdout.lines().filter(|line| line.contains("← first beyond the tolerance")).collect();
    assert_eq!(marked.len(), 1, "{}", run.stdout);
    assert!(run.stdout.lines().any(|line| line.contains("hidden") && !line.contains('←')), "{}", run.stdout);
    rnc(&["compare", &plan, "--model", &right, "--tolerance", "1e9"]).succeeds();
}

#[test]
fn values_of_another_program_are_compared_by_their_names() {
    let folder = Folder::new();
    let (input, tensors) = (folder.path("x.npy"), folder.path("values.npz"));
    let x = images(2, 5);
    write_npy(&input, &x).unwrap();
    let inputs = [("input".to_owned(), Value::from(x))].into();
    let values = rnc_reference::run_all(&fixture().graph, &inputs).unwrap();
    let graph = &fixture().graph;
    let value = |name: &str| values[&graph.find(name).unwrap()].as_f32().unwrap().clone();
    let write = |arrays: &[(&str, ndarray::ArrayD<f32>)]| {
        let mut npz = NpzWriter::new(File::create(&tensors).unwrap());
        for (name, array) in arrays {
            npz.add_array(*name, array).unwrap();
        }
        npz.finish().unwrap();
    };
    let compare = ["compare", &fixture().plan, "--input", &input, "--tensors", &tensors];

    write(&[("maxpool", value("maxpool")), ("layer2.0.relu", value("layer2.0.relu")), ("unknown", value("maxpool"))]);
    let run = rnc(&compare).succeeds();
    assert_eq!(run.stdout.lines().count(), 3, "{}", run.stdout);
    assert!(run.stderr.contains("not compared"), "{}", run.stderr);

    let mut wrong = value("maxpool");
    wrong[[1, 3, 0, 0]] = f32::NAN;
    write(&[("maxpool", wrong), ("layer2.0.relu", value("layer2.0.relu"))]);
    assert!(rnc(&compare).exits(4).stderr.contains("`maxpool`"));

    write(&[("unknown", value("maxpool"))]);
    assert!(rnc(&compare).exits(1).stderr.contains("no value with the name"));
}

#[test]
fn refuses_what_cannot_be_compared() {
    let folder = Folder::new();
    let (model, plan) = (&fixture().model, &fixture().plan);
    assert!(rnc(&["compare", plan]).exits(2).stderr.contains("holds no values that are right"));
    rnc(&["compare", plan, "--model", model, "--tensors", "x.npz"]).exits(2);
    rnc(&["compare", model, "--batch", "0"]).exits(2);
    assert!(rnc(&["compare", plan, "--model", model, "--exact"]).exits(2).stderr.contains("when it was made"));
    rnc(&["compare", model, "--dim", "N=2"]).succeeds();
    rnc(&["compare", model, "--dim", "N=2", "--batch", "3"]).exits(1);
    let small = folder.path("small.npy");
    write_npy(&small, &ndarray::Array4::<f32>::zeros((1, 3, SIZE / 2, SIZE))).unwrap();
    assert!(rnc(&["compare", model, "--input", &small]).exits(1).stderr.contains("`input`"));
}
