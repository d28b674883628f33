//! `rnc demo`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ndarray::{Array4, ArrayD};
use rnc::classes::best;
use rnc::{CompileOptions, Isa, Source};
use rnc_zoo::ZooOptions;

use super::compile::summary;
use super::failure::Failure;
use super::files;
use super::run::{self, Loaded, Measured, Samples, guesses_text, measure};
use super::say::{ms, note, shell, size};
use super::table::{Column, Table};
use super::tuning;

/// Timed runs at each number of threads.
const ROUNDS: usize = 15;

const EXAMPLES: &str = "\
Examples:
  rnc demo
  rnc demo small --model resnet18 --size 64  another model of the zoo, in another folder";

/// Make ResNet-50, compile it, run it, and show how fast that is.
///
/// Leaves the model, the plan and an input tensor to play with, and prints commands to try next.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Folder for the files.
    #[arg(default_value = "rnc-demo")]
    dir: PathBuf,
    /// Which model of the zoo.
    #[arg(long, default_value = "resnet50")]
    model: String,
    /// Height and width of the images in pixels.
    #[arg(long, value_name = "PX", default_value_t = 224)]
    size: usize,
}

/// The files that a demo leaves.
struct Files {
    model: PathBuf,
    plan: PathBuf,
    input: PathBuf,
}

impl Demo {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.dir).map_err(|error| Failure::file("make the directory", &self.dir, error))?;
        let file = |name: &str| self.dir.join(name);
        let files = Files {
            model: file(&format!("{}.onnx", self.model)),
            plan: file(&format!("{}.plan", self.model)),
            input: file("input.npy"),
        };
        self.make(&files.model)?;
        compile(&files)?;
        let image = synthetic_image(self.size);
        files::write_npy(&files.input, &image)?;
        run(&files, &image)?;
        next(&files);
        Ok(())
    }

    fn make(&self, model: &Path) -> Result<(), Failure> {
        heading(&format!("{} with seeded weights, as a training framework would export it", self.model));
        let start = Instant::now();
        let options = ZooOptions { image: self.size, ..ZooOptions::default() };
        let bytes = rnc_zoo::build_onnx(&self.model, &options)?;
        files::write_bytes(model, &bytes)?;
        note(format!("wrote {} ({}) in {:.0} ms", model.display(), size(bytes.len()), ms(start.elapsed())));
        Ok(())
    }
}

fn compile(files: &Files) -> Result<(), Failure> {
    heading("compile: the model's operators become fewer and larger, the weights are packed, memory is planned");
    let options = CompileOptions { machine: tuning::machine(Isa::best())?, ..CompileOptions::default() };
    let compiled = rnc::compile(Source::File(&files.model), &options)?;
    let start = Instant::now();
    rnc::write_plan(&compiled.plan, &files.plan)?;
    note(summary(&compiled, start.elapsed()).trim_end());
    note(format!("wrote {}", files.plan.display()));
    Ok(())
}

fn run(files: &Files, image: &ArrayD<f32>) -> Result<(), Failure> {
    let all = rnc::machine::cpus();
    heading("run: load the plan, generate code for this CPU, classify one image");
    let columns = ["threads", "load ms", "first run ms", "median ms", "min ms", "GFLOP/s"].map(Column::number);
    let mut table = Table::new(&columns);
    let mut last = None;
    for threads in if all > 1 { vec![1, all] } else { vec![1] } {
        let Loaded { session, time: load } = run::load(&files.plan, None, Some(threads))?;
        let name = session.plan().inputs.first().map_or_else(String::new, |port| port.name.clone());
        let samples = Samples { inputs: vec![(name, image.clone())], wanted: 1 };
        let measured = measure(&session, samples, ROUNDS)?;
        if let Some(statistics) = measured.statistics(&session) {
            let numbers = [ms(load), ms(measured.first), statistics.median_ms, statistics.min_ms, statistics.gflops];
            let cells = numbers.map(|number| format!("{number:.1}"));
            table.row(std::iter::once(threads.to_string()).chain(cells));
        }
        last = Some((session.code().isa(), measured));
    }
    note(table.render(0).trim_end());
    if let Some((isa, Measured { outputs, .. })) = last {
        note(format!("on {isa}, {ROUNDS} runs each"));
        if let Some((_, scores)) = outputs.first() {
            note("top 5 (the weights are random, so this is no answer to what is on the image):");
            let scores: Vec<f32> = scores.iter().copied().collect();
            note(guesses_text(&best(&scores, 5, None)).trim_end());
        }
    }
    Ok(())
}

fn next(files: &Files) {
    heading("try next");
    let [model, plan, input] = [&files.model, &files.plan, &files.input].map(|path| shell(path));
    let rnc = std::env::args().next().map_or_else(|| "rnc".to_owned(), |program| shell(Path::new(&program)));
    note(format!("{rnc} inspect {plan} --steps --memory"));
    note(format!("{rnc} run {plan} --input {input} --top 3 --repeat 50 --threads 1 --isa baseline"));
    note(format!("{rnc} inspect {model} --ir imported | head -40"));
}

fn heading(text: &str) {
    note(format!("\n== {text}"));
}

/// Rings and a slope, with about the mean and deviation of a normalised photograph. `[1,3,size,size]`.
fn synthetic_image(size: usize) -> ArrayD<f32> {
    let middle = size as f32 / 2.0;
    Array4::from_shape_fn((1, 3, size, size), |(_, c, h, w)| {
        let (y, x) = ((h as f32 - middle) / middle.max(1.0), (w as f32 - middle) / middle.max(1.0));
        let rings = (x.hypot(y) * (8.0 + 3.0 * c as f32)).sin();
        rings + 0.5 * x - 0.3 * y
    })
    .into_dyn()
}
