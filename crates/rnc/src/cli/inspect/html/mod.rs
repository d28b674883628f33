//! `rnc inspect --html`: one page that holds all it shows, and asks no network for anything.

mod layout;
mod picture;
mod statistics;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rnc::passes::{Event, History, Origin, Report as Passes};
use rnc::{CompileError, CompileOptions, Isa, Plan, Session, Source};
use serde::Serialize;

use super::listed;
use super::report::{self, Report};
use crate::cli::failure::Failure;
use crate::cli::page::Parts;
use crate::cli::profile::{Profiled, runs};
use crate::cli::run::threads;
use crate::cli::{files, passes, say};
use picture::{Picture, Weights};

/// The page as a report file.
#[derive(Debug, clap::Args)]
pub(super) struct Html {
    /// Write a page for the browser: the graph before and after the passes, memory over time, the work of each layer.
    #[arg(long = "html", value_name = "FILE", conflicts_with_all = ["json", "dot", "ir", "steps", "choices", "memory"])]
    target: Option<PathBuf>,
    /// Also run the plan on random input, and show in the page how long each layer takes and how near it is to what this machine can do.
    #[arg(long, requires = "target")]
    profile: bool,
    /// Runs of the profile.
    #[arg(long, value_name = "N", requires = "profile", default_value_t = 30, value_parser = runs)]
    runs: usize,
    /// Threads of the profile; those that affinity and control groups allow if not given.
    #[arg(long, value_name = "N", requires = "profile", value_parser = threads)]
    threads: Option<usize>,
    /// Instruction set of the profile; the best of this CPU if not given.
    #[arg(long, env = "RNC_ISA", value_name = "ISA")]
    isa: Option<Isa>,
}

/// What the page shows.
#[derive(Serialize)]
struct Page {
    file: String,
    report: Report,
    /// Before the passes.
    imported: Picture,
    /// After them.
    optimized: Picture,
    /// Not there for a plan, which does not say how it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<PassesRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profiled>,
}

#[derive(Serialize)]
struct PassesRow {
    counts: Vec<passes::Count>,
    log: Vec<LogRow>,
}

/// A line of the passes' log.
#[derive(Serialize)]
struct LogRow {
    pass: &'static str,
    node: String,
    applied: bool,
    text: String,
}

impl Html {
    /// The file to write, if a page was asked for.
    pub fn file(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// The page of a model.
    pub fn of_model(&self, model: &Path, options: CompileOptions) -> Result<String, Failure> {
        let imported = rnc::import_file(model, &options)?;
        let mut optimized = imported.clone();
        let mut history = History::new(&imported);
        let passes = rnc::passes::optimize(&mut optimized, &mut |pass, graph| history.observe(pass, graph));
        let passes = passes.map_err(CompileError::from)?;
        let origins = history.into_origins();
        // The sizes are in the graph's types by now.
        let options = CompileOptions { dims: BTreeMap::new(), ..options };
        let plan = rnc::compile(Source::Graph(imported.clone()), &options)?.plan;
        let mut pictures = [&imported, &optimized].map(|graph| Picture::new(graph, Weights::Known));
        relate(&mut pictures, &origins);
        self.page(model, plan, pictures, Some(PassesRow::new(&passes)))
    }

    /// The page of a plan: its graphs are in its listing, without their constants.
    pub fn of_plan(&self, path: &Path) -> Result<String, Failure> {
        let plan = rnc::plan::OpenOptions::default().open(path).map_err(|error| Failure::open(path, &error))?;
        let picture = |text: &str| listed(text, path).map(|graph| Picture::new(&graph, Weights::MadeUp));
        let pictures = [picture(&plan.listing.imported)?, picture(&plan.listing.optimized)?];
        self.page(path, plan.into_inner(), pictures, None)
    }

    fn page(
        &self,
        file: &Path,
        plan: Plan,
        [imported, optimized]: [Picture; 2],
        passes: Option<PassesRow>,
    ) -> Result<String, Failure> {
        let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        let mut report = Report::new(&plan, plan.data.bytes().len());
        report.steps = Some(report::steps(&plan));
        report.memory = Some(report::memory(&plan));
        let isa = self.isa.unwrap_or_else(Isa::best);
        let options = rnc::Options { isa: Some(isa), threads: self.threads, ..rnc::Options::default() };
        let profile = || Profiled::new(&Session::new(plan, &options)?, None, self.runs);
        let profile = self.profile.then(profile).transpose()?;
        PARTS.page(&Page { file, report, imported, optimized, passes, profile })
    }

    /// Writes the page.
    pub fn write(path: &Path, page: &str) -> Result<(), Failure> {
        files::write_bytes(path, page.as_bytes())?;
        say::note(format!("wrote {}", path.display()));
        Ok(())
    }
}

/// Its own parts of the page.
const PARTS: Parts = Parts {
    style: include_str!("page/style.css"),
    body: include_str!("page/body.html"),
    scripts: &[
        include_str!("page/viewport.js"),
        include_str!("page/graph.js"),
        include_str!("page/memory.js"),
        include_str!("page/layers.js"),
        include_str!("page/passes.js"),
        include_str!("page/main.js"),
    ],
};

/// Tells each box after the passes what it is made of, and each box before them what it became part of.
fn relate([imported, optimized]: &mut [Picture; 2], origins: &BTreeMap<String, Origin>) {
    let mut became: HashMap<&str, (&str, &Origin)> = HashMap::new();
    for (name, origin) in origins {
        became.extend(origin.made_of.iter().map(|part| (part.as_str(), (name.as_str(), origin))));
    }
    for node in &mut optimized.nodes {
        let Some(origin) = origins.get(&node.name) else { continue };
        node.related = origin.made_of.iter().cloned().collect();
        node.passes.clone_from(&origin.passes);
        node.names = origin.names.iter().cloned().collect();
    }
    for node in &mut imported.nodes {
        node.related = became.get(node.name.as_str()).map(|(name, _)| (*name).to_owned()).into_iter().collect();
        node.names = vec![node.name.clone()];
    }
}

impl PassesRow {
    fn new(report: &Passes) -> Self {
        let log = report.log.entries().iter().map(|entry| {
            let (applied, text) = match &entry.event {
                Event::Applied(what) => (true, what),
                Event::Refused(reason) => (false, reason),
            };
            LogRow { pass: entry.pass, node: entry.node.clone(), applied, text: text.clone() }
        });
        Self { counts: passes::counts(report), log: log.collect() }
    }
}
