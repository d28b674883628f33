//! `rnc bench`.

mod compare;
mod counters;
mod memory;
mod record;
mod report;
mod sample;
mod setup;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rnc::Isa;
use rnc::statistics::Summary;

use super::failure::{Failure, Kind};
use super::profile::{batch, runs};
use super::run::threads;
use super::say;
use compare::Partners;
use counters::{Counters, Counts};
use record::{Availability, Machine, PerRun, Record, Round, Row, Settings, Throughput};
use sample::{Effort, Subject};
use setup::Setup;

const EXAMPLES: &str = "\
Examples:
  rnc bench resnet50.plan                                    latency and throughput on all CPUs
  rnc bench resnet50.plan --threads 1,2 --batch 1,8          every combination; they take turns
  rnc bench old.plan new.plan                                which one is faster: they take turns, too
  rnc bench resnet50.plan --threads 1 --streams 1,2          throughput of concurrent runs
  rnc bench resnet50.plan --iterations 100 --json > old.json
  rnc bench resnet50.plan --compare old.json --fail-if-slower 5

How it measures: each configuration warms up; then all take turns in 20 rounds, there and back, so that a disturbance of the machine
falls on all of them. A comparison is the ratio of medians (with several streams: of throughputs) with a confidence interval of 95 %, by a
bootstrap over rounds; \"no difference seen\" means that 1 lies in the interval. Every 20th comparison of equals is expected to fall outside.

Streams: each is a thread that runs the plan over and over, all on one session. The process has one pool of threads: of streams with
--threads N, N > 1, the one that finds the pool free uses N threads, the others meanwhile run on their own thread alone. For throughput
--threads 1 with a stream for each CPU is what to try first.

Options of others: trtexec's --warmUp, --duration, --iterations, --streams (--infStreams) and benchmark_app's -t, -b, --niter, --nstreams,
--nthreads (the latter three with two dashes) are understood.

Exit code 4 if --fail-if-slower finds something slower.";

/// Seconds for each configuration unless told otherwise.
const DURATION: f64 = 3.0;

/// Measure how fast plans run: latency, throughput, load time, memory.
///
/// The table goes to stdout, what else there is to say to stderr; --json has everything, each single run included.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// Plans, as `rnc compile` made them. Several take turns, and are compared with the first.
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    /// Numbers of threads; all CPUs of this process if not given.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = threads, visible_alias = "nthreads")]
    threads: Vec<usize>,
    /// Samples in each run; what the plan is for, or 1, if not given.
    #[arg(short, long, value_name = "N,…", value_delimiter = ',', value_parser = batch, conflicts_with = "input")]
    batch: Vec<usize>,
    /// Numbers of concurrent runs [default: 1]
    #[arg(long, value_name = "K,…", value_delimiter = ',', value_parser = threads, visible_aliases = ["nstreams", "infStreams"])]
    streams: Vec<usize>,
    /// Milliseconds that each configuration runs before it is measured; once at the least.
    #[arg(long, value_name = "MS", default_value_t = 200.0, value_parser = milliseconds, visible_alias = "warmUp")]
    warm_up: f64,
    /// Seconds that each configuration is measured (20 runs at the least, 100000 at the most) [default: 3]
    #[arg(short = 't', long, value_name = "S", value_parser = seconds)]
    duration: Option<f64>,
    /// Runs of each configuration, of all its streams together, instead of a duration. With both, both are reached.
    #[arg(long, value_name = "N", value_parser = runs, visible_alias = "niter")]
    iterations: Option<usize>,
    /// An input tensor, as of `rnc run`; random numbers if none is given.
    #[arg(long, value_name = "[NAME=]FILE")]
    input: Vec<String>,
    /// Instruction set: baseline, avx2 or avx512. The best one of this CPU if not given.
    #[arg(long, env = "RNC_ISA", value_name = "ISA")]
    isa: Option<Isa>,
    /// Compare with another plan, which takes turns with the others, or with what --json printed earlier.
    #[arg(long, value_name = "OLD")]
    compare: Option<PathBuf>,
    /// Exit with code 4 if a comparison says, with all of its interval, that something is slower by more than so many percent.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_if_slower: Option<f64>,
    /// Print JSON: everything, each single run included.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (old_plan, stored) = match &self.compare {
            None => (None, None),
            Some(path) => match Old::read(path)? {
                Old::Plan => (Some(path), None),
                Old::Record(record) => (None, Some((record, path.as_path()))),
            },
        };
        let paths: Vec<&Path> = old_plan.into_iter().chain(&self.plans).map(PathBuf::as_path).collect();
        if self.fail_if_slower.is_some() && stored.is_none() && paths.len() < 2 {
            return Err(Failure::usage("bench", "--fail-if-slower has nothing to compare with")
                .with_help("name two plans, or --compare OLD"));
        }
        // Threads are counted that start later than this: those of the pool do.
        let mut counters = Counters::open();
        let mut setup = Setup::new(self, &paths)?;
        if let Some((old, path)) = &stored {
            // What cannot be compared is said before anything is measured for it.
            Partners::find(old, path, &setup.plans, setup.subjects.iter().map(|subject| subject.configuration))?;
        }
        let effort = self.effort();
        report::announce(&setup, &effort);
        let rounds = sample::measure(&mut setup.subjects, &effort, counters.as_mut().ok())?;
        let mut record = self.record(setup, rounds, counters.err());
        record.warnings = report::warnings(&record);
        record.comparisons = compare::interleaved(&record.plans, &record.rows);
        if let Some((old, path)) = &stored {
            let (comparisons, warnings) = compare::stored(old, path, &record)?;
            record.comparisons.extend(comparisons);
            record.warnings.extend(warnings);
        }
        let printed = if self.json { say::json(&record) } else { report::print(&record) };
        printed?;
        self.gate(&record)
    }

    /// Numbers of threads, each once.
    fn threads(&self) -> Vec<usize> {
        if self.threads.is_empty() { vec![rnc::machine::cpus()] } else { distinct(&self.threads) }
    }

    fn streams(&self) -> Vec<usize> {
        if self.streams.is_empty() { vec![1] } else { distinct(&self.streams) }
    }

    fn effort(&self) -> Effort {
        let duration = self.duration.or(self.iterations.is_none().then_some(DURATION));
        Effort {
            warm_up: Duration::from_secs_f64(self.warm_up / 1e3),
            duration: duration.map(Duration::from_secs_f64),
            iterations: self.iterations,
        }
    }

    fn record(&self, setup: Setup, rounds: usize, no_counters: Option<String>) -> Record {
        let row = |subject: Subject| row(&setup.plans, subject);
        Record {
            format: record::FORMAT.to_owned(),
            version: record::VERSION,
            rnc: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine {
                cpu: rnc::machine::host(),
                os: std::env::consts::OS.to_owned(),
                architecture: std::env::consts::ARCH.to_owned(),
                cpus: rnc::machine::cpus(),
                isa: setup.isa.to_owned(),
            },
            settings: Settings {
                warm_up_ms: self.warm_up,
                duration_s: self.effort().duration.map(|duration| duration.as_secs_f64()),
                iterations: self.iterations,
                rounds,
                input: self.input.clone(),
            },
            rows: setup.subjects.into_iter().map(row).collect(),
            plans: setup.plans,
            sessions: setup.sessions,
            counters: Availability {
                available: no_counters.is_none(),
                reason: no_counters,
                scope: counters::SCOPE.to_owned(),
            },
            peak_rss: memory::peak(),
            comparisons: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether something became slower than it may.
    fn gate(&self, record: &Record) -> Result<(), Failure> {
        let Some(percent) = self.fail_if_slower else { return Ok(()) };
        if let Some(slower) = record.comparisons.iter().find(|comparison| comparison.is_slower_by(percent)) {
            let message = format!(
                "{} takes {:.3} times as long as {}, surely more than {percent} % longer",
                slower.new, slower.ratio, slower.old
            );
            return Err(Failure::new(Kind::Mismatch, message));
        }
        if record.comparisons.is_empty() || record.comparisons.iter().any(|comparison| comparison.interval.is_none()) {
            let message = format!("too few runs to tell whether anything is slower by {percent} %");
            return Err(Failure::failed(message).with_help("more --iterations, or a --duration"));
        }
        Ok(())
    }
}

/// What was measured in one configuration.
fn row(plans: &[record::PlanEntry], subject: Subject) -> Row {
    let Subject { configuration, rounds, counts, .. } = subject;
    let runs: usize = rounds.iter().map(Round::runs).sum();
    let times: Vec<f64> = rounds.iter().flat_map(Round::times).collect();
    let of_stream = |stream: usize| rounds.iter().flat_map(move |round| &round.times_ms[stream]).copied();
    let streams = (0..configuration.streams).map(|stream| Summary::of(&of_stream(stream).collect::<Vec<_>>()));
    let seconds = rounds.iter().map(|round| round.wall_ms).sum::<f64>() / 1e3;
    let samples_per_s = (runs * configuration.batch) as f64 / seconds;
    let per_run = |Counts { cycles, instructions }: Counts| PerRun {
        counts: Counts { cycles: cycles / runs as f64, instructions: instructions / runs as f64 },
        instructions_per_cycle: instructions / cycles,
    };
    Row {
        configuration,
        runs,
        latency: Summary::of(&times).expect("every round has a run"),
        streams_latency: streams.collect(),
        throughput: Throughput {
            runs_per_s: runs as f64 / seconds,
            samples_per_s,
            gflops: plans[configuration.plan].flops as f64 * samples_per_s / 1e9,
        },
        counters: counts.filter(|counts| counts.cycles > 0.0).map(per_run),
        rounds,
    }
}

/// What `--compare` names.
enum Old {
    Plan,
    Record(Box<Record>),
}

impl Old {
    /// Looks into a file, which may be a pipe and be read once only.
    fn read(path: &Path) -> Result<Self, Failure> {
        let magic = rnc_plan::file::MAGIC;
        let failed = |error| Failure::file("read", path, error);
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.by_ref().take(magic.len() as u64).read_to_end(&mut bytes).map_err(failed)?;
        if bytes == magic {
            return Ok(Self::Plan);
        }
        file.take(record::MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        Record::read(path, &bytes).map(Box::new).map(Self::Record)
    }
}

/// Each number once, in the order given.
fn distinct(numbers: &[usize]) -> Vec<usize> {
    let mut distinct = Vec::new();
    for number in numbers {
        if !distinct.contains(number) {
            distinct.push(*number);
        }
    }
    distinct
}

/// A day is longer than anyone measures.
const DAY: f64 = 86_400.0;

fn seconds(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= DAY);
    value.ok_or_else(|| format!("`{text}` is not a number of seconds above 0, at most a day's"))
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|x: &f64| (0.0..=DAY * 1e3).contains(x));
    value.ok_or_else(|| format!("`{text}` is not a number of milliseconds from 0 up, at most a day's"))
}

fn percent(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0);
    value.ok_or_else(|| format!("`{text}` is not a number of percent from 0 up"))
}
