//! `rnc opt`.

use std::path::{Path, PathBuf};

use rnc::CompileError;
use rnc::ir::Graph;
use rnc::passes::{self, PASSES, Pass};

use super::compile::Dims;
use super::failure::{Failure, Kind};
use super::table::{Column, Table};
use super::{files, say};

const EXAMPLES: &str = "\
Examples:
  rnc opt model.onnx                                    the graph after all passes, as text
  rnc opt model.onnx -o optimized.onnx                  as an ONNX model, for any runtime
  rnc opt model.onnx --passes fold_batchnorm,fuse_activation --explain
  rnc opt model.onnx --until fold_batchnorm             all passes up to this one
  rnc opt model.onnx --emit-each stages                 stages/00-imported.rnc, stages/01-eliminate_dead.rnc, …
  rnc opt block.rnc --passes fuse_silu                  a graph in the text syntax
  rnc opt --list

Text holds the values of small constants; of larger ones it has a hash, and whoever reads it makes values up. An .onnx file holds
them all.";

/// Run passes on a model, and print or write what they made of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Opt {
    /// The model: an ONNX file, or a graph in the text syntax (.rnc).
    #[arg(required_unless_present = "list")]
    model: Option<PathBuf>,
    /// The file to write: ONNX (.onnx) or text (.rnc). Text goes to standard output without it.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run these passes, in this order, instead of all.
    #[arg(long, value_name = "PASS,…", value_delimiter = ',')]
    passes: Vec<String>,
    /// Stop behind the first run of this pass.
    #[arg(long, value_name = "PASS")]
    until: Option<String>,
    /// Write the graph before the first pass and after each one into this folder.
    #[arg(long, value_name = "DIR")]
    emit_each: Option<PathBuf>,
    /// Print every rewrite and every near miss.
    #[arg(long)]
    explain: bool,
    /// List the passes in the order in which they run.
    #[arg(long, conflicts_with_all = ["output", "passes", "until", "emit_each", "explain"])]
    list: bool,
    #[command(flatten)]
    dims: Dims,
}

impl Opt {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let Some(model) = self.model.as_deref().filter(|_| !self.list) else { return list() };
        let format = self.output.as_deref().map(Format::of).transpose()?;
        let passes = self.selected()?;
        if let Some(output) = &self.output {
            files::check_target(output, [model])?;
        }
        let mut graph = rnc::import_file(model, &self.dims.sizes())?;
        let mut stages = self.emit_each.as_deref().map(Stages::new).transpose()?;
        let mut emitted = stages.as_mut().map_or(Ok(()), |stages| stages.emit("imported", &graph));
        let report = passes::run(&mut graph, &passes, &mut |pass, graph| {
            if let (Some(stages), Ok(())) = (&mut stages, &emitted) {
                emitted = stages.emit(pass, graph);
            }
        });
        let report = report.map_err(CompileError::from)?;
        emitted?;
        if self.explain {
            say::note(report.log.to_string().trim_end());
        }
        say::note(super::passes::table(&report).trim_end());
        match (&self.output, format) {
            (Some(path), Some(format)) => {
                files::write_bytes(path, &format.bytes(&graph)?)?;
                say::note(format!("wrote {}", path.display()));
                Ok(())
            }
            _ => say::data(&format!("{graph}")),
        }
    }

    /// The passes that are to run.
    fn selected(&self) -> Result<Vec<Pass>, Failure> {
        let passes = super::passes::named(&self.passes)?;
        match &self.until {
            Some(last) => {
                passes::until(&passes, last).map(<[Pass]>::to_vec).map_err(|error| super::passes::unknown(&error))
            }
            None => Ok(passes),
        }
    }
}

fn list() -> Result<(), Failure> {
    let mut table = Table::new(&[Column::text("pass"), Column::text("")]);
    for pass in PASSES {
        table.row([pass.name.to_owned(), pass.about.to_owned()]);
    }
    say::data(&table.render(0))
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Onnx,
}

impl Format {
    /// By the file's extension.
    fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rnc") => Ok(Self::Text),
            Some("onnx") => Ok(Self::Onnx),
            _ => Err(Failure::new(Kind::Usage, format!("{} ends neither in .onnx nor in .rnc", path.display()))
                .with_help("the ending says whether an ONNX model or a graph in the text syntax is written")),
        }
    }

    fn bytes(self, graph: &Graph) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Text => Ok(graph.to_string().into_bytes()),
            Self::Onnx => rnc_onnx::export(graph).map_err(|error| Failure::failed(error.to_string())),
        }
    }
}

/// A folder that gets the graph after each pass.
struct Stages<'a> {
    folder: &'a Path,
    next: usize,
}

impl<'a> Stages<'a> {
    fn new(folder: &'a Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| Failure::file("create", folder, error))?;
        Ok(Self { folder, next: 0 })
    }

    fn emit(&mut self, stage: &str, graph: &Graph) -> Result<(), Failure> {
        let path = self.folder.join(format!("{:02}-{stage}.rnc", self.next));
        self.next += 1;
        files::write_bytes(&path, graph.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_file_says_how_it_is_written() {
        assert_eq!(Format::of("a/b.rnc".as_ref()).unwrap(), Format::Text);
        assert_eq!(Format::of("b.onnx".as_ref()).unwrap(), Format::Onnx);
        for wrong in ["b", "b.ONNXX", "onnx", "b.plan"] {
            assert!(Format::of(wrong.as_ref()).unwrap_err().to_string().contains("neither in .onnx nor in .rnc"));
        }
    }
}
