//! The commands, one file each.

mod bench;
mod bisect;
mod calibrate;
mod compare;
mod compile;
mod completions;
mod cut;
mod demo;
mod eval;
mod explain;
mod failure;
mod files;
mod images;
mod inspect;
mod isa;
mod logging;
mod manual;
mod opt;
mod page;
mod passes;
mod profile;
mod run;
mod say;
mod table;
mod tuning;
mod verify;
mod zoo;

use clap::{Parser, Subcommand};

use failure::Failure;

const EXAMPLES: &str = "\
Start here:
  rnc demo                                   ResNet-50 from nothing to an answer, with times

Your own model:
  rnc compile resnet50.onnx -o resnet50.plan
  rnc run resnet50.plan cat.jpg --labels imagenet-1k
  rnc eval resnet50.plan imagenet/val        how often it is right
  rnc inspect resnet50.plan --steps

A model without a download:
  rnc zoo resnet18 -o resnet18.onnx

Exit codes: 0 ok, 1 failure, 2 usage, 3 unsupported model, 4 accuracy mismatch, 5 plan incompatible
(damaged, of another version, or for an instruction set that this CPU lacks).
`rnc COMMAND --help` has more, with examples.";

/// A compiler for ResNet-family neural networks on CPUs.
///
/// `rnc compile` turns an ONNX model into a plan, `rnc run` runs the plan on images or tensors.
#[derive(Debug, Parser)]
#[command(name = "rnc", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Say on stderr what is done and how long it takes; -vv says more. `RUST_LOG=rnc_runtime=debug,…` says it of some parts alone.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compile(compile::Compile),
    Run(Box<run::Run>),
    Eval(eval::Eval),
    Explain(explain::Explain),
    Profile(profile::Profile),
    Inspect(inspect::Inspect),
    Opt(opt::Opt),
    Compare(compare::Compare),
    Bench(Box<bench::Bench>),
    Bisect(bisect::Bisect),
    Verify(verify::Verify),
    Zoo(zoo::Zoo),
    Isa(isa::Isas),
    Calibrate(calibrate::Calibrate),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Manual(manual::Manual),
}

impl Cli {
    /// Does what the command line says.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        logging::start(self.verbose);
        cut::report_files_that_are_cut();
        match &self.command {
            Command::Compile(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Eval(command) => command.run(),
            Command::Profile(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Opt(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Bisect(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Zoo(command) => command.run(),
            Command::Isa(command) => command.run(),
            Command::Calibrate(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::Manual(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_has_examples() {
        for command in super::Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  "), "{}", command.get_name());
        }
    }
}
