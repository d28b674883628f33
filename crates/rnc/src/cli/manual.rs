//! `rnc manual`.

use std::path::PathBuf;

use clap::CommandFactory;

use super::Cli;
use super::failure::Failure;
use super::say::note;

const EXAMPLES: &str = "\
Examples:
  rnc manual ~/.local/share/man/man1           then `man rnc` and `man rnc-run`";

/// Write the manual pages.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Manual {
    /// The folder that they go into; made if it is not there.
    folder: PathBuf,
}

impl Manual {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.folder).map_err(|error| Failure::file("make", &self.folder, error))?;
        let command = Cli::command().disable_help_subcommand(true);
        clap_mangen::generate_to(command, &self.folder).map_err(|error| Failure::file("write", &self.folder, error))?;
        note(format!("wrote the pages to {}", self.folder.display()));
        Ok(())
    }
}
