//! `rnc completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::failure::Failure;
use super::{Cli, say};

const EXAMPLES: &str = "\
Examples:
  rnc completions bash > ~/.local/share/bash-completion/completions/rnc
  rnc completions zsh > ~/.zfunc/_rnc          with `fpath+=~/.zfunc` before compinit in ~/.zshrc
  rnc completions fish > ~/.config/fish/completions/rnc.fish";

/// Print what makes a shell complete rnc's commands and options.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "rnc", &mut script);
        say::data(&String::from_utf8_lossy(&script))
    }
}
