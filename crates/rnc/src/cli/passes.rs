//! Passes on the command line: which are to run, and what they did.

use rnc::passes::{self, PASSES, Pass, Report};

use super::failure::{Failure, Kind};
use super::table::{Column, Table};

/// The passes with these names; all if there are none.
pub(crate) fn named(names: &[String]) -> Result<Vec<Pass>, Failure> {
    if names.is_empty() { Ok(PASSES.to_vec()) } else { passes::named(names).map_err(|error| unknown(&error)) }
}

/// The failure of a command line that names a pass that is not there.
pub(crate) fn unknown(error: &passes::Error) -> Failure {
    Failure::new(Kind::Usage, error.to_string()).with_help("rnc opt --list lists the passes")
}

/// How often a pass fired and refused in all its runs.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Count {
    pass: &'static str,
    about: &'static str,
    applied: usize,
    refused: usize,
}

/// One entry a pass, in the order of their first runs.
pub(crate) fn counts(report: &Report) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for run in &report.passes {
        let found = counts.iter().position(|count| count.pass == run.pass);
        let index = found.unwrap_or_else(|| {
            let about = PASSES.iter().find(|known| known.name == run.pass).map_or("", |known| known.about);
            counts.push(Count { pass: run.pass, about, applied: 0, refused: 0 });
            counts.len() - 1
        });
        counts[index].applied += run.stats.applied;
        counts[index].refused += run.stats.refused;
    }
    counts
}

/// One line a pass that did something or nearly did; a pass that ran twice is counted once.
pub(crate) fn table(report: &Report) -> String {
    let mut table =
        Table::new(&[Column::text("pass"), Column::number("applied"), Column::number("refused"), Column::text("")]);
    for Count { pass, about, applied, refused } in counts(report) {
        if applied + refused > 0 {
            table.row([pass.to_owned(), applied.to_string(), refused.to_string(), about.to_owned()]);
        }
    }
    table.render(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_ran_twice_has_one_line_with_the_sum() {
        let stats = passes::Stats { applied: 2, refused: 1 };
        let run = |pass| passes::PassReport { pass, stats };
        let report = Report { passes: vec![run("fold_pad"), run("fuse_silu"), run("fold_pad")], ..Report::default() };
        let table = table(&report);
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.contains("fold_pad         4        2"), "{table}");
    }
}
