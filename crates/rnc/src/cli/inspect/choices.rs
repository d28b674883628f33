//! How the kernels of a plan were chosen.

use rnc::Plan;
use rnc::plan::{Candidate, Choice, Step};
use serde::Serialize;

use crate::cli::table::{Column, Table};

/// A step and what its kernel was chosen from.
#[derive(Serialize)]
pub(super) struct ChoiceRow {
    index: usize,
    name: String,
    /// Largest error of a sample against f64, relative to the largest result.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<f32>,
    /// The chosen one first.
    candidates: Vec<CandidateRow>,
}

/// Times are for one sample on one core.
#[derive(Serialize)]
pub(super) struct CandidateRow {
    name: String,
    estimated_us: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_us: Option<f32>,
}

/// The choices of a plan.
pub(super) fn rows(plan: &Plan) -> Vec<ChoiceRow> {
    let candidate = |candidate: &Candidate| CandidateRow {
        name: candidate.name.clone(),
        estimated_us: candidate.estimated,
        measured_us: candidate.measured,
    };
    let row = |(index, step): (usize, &Step)| {
        let Choice { candidates, error, .. } = step.choice.as_ref()?;
        let candidates = candidates.iter().map(candidate).collect();
        Some(ChoiceRow { index, name: step.name.clone(), error: *error, candidates })
    };
    plan.steps.iter().enumerate().filter_map(row).collect()
}

/// The choices for people: a line each, times in microseconds.
pub(super) fn text(rows: &[ChoiceRow]) -> String {
    let mut table = Table::new(&[
        Column::number("step"),
        Column::text("name"),
        Column::text("chosen"),
        Column::number("µs estimated"),
        Column::number("measured"),
        Column::number("error"),
        Column::text("instead of"),
    ]);
    for row in rows {
        let Some((chosen, others)) = row.candidates.split_first() else { continue };
        let others =
            others.iter().map(|other| format!("{} {:.0}", other.name, other.measured_us.unwrap_or(other.estimated_us)));
        table.row([
            row.index.to_string(),
            row.name.clone(),
            chosen.name.clone(),
            format!("{:.0}", chosen.estimated_us),
            chosen.measured_us.map_or_else(String::new, |time| format!("{time:.0}")),
            row.error.map_or_else(String::new, |error| format!("{error:.1e}")),
            others.collect::<Vec<_>>().join(", "),
        ]);
    }
    table.render(0)
}
