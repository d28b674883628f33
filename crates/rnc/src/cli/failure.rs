//! Failures: a message, what to do about it, and an exit code. The only place that maps library errors to exit codes.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use rnc::{CompileError, Isa, LoadError, RunError, WritePlanError};
use rnc_codegen::CodegenError;
use rnc_plan::OpenError;
use rnc_zoo::ZooError;

use super::say::note;

/// Kinds of failure; the numbers are the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something did not work.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The model uses what rnc does not have.
    UnsupportedModel = 3,
    /// Results are not what was expected.
    Mismatch = 4,
    /// The plan is damaged, of another version, or not for this CPU.
    Incompatible = 5,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    help: Option<String>,
    /// Nobody reads any more what the command prints: no failure that anyone wants to hear of.
    silent: bool,
}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn Display>)
    }
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, silent: false }
    }

    /// A failure of the common kind.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// A command line that makes no sense to a command.
    pub(crate) fn usage(command: &str, message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message).with_help(format!("`rnc {command} --help` has examples"))
    }

    /// Adds what to do about it.
    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Names the file that it is about, unless the message does.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        let path = path.display().to_string();
        let message = if self.message.contains(&path) { self.message } else { format!("{path}: {}", self.message) };
        Self { message, ..self }
    }

    /// What the system said about a file. `verb` is "read" or "write".
    pub(crate) fn file(verb: &str, path: &Path, error: impl Display) -> Self {
        Self::failed(format!("cannot {verb} {}: {error}", path.display()))
    }

    /// Stdout does not take what is written to it.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Self { silent, ..Self::failed(format!("cannot write to stdout: {error}")) }
    }

    /// A plan file does not open.
    pub(crate) fn open(path: &Path, error: &OpenError) -> Self {
        let (kind, message) = match error {
            OpenError::Io { .. } => (Kind::Failed, error.to_string()),
            OpenError::NotAPlan { .. }
            | OpenError::Version { .. }
            | OpenError::Flags { .. }
            | OpenError::Truncated { .. }
            | OpenError::Corrupt { .. }
            | OpenError::Decode(_)
            | OpenError::Verify(_) => (Kind::Incompatible, format!("{}: {error}", path.display())),
        };
        let failure = Self::new(kind, message);
        match kind {
            Kind::Incompatible => failure.with_help("a plan is made by: rnc compile MODEL.onnx -o FILE.plan"),
            _ => failure,
        }
    }

    /// Prints the failure and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.silent {
            return ExitCode::SUCCESS;
        }
        let colours = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
        let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_wrap_lines(false).without_cause_chain();
        let mut text = String::new();
        match handler.render_report(&mut text, self) {
            Ok(()) => note(text.trim_end()),
            Err(_) => note(&self.message),
        }
        ExitCode::from(self.kind as u8)
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        if error.is_usage() {
            let help = match error {
                CompileError::Outputs(_) => "`rnc inspect MODEL --ir imported` shows all values",
                _ => "sizes are given as in: --dim N=4",
            };
            return Self::new(Kind::Usage, error.to_string()).with_help(help);
        }
        if error.is_unsupported_model() {
            let help = "`rnc inspect MODEL --ir imported` shows a model that imports; docs/operators.md lists what is supported";
            return Self::new(Kind::UnsupportedModel, error.to_string()).with_help(help);
        }
        Self::failed(error.to_string())
    }
}

impl From<WritePlanError> for Failure {
    fn from(error: WritePlanError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let kind = match &error {
            LoadError::Open { path, error } => return Self::open(path, error),
            LoadError::Unsound(_) => Kind::Incompatible,
            LoadError::Codegen(error) => return Self::codegen(error),
        };
        Self::new(kind, error.to_string())
    }
}

impl Failure {
    /// This CPU lacks an instruction set.
    pub(crate) fn isa(isa: Isa) -> Self {
        Self::codegen(&CodegenError::UnsupportedIsa(isa))
    }

    fn codegen(error: &CodegenError) -> Self {
        match error {
            CodegenError::UnsupportedIsa(_) => Self::new(Kind::Incompatible, error.to_string())
                .with_help("`rnc isa` lists what this CPU has; without --isa and RNC_ISA the best of it is used"),
            _ => Self::failed(error.to_string()),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let failure = Self::failed(error.to_string());
        match error {
            RunError::PlanChanged | RunError::Memory { .. } | RunError::Thread { .. } | RunError::Forked => failure,
            _ => failure.with_help("`rnc inspect PLAN` lists names and shapes of a plan's inputs"),
        }
    }
}

impl From<ZooError> for Failure {
    fn from(error: ZooError) -> Self {
        let kind = match &error {
            ZooError::UnknownModel { .. } | ZooError::Option { .. } => Kind::Usage,
            ZooError::Layer { .. } | ZooError::Export(_) | ZooError::SafeTensors(_) | ZooError::Weights { .. } => {
                Kind::Failed
            }
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        assert!(Failure::stdout(&io::ErrorKind::BrokenPipe.into()).silent);
        assert!(!Failure::stdout(&io::ErrorKind::StorageFull.into()).silent);
    }

    #[test]
    fn every_kind_has_its_exit_code() {
        let kinds = [Kind::Failed, Kind::Usage, Kind::UnsupportedModel, Kind::Mismatch, Kind::Incompatible];
        assert_eq!(kinds.map(|kind| kind as u8), [1, 2, 3, 4, 5]);
    }
}
