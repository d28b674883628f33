//! Runs random programs: `cargo run --release -p rnc-tests --example random_programs -- [COUNT] [FIRST SEED]`.
//!
//! Prints every program that is computed wrongly, cut to the first value that is, and how many were compiled. Exits with 1 if there was one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;

use rnc_tests::random::{Failure, Outcome, Program, check, program};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(1000), |n| n.parse())?;
    let first: u64 = arguments.next().map_or(Ok(0), |n| n.parse())?;
    std::panic::set_hook(Box::new(|_| {}));
    let (mut agree, mut failures) = (0u64, 0u64);
    let mut refusals: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first.saturating_add(count) {
        let program = program(seed);
        match checked(&program) {
            Ok(Outcome::Agrees) => agree += 1,
            Ok(Outcome::Refused(why)) => *refusals.entry(kind(&why)).or_default() += 1,
            Err(failure) => {
                failures += 1;
                println!("seed {seed}, batch {}: {failure}\n{}", program.batch, cut(&program));
            }
        }
    }
    for (why, count) in &refusals {
        println!("refused {count}: {why}");
    }
    let refused: u64 = refusals.values().sum();
    println!("{count} programs from seed {first}: {agree} agree, {refused} are refused, {failures} fail");
    process::exit(i32::from(failures > 0));
}

fn checked(program: &Program) -> Result<Outcome, Failure> {
    catch_unwind(AssertUnwindSafe(|| check(program))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure { problem: format!("panics: {}", text.unwrap_or_default()) })
    })
}

/// The program up to the first value that is wrong as its only output, in the text syntax.
fn cut(program: &Program) -> String {
    let graph = &program.graph;
    for id in graph.topological_order() {
        let mut cut = graph.clone();
        cut.clear_outputs();
        cut.add_output("y", id);
        drop_unused(&mut cut);
        let cut = Program { seed: program.seed, graph: cut, batch: program.batch };
        if checked(&cut).is_err() {
            return cut.graph.to_string();
        }
    }
    graph.to_string()
}

/// Removes what no output needs, inputs aside.
fn drop_unused(graph: &mut rnc_ir::Graph) {
    for id in graph.topological_order().into_iter().rev() {
        if graph.use_count(id) == 0 && !graph.is_output(id) && !graph.inputs().contains(&id) {
            graph.remove(id);
        }
    }
}

/// A refusal without names and numbers: what is supported instead, if it says that.
fn kind(why: &str) -> String {
    let line = why.lines().nth(1).or_else(|| why.lines().next()).unwrap_or_default();
    let rule = line.split_once("supported: ").map_or(line, |(_, rule)| rule);
    rule.chars().filter(|c| !c.is_ascii_digit()).collect()
}
