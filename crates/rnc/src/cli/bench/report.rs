//! What a benchmark says to people.

use super::compare::{Comparison, Measure, names};
use super::record::{Record, Row};
use super::sample::Effort;
use super::setup::Setup;
use crate::cli::failure::Failure;
use crate::cli::say::{self, note, size};
use crate::cli::table::{Column, Table};

/// Above this coefficient of variation something else was busy on the machine: an idle one has 1 to 3 %.
const NOISY: f64 = 0.10;
/// Runs that the 99th percentile needs to be more than the maximum.
const RUNS_FOR_P99: usize = 100;

/// Says what will be done and how long it will take.
pub(super) fn announce(setup: &Setup, effort: &Effort) {
    let count = setup.subjects.len();
    let (plural, each) = if count == 1 { ("", "") } else { ("s, in turns", " each") };
    let amount = match (effort.iterations, effort.duration) {
        (Some(runs), None) => format!("{runs} runs{each}"),
        (runs, duration) => {
            let seconds = duration.unwrap_or_default();
            let least = runs.map_or_else(String::new, |runs| format!(" and {runs} runs at the least"));
            let total = (seconds + effort.warm_up).as_secs_f64() * count as f64;
            format!("{:.1} s{each}{least}, {total:.0} s in all", seconds.as_secs_f64())
        }
    };
    note(format!("measuring {count} configuration{plural}: {amount}; {}", setup.isa));
}

/// What should make a reader doubt the numbers.
pub(super) fn warnings(record: &Record) -> Vec<String> {
    let mut warnings = Vec::new();
    for row in &record.rows {
        let name = describe(record, row);
        if let Some(variation) = row.latency.coefficient_of_variation.filter(|variation| *variation > NOISY) {
            warnings.push(format!(
                "{name}: times vary by {:.0} % (coefficient of variation): this machine was busy with something else, or its clock changed; minima and \
                 comparisons of plans that take turns are still worth something",
                variation * 100.0
            ));
        }
        let busy = row.configuration.threads.max(row.configuration.streams);
        if busy > record.machine.cpus {
            warnings.push(format!("{name}: {busy} threads share {} CPUs", record.machine.cpus));
        }
        if row.runs < RUNS_FOR_P99 {
            warnings.push(format!("{name}: {} runs are too few for a 99th percentile", row.runs));
        }
    }
    warnings
}

/// Prints a benchmark: numbers on stdout, doubts on stderr.
pub(super) fn print(record: &Record) -> Result<(), Failure> {
    let mut sections = vec![latencies(record).render(0), loads(record).render(0)];
    if let Some(peak) = &record.peak_rss {
        sections.push(format!("peak memory of the process: {} ({})\n", size(peak.bytes as usize), peak.source));
    }
    if !record.comparisons.is_empty() {
        sections.push(comparisons(record).render(0));
    }
    if let Some(reason) = &record.counters.reason {
        note(format!("no cycles and instructions: {reason}"));
    }
    for warning in &record.warnings {
        note(format!("warning: {warning}"));
    }
    say::data(&sections.join("\n"))
}

/// A row's configuration, as far as it tells it from the others.
fn describe(record: &Record, row: &Row) -> String {
    let differing = Differing::of(record);
    let parts = differing.titles().into_iter().zip(differing.cells(record, row));
    parts.map(|(title, cell)| format!("{title} {cell}")).collect::<Vec<_>>().join(", ")
}

/// Which parts of the configuration are worth a column.
struct Differing {
    plans: bool,
    streams: bool,
}

impl Differing {
    fn of(record: &Record) -> Self {
        Self { plans: record.plans.len() > 1, streams: record.rows.iter().any(|row| row.configuration.streams > 1) }
    }

    fn titles(&self) -> Vec<&'static str> {
        let all = [("plan", self.plans), ("threads", true), ("batch", true), ("streams", self.streams)];
        all.into_iter().filter(|(_, shown)| *shown).map(|(title, _)| title).collect()
    }

    fn columns(&self) -> Vec<Column> {
        let column = |title| if title == "plan" { Column::text(title) } else { Column::number(title) };
        self.titles().into_iter().map(column).collect()
    }

    fn cells(&self, record: &Record, row: &Row) -> Vec<String> {
        let configuration = row.configuration;
        let numbers = [configuration.threads, configuration.batch, configuration.streams].map(|n| n.to_string());
        let plan = self.plans.then(|| names(&record.plans)[configuration.plan].clone());
        plan.into_iter().chain(numbers.into_iter().take(if self.streams { 3 } else { 2 })).collect()
    }
}

fn latencies(record: &Record) -> Table {
    let differing = Differing::of(record);
    let counted = record.rows.iter().any(|row| row.counters.is_some());
    let mut columns = differing.columns();
    columns.extend(
        ["runs", "min ms", "median", "mean", "p90", "p95", "p99", "max", "variation", "samples/s", "GFLOP/s"]
            .map(Column::number),
    );
    if counted {
        columns.extend(["Mcycles", "Minstr", "IPC"].map(Column::number));
    }
    let mut table = Table::new(&columns);
    for row in &record.rows {
        let latency = row.latency;
        let times = [latency.min, latency.median, latency.mean, latency.p90, latency.p95, latency.p99, latency.max];
        let variation =
            latency.coefficient_of_variation.map_or_else(|| "–".to_owned(), |cv| format!("{:.1} %", cv * 100.0));
        let mut cells = differing.cells(record, row);
        cells.push(row.runs.to_string());
        cells.extend(times.map(time));
        cells.extend([
            variation,
            format!("{:.1}", row.throughput.samples_per_s),
            format!("{:.1}", row.throughput.gflops),
        ]);
        if counted {
            let counts = row.counters.map(|per_run| {
                let millions = [per_run.counts.cycles, per_run.counts.instructions].map(|n| format!("{:.2}", n / 1e6));
                let [cycles, instructions] = millions;
                [cycles, instructions, format!("{:.2}", per_run.instructions_per_cycle)]
            });
            cells.extend(counts.unwrap_or_else(|| ["–"; 3].map(str::to_owned)));
        }
        table.row(cells);
    }
    table
}

fn loads(record: &Record) -> Table {
    let plans = record.plans.len() > 1;
    let mut columns = if plans { vec![Column::text("plan")] } else { Vec::new() };
    columns.extend(["threads", "load ms", "first run ms", "its batch"].map(Column::number));
    let mut table = Table::new(&columns);
    let names = names(&record.plans);
    for session in &record.sessions {
        let [load, first] = session.medians().map(time);
        let plan = plans.then(|| names[session.plan].clone());
        table.row(plan.into_iter().chain([
            session.threads.to_string(),
            load,
            first,
            session.first_run_batch.to_string(),
        ]));
    }
    table
}

fn comparisons(record: &Record) -> Table {
    let differing = Differing { plans: false, ..Differing::of(record) };
    let mut columns = vec![Column::text("old"), Column::text("new")];
    columns.extend(differing.columns());
    columns.extend([
        Column::text("of"),
        Column::number("old ms"),
        Column::number("new ms"),
        Column::number("new/old"),
        Column::text("95 % interval"),
        Column::text("verdict"),
    ]);
    let mut table = Table::new(&columns);
    for comparison in &record.comparisons {
        let Comparison { old, new, old_ms, new_ms, ratio, .. } = comparison;
        let measure = match comparison.measure {
            Measure::MedianLatency => "median latency",
            Measure::TimeASample => "time a sample",
        };
        let interval =
            comparison.interval.map_or_else(|| "–".to_owned(), |[low, high]| format!("{low:.3} – {high:.3}"));
        let mut cells = vec![old.clone(), new.clone()];
        cells.extend(differing.cells(record, &record.rows[comparison.row]));
        cells.extend([
            measure.to_owned(),
            time(*old_ms),
            time(*new_ms),
            format!("{ratio:.3}"),
            interval,
            comparison.verdict.to_string(),
        ]);
        table.row(cells);
    }
    table
}

/// Milliseconds with as many digits as say something.
fn time(ms: f64) -> String {
    match ms {
        100.0.. => format!("{ms:.1}"),
        1.0.. => format!("{ms:.2}"),
        _ => format!("{ms:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn only_what_differs_has_a_column() {
        let mut one = record(&[&[1.0, 2.0], &[3.0, 250.0]]);
        let text = latencies(&one).render(0);
        assert!(text.starts_with("threads  batch  runs  min ms  median  "), "{text}");
        assert!(text.contains("1.00") && text.contains("250.0"), "{text}");
        one.rows[0].configuration.streams = 2;
        assert!(latencies(&one).render(0).starts_with("threads  batch  streams  runs"));
    }

    #[test]
    fn noise_few_runs_and_too_many_threads_are_warned_of() {
        let mut noisy = record(&[&[1.0, 1.0, 2.0]]);
        noisy.rows[0].configuration.threads = 7;
        let found = warnings(&noisy);
        for (warning, part) in
            found.iter().zip(["threads 7, batch 1: times vary by 43 %", "7 threads share 2 CPUs", "3 runs are too few"])
        {
            assert!(warning.contains(part), "{warning}");
        }
        assert_eq!(found.len(), 3);
        let steady: Vec<&[f64]> = vec![&[1.0, 1.01]; 60];
        assert_eq!(warnings(&record(&steady)), Vec::<String>::new());
    }
}
