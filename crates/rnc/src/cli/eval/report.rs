//! What an evaluation says, as text and as data.

use std::fmt::Write;

use rnc::Session;
use serde::Serialize;

use super::super::run::percent;
use super::super::say::printable;
use super::super::table::{Column, Table};
use super::dataset::Dataset;
use super::tally::{ClassCount, Judged, Tally};

/// Most classes whose confusion matrix is printed; of more, the most frequent confusions are.
const MATRIX_CLASSES: usize = 20;
/// Confusions that are printed instead.
const CONFUSIONS: usize = 20;

/// An evaluation.
pub(super) struct Report<'a> {
    pub data: &'a Dataset,
    pub tally: &'a Tally,
    /// Time of all images, with decoding.
    pub seconds: f64,
    pub session: &'a Session,
    /// Mistakes to show.
    pub worst: usize,
}

#[derive(Serialize)]
pub(super) struct Json<'a> {
    model: &'a str,
    isa: &'static str,
    threads: usize,
    images: usize,
    top1: usize,
    top5: usize,
    top1_accuracy: f64,
    top5_accuracy: f64,
    images_per_s: f64,
    classes: Vec<ClassRow<'a>>,
    /// By true class and guess, where there is at least one image.
    confusion: Vec<ConfusionRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<ImageRow>,
}

#[derive(Serialize)]
struct ClassRow<'a> {
    class: usize,
    name: &'a str,
    images: usize,
    top1: usize,
    top5: usize,
    /// Images of any class that were taken for this one.
    guessed: usize,
    recall: Option<f64>,
    precision: Option<f64>,
}

#[derive(Serialize)]
struct ConfusionRow {
    class: usize,
    guess: usize,
    images: usize,
}

#[derive(Serialize)]
pub(super) struct ImageRow {
    file: String,
    class: usize,
    guess: usize,
    rank: usize,
    probability: f64,
    class_probability: f64,
}

impl Report<'_> {
    /// The report as data, with what the model says of every image.
    pub fn json(&self) -> Json<'_> {
        Json { results: self.tally.judged.iter().map(|one| self.image(one)).collect(), ..self.counts() }
    }

    /// The report as data, without the single images.
    pub fn counts(&self) -> Json<'_> {
        let images = self.tally.judged.len();
        let [top1, top5] = [1, 5].map(|k| self.tally.top(k));
        let class = |(class, count): (usize, &ClassCount)| ClassRow {
            class,
            name: self.name(class),
            images: count.images,
            top1: count.right,
            top5: count.top5,
            guessed: count.guessed,
            recall: count.recall(),
            precision: count.precision(),
        };
        Json {
            model: &self.session.plan().name,
            isa: self.session.code().isa().name(),
            threads: self.session.threads(),
            images,
            top1,
            top5,
            top1_accuracy: top1 as f64 / images as f64,
            top5_accuracy: top5 as f64 / images as f64,
            images_per_s: images as f64 / self.seconds,
            classes: self.tally.classes.iter().enumerate().map(class).collect(),
            confusion: self.confusion(),
            results: Vec::new(),
        }
    }

    fn confusion(&self) -> Vec<ConfusionRow> {
        let row = |((class, guess), images): (&(usize, usize), &usize)| ConfusionRow {
            class: *class,
            guess: *guess,
            images: *images,
        };
        self.tally.confusion.iter().map(row).collect()
    }

    /// What the model says of one image.
    pub fn image(&self, one: &Judged) -> ImageRow {
        ImageRow {
            file: self.file(one),
            class: one.truth,
            guess: one.guess,
            rank: one.rank,
            probability: one.probability,
            class_probability: one.truth_probability,
        }
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.summary());
        let mut section =
            |title: &str, table: &Table| write!(text, "\n{title}\n{}", table.render(2)).expect("a string grows");
        section("classes", &self.classes());
        if self.tally.classes.len() <= MATRIX_CLASSES {
            section("confusion: rows are classes, columns what they were taken for", &self.matrix());
        } else {
            section("most frequent confusions", &self.confusions());
        }
        if self.worst > 0 && self.tally.top(1) < self.tally.judged.len() {
            section("worst mistakes: wrong, and most certain of it", &self.mistakes());
        }
        text
    }

    /// The most important numbers, a line each.
    fn summary(&self) -> String {
        let images = self.tally.judged.len();
        let line = |k: usize| {
            let right = self.tally.top(k);
            format!("top-{k}   {right} of {images} ({})", percent(right as f64 / images as f64))
        };
        let (isa, threads) = (self.session.code().isa(), self.session.threads());
        let speed = images as f64 / self.seconds;
        let plural = if threads == 1 { "" } else { "s" };
        format!(
            "{}\n{}\nspeed   {speed:.1} images/s, decoding included; {isa}, {threads} thread{plural}",
            line(1),
            line(5)
        )
    }

    /// What a class is called.
    fn name(&self, class: usize) -> &str {
        self.data.names.get(class).map_or("", String::as_str)
    }

    /// The image that was judged.
    fn file(&self, one: &Judged) -> String {
        self.data.sources[one.source].name()
    }

    fn classes(&self) -> Table {
        let columns = ["images", "top-1", "top-5", "recall", "precision"].map(Column::number);
        let mut table = Table::new(&[[Column::text("class")].as_slice(), &columns].concat());
        let or_none = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
        for (class, count) in self.tally.classes.iter().enumerate().filter(|(_, count)| count.images > 0) {
            let counts = [count.images, count.right, count.top5].map(|n| n.to_string());
            let shares = [count.recall(), count.precision()].map(or_none);
            table.row([self.name(class).to_owned()].into_iter().chain(counts).chain(shares));
        }
        table
    }

    fn matrix(&self) -> Table {
        let columns = self.data.names.iter().map(|name| Column::number(printable(name)));
        let mut table = Table::new(&[Column::text("")].into_iter().chain(columns).collect::<Vec<_>>());
        for class in 0..self.data.names.len() {
            let cell = |guess: usize| {
                self.tally.confusion.get(&(class, guess)).map_or_else(|| "·".to_owned(), ToString::to_string)
            };
            table.row(std::iter::once(self.name(class).to_owned()).chain((0..self.data.names.len()).map(cell)));
        }
        table
    }

    fn confusions(&self) -> Table {
        let mut table = Table::new(&[Column::number("times"), Column::text("class"), Column::text("taken for")]);
        for (truth, guess, n) in self.tally.confused(CONFUSIONS) {
            table.row([n.to_string(), self.name(truth).to_owned(), self.name(guess).to_owned()]);
        }
        table
    }

    fn mistakes(&self) -> Table {
        let mut table = Table::new(&[
            Column::text("image"),
            Column::text("class"),
            Column::number("probability"),
            Column::text("taken for"),
            Column::number("probability"),
        ]);
        for one in self.tally.worst(self.worst) {
            let [truth, guess] = [one.truth, one.guess].map(|class| self.name(class).to_owned());
            table.row([self.file(&one), truth, percent(one.truth_probability), guess, percent(one.probability)]);
        }
        table
    }
}
