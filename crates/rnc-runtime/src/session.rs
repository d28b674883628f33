//! Loading a plan and running it.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ndarray::{ArrayD, ArrayViewD};
use rnc_codegen::{Code, Isa, Request, Target};
use rnc_plan::verify::VerifiedPlan;
use rnc_plan::{Batch, OpenOptions, Plan, Port, Step};

use crate::arena::Arena;
use crate::error::{LoadError, RunError};
use crate::lock;
use crate::pool;
use crate::run::{Observed, Program, Run, Tensors};

/// How a session runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instruction set; the best of this CPU if not given.
    pub isa: Option<Isa>,
    /// Threads; those that affinity and control groups allow if not given.
    pub threads: Option<usize>,
    /// How long idle workers look for the next run before they sleep.
    pub spin: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { isa: None, threads: None, spin: pool::DEFAULT_SPIN }
    }
}

/// A loaded plan: its code and weights. Shared freely between threads; runs at the same time share everything but their workspaces.
pub struct Session {
    program: Arc<Program>,
    threads: usize,
    spin: Duration,
    /// Workspaces of [`Session::run`] that are not in use.
    idle: Mutex<Vec<Workspace>>,
}

/// What one run at a time needs beside the session: the arena. Memory grows to the largest batch and is kept.
pub struct Workspace {
    arena: Arena,
    run: Arc<Run>,
}

impl Workspace {
    /// Nanoseconds that each step of the plan has taken over all runs, if the workspace was made to measure.
    pub fn step_nanoseconds(&self) -> Option<Vec<u64>> {
        let times = self.run.times.as_ref()?;
        Some(times.iter().map(|time| time.load(std::sync::atomic::Ordering::Relaxed)).collect())
    }
}

impl Session {
    /// Maps a plan file, checks it, and makes its code.
    ///
    /// # Errors
    /// If the file is missing, damaged, or of another version; if the plan is not sound; if the CPU lacks the instruction set.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let open = |error| LoadError::Open { path: path.to_owned(), error };
        let (plan, check) = OpenOptions::open_deferred(path).map_err(open)?;
        if thread_count(options) == 1 {
            check.run().map_err(open)?;
            return Self::verified(plan, options);
        }
        // The two read nothing of each other. Damage comes first: it may be why there is no code.
        std::thread::scope(|scope| {
            let check = scope.spawn(|| check.run());
            let session = Self::verified(plan, options);
            check.join().unwrap_or_else(|panic| resume_unwind(panic)).map_err(open)?;
            session
        })
    }

    /// Checks a plan and makes its code.
    ///
    /// # Errors
    /// If the plan is not sound, or the CPU lacks the instruction set.
    pub fn new(plan: Plan, options: &Options) -> Result<Self, LoadError> {
        Self::verified(plan.verified()?, options)
    }

    fn verified(plan: VerifiedPlan, options: &Options) -> Result<Self, LoadError> {
        let isa = options.isa.unwrap_or_else(Isa::best);
        let threads = thread_count(options);
        // Tiles were measured for one instruction set; another one has tiles of its own.
        let tuned = plan.tuning.measured.as_ref().is_some_and(|measured| measured.isa == isa.to_string());
        let tile = |step: &Step| step.choice.as_ref().and_then(|choice| choice.tile).filter(|_| tuned);
        let requests = plan.steps.iter().map(|step| Request { spec: &step.kernel, tile: tile(step) });
        let code = Code::compile(requests, Target { isa, threads })?;
        let program = Arc::new(Program::new(plan, code));
        let session = Self { program, threads, spin: options.spin, idle: Mutex::new(Vec::new()) };
        let first = session.workspace();
        session.give_back(first);
        Ok(session)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.program.plan
    }

    /// The generated code.
    pub fn code(&self) -> &Code {
        &self.program.code
    }

    /// Threads that a run uses.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// A workspace that nobody uses, with memory for one sample (or the plan's batch). The first one was made with the session.
    pub fn workspace(&self) -> Workspace {
        let idle = lock::brief(&self.idle).and_then(|mut idle| idle.pop());
        idle.unwrap_or_else(|| {
            let batch = self.plan().batch.fixed().unwrap_or(1);
            let mut arena = Arena::default();
            arena.prepare(self.program.memory(batch, self.threads).unwrap_or(0));
            Workspace { arena, run: Arc::new(Run::new(Arc::clone(&self.program), false)) }
        })
    }

    fn give_back(&self, workspace: Workspace) {
        if let Some(mut idle) = lock::brief(&self.idle) {
            idle.push(workspace);
        }
    }

    /// A new workspace that measures the steps of its runs.
    pub fn measuring_workspace(&self) -> Workspace {
        Workspace { arena: Arena::default(), run: Arc::new(Run::new(Arc::clone(&self.program), true)) }
    }

    /// Runs the model on named inputs, in any order, and gives its outputs in the model's order.
    ///
    /// # Errors
    /// If an input is missing, unknown, or of the wrong shape; if there is no memory.
    pub fn run(&self, inputs: &[(&str, ArrayViewD<'_, f32>)]) -> Result<Vec<(String, ArrayD<f32>)>, RunError> {
        self.run_named(inputs, &mut |run| pool::run(run, self.threads, self.spin))
    }

    /// Runs as [`Session::run`] does, but on the calling thread alone, and shows what each step has written before the next one runs: for debugging.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_observed(
        &self,
        inputs: &[(&str, ArrayViewD<'_, f32>)],
        observe: &mut dyn FnMut(Observed<'_>),
    ) -> Result<Vec<(String, ArrayD<f32>)>, RunError> {
        self.run_named(inputs, &mut |run| run.observe(observe))
    }

    fn run_named(
        &self,
        inputs: &[(&str, ArrayViewD<'_, f32>)],
        go: &mut dyn FnMut(&Arc<Run>),
    ) -> Result<Vec<(String, ArrayD<f32>)>, RunError> {
        let plan = self.plan();
        for (name, _) in inputs {
            if !plan.inputs.iter().any(|port| port.name == *name) {
                let expected = plan.inputs.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(RunError::UnknownInput { found: (*name).to_owned(), expected });
            }
        }
        let mut batch = None;
        let arrays = plan.inputs.iter().map(|port| array(port, plan.batch, inputs, &mut batch));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let slices: Vec<&[f32]> = arrays.iter().map(|array| array.as_slice().expect("in standard layout")).collect();
        let batch = batch.or(plan.batch.fixed()).unwrap_or(1);
        check_batch(plan, batch)?;
        let outputs = plan.outputs.iter().map(|port| zeros(port, plan.batch, batch));
        let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        let mut results: Vec<&mut [f32]> =
            outputs.iter_mut().map(|array| array.as_slice_mut().expect("a new array is in standard layout")).collect();

        let mut workspace = self.workspace();
        let result = self.run_bound(&mut workspace, batch, (&slices, &mut results), go);
        self.give_back(workspace);
        result?;
        Ok(plan.outputs.iter().map(|port| port.name.clone()).zip(outputs).collect())
    }

    /// Runs the model on row-major slices in the order of the plan's inputs and outputs. Allocates nothing but the arena, and that only for a batch
    /// larger than any before.
    ///
    /// # Errors
    /// If a slice has the wrong length; if there is no memory.
    pub fn run_into(
        &self,
        workspace: &mut Workspace,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
    ) -> Result<(), RunError> {
        self.run_bound(workspace, batch, (inputs, outputs), &mut |run| pool::run(run, self.threads, self.spin))
    }

    /// Checks and binds tensors, and lets `go` run the steps.
    fn run_bound(
        &self,
        workspace: &mut Workspace,
        batch: usize,
        (inputs, outputs): (&[&[f32]], &mut [&mut [f32]]),
        go: &mut dyn FnMut(&Arc<Run>),
    ) -> Result<(), RunError> {
        let plan = self.plan();
        if !Arc::ptr_eq(&self.program, workspace.run.program()) {
            return Err(RunError::ForeignWorkspace);
        }
        check_batch(plan, batch)?;
        check_lengths("inputs", &plan.inputs, batch, inputs.iter().map(|slice| slice.len()))?;
        check_lengths("outputs", &plan.outputs, batch, outputs.iter().map(|slice| slice.len()))?;
        let memory = |error| RunError::Memory { batch, error };
        let bytes = self.program.memory(batch, self.threads).filter(|_| batch <= rnc_plan::limits::MAX_BATCH);
        let bytes = bytes.ok_or_else(|| memory(std::io::ErrorKind::OutOfMemory.into()))?;
        workspace.arena.reserve(bytes).map_err(memory)?;
        let inputs: smallvec::SmallVec<[_; 4]> = inputs.iter().map(|slice| slice.as_ptr()).collect();
        let outputs: smallvec::SmallVec<[_; 4]> = outputs.iter_mut().map(|slice| slice.as_mut_ptr()).collect();
        workspace.run.bind(&Tensors { inputs: &inputs, outputs: &outputs, batch }, &mut workspace.arena);
        go(&workspace.run);
        Ok(())
    }
}

fn thread_count(options: &Options) -> usize {
    options.threads.unwrap_or_else(pool::default_threads).clamp(1, pool::MAX_THREADS)
}

/// An array for an output, unless there is no memory for it.
fn zeros(port: &Port, plan_batch: Batch, batch: usize) -> Result<ArrayD<f32>, RunError> {
    let memory = || RunError::Memory { batch, error: std::io::ErrorKind::OutOfMemory.into() };
    let len = port.sample_len().and_then(|len| len.checked_mul(batch)).ok_or_else(memory)?;
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| memory())?;
    data.resize(len, 0.0);
    ArrayD::from_shape_vec(plan_batch.shape(&port.dims, batch), data).map_err(|_| memory())
}

/// The one array given for a port, row-major, if its shape fits.
fn array<'a>(
    port: &Port,
    plan_batch: Batch,
    inputs: &'a [(&str, ArrayViewD<'_, f32>)],
    batch: &mut Option<usize>,
) -> Result<ndarray::CowArray<'a, f32, ndarray::IxDyn>, RunError> {
    let mut given = inputs.iter().filter(|(name, _)| *name == port.name).map(|(_, array)| array);
    let (Some(array), None) = (given.next(), given.next()) else {
        let found = inputs.iter().filter(|(name, _)| *name == port.name).count();
        return Err(RunError::InputCount { name: port.name.clone(), found });
    };
    let wrong = || {
        let leading = match plan_batch {
            Batch::Symbolic => Some("N".to_owned()),
            Batch::Fixed(n) => Some(n.to_string()),
            Batch::Single => None,
        };
        let dims = leading.into_iter().chain(port.dims.iter().map(ToString::to_string));
        let expected = dims.collect::<Vec<_>>().join(", ");
        RunError::Shape { name: port.name.clone(), expected, found: array.shape().to_vec() }
    };
    let samples = match (plan_batch, array.shape()) {
        (Batch::Symbolic, [samples, ..]) if *samples > 0 => *samples,
        (Batch::Fixed(n), _) => n,
        (Batch::Single, _) => 1,
        (Batch::Symbolic, _) => return Err(wrong()),
    };
    if array.shape() != plan_batch.shape(&port.dims, samples) {
        return Err(wrong());
    }
    let expected = *batch.get_or_insert(samples);
    if expected != samples {
        return Err(RunError::Batch { name: port.name.clone(), expected, found: samples });
    }
    Ok(array.as_standard_layout())
}

fn check_batch(plan: &Plan, batch: usize) -> Result<(), RunError> {
    let port = || plan.inputs.first().map_or_else(String::new, |port| port.name.clone());
    match plan.batch {
        Batch::Symbolic if batch == 0 => Err(RunError::Batch { name: port(), expected: 1, found: 0 }),
        Batch::Symbolic => Ok(()),
        Batch::Fixed(_) | Batch::Single => match plan.batch.fixed().filter(|expected| *expected != batch) {
            Some(expected) => Err(RunError::Batch { name: port(), expected, found: batch }),
            None => Ok(()),
        },
    }
}

fn check_lengths(
    what: &'static str,
    ports: &[Port],
    batch: usize,
    lengths: impl ExactSizeIterator<Item = usize>,
) -> Result<(), RunError> {
    if ports.len() != lengths.len() {
        return Err(RunError::Count { what, expected: ports.len(), found: lengths.len() });
    }
    for (port, found) in ports.iter().zip(lengths) {
        let expected = port.sample_len().and_then(|len| len.checked_mul(batch)).unwrap_or(usize::MAX);
        if found != expected {
            return Err(RunError::Length { name: port.name.clone(), expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rnc_plan::kernel::{Access, Elementwise, Instruction, KernelSpec, Space, Unary};
    use rnc_plan::{ConstantData, Listing, Operand, Tuning};

    use super::*;

    /// `y = relu(x)` over samples of two elements.
    fn plan() -> Plan {
        let port = |name: &str| Port { name: name.to_owned(), dims: vec![2] };
        let relu = KernelSpec::Elementwise(Elementwise {
            space: Space::Flat { len: 2 },
            operands: vec![Access::Full],
            program: vec![Instruction::Operand(0), Instruction::Unary(Unary::Relu, 0)],
        });
        Plan {
            name: "relu".into(),
            producer: "test".into(),
            batch: Batch::Symbolic,
            inputs: vec![port("x")],
            outputs: vec![port("y")],
            buffers: vec![],
            constants: vec![],
            steps: vec![Step::new("y", relu, vec![Operand::Output(0), Operand::Input(0)])],
            arena_bytes: 0,
            arena_lower_bound: 0,
            listing: Listing::default(),
            tuning: Tuning::default(),
            data: ConstantData::empty(),
        }
    }

    #[test]
    fn runs_where_another_thread_held_the_workspaces_when_the_process_was_forked() {
        let session = Session::new(plan(), &Options::default()).unwrap();
        let _held = session.idle.lock();
        let x = ndarray::array![[1.0, -1.0]].into_dyn();
        let outputs = session.run(&[("x", x.view())]).unwrap();
        assert_eq!(outputs[0].1, ndarray::array![[1.0, 0.0]].into_dyn());
    }
}
