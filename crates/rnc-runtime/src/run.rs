//! One run: the step list on the threads of the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use rnc_codegen::Code;
use rnc_plan::verify::VerifiedPlan;
use rnc_plan::{ALIGN, Operand, footprint};

use crate::arena::Arena;
use crate::pool::{Barrier, Job};
use crate::schedule::Schedule;
use crate::spans::{Recorder, Watch};

/// A plan with its code: what runs share.
pub(crate) struct Program {
    pub(crate) plan: VerifiedPlan,
    pub(crate) code: Code,
    /// Threads that each step is worth.
    pub(crate) widths: Vec<usize>,
    /// Where each step's operands start in [`Run::addresses`]; one more than there are steps.
    starts: Vec<usize>,
    /// By operand: bytes from one sample to the next.
    strides: Vec<usize>,
    /// By step: elements of its result for one sample.
    result_lens: Vec<usize>,
    /// Bytes of scratch memory that each thread needs, a multiple of [`ALIGN`].
    pub(crate) scratch: usize,
    /// For one sample, and for more.
    schedules: [Schedule; 2],
}

impl Program {
    pub(crate) fn new(plan: VerifiedPlan, code: Code) -> Self {
        let mut starts = vec![0];
        let (mut strides, mut result_lens) = (Vec::new(), Vec::new());
        for step in &plan.steps {
            let footprints = footprint::operands(&step.kernel).expect("a verified plan has sound steps");
            strides.extend(footprints.iter().map(|operand| operand.sample_stride * 4));
            starts.push(strides.len());
            result_lens.push(footprints[0].elements_per_sample);
        }
        let schedules = [Schedule::together(&plan), Schedule::divided(&plan)];
        let scratch = (0..plan.steps.len()).map(|step| code.kernel(step).scratch()).max().unwrap_or(0);
        let scratch = scratch.next_multiple_of(ALIGN);
        let widths = plan.steps.iter().map(|step| crate::width::threads(&step.kernel)).collect();
        Self { plan, code, widths, starts, strides, result_lens, scratch, schedules }
    }

    /// How a batch goes through the steps.
    fn schedule(&self, batch: usize) -> &Schedule {
        &self.schedules[usize::from(batch > 1)]
    }

    /// Bytes of memory that a run on so many threads needs. `None` on overflow.
    pub(crate) fn memory(&self, batch: usize, threads: usize) -> Option<usize> {
        self.schedule(batch).bytes(&self.plan, batch)?.checked_add(self.scratch.checked_mul(threads)?)
    }
}

/// What a step has written.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Index of the step in the plan.
    pub step: usize,
    /// First sample.
    pub first: usize,
    /// Samples: one after the other, as far apart as the step's footprint says.
    pub samples: usize,
    /// The elements, in the layout of the step's kernel.
    pub result: &'a [f32],
}

/// The state of a run, reused by the next one of the same workspace. Written only while no run is under way.
pub(crate) struct Run {
    program: Arc<Program>,
    /// By operand: the first sample's address.
    addresses: Vec<AtomicPtr<u8>>,
    /// By operand: bytes from one sample's address to the next.
    strides: Vec<AtomicUsize>,
    batch: AtomicUsize,
    /// The scratch memory of the first thread; the others' follow.
    scratch: AtomicPtr<u8>,
    barrier: Barrier,
    /// Whether nobody wants the result any more.
    cancelled: AtomicBool,
    /// The step, counted as [`Run::steps`] gives them, behind which all threads leave a cancelled run. Written by the first one before the barrier of that step, so that
    /// none leaves the others waiting.
    end: AtomicUsize,
    /// Writes down how long everything takes, if that is wanted.
    pub(crate) recorder: Option<Recorder>,
}

/// The caller's tensors, as addresses: valid for `batch` samples of each port for the duration of a run.
pub(crate) struct Tensors<'a> {
    pub(crate) inputs: &'a [*const f32],
    pub(crate) outputs: &'a [*mut f32],
    pub(crate) batch: usize,
}

impl Run {
    pub(crate) fn new(program: Arc<Program>, recorder: Option<Recorder>) -> Self {
        let addresses = program.strides.iter().map(|_| AtomicPtr::default()).collect();
        let strides = program.strides.iter().map(|_| AtomicUsize::new(0)).collect();
        Self {
            program,
            addresses,
            strides,
            batch: AtomicUsize::new(0),
            scratch: AtomicPtr::default(),
            barrier: Barrier::default(),
            cancelled: AtomicBool::new(false),
            end: AtomicUsize::new(usize::MAX),
            recorder,
        }
    }

    /// What the state was made for.
    pub(crate) fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Resolves every operand to an address. The arena holds what the schedule asks for, and then the threads' scratch memory.
    pub(crate) fn bind(&self, tensors: &Tensors<'_>, arena: &mut Arena) {
        let program = &*self.program;
        let (plan, batch) = (&program.plan, tensors.batch);
        let schedule = program.schedule(batch);
        let arena = arena.start();
        let buffers = schedule.bytes(plan, batch).expect("the arena was reserved for this batch");
        self.scratch.store(arena.wrapping_add(buffers), Ordering::Relaxed);
        let data = plan.data.bytes().as_ptr().cast_mut();
        let operands = plan.steps.iter().enumerate().flat_map(|(step, s)| s.operands.iter().map(move |o| (step, *o)));
        for (i, (step, operand)) in operands.enumerate() {
            let (place, for_each) = match operand {
                Operand::Buffer(buffer) => {
                    let (offset, for_each) = schedule.place(plan, step, buffer, batch);
                    (arena.wrapping_add(offset), for_each)
                }
                Operand::Constant(constant) => (data.wrapping_add(plan.constants[constant].offset), false),
                Operand::Input(port) => (tensors.inputs[port].cast_mut().cast(), true),
                Operand::Output(port) => (tensors.outputs[port].cast(), true),
            };
            self.addresses[i].store(place, Ordering::Relaxed);
            self.strides[i].store(if for_each { program.strides[i] } else { 0 }, Ordering::Relaxed);
        }
        self.batch.store(batch, Ordering::Relaxed);
        self.cancelled.store(false, Ordering::Relaxed);
        self.end.store(usize::MAX, Ordering::Relaxed);
        if let Some(recorder) = &self.recorder {
            recorder.start();
        }
    }

    /// Makes the run that is under way end after the step that it is at.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Every step, in order, with the first sample and the number of samples.
    fn steps(&self) -> impl Iterator<Item = (usize, (usize, usize))> {
        let batch = self.batch.load(Ordering::Relaxed);
        let split = self.program.schedule(batch).split;
        let samples = if split > 0 { batch } else { 0 };
        let for_each = (0..samples).flat_map(move |sample| (0..split).map(move |index| (index, (sample, 1))));
        for_each.chain((split..self.program.plan.steps.len()).map(move |index| (index, (0, batch))))
    }

    /// Runs on the calling thread alone, and shows each step's result before the next step may overwrite it.
    pub(crate) fn observe(&self, observe: &mut dyn FnMut(Observed<'_>)) {
        for (step, (first, samples)) in self.steps() {
            self.step(step, (first, samples), (0, 1));
            let result = self.program.starts[step];
            let stride = self.strides[result].load(Ordering::Relaxed);
            let address = self.addresses[result].load(Ordering::Relaxed).wrapping_add(first * stride);
            let len = self.program.strides[result] / 4 * (samples - 1) + self.program.result_lens[step];
            // SAFETY: the step has just written these elements: its result holds what the footprint says for these samples, and nobody else runs. Buffers are
            // aligned to 64 bytes, tensors are `f32`s, and samples are whole numbers of those apart.
            #[allow(unsafe_code, clippy::cast_ptr_alignment, reason = "a look at what generated code wrote")]
            let result = unsafe { std::slice::from_raw_parts(address.cast::<f32>(), len) };
            observe(Observed { step, first, samples, result });
        }
    }

    /// One thread's part of a run.
    fn part(&self, (thread, threads): (usize, usize), watch: &mut impl Watch) {
        for (number, (index, samples)) in self.steps().enumerate() {
            watch.start();
            let tasks = self.step(index, samples, (thread, threads));
            watch.done(tasks);
            if thread == 0 && self.cancelled.load(Ordering::Relaxed) {
                self.end.store(number, Ordering::Relaxed);
            }
            self.barrier.wait(threads);
            watch.left(index, samples);
            if self.end.load(Ordering::Relaxed) == number {
                return;
            }
        }
    }

    /// One thread's part of a step for `batch` samples from `first` on. Gives the number of its tasks.
    fn step(&self, index: usize, (first, batch): (usize, usize), (thread, threads): (usize, usize)) -> usize {
        let program = &*self.program;
        let kernel = program.code.kernel(index);
        let tasks = kernel.tasks().count(batch);
        let width = threads.min(program.widths[index].saturating_mul(batch)).min(tasks);
        if thread >= width {
            return 0;
        }
        let range = tasks * thread / width..tasks * (thread + 1) / width;
        let done = range.len();
        let scratch = self.scratch.load(Ordering::Relaxed).wrapping_add(thread * program.scratch);
        let mut operands = [std::ptr::null_mut(); MAX_OPERANDS];
        for (operand, i) in operands.iter_mut().zip(program.starts[index]..program.starts[index + 1]) {
            let stride = self.strides[i].load(Ordering::Relaxed);
            *operand = self.addresses[i].load(Ordering::Relaxed).wrapping_add(first * stride);
        }
        // SAFETY: the plan was verified: every operand holds what the step's footprint says for these samples (arena and tensors were sized for
        // the batch in `Session::run_into`; the schedule gives every buffer its size a sample, keeps buffers that live at the same time
        // as far apart as the plan does, and those that cross its division out of the arena), and the barrier behind each step keeps
        // steps apart. Threads get disjoint ranges of tasks, and scratch memory of their own behind the buffers.
        #[allow(unsafe_code, reason = "the call into generated code")]
        unsafe {
            kernel.run(&operands, batch, range, scratch);
        }
        done
    }
}

/// Operands that a step can have at the most: an elementwise program and its result.
const MAX_OPERANDS: usize = rnc_plan::limits::MAX_PROGRAM_OPERANDS + 1;

impl Job for Run {
    fn run(&self, thread: usize, threads: usize) {
        match &self.recorder {
            None => self.part((thread, threads), &mut ()),
            Some(recorder) => self.part((thread, threads), &mut recorder.watch(thread)),
        }
    }
}
