//! `rnc manual`.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man;

use super::failure::Failure;
use super::say::note;
use super::{Cli, files};

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
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        for page in std::iter::once(&command).chain(command.get_subcommands()) {
            let page = Man::new(page.clone());
            let path = self.folder.join(page.get_filename());
            let mut text = Vec::new();
            page.render(&mut text).map_err(|error| Failure::file("write", &path, error))?;
            files::write_bytes(&path, &text)?;
        }
        note(format!("wrote the pages to {}", self.folder.display()));
        Ok(())
    }
}
