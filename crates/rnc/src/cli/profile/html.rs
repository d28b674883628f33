//! `rnc profile --html`.

use serde::Serialize;

use super::measure::Profiled;
use super::trace::parts;
use crate::cli::failure::Failure;
use crate::cli::page::Parts;

const PARTS: Parts = Parts {
    style: include_str!("page/style.css"),
    body: include_str!("page/body.html"),
    scripts: &[include_str!("page/profile.js")],
};

#[derive(Serialize)]
struct Page<'a> {
    profile: &'a Profiled,
    spans: Vec<Bar>,
}

/// A thread's part of a step; microseconds.
#[derive(Serialize)]
struct Bar {
    thread: usize,
    step: usize,
    tasks: usize,
    start: f64,
    work: f64,
    wait: f64,
}

/// The page of a profile.
pub(super) fn page(profiled: &Profiled) -> Result<String, Failure> {
    let bars = profiled.spans.iter().map(|span| {
        let [[start, work], [_, wait]] = parts(span);
        Bar { thread: span.thread, step: span.step, tasks: span.tasks, start, work, wait }
    });
    PARTS.page(&Page { profile: profiled, spans: bars.collect() })
}
