//! One run: the step list on the threads of the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use rnc_codegen::Code;
use rnc_plan::verify::VerifiedPlan;
use rnc_plan::{ALIGN, Operand};

use crate::arena::Arena;
use crate::pool::{Barrier, Job};

/// A plan with its code: what runs share.
pub(crate) struct Program {
    pub(crate) plan: VerifiedPlan,
    pub(crate) code: Code,
    /// Threads that each step is worth.
    pub(crate) widths: Vec<usize>,
    /// Where each step's operands start in [`Run::addresses`]; one more than there are steps.
    starts: Vec<usize>,
    /// Bytes of scratch memory that each thread needs, a multiple of [`ALIGN`].
    pub(crate) scratch: usize,
}

impl Program {
    pub(crate) fn new(plan: VerifiedPlan, code: Code) -> Self {
        let mut starts = vec![0];
        for step in &plan.steps {
            starts.push(starts[starts.len() - 1] + step.operands.len());
        }
        let scratch = (0..plan.steps.len()).map(|step| code.kernel(step).scratch()).max().unwrap_or(0);
        let scratch = scratch.next_multiple_of(ALIGN);
        let widths = plan.steps.iter().map(|step| crate::width::threads(&step.kernel)).collect();
        Self { plan, code, widths, starts, scratch }
    }
}

/// The state of a run, reused by the next one of the same workspace. Written only while no run is under way.
pub(crate) struct Run {
    program: Arc<Program>,
    addresses: Vec<AtomicPtr<u8>>,
    batch: AtomicUsize,
    /// The scratch memory of the first thread; the others' follow.
    scratch: AtomicPtr<u8>,
    barrier: Barrier,
    /// Nanoseconds that each step took, by the first thread's clock, summed up over runs.
    pub(crate) times: Option<Vec<AtomicU64>>,
}

/// The caller's tensors, as addresses: valid for `batch` samples of each port for the duration of a run.
pub(crate) struct Tensors<'a> {
    pub(crate) inputs: &'a [*const f32],
    pub(crate) outputs: &'a [*mut f32],
    pub(crate) batch: usize,
}

impl Run {
    pub(crate) fn new(program: Arc<Program>, timed: bool) -> Self {
        let addresses = (0..program.starts[program.plan.steps.len()]).map(|_| AtomicPtr::default()).collect();
        let times = timed.then(|| program.plan.steps.iter().map(|_| AtomicU64::new(0)).collect());
        Self {
            program,
            addresses,
            batch: AtomicUsize::new(0),
            scratch: AtomicPtr::default(),
            barrier: Barrier::default(),
            times,
        }
    }

    /// Resolves every operand to an address. The arena holds the plan's buffers for this batch, and then the threads' scratch memory.
    pub(crate) fn bind(&self, tensors: &Tensors<'_>, arena: &mut Arena) {
        let plan = &self.program.plan;
        let arena = arena.start();
        self.scratch.store(arena.wrapping_add(plan.arena_bytes * tensors.batch), Ordering::Relaxed);
        let data = plan.data.bytes().as_ptr().cast_mut();
        let operands = plan.steps.iter().flat_map(|step| &step.operands);
        for (address, operand) in self.addresses.iter().zip(operands) {
            let place = match *operand {
                Operand::Buffer(i) => arena.wrapping_add(plan.buffers[i].offset * tensors.batch),
                Operand::Constant(i) => data.wrapping_add(plan.constants[i].offset),
                Operand::Input(i) => tensors.inputs[i].cast_mut().cast(),
                Operand::Output(i) => tensors.outputs[i].cast(),
            };
            address.store(place, Ordering::Relaxed);
        }
        self.batch.store(tensors.batch, Ordering::Relaxed);
    }

    fn step(&self, index: usize, thread: usize, threads: usize) {
        let program = &*self.program;
        let kernel = program.code.kernel(index);
        let batch = self.batch.load(Ordering::Relaxed);
        let tasks = kernel.tasks().count(batch);
        let width = threads.min(program.widths[index].saturating_mul(batch)).min(tasks);
        if thread >= width {
            return;
        }
        let range = tasks * thread / width..tasks * (thread + 1) / width;
        let scratch = self.scratch.load(Ordering::Relaxed).wrapping_add(thread * program.scratch);
        let mut operands = [std::ptr::null_mut(); MAX_OPERANDS];
        let addresses = &self.addresses[program.starts[index]..program.starts[index + 1]];
        for (operand, address) in operands.iter_mut().zip(addresses) {
            *operand = address.load(Ordering::Relaxed);
        }
        // SAFETY: the plan was verified: every operand holds what the step's footprint says for this batch (the arena and the caller's tensors
        // have been sized for it in `Session::run_into`), the result overlaps nothing that other steps' data still lives in, and the barrier
        // behind each step keeps steps apart. Threads get disjoint ranges of tasks, and scratch memory of their own behind the buffers.
        #[allow(unsafe_code, reason = "the call into generated code")]
        unsafe {
            kernel.run(&operands, batch, range, scratch);
        }
    }
}

/// Operands that a step can have at the most: an elementwise program and its result.
const MAX_OPERANDS: usize = rnc_plan::limits::MAX_PROGRAM_OPERANDS + 1;

impl Job for Run {
    fn run(&self, thread: usize, threads: usize) {
        for index in 0..self.program.plan.steps.len() {
            let start = Instant::now();
            self.step(index, thread, threads);
            self.barrier.wait(threads);
            if let (0, Some(times)) = (thread, &self.times) {
                times[index].fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
        }
    }
}
