//! What `rnc inspect` says, as data and as text.

use std::fmt::Write;

use rnc::Plan;
use rnc::image::preset::Spelled;
use rnc::plan::cost::{Cost, cost};
use rnc::plan::{Batch, Operand, Port, Step};
use serde::Serialize;

use super::choices::{self, ChoiceRow};
use super::kernel;
use crate::cli::compile::peak;
use crate::cli::say::size;
use crate::cli::table::{Column, Table};

/// Everything that was asked for. What was not is left out of the JSON.
#[derive(Default, Serialize)]
pub(super) struct Report {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<ChoiceRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Vec<BufferRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ir: Option<String>,
}

/// The file's own header.
#[derive(Serialize)]
pub(super) struct Format {
    pub version: u32,
    pub header_bytes: usize,
    pub data_offset: usize,
    pub data_crc: String,
}

/// A plan in numbers. Bytes and operations are for one sample.
#[derive(Serialize)]
pub(super) struct Summary {
    producer: String,
    /// The machine that times were estimated for.
    machine: String,
    /// The host and instruction set that they were measured on.
    #[serde(skip_serializing_if = "Option::is_none")]
    tuned_on: Option<String>,
    /// Nothing if each run decides.
    batch: Option<usize>,
    inputs: Vec<PortRow>,
    outputs: Vec<PortRow>,
    step_count: usize,
    kernels: String,
    /// What is done to images, as `--preprocess` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    preprocess: Option<String>,
    /// Names of classes that the plan has.
    label_count: usize,
    flops: u64,
    data_bytes: usize,
    arena_bytes: usize,
    arena_lower_bound: usize,
}

/// An input or output; its leading dimension is the batch.
#[derive(Serialize)]
pub(super) struct PortRow {
    name: String,
    dtype: &'static str,
    shape: Vec<serde_json::Value>,
}

/// A step.
#[derive(Serialize)]
pub(super) struct StepRow {
    index: usize,
    name: String,
    kernel: String,
    source: String,
    result: String,
    flops: u64,
    /// Bytes of all operands, weights included.
    bytes: u64,
    /// Floating-point operations a byte.
    intensity: f64,
    weight_bytes: usize,
}

/// A buffer.
#[derive(Serialize)]
pub(super) struct BufferRow {
    index: usize,
    name: String,
    offset: usize,
    bytes: usize,
    first_step: usize,
    last_step: usize,
}

impl Report {
    /// The summary of a plan whose constants have so many bytes.
    pub fn new(plan: &Plan, data_bytes: usize) -> Self {
        let ports = |ports: &[Port]| ports.iter().map(|port| PortRow::new(port, plan.batch)).collect();
        let summary = Summary {
            producer: plan.producer.clone(),
            machine: plan.tuning.machine.clone(),
            tuned_on: plan.tuning.measured.as_ref().map(|measured| format!("{}, {}", measured.host, measured.isa)),
            batch: plan.batch.fixed(),
            inputs: ports(&plan.inputs),
            outputs: ports(&plan.outputs),
            step_count: plan.steps.len(),
            kernels: kernel::counts(plan),
            preprocess: plan.images.preprocess.map(|preprocess| Spelled(preprocess).to_string()),
            label_count: plan.images.labels.len(),
            flops: kernel::flops(plan),
            data_bytes,
            arena_bytes: plan.arena_bytes,
            arena_lower_bound: plan.arena_lower_bound,
        };
        Self { name: plan.name.clone(), plan: Some(summary), ..Self::default() }
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut sections = Vec::new();
        if let Some(plan) = &self.plan {
            sections.push(self.summary(plan));
        }
        if let Some(steps) = &self.steps {
            sections.push(steps_text(steps));
        }
        if let Some(choices) = &self.choices {
            sections.push(choices::text(choices));
        }
        if let Some(buffers) = &self.memory {
            let bounds = self.plan.as_ref().map(|plan| [plan.arena_bytes, plan.arena_lower_bound]);
            sections.push(memory_text(buffers, bounds));
        }
        sections.extend(self.ir.clone());
        sections.join("\n")
    }

    fn summary(&self, plan: &Summary) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| writeln!(text, "{name:<12} {value}").expect("a string grows");
        line("model", &self.name);
        if let Some(format) = &self.format {
            let Format { version, header_bytes, data_offset, data_crc } = format;
            let header = size(*header_bytes);
            line("format", &format!("{version}, header {header}, data at byte {data_offset}, checksum {data_crc}"));
        }
        line("producer", &plan.producer);
        match &plan.tuned_on {
            Some(host) => line("tuned on", host),
            None => line("machine", &format!("{} (estimated)", plan.machine)),
        }
        line("batch", &plan.batch.map_or_else(|| "open: each run decides".to_owned(), |n| n.to_string()));
        plan.inputs.iter().for_each(|port| line("input", &port.text()));
        plan.outputs.iter().for_each(|port| line("output", &port.text()));
        line("steps", &format!("{} ({})", plan.step_count, plan.kernels));
        if let Some(preprocess) = &plan.preprocess {
            line("images", preprocess);
        }
        if plan.label_count > 0 {
            line("labels", &plan.label_count.to_string());
        }
        line("work", &format!("{:.3} GFLOP a sample", plan.flops as f64 / 1e9));
        line("weights", &size(plan.data_bytes));
        line("activations", &peak(plan.arena_bytes, plan.arena_lower_bound));
        text
    }
}

impl PortRow {
    fn new(port: &Port, batch: Batch) -> Self {
        let leading = match batch {
            Batch::Symbolic => Some(serde_json::Value::from("N")),
            Batch::Fixed(n) => Some(n.into()),
            Batch::Single => None,
        };
        let dims = port.dims.iter().map(|dim| (*dim).into());
        Self { name: port.name.clone(), dtype: "f32", shape: leading.into_iter().chain(dims).collect() }
    }

    fn text(&self) -> String {
        let dim = |dim: &serde_json::Value| dim.as_str().map_or_else(|| dim.to_string(), str::to_owned);
        let shape = self.shape.iter().map(dim).collect::<Vec<_>>().join(", ");
        format!("{}: {}[{shape}]", self.name, self.dtype)
    }
}

/// The steps of a plan.
pub(super) fn steps(plan: &Plan) -> Vec<StepRow> {
    let weights = |step: &Step| {
        let constant = |operand: &Operand| match operand {
            Operand::Constant(i) => plan.constants.get(*i).map_or(0, |constant| constant.bytes),
            Operand::Buffer(_) | Operand::Input(_) | Operand::Output(_) => 0,
        };
        step.operands.iter().map(constant).sum()
    };
    let row = |(index, step): (usize, &Step)| {
        let [source, result] = kernel::shapes(&step.kernel);
        let (name, kernel) = (step.name.clone(), kernel::describe(&step.kernel));
        let cost = cost(&step.kernel);
        let Cost { flops, bytes, .. } = cost;
        StepRow {
            index,
            name,
            kernel,
            source,
            result,
            flops,
            bytes,
            intensity: cost.intensity(),
            weight_bytes: weights(step),
        }
    };
    plan.steps.iter().enumerate().map(row).collect()
}

/// The buffers of a plan.
pub(super) fn memory(plan: &Plan) -> Vec<BufferRow> {
    let buffers = plan.buffers.iter().enumerate();
    buffers
        .map(|(index, buffer)| BufferRow {
            index,
            name: buffer.name.clone(),
            offset: buffer.offset,
            bytes: buffer.bytes,
            first_step: buffer.first_step,
            last_step: buffer.last_step,
        })
        .collect()
}

fn steps_text(steps: &[StepRow]) -> String {
    let mut table = Table::new(&[
        Column::number("step"),
        Column::text("name"),
        Column::text("kernel"),
        Column::text("source"),
        Column::text("result"),
        Column::number("MFLOP"),
        Column::number("weights"),
    ]);
    for step in steps {
        table.row([
            step.index.to_string(),
            step.name.clone(),
            step.kernel.clone(),
            step.source.clone(),
            step.result.clone(),
            format!("{:.1}", step.flops as f64 / 1e6),
            if step.weight_bytes == 0 { String::new() } else { size(step.weight_bytes) },
        ]);
    }
    table.render(0)
}

fn memory_text(buffers: &[BufferRow], bounds: Option<[usize; 2]>) -> String {
    let mut table = Table::new(&[
        Column::number("buffer"),
        Column::text("holds first"),
        Column::number("offset"),
        Column::number("bytes"),
        Column::number("from step"),
        Column::number("to step"),
    ]);
    for buffer in buffers {
        let BufferRow { index, name, offset, bytes, first_step, last_step } = buffer;
        let numbers = [offset, bytes, first_step, last_step].map(ToString::to_string);
        table.row([index.to_string(), name.clone()].into_iter().chain(numbers));
    }
    let mut text = table.render(0);
    if let Some([arena, bound]) = bounds {
        text.push_str(&peak(arena, bound));
        text.push('\n');
    }
    text
}
