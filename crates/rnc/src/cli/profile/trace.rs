//! A run as a trace: what each thread did when.
//!
//! The format is that of Chromium's *Trace Event Format*, which <https://ui.perfetto.dev>, `chrome://tracing` and Speedscope read. Times are microseconds.

use rnc::Span;
use serde::Serialize;
use serde_json::{Value, json};

use super::measure::Profiled;

/// All events of a run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trace<'a> {
    #[serde(rename = "traceEvents")]
    events: Vec<Event<'a>>,
    display_time_unit: &'static str,
    other_data: Value,
}

#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    /// Category: what viewers can filter and colour by.
    cat: &'a str,
    /// Phase: `X` for an event with a duration, `M` for what is said about a thread.
    ph: &'static str,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    pid: usize,
    tid: usize,
    args: Value,
}

impl<'a> Trace<'a> {
    pub fn new(profiled: &'a Profiled) -> Self {
        let threads = profiled.spans.iter().map(|span| span.thread + 1).max().unwrap_or(0);
        let names = (0..threads).map(|tid| {
            let name = if tid == 0 { "thread 0 (the caller's)".to_owned() } else { format!("thread {tid}") };
            Event {
                name: "thread_name",
                cat: "",
                ph: "M",
                ts: 0.0,
                dur: None,
                pid: 1,
                tid,
                args: json!({ "name": name }),
            }
        });
        let spans = profiled.spans.iter().flat_map(|span| {
            let [work, wait] = parts(span);
            [event(profiled, span, work), waiting(span, wait)]
        });
        Self {
            events: names.chain(spans.flatten()).collect(),
            display_time_unit: "ns",
            other_data: json!({
                "isa": profiled.isa, "batch": profiled.batch, "threads": profiled.threads, "machine": profiled.machine,
            }),
        }
    }
}

/// Start and duration in microseconds: of a span's work, and of its wait.
pub(super) fn parts(span: &Span) -> [[f64; 2]; 2] {
    let us = |from: u64, to: u64| [from as f64 / 1e3, to.saturating_sub(from) as f64 / 1e3];
    [us(span.start, span.end), us(span.end, span.left)]
}

/// A thread's work on a step, if it had some.
fn event<'a>(profiled: &'a Profiled, span: &Span, [ts, dur]: [f64; 2]) -> Option<Event<'a>> {
    let step = profiled.steps.get(span.step).filter(|_| span.tasks > 0)?;
    let args = json!({
        "step": step.index, "kernel": step.kernel, "function": step.function, "tile": step.tile, "tasks": span.tasks,
        "first sample": span.first, "samples": span.samples,
    });
    Some(Event { name: &step.name, cat: step.kind, ph: "X", ts, dur: Some(dur), pid: 1, tid: span.thread, args })
}

fn waiting<'a>(span: &Span, [ts, dur]: [f64; 2]) -> Option<Event<'a>> {
    let args = json!({ "step": span.step });
    let event = Event { name: "wait", cat: "wait", ph: "X", ts, dur: Some(dur), pid: 1, tid: span.thread, args };
    (dur > 0.0).then_some(event)
}
