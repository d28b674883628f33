//! `rnc inspect`.

mod choices;
mod dot;
mod drawing;
mod html;
pub(crate) mod kernel;
mod report;

use std::io::Read;
use std::path::{Path, PathBuf};

use rnc::ir::Graph;
use rnc::{CompileOptions, Isa, Source};

use super::compile::Dims;
use super::failure::Failure;
use super::{files, say};
use html::Html;
use report::{Format, Report};

const EXAMPLES: &str = "\
Examples:
  rnc inspect resnet50.plan                      header, inputs and outputs, sizes
  rnc inspect resnet50.plan --steps --memory     what runs, and where its data lies
  rnc inspect resnet50.plan --choices            why each convolution is computed as it is
  rnc inspect resnet50.plan --ir optimized       the graph after the passes
  rnc inspect resnet50.onnx --ir imported        a model's graph before them
  rnc inspect resnet50.plan --dot | dot -Tsvg > resnet50.svg
  rnc inspect resnet50.onnx --html resnet50.html --profile
                                                 all of it as a page for the browser, with times of this host
  rnc inspect resnet50.plan --steps --json | jq '.steps[].kernel'

A file that starts as a plan is one; one that ends in .onnx is a model, one that ends in .rnc a graph in the text syntax. Of a
plan only the header is read, never the weights.";

/// Show what a plan or a model holds.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Inspect {
    /// A plan, an ONNX model, or a graph in the text syntax (.rnc).
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the graph after import or after the passes.
    #[arg(long, value_name = "WHEN")]
    ir: Option<When>,
    /// Print the graph (that of --ir, or the optimized one) in the language of Graphviz.
    #[arg(long, conflicts_with_all = ["json", "steps", "choices", "memory"])]
    dot: bool,
    /// List the steps: kernel, shapes, work, weights.
    #[arg(long)]
    steps: bool,
    /// List what each convolution was chosen from: times estimated and measured, and how exact the choice is.
    #[arg(long)]
    choices: bool,
    /// List the buffers: offset, size, lifetime; the peak beside its lower bound.
    #[arg(long)]
    memory: bool,
    #[command(flatten)]
    html: Html,
    #[command(flatten)]
    dims: Dims,
}

/// Which graph.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum When {
    /// After import.
    Imported,
    /// After the passes.
    Optimized,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(target) = self.html.file() {
            return self.html(target);
        }
        let report = if is_model(&self.file)? { self.model() } else { self.plan() }?;
        if self.json {
            return say::json(&report);
        }
        if self.dot {
            let graph = listed(report.ir.as_deref().unwrap_or_default(), &self.file)?;
            return say::data(&dot::dot(&graph));
        }
        match &report.ir {
            // The graph alone, so that it can be piped to where graphs are read.
            Some(ir) if !self.sections() => say::data(ir),
            _ => say::data(&report.text()),
        }
    }

    /// Writes the page for the browser.
    fn html(&self, target: &Path) -> Result<(), Failure> {
        files::check_target(target, [self.file.as_path()])?;
        let page = if is_model(&self.file)? {
            self.html.of_model(&self.file, self.dims.options(Isa::best())?)?
        } else {
            self.html.of_plan(&self.file)?
        };
        Html::write(target, &page)
    }

    fn plan(&self) -> Result<Report, Failure> {
        let header = rnc_plan::read_header(&self.file).map_err(|error| Failure::open(&self.file, &error))?;
        let format = Format {
            version: header.version,
            header_bytes: header.header_bytes,
            data_offset: header.data_offset,
            data_crc: format!("{:08x}", header.data_crc),
        };
        let mut report = Report::new(&header.plan, header.data_bytes);
        report.format = Some(format);
        self.add_sections(&mut report, &header.plan);
        Ok(report)
    }

    fn model(&self) -> Result<Report, Failure> {
        let options = self.dims.options(Isa::best())?;
        if let (Some(when), false) = (self.when(), self.sections()) {
            return self.graph(when, &options);
        }
        let plan = rnc::compile(Source::File(&self.file), &options)?.plan;
        let mut report = Report::new(&plan, plan.data.bytes().len());
        self.add_sections(&mut report, &plan);
        Ok(report)
    }

    /// Only the graph of a model: also of one that has no kernels.
    fn graph(&self, when: When, options: &CompileOptions) -> Result<Report, Failure> {
        let mut graph = rnc::import_file(&self.file, options)?;
        if let When::Optimized = when {
            rnc::passes::optimize(&mut graph, &mut |_, _| {}).map_err(rnc::CompileError::from)?;
        }
        Ok(Report { name: graph.name().to_owned(), ir: Some(graph.to_string()), ..Report::default() })
    }

    /// Which graph was asked for, if any.
    fn when(&self) -> Option<When> {
        self.ir.or(self.dot.then_some(When::Optimized))
    }

    /// Whether anything but the graph was asked for.
    fn sections(&self) -> bool {
        self.steps || self.choices || self.memory
    }

    fn add_sections(&self, report: &mut Report, plan: &rnc::Plan) {
        if self.steps {
            report.steps = Some(report::steps(plan));
        }
        if self.choices {
            report.choices = Some(choices::rows(plan));
        }
        if self.memory {
            report.memory = Some(report::memory(plan));
        }
        report.ir = self.when().map(|when| match when {
            When::Imported => plan.listing.imported.clone(),
            When::Optimized => plan.listing.optimized.clone(),
        });
    }
}

/// A graph of a plan's listing.
fn listed(text: &str, path: &Path) -> Result<Graph, Failure> {
    rnc::ir::parse(text)
        .map_err(|error| Failure::failed(format!("the graph in {} cannot be read: {error}", path.display())))
}

/// Whether the file is to be compiled first: anything named as a model or graph that does not start as a plan.
pub(crate) fn is_model(path: &Path) -> Result<bool, Failure> {
    let named = path.extension().is_some_and(|extension| extension == "onnx" || extension == "rnc");
    if !named {
        return Ok(false);
    }
    let mut start = Vec::new();
    let magic = rnc_plan::file::MAGIC;
    std::fs::File::open(path)
        .and_then(|file| file.take(magic.len() as u64).read_to_end(&mut start))
        .map_err(|error| Failure::file("read", path, error))?;
    Ok(start != magic)
}
