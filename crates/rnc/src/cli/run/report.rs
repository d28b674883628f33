//! What a run prints.

use std::fmt::Write;
use std::time::Duration;

use ndarray::ArrayD;
use rnc::Session;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::say::{self, ms, note};
use super::super::table::{Column, Table};
use super::{Guess, Measured, Run, Statistics};

/// Everything there is to say about a run.
pub(super) struct Report<'a> {
    pub run: &'a Run,
    pub session: &'a Session,
    pub load: Duration,
    pub measured: &'a Measured,
    /// The best classes of each sample, if scores were asked for.
    pub classes: Option<&'a [Vec<Guess>]>,
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
    pub fn print(&self) -> Result<(), Failure> {
        if self.run.json {
            return say::json(&self.json());
        }
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
            Some(classes) => self.classes(classes),
            None => self.outputs(),
        })
    }

    fn json(&self) -> Json<'_> {
        let rows = |classes: &'_ [Vec<Guess>]| classes.len();
        let samples = self
            .classes
            .map(|classes| (0..rows(classes)).map(|i| SampleRow { file: self.file(i), top: &classes[i] }).collect());
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
        self.run.images.get(sample).map(|path| path.display().to_string())
    }

    fn classes(&self, classes: &[Vec<Guess>]) -> String {
        let mut text = String::new();
        for (i, guesses) in classes.iter().enumerate() {
            writeln!(text, "{}", self.file(i).unwrap_or_else(|| format!("sample {i}"))).expect("a string grows");
            text.push_str(&guesses_text(guesses));
        }
        text
    }

    fn outputs(&self) -> String {
        let mut table = Table::new(&[
            Column::Text("output"),
            Column::Text("shape"),
            Column::Number("min"),
            Column::Number("max"),
            Column::Number("mean"),
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
        let label = guess
            .label
            .as_ref()
            .map_or_else(|| format!("class {}", guess.class), |label| format!("{label} ({})", guess.class));
        format!("  {:>6.2} %  {label}\n", guess.probability * 100.0)
    };
    guesses.iter().map(line).collect()
}

impl<'a> OutputRow<'a> {
    fn new(name: &'a str, array: &'a ArrayD<f32>) -> Self {
        let (min, max) = array.iter().fold((f32::NAN, f32::NAN), |(min, max), x| (min.min(*x), max.max(*x)));
        let mean = array.iter().copied().map(f64::from).sum::<f64>() / array.len() as f64;
        Self { name, shape: array.shape(), min, max, mean }
    }
}
