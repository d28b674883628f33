//! What a run prints.

use std::time::Duration;

use ndarray::ArrayD;
use rnc::Session;
use rnc::classes::Guess;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::say::{self, ms, note, printable};
use super::super::table::{Column, Table};
use super::{Measured, Statistics};

/// Everything there is to say about a run.
pub(super) struct Report<'a> {
    pub session: &'a Session,
    pub load: Duration,
    pub measured: &'a Measured,
    /// By sample: the image's name; empty for tensors.
    pub names: &'a [String],
    /// The best classes of each sample, if scores were asked for.
    pub classes: Option<&'a [Vec<Guess>]>,
}

/// How to print.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Text,
    Json,
    Csv,
}

#[derive(Serialize)]
struct Json<'a> {
    model: &'a str,
    isa: &'static str,
    threads: usize,
    batch: usize,
    load_ms: f64,
    first_ms: f64,
    times_ms: Vec<f64>,
    #[serde(flatten)]
    statistics: Option<Statistics>,
    outputs: Vec<OutputRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<Vec<SampleRow<'a>>>,
}

/// An output in numbers. Those of an output without a finite element are null.
#[derive(Serialize)]
struct OutputRow<'a> {
    name: &'a str,
    shape: &'a [usize],
    min: f32,
    max: f32,
    mean: f64,
}

#[derive(Serialize)]
struct SampleRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    top: &'a [Guess],
}

impl Report<'_> {
    /// Prints the report as asked for: JSON, or times for people and results as text.
    pub fn print(&self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Text => self.text(),
            Format::Json => say::json(&self.json()),
            Format::Csv => say::data(&self.csv()?),
        }
    }

    fn text(&self) -> Result<(), Failure> {
        let Measured { batch, first, .. } = self.measured;
        let (isa, threads) = (self.session.code().isa(), self.session.threads());
        note(format!(
            "loaded in {:.1} ms; {isa}, {threads} thread{}",
            ms(self.load),
            if threads == 1 { "" } else { "s" }
        ));
        note(format!("first run of a batch of {batch}: {:.2} ms", ms(*first)));
        if let Some(Statistics { min_ms, median_ms, gflops }) = self.measured.statistics(self.session) {
            let runs = self.measured.times.len();
            note(format!(
                "{runs} runs: median {median_ms:.2} ms, min {min_ms:.2} ms; {gflops:.1} GFLOP/s at the median"
            ));
        }
        say::data(&match self.classes {
            Some(classes) => self.classes(classes).render(0),
            None => self.outputs(),
        })
    }

    fn json(&self) -> Json<'_> {
        let samples = self
            .classes
            .map(|classes| (0..classes.len()).map(|i| SampleRow { file: self.file(i), top: &classes[i] }).collect());
        Json {
            model: &self.session.plan().name,
            isa: self.session.code().isa().name(),
            threads: self.session.threads(),
            batch: self.measured.batch,
            load_ms: ms(self.load),
            first_ms: ms(self.measured.first),
            times_ms: self.measured.times.iter().copied().map(ms).collect(),
            statistics: self.measured.statistics(self.session),
            outputs: self.measured.outputs.iter().map(|(name, array)| OutputRow::new(name, array)).collect(),
            samples,
        }
    }

    fn file(&self, sample: usize) -> Option<String> {
        self.names.get(sample).cloned()
    }

    /// A row a guess, with the sample's name in the first.
    fn classes(&self, classes: &[Vec<Guess>]) -> Table {
        let first = if self.names.is_empty() { "sample" } else { "image" };
        let columns =
            [Column::text(first), Column::number("probability"), Column::number("class"), Column::text("label")];
        let labels = classes.iter().flatten().any(|guess| guess.label.is_some());
        let mut table = Table::new(if labels { &columns } else { &columns[..3] });
        for (i, guesses) in classes.iter().enumerate() {
            for (rank, guess) in guesses.iter().enumerate() {
                let name = if rank == 0 { self.file(i).unwrap_or_else(|| i.to_string()) } else { String::new() };
                let label = guess.label.clone();
                table.row([name, percent(guess.probability), guess.class.to_string()].into_iter().chain(label));
            }
        }
        table
    }

    fn csv(&self) -> Result<String, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::failed(format!("cannot write CSV: {error}"));
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["file", "rank", "class", "label", "probability"]).map_err(|error| broken(&error))?;
        for (i, guesses) in self.classes.unwrap_or_default().iter().enumerate() {
            let name = self.file(i).unwrap_or_else(|| i.to_string());
            for (rank, guess) in guesses.iter().enumerate() {
                let label = guess.label.clone().unwrap_or_default();
                let numbers = [(rank + 1).to_string(), guess.class.to_string()];
                let [rank, class] = &numbers;
                let record = [&name, rank, class, &label, &format!("{:.6}", guess.probability)];
                csv.write_record(record).map_err(|error| broken(&error))?;
            }
        }
        let bytes = csv.into_inner().map_err(|error| broken(&error))?;
        String::from_utf8(bytes).map_err(|error| broken(&error))
    }

    fn outputs(&self) -> String {
        let mut table = Table::new(&[
            Column::text("output"),
            Column::text("shape"),
            Column::number("min"),
            Column::number("max"),
            Column::number("mean"),
        ]);
        for (name, array) in &self.measured.outputs {
            let OutputRow { name, shape, min, max, mean } = OutputRow::new(name, array);
            let numbers = [f64::from(min), f64::from(max), mean].map(|x| format!("{x:.6}"));
            table.row([name.to_owned(), format!("{shape:?}")].into_iter().chain(numbers));
        }
        table.render(0)
    }
}

/// Classes and their probabilities, one a line.
pub(crate) fn guesses_text(guesses: &[Guess]) -> String {
    let line = |guess: &Guess| {
        let label = guess.label.as_deref().map_or_else(
            || format!("class {}", guess.class),
            |label| format!("{} ({})", printable(label), guess.class),
        );
        format!("  {:>8}  {label}\n", percent(guess.probability))
    };
    guesses.iter().map(line).collect()
}

pub(crate) fn percent(probability: f64) -> String {
    format!("{:.2} %", probability * 100.0)
}

impl<'a> OutputRow<'a> {
    fn new(name: &'a str, array: &'a ArrayD<f32>) -> Self {
        let (min, max) = array.iter().fold((f32::NAN, f32::NAN), |(min, max), x| (min.min(*x), max.max(*x)));
        let mean = array.iter().copied().map(f64::from).sum::<f64>() / array.len() as f64;
        Self { name, shape: array.shape(), min, max, mean }
    }
}
