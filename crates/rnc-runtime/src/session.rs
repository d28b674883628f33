//! Loading a plan and running it.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ndarray::{ArrayD, ArrayView, Dimension};
use rnc_codegen::{Code, Isa, Request, Target};
use rnc_plan::verify::VerifiedPlan;
use rnc_plan::{OpenOptions, Plan, Step};

use crate::arena::Arena;
use crate::error::{LoadError, RunError};
use crate::lock;
use crate::options::Options;
use crate::pool;
use crate::run::{Observed, Program, Run, Tensors};
use crate::running::{Call, Running};
use crate::spans::{Recorder, Span};
use crate::tensors::{self, Given, InputViews, OutputArrays};

/// A loaded plan: its code and weights. Shared freely between threads; runs at the same time share everything but their workspaces. A clone is the same session.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    program: Arc<Program>,
    threads: usize,
    spin: Duration,
    /// Workspaces of [`Session::run`] that are not in use.
    idle: Mutex<Vec<Workspace>>,
}

/// What one run at a time needs beside the session: the arena. Memory grows to the largest batch and is kept.
pub struct Workspace {
    arena: Arena,
    pub(crate) run: Arc<Run>,
}

impl Workspace {
    /// Nanoseconds that each step of the plan has taken over all runs, if the workspace was made to measure.
    pub fn step_nanoseconds(&self) -> Option<Vec<u64>> {
        Some(self.run.recorder.as_ref()?.step_nanoseconds())
    }

    /// What each thread did when in the last run, thread by thread, if the workspace was made to measure. A step that takes a batch sample by sample is there once for each.
    pub fn spans(&self) -> Option<Vec<Span>> {
        Some(self.run.recorder.as_ref()?.spans())
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
        let start = Instant::now();
        let (plan, check) = OpenOptions::open_deferred(path).map_err(open)?;
        log::info!("opened {} and verified its steps in {:.1?}", path.display(), start.elapsed());
        if options.thread_count() == 1 {
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
        let threads = options.thread_count();
        // Tiles were measured for one instruction set; another one has tiles of its own.
        let tuned = plan.tuning.measured.as_ref().is_some_and(|measured| measured.isa == isa.to_string());
        let tile = |step: &Step| step.choice.as_ref().and_then(|choice| choice.tile).filter(|_| tuned);
        let requests = plan.steps.iter().map(|step| Request { spec: &step.kernel, tile: tile(step), step: &step.name });
        let start = Instant::now();
        let code = Code::announced(requests, Target { isa, threads }, options.announce)?;
        log::info!(
            "generated {isa} code of {} steps on {threads} threads in {:.1?}",
            plan.steps.len(),
            start.elapsed()
        );
        let program = Arc::new(Program::new(plan, code));
        let shared = Shared { program, threads, spin: options.spin, idle: Mutex::new(Vec::new()) };
        let session = Self { shared: Arc::new(shared) };
        let first = session.workspace();
        session.give_back(first);
        Ok(session)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.shared.program.plan
    }

    /// The generated code.
    pub fn code(&self) -> &Code {
        &self.shared.program.code
    }

    /// Threads that a run uses.
    pub fn threads(&self) -> usize {
        self.shared.threads
    }

    /// A workspace that nobody uses, with memory for one sample (or the plan's batch). The first one was made with the session.
    pub fn workspace(&self) -> Workspace {
        let idle = lock::brief(&self.shared.idle).and_then(|mut idle| idle.pop());
        idle.unwrap_or_else(|| {
            let batch = self.plan().batch.fixed().unwrap_or(1);
            let mut arena = Arena::default();
            arena.prepare(self.shared.program.memory(batch, self.shared.threads).unwrap_or(0));
            Workspace { arena, run: Arc::new(Run::new(Arc::clone(&self.shared.program), None)) }
        })
    }

    pub(crate) fn give_back(&self, workspace: Workspace) {
        if let Some(mut idle) = lock::brief(&self.shared.idle) {
            idle.push(workspace);
        }
    }

    /// A new workspace that measures the steps of its runs.
    pub fn measuring_workspace(&self) -> Workspace {
        let recorder = Recorder::new(self.plan().steps.len(), self.threads());
        let run = Run::new(Arc::clone(&self.shared.program), Some(recorder));
        Workspace { arena: Arena::default(), run: Arc::new(run) }
    }

    /// Runs the model on named inputs, in any order, and gives its outputs in the model's order.
    ///
    /// # Errors
    /// If an input is missing, unknown, or of the wrong shape; if there is no memory; if the plan's file was changed since it was loaded.
    pub fn run(&self, inputs: &InputViews<'_>) -> Result<OutputArrays, RunError> {
        let mut call = self.call(Given::new(self.plan(), inputs)?)?;
        call.run();
        call.finish()
    }

    /// Runs a model with one input and one output on a tensor of any number of dimensions.
    ///
    /// # Errors
    /// As [`Session::run`]; if the model has other inputs or outputs.
    pub fn run_one<D: Dimension>(&self, input: ArrayView<'_, f32, D>) -> Result<ArrayD<f32>, RunError> {
        let plan = self.plan();
        let [port] = plan.inputs.as_slice() else {
            return Err(RunError::Count { what: "inputs", expected: plan.inputs.len(), found: 1 });
        };
        let [_] = plan.outputs.as_slice() else {
            return Err(RunError::Count { what: "outputs", expected: plan.outputs.len(), found: 1 });
        };
        let mut outputs = self.run(&[(port.name.as_str(), input.into_dyn())])?;
        Ok(outputs.swap_remove(0).1)
    }

    /// Starts a run as [`Session::run`] does it, but on a thread of its own and on copies of the inputs. The run is cancelled when what it gives is dropped.
    ///
    /// # Errors
    /// As [`Session::run`]; if the system gives no thread.
    pub fn start(&self, inputs: &InputViews<'_>) -> Result<Running, RunError> {
        Running::start(self.call(Given::new(self.plan(), inputs)?.into_owned())?)
    }

    /// Runs as [`Session::run`] does, but on the calling thread alone, and shows what each step has written before the next one runs: for debugging.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_observed(
        &self,
        inputs: &InputViews<'_>,
        observe: &mut dyn FnMut(Observed<'_>),
    ) -> Result<OutputArrays, RunError> {
        let mut call = self.call(Given::new(self.plan(), inputs)?)?;
        call.observe(observe);
        call.finish()
    }

    /// Runs the model on row-major slices in the order of the plan's inputs and outputs. Allocates nothing but the arena, and that only for a batch
    /// larger than any before.
    ///
    /// # Errors
    /// If a slice has the wrong length; if there is no memory; if the plan's file was changed since it was loaded.
    pub fn run_into(
        &self,
        workspace: &mut Workspace,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
    ) -> Result<(), RunError> {
        self.bind(workspace, batch, inputs, outputs)?;
        self.go(&workspace.run);
        self.intact()
    }

    /// Whether the plan is the one that was loaded.
    pub(crate) fn intact(&self) -> Result<(), RunError> {
        if self.plan().data.is_intact() { Ok(()) } else { Err(RunError::PlanChanged) }
    }

    /// Does a run that is bound, on the threads of the pool.
    pub(crate) fn go(&self, run: &Arc<Run>) {
        pool::run(run, self.shared.threads, self.shared.spin);
    }

    /// A run that is ready to go.
    fn call<'a>(&self, given: Given<'a>) -> Result<Call<'a>, RunError> {
        let mut outputs = tensors::outputs(self.plan(), given.batch)?;
        let mut workspace = self.workspace();
        let inputs: Vec<&[f32]> = given.arrays.iter().map(|array| array.as_slice().expect("row-major")).collect();
        let mut results: Vec<&mut [f32]> =
            outputs.iter_mut().map(|array| array.as_slice_mut().expect("new arrays are row-major")).collect();
        match self.bind(&mut workspace, given.batch, &inputs, &mut results) {
            Ok(()) => Ok(Call { session: self.clone(), workspace, given, outputs }),
            Err(error) => {
                self.give_back(workspace);
                Err(error)
            }
        }
    }

    /// Checks tensors and prepares a workspace for a run on them.
    fn bind(
        &self,
        workspace: &mut Workspace,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
    ) -> Result<(), RunError> {
        let plan = self.plan();
        if !Arc::ptr_eq(&self.shared.program, workspace.run.program()) {
            return Err(RunError::ForeignWorkspace);
        }
        tensors::check_batch(plan, batch)?;
        tensors::check_lengths("inputs", &plan.inputs, batch, inputs.iter().map(|slice| slice.len()))?;
        tensors::check_lengths("outputs", &plan.outputs, batch, outputs.iter().map(|slice| slice.len()))?;
        // Also before the run: what was cut off a file cannot be touched.
        self.intact()?;
        let memory = |error| RunError::Memory { batch, error };
        let bytes =
            self.shared.program.memory(batch, self.shared.threads).filter(|_| batch <= rnc_plan::limits::MAX_BATCH);
        let bytes = bytes.ok_or_else(|| memory(std::io::ErrorKind::OutOfMemory.into()))?;
        workspace.arena.reserve(bytes).map_err(memory)?;
        let inputs: smallvec::SmallVec<[_; 4]> = inputs.iter().map(|slice| slice.as_ptr()).collect();
        let outputs: smallvec::SmallVec<[_; 4]> = outputs.iter_mut().map(|slice| slice.as_mut_ptr()).collect();
        workspace.run.bind(&Tensors { inputs: &inputs, outputs: &outputs, batch }, &mut workspace.arena);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rnc_plan::images::Images;
    use rnc_plan::kernel::{Access, Elementwise, Instruction, KernelSpec, Space, Unary};
    use rnc_plan::{Batch, ConstantData, Listing, Operand, Port, Tuning};

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
            images: Images::default(),
            tuning: Tuning::default(),
            data: ConstantData::empty(),
        }
    }

    #[test]
    fn runs_where_another_thread_held_the_workspaces_when_the_process_was_forked() {
        let session = Session::new(plan(), &Options::default()).unwrap();
        let _held = session.shared.idle.lock();
        let x = ndarray::array![[1.0, -1.0]].into_dyn();
        let outputs = session.run(&[("x", x.view())]).unwrap();
        assert_eq!(outputs[0].1, ndarray::array![[1.0, 0.0]].into_dyn());
    }

    #[test]
    fn spans_of_a_thread_follow_each_other_and_lie_within_the_run() {
        for threads in [1, 2, 3] {
            let mut steps = plan();
            steps.steps = vec![steps.steps[0].clone(); 5];
            let session = Session::new(steps, &Options { threads: Some(threads), ..Options::default() }).unwrap();
            let mut workspace = session.measuring_workspace();
            assert_eq!(workspace.spans(), Some(vec![]));
            let (input, mut output) = ([1.0; 8], [0.0; 8]);
            for batch in [4, 1] {
                let start = Instant::now();
                let (input, output) = (&input[..2 * batch], &mut output[..2 * batch]);
                session.run_into(&mut workspace, batch, &[input], &mut [output]).unwrap();
                let whole = start.elapsed().as_nanos() as u64;
                let spans = workspace.spans().unwrap();
                let used = spans.iter().map(|span| span.thread).max().unwrap() + 1;
                // Another test may have the pool; the run is then on one thread.
                assert!(used == threads || used == 1, "{used} of {threads}");
                for thread in 0..used {
                    let own: Vec<Span> = spans.iter().filter(|span| span.thread == thread).copied().collect();
                    // A batch may go through the steps in parts.
                    let parts = own.len() / 5;
                    let steps = (0..parts).flat_map(|_| 0..5).collect::<Vec<_>>();
                    assert_eq!(own.iter().map(|span| span.step).collect::<Vec<_>>(), steps);
                    assert!(own.iter().all(|s| s.start <= s.end && s.end <= s.left && s.left <= whole), "{own:?}");
                    assert!(own.windows(2).all(|pair| pair[0].left <= pair[1].start), "{own:?}");
                    assert!(
                        own.iter()
                            .enumerate()
                            .all(|(i, s)| (s.first, s.samples) == (i / 5 * batch / parts, batch / parts)),
                        "{own:?}"
                    );
                }
                let of_first = spans.iter().filter(|span| span.step == 3 && span.thread == 0);
                let expected: usize = of_first.map(|span| session.code().kernel(3).tasks().count(span.samples)).sum();
                let tasks: usize = spans.iter().filter(|span| span.step == 3).map(|span| span.tasks).sum();
                assert_eq!(tasks, expected);
                // No thread is done with a step before all have begun it.
                for (step, first) in (0..5).flat_map(|step| (0..batch).map(move |first| (step, first))) {
                    let of_step = || spans.iter().filter(|span| (span.step, span.first) == (step, first));
                    let last_start = of_step().map(|span| span.start).max();
                    assert!(of_step().map(|span| span.left).min() >= last_start, "{spans:?}");
                }
            }
        }
        assert!(Session::new(plan(), &Options::default()).unwrap().workspace().spans().is_none());
    }

    #[test]
    fn all_threads_leave_a_cancelled_run_behind_the_same_step() {
        for threads in [1, 2, 3] {
            let mut steps = plan();
            let step = steps.steps[0].clone();
            steps.steps = vec![step; 5];
            let session = Session::new(steps, &Options { threads: Some(threads), ..Options::default() }).unwrap();
            let mut workspace = session.measuring_workspace();
            let (input, mut output) = ([1.0, -1.0], [0.0; 2]);
            session.bind(&mut workspace, 1, &[&input], &mut [&mut output]).unwrap();
            workspace.run.cancel();
            session.go(&workspace.run);
            let times = workspace.step_nanoseconds().unwrap();
            assert!(times[0] > 0 && times[1..] == [0; 4], "{times:?}");
            session.run_into(&mut workspace, 1, &[&input], &mut [&mut output]).unwrap();
            assert!(workspace.step_nanoseconds().unwrap()[4] > 0, "the next run is not cancelled");
        }
    }
}
