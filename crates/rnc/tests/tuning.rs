//! `rnc compile --tune` and `rnc calibrate`, driven as a user does.

mod support;

use std::fs;

use ndarray_npy::write_npy;
use support::{Finished, Folder, choices, fixture, images, rnc, rnc_with, supported};

/// Runs with a home of the test's own.
fn at_home(folder: &Folder, arguments: &[&str]) -> Finished {
    let home = folder.path("home");
    rnc_with(arguments, &[("XDG_CONFIG_HOME", &home), ("XDG_CACHE_HOME", &home)])
}

#[test]
fn a_tuned_plan_says_where_and_computes_the_same_and_the_second_time_nothing_is_measured() {
    let folder = Folder::new();
    let [first, second] = ["first.plan", "second.plan"].map(|name| folder.path(name));
    at_home(&folder, &["compile", &fixture().model, "-o", &first, "--tune"]).succeeds();
    at_home(&folder, &["compile", &fixture().model, "-o", &second, "--tune"]).succeeds();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap(), "times were not remembered");
    let best = supported().last().unwrap().clone();
    let tuned_on =
        rnc(&["inspect", &first, "--json"]).succeeds().json()["plan"]["tuned_on"].as_str().unwrap().to_owned();
    assert!(tuned_on.ends_with(&best), "{tuned_on}");
    for choice in choices(&first) {
        let chosen = &choice["candidates"][0];
        assert!(chosen["measured_us"].as_f64().is_some_and(|time| time > 0.0), "{choice}");
    }

    // On the instruction set that it was tuned for, and on others.
    let (x, expected) = (folder.path("x.npy"), folder.path("expected.npz"));
    write_npy(&x, &images(2, 3)).unwrap();
    rnc(&["run", &fixture().plan, "--input", &x, "--save", &expected]).succeeds();
    for isa in supported() {
        rnc(&["run", &first, "--input", &x, "--expect", &expected, "--isa", &isa]).succeeds();
    }
}

#[test]
fn a_calibration_is_used_until_it_is_unreadable() {
    let folder = Folder::new();
    let answer = at_home(&folder, &["calibrate", "--json"]).succeeds().json();
    assert!(answer["gflops"].as_f64().unwrap() > 0.1 && answer["memory_gb_per_s"].as_f64().unwrap() > 0.1, "{answer}");
    let file = answer["file"].as_str().unwrap();
    assert!(file.starts_with(&folder.path("home")), "{file}");

    let plan = folder.path("x.plan");
    at_home(&folder, &["compile", &fixture().model, "-o", &plan]).succeeds();
    let inspect = rnc(&["inspect", &plan, "--json"]).succeeds().json();
    assert_eq!(inspect["plan"]["machine"], answer["machine"]);

    fs::write(file, "nonsense").unwrap();
    let refused = at_home(&folder, &["compile", &fixture().model, "-o", &plan]).exits(1);
    assert!(refused.stderr.contains(file) && refused.stderr.contains("rnc calibrate"), "{}", refused.stderr);
}
