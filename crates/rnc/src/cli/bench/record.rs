//! A benchmark as `--json` prints it and `--compare` reads it. Times are in milliseconds; there is no date in it.

use std::path::Path;

use rnc::statistics::{Summary, median};
use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::counters::Counts;
use super::memory::Peak;
use crate::cli::failure::Failure;

/// What `format` says.
pub(super) const FORMAT: &str = "rnc-bench";
/// Most bytes of a file that are looked at: some hundred times a benchmark of every size that is of use.
pub(super) const MOST_BYTES: u64 = 1 << 30;
/// What `version` says; goes up when a field changes its meaning.
pub(super) const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub format: String,
    pub version: u32,
    /// Version of rnc.
    pub rnc: String,
    pub machine: Machine,
    pub settings: Settings,
    pub plans: Vec<PlanEntry>,
    pub sessions: Vec<SessionEntry>,
    pub rows: Vec<Row>,
    pub counters: Availability,
    /// Of the whole process, which has run all rows.
    pub peak_rss: Option<Peak>,
    pub comparisons: Vec<Comparison>,
    pub warnings: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub cpu: String,
    pub os: String,
    pub architecture: String,
    /// Those that affinity and control groups leave to the process.
    pub cpus: usize,
    pub isa: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub warm_up_ms: f64,
    /// Seconds for each row; none if only the number of runs counts.
    pub duration_s: Option<f64>,
    /// Fewest runs of each row that were asked for.
    pub iterations: Option<usize>,
    /// Rounds in which the rows took turns.
    pub rounds: usize,
    /// The files; none if inputs were random.
    pub input: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PlanEntry {
    pub file: String,
    pub model: String,
    pub producer: String,
    pub format_version: u32,
    /// Checksum of the weights.
    pub data_crc: String,
    /// Floating-point operations of one sample, as the model defines them.
    pub flops: u64,
}

/// A plan loaded for a number of threads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SessionEntry {
    /// Index in `plans`.
    pub plan: usize,
    pub threads: usize,
    /// Of several loads, each of a session of its own.
    pub load_ms: Vec<f64>,
    /// The first run of each of these sessions.
    pub first_run_ms: Vec<f64>,
    /// Samples of that run.
    pub first_run_batch: usize,
}

/// What is measured in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Configuration {
    /// Index in `plans`.
    pub plan: usize,
    pub threads: usize,
    pub batch: usize,
    pub streams: usize,
}

impl Configuration {
    /// Whether the two differ at most in the plan.
    pub fn fits(&self, other: &Self) -> bool {
        Self { plan: other.plan, ..*self } == *other
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub configuration: Configuration,
    pub runs: usize,
    /// Of the single runs, in milliseconds.
    pub latency: Summary,
    /// The same for each stream; none for one that never had a turn.
    pub streams_latency: Vec<Option<Summary>>,
    pub throughput: Throughput,
    /// Of one run. None where there are no counters.
    pub counters: Option<PerRun>,
    pub rounds: Vec<Round>,
}

/// All streams together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Throughput {
    pub runs_per_s: f64,
    pub samples_per_s: f64,
    pub gflops: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct PerRun {
    #[serde(flatten)]
    pub counts: Counts,
    pub instructions_per_cycle: f64,
}

/// Runs of a row that followed each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Round {
    /// From the start of the first run to the end of the last.
    pub wall_ms: f64,
    /// The runs of each stream.
    pub times_ms: Vec<Vec<f64>>,
}

impl Round {
    /// The runs of all streams.
    pub fn times(&self) -> impl Iterator<Item = f64> + '_ {
        self.times_ms.iter().flatten().copied()
    }

    pub fn runs(&self) -> usize {
        self.times_ms.iter().map(Vec::len).sum()
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Availability {
    pub available: bool,
    /// Why not.
    pub reason: Option<String>,
    /// What is counted.
    pub scope: String,
}

impl SessionEntry {
    /// Median of the loads and of the first runs.
    pub fn medians(&self) -> [f64; 2] {
        [&self.load_ms, &self.first_run_ms].map(|times| median(times).unwrap_or(f64::NAN))
    }
}

impl Record {
    /// Reads what `--json` printed earlier, and a file has.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        Self::parse(bytes).map_err(|problem| {
            Failure::failed(format!("{}: {problem}", path.display()))
                .with_help("`--compare` takes a plan, or what `rnc bench PLAN --json > FILE` wrote")
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let json: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| format!("neither a plan nor JSON, expected a result of `rnc bench --json`: {error}"))?;
        match json.get("format").and_then(serde_json::Value::as_str) {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("found the format \"{other}\", expected \"{FORMAT}\"")),
            None => {
                return Err(format!("JSON, but no result of `rnc bench --json`: it has no \"format\": \"{FORMAT}\""));
            }
        }
        let version = json.get("version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(VERSION)) {
            let found = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
            return Err(format!("found {found} of the format, expected {VERSION}; measure again with this rnc"));
        }
        let record: Self = serde_json::from_value(json).map_err(|error| format!("damaged: {error}"))?;
        record.check().map_err(|problem| format!("damaged: {problem}"))?;
        Ok(record)
    }

    /// What comparisons rest on.
    fn check(&self) -> Result<(), String> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        for (i, row) in self.rows.iter().enumerate() {
            let Configuration { plan, batch, .. } = row.configuration;
            if plan >= self.plans.len() {
                return Err(format!("row {i} is of plan {plan}, and there are {}", self.plans.len()));
            }
            let runs: usize = row.rounds.iter().map(Round::runs).sum();
            if runs == 0 || runs != row.runs || batch == 0 {
                return Err(format!("row {i} says {} runs of a batch of {batch}, its rounds have {runs}", row.runs));
            }
            if !row.rounds.iter().all(|round| positive(round.wall_ms) && round.times().all(positive)) {
                return Err(format!("row {i} has a time that is not above 0"));
            }
            if let Some(empty) = row.rounds.iter().position(|round| round.runs() == 0) {
                return Err(format!("row {i} has no run in round {empty}"));
            }
        }
        if self.rows.is_empty() { Err("it has no rows".to_owned()) } else { Ok(()) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record of one plan with one row, a round for each list of times.
    pub(crate) fn record(rounds: &[&[f64]]) -> Record {
        let rounds: Vec<Round> =
            rounds.iter().map(|times| Round { wall_ms: times.iter().sum(), times_ms: vec![times.to_vec()] }).collect();
        let times: Vec<f64> = rounds.iter().flat_map(Round::times).collect();
        let latency = Summary::of(&times).unwrap();
        Record {
            format: FORMAT.to_owned(),
            version: VERSION,
            rnc: "0".to_owned(),
            machine: Machine {
                cpu: "a CPU".to_owned(),
                os: "linux".to_owned(),
                architecture: "x86_64".to_owned(),
                cpus: 2,
                isa: "baseline".to_owned(),
            },
            settings: Settings {
                warm_up_ms: 0.0,
                duration_s: None,
                iterations: Some(times.len()),
                rounds: rounds.len(),
                input: Vec::new(),
            },
            plans: vec![PlanEntry {
                file: "a.plan".to_owned(),
                model: "a".to_owned(),
                producer: "test".to_owned(),
                format_version: 1,
                data_crc: "0".to_owned(),
                flops: 1,
            }],
            sessions: Vec::new(),
            rows: vec![Row {
                configuration: Configuration { plan: 0, threads: 1, batch: 1, streams: 1 },
                runs: times.len(),
                latency,
                streams_latency: vec![Some(latency)],
                throughput: Throughput { runs_per_s: 1.0, samples_per_s: 1.0, gflops: 1.0 },
                counters: None,
                rounds,
            }],
            counters: Availability { available: false, reason: None, scope: String::new() },
            peak_rss: None,
            comparisons: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let written = serde_json::to_string(&record(&[&[1.25, 2.5], &[3.0]])).unwrap();
        let read = Record::parse(written.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }

    #[test]
    fn what_is_no_record_says_what_it_is_instead() {
        let refused = |text: &str| Record::parse(text.as_bytes()).unwrap_err();
        assert!(refused("rncplan").contains("neither a plan nor JSON"));
        assert!(refused("[1, 2]").contains("no \"format\""));
        assert!(refused(r#"{"format": "trtexec"}"#).contains("found the format \"trtexec\""));
        assert!(refused(r#"{"format": "rnc-bench"}"#).contains("found no version"));
        assert!(refused(r#"{"format": "rnc-bench", "version": 99}"#).contains("found version 99"));
        assert!(refused(r#"{"format": "rnc-bench", "version": 1}"#).contains("missing field"));
    }

    #[test]
    fn a_record_that_contradicts_itself_is_damaged() {
        let refused = |change: &dyn Fn(&mut Record)| {
            let mut damaged = record(&[&[1.0], &[2.0]]);
            change(&mut damaged);
            Record::parse(&serde_json::to_vec(&damaged).unwrap()).unwrap_err()
        };
        assert!(refused(&|r| r.rows[0].configuration.plan = 1).contains("of plan 1, and there are 1"));
        assert!(refused(&|r| r.rows[0].configuration.batch = 0).contains("a batch of 0"));
        assert!(refused(&|r| r.rows[0].runs = 7).contains("says 7 runs"));
        assert!(refused(&|r| r.rows[0].rounds[1].times_ms[0][0] = -2.0).contains("not above 0"));
        assert!(refused(&|r| r.rows[0].rounds[1].wall_ms = 0.0).contains("not above 0"));
        assert!(refused(&|r| r.rows[0].rounds.push(Round { wall_ms: 1.0, times_ms: vec![] })).contains("round 2"));
        assert!(refused(&|r| r.rows.clear()).contains("no rows"));
    }
}
