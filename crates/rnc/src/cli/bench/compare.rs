//! Whether one row is faster than another.

use std::fmt;
use std::path::Path;

use rnc::statistics::{Estimate, Medians, Pairing, Rates, ratio};
use serde::{Deserialize, Serialize};

use super::record::{Configuration, PlanEntry, Record, Row};
use crate::cli::failure::Failure;

/// What two runs of the same binary at different times may differ by on a shared machine, as seen on the one of docs/performance.md. No interval of
/// a single run can know it.
pub(super) const DRIFT: f64 = 0.05;

/// A row beside the row of another plan, or of an earlier benchmark.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Comparison {
    pub old: String,
    pub new: String,
    /// Index of the new row.
    pub row: usize,
    pub measure: Measure,
    /// Of the measure, in milliseconds.
    pub old_ms: f64,
    pub new_ms: f64,
    /// New over old: above 1 is slower.
    pub ratio: f64,
    /// Where the ratio lies with a confidence of 95 %, widened by `drift`. None if there are too few rounds.
    pub interval: Option<[f64; 2]>,
    /// Whether the two were measured in turns.
    pub interleaved: bool,
    pub drift: f64,
    pub verdict: Verdict,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    MedianLatency,
    /// The inverse of the throughput: what several streams are for.
    TimeASample,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    #[serde(rename = "faster")]
    Faster,
    #[serde(rename = "slower")]
    Slower,
    /// Which does not say that there is none.
    #[serde(rename = "no difference seen")]
    NoDifferenceSeen,
    #[serde(rename = "too few runs")]
    TooFewRuns,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As in the file.
        self.serialize(f)
    }
}

impl Verdict {
    fn of(interval: Option<[f64; 2]>) -> Self {
        match interval {
            None => Self::TooFewRuns,
            Some([_, high]) if high < 1.0 => Self::Faster,
            Some([low, _]) if low > 1.0 => Self::Slower,
            Some(_) => Self::NoDifferenceSeen,
        }
    }
}

impl Comparison {
    fn new(rows: [&Row; 2], names: [String; 2], row: usize, pairing: Pairing) -> Self {
        let [old, new] = rows;
        let measure = if new.configuration.streams == 1 { Measure::MedianLatency } else { Measure::TimeASample };
        let estimate = match measure {
            Measure::MedianLatency => ratio(&medians(old), &medians(new), pairing),
            Measure::TimeASample => ratio(&rates(old), &rates(new), pairing),
        };
        let drift = if pairing == Pairing::Interleaved { 0.0 } else { DRIFT };
        let widen = |[low, high]: [f64; 2]| [low / (1.0 + drift), high * (1.0 + drift)];
        let Estimate { ratio, interval } = estimate;
        let interval = interval.map(widen);
        let value = |row: &Row| match measure {
            Measure::MedianLatency => row.latency.median,
            Measure::TimeASample => 1e3 / row.throughput.samples_per_s,
        };
        let [from, to] = names;
        Self {
            old: from,
            new: to,
            row,
            measure,
            old_ms: value(old),
            new_ms: value(new),
            ratio,
            interval,
            interleaved: pairing == Pairing::Interleaved,
            drift,
            verdict: Verdict::of(interval),
        }
    }

    /// Whether the new one is surely slower by more than so many percent.
    pub fn is_slower_by(&self, percent: f64) -> bool {
        self.interval.is_some_and(|[low, _]| low > 1.0 + percent / 100.0)
    }
}

fn medians(row: &Row) -> Medians {
    Medians::new(row.rounds.iter().map(|round| round.times().collect::<Vec<_>>()))
}

fn rates(row: &Row) -> Rates {
    Rates::new(row.rounds.iter().map(|round| (round.wall_ms, (round.runs() * row.configuration.batch) as f64)))
}

/// Names of plans for people: their files, with a number where a file is there more than once.
pub(super) fn names(plans: &[PlanEntry]) -> Vec<String> {
    let name = |(i, plan): (usize, &PlanEntry)| {
        let before = plans[..i].iter().filter(|other| other.file == plan.file).count();
        if before == 0 { plan.file.clone() } else { format!("{} ({})", plan.file, before + 1) }
    };
    plans.iter().enumerate().map(name).collect()
}

/// Each row of a later plan beside the first plan's row of the same configuration; they took turns.
pub(super) fn interleaved(plans: &[PlanEntry], rows: &[Row]) -> Vec<Comparison> {
    let names = names(plans);
    let pairs = rows.iter().enumerate().filter(|(_, row)| row.configuration.plan > 0).filter_map(|(i, row)| {
        let fits = |old: &&Row| old.configuration.plan == 0 && old.configuration.fits(&row.configuration);
        Some((rows.iter().find(fits)?, i, row))
    });
    pairs
        .map(|(old, i, row)| {
            let names = [&names[0], &names[row.configuration.plan]].map(String::clone);
            Comparison::new([old, row], names, i, Pairing::Interleaved)
        })
        .collect()
}

/// The rows of an earlier benchmark that configurations are compared with.
pub(super) struct Partners<'a> {
    /// By configuration.
    rows: Vec<Option<&'a Row>>,
    /// What the earlier benchmark does not have.
    missing: Vec<String>,
}

impl<'a> Partners<'a> {
    /// Finds the rows of configurations of plans.
    pub fn find(
        old: &'a Record,
        path: &Path,
        plans: &[PlanEntry],
        configurations: impl IntoIterator<Item = Configuration>,
    ) -> Result<Self, Failure> {
        let of_plan: Vec<usize> = plans.iter().map(|plan| partner(old, plan, path)).collect::<Result<_, _>>()?;
        let mut partners = Self { rows: Vec::new(), missing: Vec::new() };
        for configuration in configurations {
            let wanted = Configuration { plan: of_plan[configuration.plan], ..configuration };
            let found = old.rows.iter().find(|old| old.configuration == wanted);
            partners.missing.extend(found.is_none().then(|| describe(&wanted)));
            partners.rows.push(found);
        }
        if partners.rows.iter().all(Option::is_none) {
            let has: Vec<String> = old.rows.iter().map(|row| describe(&row.configuration)).collect();
            let missing = partners.missing.join("; ");
            let message = format!("{} has no row with {missing}; it has {}", path.display(), has.join("; "));
            return Err(Failure::failed(message).with_help("measure with the --threads, --batch and --streams of then"));
        }
        Ok(partners)
    }
}

/// Each row beside that of an earlier benchmark, and what has to be said about that.
pub(super) fn stored(old: &Record, path: &Path, new: &Record) -> Result<(Vec<Comparison>, Vec<String>), Failure> {
    let file = path.display();
    let Partners { rows, missing } =
        Partners::find(old, path, &new.plans, new.rows.iter().map(|row| row.configuration))?;
    let names = names(&new.plans);
    let pairs = rows.into_iter().enumerate().filter_map(|(i, found)| Some((i, &new.rows[i], found?)));
    let comparisons = pairs.map(|(i, row, found)| {
        let name = format!("{} in {file}", old.plans[found.configuration.plan].file);
        Comparison::new([found, row], [name, names[row.configuration.plan].clone()], i, Pairing::Apart)
    });
    let comparisons = comparisons.collect();
    let mut warnings = vec![format!(
        "{file} was measured at another time: intervals are widened by {:.0} %, which a busy machine can exceed. To be sure, name the old plan \
         instead, so that the two take turns",
        DRIFT * 100.0
    )];
    if old.machine != new.machine {
        warnings.push(format!(
            "{file} was measured on another machine or instruction set ({}, {} CPUs, {}), not on this one ({}, {} CPUs, {}): the ratios compare the machines, too",
            old.machine.cpu, old.machine.cpus, old.machine.isa, new.machine.cpu, new.machine.cpus, new.machine.isa
        ));
    }
    warnings.extend(missing.iter().map(|row| format!("{file} has no row with {row}")));
    Ok((comparisons, warnings))
}

/// Which plan of an earlier benchmark a plan is compared with: the only one, or that of the same file name.
fn partner(old: &Record, plan: &PlanEntry, path: &Path) -> Result<usize, Failure> {
    let name = |file: &str| Path::new(file).file_name().map(ToOwned::to_owned);
    if let [_] = old.plans.as_slice() {
        return Ok(0);
    }
    old.plans.iter().position(|old| name(&old.file) == name(&plan.file)).ok_or_else(|| {
        let has: Vec<&str> = old.plans.iter().map(|old| old.file.as_str()).collect();
        let message =
            format!("{} has several plans, none of them named as {}: {}", path.display(), plan.file, has.join(", "));
        Failure::failed(message).with_help("compare with a benchmark of one plan, which fits any name")
    })
}

fn describe(row: &Configuration) -> String {
    format!("threads {}, batch {}, streams {}", row.threads, row.batch, row.streams)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    /// Twenty rounds of four runs whose times are about `ms`.
    fn about(ms: f64) -> Record {
        let rounds: Vec<[f64; 4]> =
            (0..20).map(|i| [0.0, 0.01, -0.01, 0.005].map(|x| ms * (1.0 + x + f64::from(i % 5) * 0.004))).collect();
        record(&rounds.iter().map(<[f64; 4]>::as_slice).collect::<Vec<_>>())
    }

    fn verdict(old: &Record, new: &Record) -> Comparison {
        stored(old, Path::new("old.json"), new).unwrap().0.remove(0)
    }

    #[test]
    fn a_stored_benchmark_is_beaten_only_by_more_than_the_drift() {
        let old = about(10.0);
        assert_eq!(verdict(&old, &about(8.0)).verdict, Verdict::Faster);
        assert_eq!(verdict(&old, &about(12.0)).verdict, Verdict::Slower);
        let near = verdict(&old, &about(10.4));
        assert_eq!((near.verdict, near.interleaved), (Verdict::NoDifferenceSeen, false));
        assert!((near.ratio - 1.04).abs() < 1e-9, "{near:?}");
    }

    #[test]
    fn plans_that_took_turns_differ_by_little_and_it_is_seen() {
        let mut both = about(10.0);
        let mut other = about(10.4);
        both.plans.push(PlanEntry { file: "a.plan".to_owned(), ..other.plans.remove(0) });
        let mut row = other.rows.remove(0);
        row.configuration.plan = 1;
        both.rows.push(row);
        let comparisons = interleaved(&both.plans, &both.rows);
        let [found] = comparisons.as_slice() else { panic!("{comparisons:?}") };
        assert_eq!((found.verdict, found.row, found.interleaved), (Verdict::Slower, 1, true));
        assert_eq!((found.old.as_str(), found.new.as_str()), ("a.plan", "a.plan (2)"));
        assert!(found.is_slower_by(3.0) && !found.is_slower_by(4.5), "{found:?}");
    }

    #[test]
    fn few_runs_give_no_verdict() {
        let few = record(&[&[1.0], &[1.0]]);
        let found = verdict(&few, &record(&[&[2.0], &[2.0]]));
        assert_eq!((found.verdict, found.interval), (Verdict::TooFewRuns, None));
        assert!(!found.is_slower_by(0.0));
    }

    #[test]
    fn streams_are_compared_by_throughput() {
        let streams = |wall: f64| {
            let mut record = about(10.0);
            record.rows[0].configuration.streams = 2;
            record.rows[0].rounds.iter_mut().for_each(|round| round.wall_ms = wall);
            record
        };
        let found = verdict(&streams(40.0), &streams(20.0));
        assert_eq!((found.measure, found.verdict), (Measure::TimeASample, Verdict::Faster));
        assert!((found.ratio - 0.5).abs() < 1e-12);
    }

    #[test]
    fn another_machine_is_warned_of_and_missing_rows_are_named() {
        let old = about(10.0);
        let mut new = about(10.0);
        new.machine.isa = "avx2".to_owned();
        let (_, warnings) = stored(&old, Path::new("old.json"), &new).unwrap();
        assert!(warnings.iter().any(|warning| warning.contains("another machine")), "{warnings:?}");
        new.rows[0].configuration.threads = 4;
        let error = stored(&old, Path::new("old.json"), &new).unwrap_err().to_string();
        assert!(error.contains("no row with threads 4, batch 1, streams 1; it has threads 1,"), "{error}");
    }

    #[test]
    fn of_several_stored_plans_the_one_of_the_same_name_is_taken() {
        let mut old = about(10.0);
        old.plans.push(PlanEntry { file: "old/b.plan".to_owned(), ..about(1.0).plans.remove(0) });
        let mut row = about(20.0).rows.remove(0);
        row.configuration.plan = 1;
        old.rows.push(row);
        let mut new = about(20.0);
        new.plans[0].file = "new/b.plan".to_owned();
        assert_eq!(verdict(&old, &new).verdict, Verdict::NoDifferenceSeen);
        new.plans[0].file = "c.plan".to_owned();
        let error = stored(&old, Path::new("old.json"), &new).unwrap_err().to_string();
        assert!(error.contains("none of them named as c.plan"), "{error}");
    }
}
