//! `rnc compare`.

use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use rnc::compare::{self, Comparison, Random, Values};
use rnc::{Isa, Options, Plan, Session, Source};
use serde::Serialize;

use super::compile::Dims;
use super::failure::{Failure, Kind};
use super::inspect::{is_model, kernel};
use super::run::{positive, read_arrays, read_inputs, threads, tolerance};
use super::say;
use super::table::{Column, Table};

const EXAMPLES: &str = "\
Examples:
  rnc compare model.onnx                                every value against the reference interpreter, on random input
  rnc compare model.onnx --input x.npy --isa avx2
  rnc compare model.plan --model model.onnx             a plan that exists already
  rnc compare model.plan --tensors torch.npz --input torch.npz
                                                        against values that another program wrote, by their names

Errors add up along the network: what matters is where they jump. Exit code 4 if a value is beyond the tolerance.";

/// Hold every value that a plan computes against the value that is right.
///
/// A plan keeps the values behind fused operators: a convolution with its batch norm, shortcut and activation is one, under the last one's name.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Compare {
    /// A model, which is compiled, or a plan.
    file: PathBuf,
    /// The model of a plan: its values by the reference interpreter are what is right.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Values that are right, by name, in a .npz file, instead of the reference interpreter's.
    #[arg(long, value_name = "REF.npz", conflicts_with = "model")]
    tensors: Option<PathBuf>,
    /// An input tensor, as of `rnc run`; random numbers from -1 to 1 if none is given.
    #[arg(long, value_name = "[NAME=]FILE")]
    input: Vec<String>,
    /// Samples of random input; those that the plan is for, or one, if not given.
    #[arg(long, value_name = "N", conflicts_with = "input", value_parser = positive)]
    batch: Option<usize>,
    /// Seed of random input.
    #[arg(long, default_value_t = 0, conflicts_with = "input")]
    seed: u64,
    /// How far a value may be from the right one, relative to the latter's largest magnitude.
    #[arg(long, value_name = "X", default_value_t = 1e-4, value_parser = tolerance)]
    tolerance: f64,
    /// Compile without Winograd and Strassen.
    #[arg(long)]
    exact: bool,
    /// Instruction set; the best of this CPU if not given.
    #[arg(long, env = "RNC_ISA", value_name = "ISA")]
    isa: Option<Isa>,
    /// Threads that kernels are cut for.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    dims: Dims,
}

impl Compare {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let compiles = is_model(&self.file)?;
        let model = self.model.as_deref().or(compiles.then_some(&self.file));
        if model.is_none() && self.tensors.is_none() {
            let message = format!("{} is a plan, which holds no values that are right", self.file.display());
            return Err(
                Failure::new(Kind::Usage, message).with_help("give its --model, or --tensors of another program")
            );
        }
        if self.exact && !compiles {
            let message = format!("{} is a plan, whose algorithms were chosen when it was made", self.file.display());
            return Err(Failure::new(Kind::Usage, message).with_help("rnc compile --exact makes another one"));
        }
        let session = self.session(compiles)?;
        let inputs = self.inputs(session.plan())?;
        let expected = match (&self.tensors, model) {
            (Some(path), _) => read_arrays(path)?.into_iter().collect(),
            (None, Some(model)) => self.reference(model, &inputs)?,
            (None, None) => Values::new(),
        };
        let comparison = compare::compare(&session, &inputs, &expected)?;
        self.print(session.plan(), &comparison)?;
        if comparison.rows.is_empty() {
            return Err(Failure::failed("the plan has no value with the name and size of one that is right"));
        }
        let beyond = comparison.first_beyond(self.tolerance);
        beyond.map_or(Ok(()), |row| {
            let message = format!(
                "`{}` is off by {:.3e} of its largest magnitude, allowed {:.3e}",
                row.name,
                row.difference.relative(),
                self.tolerance
            );
            Err(Failure::new(Kind::Mismatch, message))
        })
    }

    fn session(&self, compiles: bool) -> Result<Session, Failure> {
        let options = Options { isa: self.isa, threads: self.threads, ..Options::default() };
        if !compiles {
            return Ok(Session::load(&self.file, &options)?);
        }
        let isa = self.isa.unwrap_or_else(Isa::best);
        let choices = rnc::CompileOptions { exact: self.exact, ..self.dims.options(isa)? };
        let compiled = rnc::compile(Source::File(&self.file), &choices)?;
        Ok(Session::new(compiled.plan, &options)?)
    }

    fn inputs(&self, plan: &Plan) -> Result<Vec<(String, ArrayD<f32>)>, Failure> {
        if !self.input.is_empty() {
            return Ok(read_inputs(plan, &self.input)?.inputs);
        }
        let batch = self.batch.or(plan.batch.fixed()).unwrap_or(1);
        let mut random = Random::new(self.seed);
        let array = |dims: &[usize]| random.array(&plan.batch.shape(dims, batch));
        let names = plan.inputs.iter().map(|port| port.name.clone());
        Ok(names.zip(plan.inputs.iter().map(|port| port.dims.as_slice()).map(array)).collect())
    }

    fn reference(&self, model: &Path, inputs: &[(String, ArrayD<f32>)]) -> Result<Values, Failure> {
        let graph = rnc::import_file(model, &self.dims.sizes())?;
        compare::reference_values(&graph, inputs)
            .map_err(|error| Failure::failed(format!("the reference interpreter on {}: {error}", model.display())))
    }

    fn print(&self, plan: &Plan, comparison: &Comparison) -> Result<(), Failure> {
        let first = comparison.first_beyond(self.tolerance).map(|row| row.step);
        if self.json {
            return say::json(&Json { tolerance: self.tolerance, first_beyond: first, values: &comparison.rows });
        }
        let mut table = Table::new(&[
            Column::number("step"),
            Column::text("value"),
            Column::text("kernel"),
            Column::text("shape"),
            Column::number("error"),
            Column::number("relative"),
            Column::text(""),
        ]);
        for row in &comparison.rows {
            let dims: Vec<String> = row.dims.iter().map(ToString::to_string).collect();
            table.row([
                row.step.to_string(),
                row.name.clone(),
                kernel::describe(&plan.steps[row.step].kernel),
                dims.join("×"),
                format!("{:.1e}", row.difference.error),
                format!("{:.1e}", row.difference.relative()),
                if first == Some(row.step) { "← first beyond the tolerance".to_owned() } else { String::new() },
            ]);
        }
        say::data(&table.render(0))?;
        if !comparison.skipped.is_empty() {
            say::note(format!("not compared (no value of that name and size): {}", comparison.skipped.join(", ")));
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Json<'a> {
    tolerance: f64,
    /// Index of the step.
    first_beyond: Option<usize>,
    values: &'a [compare::Row],
}
