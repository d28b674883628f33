//! The `rnc` command: parse the command line, do what it says, report what went wrong.
//!
//! Data goes to stdout, everything for people to stderr. Exit codes: 0 ok, 1 failure, 2 usage, 3 unsupported model, 4 accuracy mismatch,
//! 5 plan incompatible.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let command = cli::Cli::parse();
    match command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
