//! `rnc bench` and `rnc profile`.

mod support;

use std::fs;

use serde_json::Value;

use support::{Folder, fixture, rnc, rnc_with};

/// Few runs: these tests look at what is said, not at how fast it is.
const SHORT: [&str; 4] = ["--iterations", "6", "--warm-up", "0"];

fn bench(arguments: &[&str]) -> support::Finished {
    rnc(&[&["bench"], arguments, &SHORT].concat())
}

#[test]
fn a_benchmark_has_a_row_for_each_combination_and_every_run_in_it() {
    let json = bench(&[&fixture().plan, "--threads", "1,2", "--batch", "1,3", "--json"]).succeeds().json();
    let rows = json["rows"].as_array().unwrap();
    let combinations: Vec<[u64; 2]> =
        rows.iter().map(|row| [&row["threads"], &row["batch"]].map(|n| n.as_u64().unwrap())).collect();
    assert_eq!(combinations, [[1, 1], [1, 3], [2, 1], [2, 3]]);
    for row in rows {
        let times = row["rounds"].as_array().unwrap().iter().flat_map(|round| round["times_ms"][0].as_array().unwrap());
        let times: Vec<f64> = times.map(|time| time.as_f64().unwrap()).collect();
        assert_eq!(times.len(), 6);
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(row["latency"]["min"].as_f64().unwrap().to_bits(), least.to_bits());
        assert!(row["latency"]["p99"].as_f64() >= row["latency"]["median"].as_f64());
    }
    assert!(json["sessions"][0]["load_ms"][0].as_f64().unwrap() > 0.0);
    let text = bench(&[&fixture().plan, "--threads", "1"]).succeeds();
    assert!(text.stdout.starts_with("threads  batch  runs  min ms  median"), "{}", text.stdout);
    assert!(text.stderr.contains("6 runs are too few for a 99th percentile"), "{}", text.stderr);
}

#[test]
fn benchmarks_are_compared_with_earlier_ones_and_with_plans_that_take_turns() {
    let folder = Folder::new();
    let (plan, old) = (&fixture().plan, folder.path("old.json"));
    fs::write(&old, bench(&[plan, "--threads", "1", "--json"]).succeeds().stdout).unwrap();
    for other in [&old, plan] {
        let json = bench(&[plan, "--threads", "1", "--compare", other, "--json"]).succeeds().json();
        let [comparison] = json["comparisons"].as_array().unwrap().as_slice() else { panic!("{json}") };
        assert_eq!(comparison["interleaved"], Value::from(other == plan));
        assert!(comparison["ratio"].as_f64().unwrap() > 0.0 && comparison["interval"].is_array(), "{comparison}");
    }
    // Nothing is ten times as slow as itself; and a gate without anything to compare with is a mistake.
    bench(&[plan, plan, "--threads", "1", "--fail-if-slower", "900"]).succeeds();
    bench(&[plan, "--fail-if-slower", "5"]).exits(2);
    let run = bench(&[plan, "--threads", "2", "--compare", &old]).exits(1);
    assert!(run.stderr.contains("has no row with threads 2"), "{}", run.stderr);
    assert!(bench(&[plan, "--compare", &fixture().model]).exits(1).stderr.contains("neither a plan nor JSON"));
}

#[test]
fn streams_run_at_the_same_time_and_are_counted_together() {
    let json = bench(&[&fixture().plan, "--threads", "1", "--streams", "2", "--json"]).succeeds().json();
    let row = &json["rows"][0];
    assert_eq!((&row["streams"], &row["runs"]), (&2.into(), &6.into()));
    assert_eq!(row["streams_latency"].as_array().unwrap().len(), 2);
}

#[test]
fn options_are_called_as_in_other_tools_too() {
    let plan = &fixture().plan;
    rnc(&["bench", plan, "--nthreads", "1", "--nstreams", "1", "--niter", "2", "--warmUp", "0", "-b", "2"]).succeeds();
    rnc(&["bench", plan, "--infStreams", "1", "-t", "0.01", "--json"]).succeeds();
}

#[test]
fn a_profile_says_of_each_step_how_long_it_took_and_with_what() {
    let json = rnc(&["profile", &fixture().plan, "--runs", "3", "--threads", "1", "--json"]).succeeds().json();
    let steps = json["steps"].as_array().unwrap();
    let inspected = rnc(&["inspect", &fixture().plan, "--steps", "--json"]).succeeds().json();
    assert_eq!(steps.len(), inspected["steps"].as_array().unwrap().len());
    let share: f64 = steps.iter().map(|step| step["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    assert!(steps.iter().any(|step| step["kind"] == "conv" && step["tile"].is_array()), "{json}");
    let text = rnc(&["profile", &fixture().plan, "--runs", "2", "--top", "3", "--sort", "plan"]).succeeds().stdout;
    assert!(text.contains("\nstep  name") && text.contains("\nkind "), "{text}");
}

#[test]
fn a_plan_for_one_batch_says_so_and_numbers_without_end_are_refused() {
    let folder = Folder::new();
    let plan = folder.path("fixed.plan");
    rnc(&["compile", &fixture().model, "-o", &plan, "--dim", "N=2"]).succeeds();
    for command in ["profile", "bench"] {
        let run = rnc(&[command, &plan, "--batch", "3"]).exits(2);
        assert!(run.stderr.contains("fixed.plan is for a batch of 2 alone, found --batch 3"), "{}", run.stderr);
    }
    rnc(&["profile", &plan, "--runs", "18446744073709551615"]).exits(2);
}

#[test]
fn a_trace_has_a_row_for_each_thread_and_its_events_follow_each_other() {
    let folder = Folder::new();
    let (trace, page) = (folder.path("trace.json"), folder.path("page.html"));
    rnc(&[
        "profile",
        &fixture().plan,
        "--runs",
        "3",
        "--threads",
        "2",
        "--batch",
        "4",
        "--trace",
        &trace,
        "--html",
        &page,
    ])
    .succeeds();
    let json: Value = serde_json::from_str(&fs::read_to_string(&trace).unwrap()).unwrap();
    let events = json["traceEvents"].as_array().unwrap();
    for thread in 0..2 {
        let of_thread = |phase: &'static str| events.iter().filter(move |e| e["ph"] == phase && e["tid"] == thread);
        assert_eq!(of_thread("M").count(), 1);
        let mut last = 0.0;
        for event in of_thread("X") {
            let [start, duration] = [&event["ts"], &event["dur"]].map(|x| x.as_f64().unwrap());
            // Microseconds with three digits behind the point.
            assert!(start >= last - 0.002, "{event}");
            last = start + duration;
        }
        assert!(last > 0.0);
    }
    assert!(fs::read_to_string(&page).unwrap().contains("\"spans\":[{"));
}

#[test]
fn generated_functions_have_names_in_a_perf_map_if_asked_for() {
    let run = |variables: &[(&str, &str)]| {
        let mut command = support::rnc_command(&["profile", &fixture().plan, "--runs", "1", "--json"]);
        let child = command
            .envs(variables.iter().copied())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        let path = format!("/tmp/perf-{}.map", child.id());
        assert!(child.wait().unwrap().success());
        let map = fs::read_to_string(&path);
        drop(fs::remove_file(&path));
        map
    };
    let map = run(&[("RNC_PERF_MAP", "1")]).unwrap();
    assert!(map.lines().any(|line| line.ends_with(" rnc::conv3x3s2.64to128 layer2.0.relu1")), "{map}");
    assert!(map.lines().all(|line| u64::from_str_radix(line.split(' ').next().unwrap(), 16).is_ok()), "{map}");
    assert!(run(&[("RNC_PERF_MAP", "0")]).is_err());
    rnc_with(&["profile", &fixture().plan, "--runs", "1"], &[("RNC_GDB", "1")]).succeeds();
}
