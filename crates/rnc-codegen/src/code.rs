//! Finished code: owned, executable, callable.

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

use cranelift_jit::JITModule;
use rnc_plan::TileSize;
use rnc_plan::kernel::KernelSpec;

use crate::error::CodegenError;
use crate::isa::Isa;
use crate::kernels::{self, Tasks};
use crate::module::{self, ModuleBuilder};

/// `fn(operands, batch, begin, end, scratch)`.
type Function = unsafe extern "C" fn(*const *mut u8, usize, usize, usize, *mut u8);

/// The machine code of some kernels.
pub struct Code {
    kernels: Vec<Compiled>,
    /// Kernels of the specifications that were asked for, in their order; equal ones share.
    indices: Vec<usize>,
    isa: Isa,
    /// What the kernels lie in.
    _memory: Vec<Memory>,
}

/// One kernel.
pub struct Compiled {
    function: Function,
    tasks: Tasks,
    scratch: usize,
    name: String,
}

/// A finished module: executable memory.
struct Memory(ManuallyDrop<JITModule>);

// SAFETY: after `finish` the module is only a holder of memory that nobody writes; it is touched again only by `drop`.
#[allow(unsafe_code, reason = "the module's memory is immutable once finished")]
unsafe impl Send for Memory {}
// SAFETY: as above; a shared `Memory` gives out nothing.
#[allow(unsafe_code, reason = "the module's memory is immutable once finished")]
unsafe impl Sync for Memory {}

impl Drop for Memory {
    #[allow(unsafe_code, reason = "a JITModule leaks its memory unless told otherwise")]
    fn drop(&mut self) {
        // SAFETY: function pointers into the memory are only called through `&Compiled`, which borrows from the `Code` that owns both, so none runs
        // now or later; the module is not used after it has been taken.
        unsafe { ManuallyDrop::take(&mut self.0).free_memory() }
    }
}

/// What code is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Instruction set.
    pub isa: Isa,
    /// Threads that will run it: work is cut so that it spreads evenly over them.
    pub threads: usize,
}

impl From<Isa> for Target {
    fn from(isa: Isa) -> Self {
        Self { isa, threads: 1 }
    }
}

/// A kernel to be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request<'a> {
    /// What it computes.
    pub spec: &'a KernelSpec,
    /// Register tile of a convolution. One that does not fit the instruction set is ignored.
    pub tile: Option<TileSize>,
}

impl<'a> From<&'a KernelSpec> for Request<'a> {
    fn from(spec: &'a KernelSpec) -> Self {
        Self { spec, tile: None }
    }
}

impl Code {
    /// Compiles kernels for an instruction set of this CPU. Equal requests are compiled once.
    ///
    /// The specifications must come from a verified plan: sizes are not checked here again.
    ///
    /// # Errors
    /// If the CPU lacks the instruction set, or a layer is too large to be addressed.
    pub fn compile<'a, R: Into<Request<'a>>>(
        requests: impl IntoIterator<Item = R>,
        target: impl Into<Target>,
    ) -> Result<Self, CodegenError> {
        let target = target.into();
        let isa = target.isa;
        if !isa.is_supported() {
            return Err(CodegenError::UnsupportedIsa(isa));
        }
        let mut known = HashMap::new();
        let mut distinct = Vec::new();
        let indices = requests.into_iter().map(Into::into).map(|request| {
            *known.entry(request).or_insert_with(|| {
                distinct.push(request);
                distinct.len() - 1
            })
        });
        let indices = indices.collect();
        let (memory, kernels) = Queue::new(&distinct, target).compile()?;
        Ok(Self { kernels, indices, isa, _memory: memory })
    }

    /// The kernel of the `index`-th specification.
    pub fn kernel(&self, index: usize) -> &Compiled {
        &self.kernels[self.indices[index]]
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

#[allow(unsafe_code, reason = "a code address becomes a function pointer")]
fn function(module: &JITModule, id: cranelift_module::FuncId) -> Function {
    let address = module.get_finalized_function(id);
    // SAFETY: `ModuleBuilder::kernel` defined the function with five pointer-sized parameters, no result, and the platform's C calling
    // convention; the module has been finished.
    unsafe { std::mem::transmute::<*const u8, Function>(address) }
}

/// Kernels that wait to be compiled by several threads, each into a module of its own.
struct Queue<'a> {
    requests: &'a [Request<'a>],
    target: Target,
    next: AtomicUsize,
}

/// Most threads that compile: a network has few dozen different kernels, and each thread sets address space aside.
const MOST_COMPILERS: usize = 8;

/// What one thread made of its kernels, with their places among the requests.
type Part = (Memory, Vec<(usize, Compiled)>);

impl<'a> Queue<'a> {
    fn new(requests: &'a [Request<'a>], target: Target) -> Self {
        Self { requests, target, next: AtomicUsize::new(0) }
    }

    /// Compiles everything; the kernels come in the order of the requests.
    fn compile(&self) -> Result<(Vec<Memory>, Vec<Compiled>), CodegenError> {
        let helpers = self.target.threads.min(self.requests.len()).min(MOST_COMPILERS).saturating_sub(1);
        let parts = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(|| self.work())).collect();
            let mut parts = vec![self.work()];
            parts.extend(helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|panic| resume_unwind(panic))));
            parts
        });
        let (mut memory, mut kernels, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            match part {
                Ok((module, compiled)) => {
                    memory.push(module);
                    kernels.extend(compiled);
                }
                Err(failure) => failed.push(failure),
            }
        }
        // Of several errors, the one that a single thread would have met.
        if let Some(first) = failed.into_iter().min_by_key(|failure: &Failed| failure.index) {
            return Err(first.error);
        }
        kernels.sort_by_key(|(index, _)| *index);
        Ok((memory, kernels.into_iter().map(|(_, kernel)| kernel).collect()))
    }

    /// One thread's work.
    fn work(&self) -> Result<Part, Failed> {
        let at = |index: usize| move |error: CodegenError| Failed { index, error };
        let mut module = module::jit().map_err(at(0))?;
        let mut builder = ModuleBuilder::new(&mut module, self.target);
        let mut unfinished = Vec::new();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = self.requests.get(index) else { break };
            unfinished.push((index, kernels::compile(&mut builder, request).map_err(at(index))?));
        }
        module.finalize_definitions().map_err(CodegenError::from).map_err(at(self.requests.len()))?;
        let compiled = unfinished.into_iter().map(|(index, kernel)| {
            let function = function(&module, kernel.function);
            (index, Compiled { function, tasks: kernel.tasks, scratch: kernel.scratch, name: kernel.name })
        });
        let compiled = compiled.collect();
        Ok((Memory(ManuallyDrop::new(module)), compiled))
    }
}

/// An error, and the request that it came from.
struct Failed {
    index: usize,
    error: CodegenError,
}

impl Compiled {
    /// How many tasks there are.
    pub fn tasks(&self) -> Tasks {
        self.tasks
    }

    /// Bytes of scratch memory, aligned to 64, that each call of [`Compiled::run`] needs.
    pub fn scratch(&self) -> usize {
        self.scratch
    }

    /// A name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a range of tasks on operands at these addresses, in the order of the specification.
    ///
    /// # Safety
    /// Every operand must be valid for what the specification's footprint says that the kernel reads and writes for this batch, and `scratch`
    /// for [`Compiled::scratch`] bytes; nothing else may write that memory during the call, nor read what is written, except, for the
    /// operands, other ranges of tasks of the same step; `batch` must be at least 1, and the range lie within `tasks().count(batch)`.
    #[allow(unsafe_code, reason = "the call into generated code")]
    pub unsafe fn run(&self, operands: &[*mut u8], batch: usize, tasks: Range<usize>, scratch: *mut u8) {
        // SAFETY: the caller vouches for the memory; the code reads as many operands as the specification has.
        unsafe { (self.function)(operands.as_ptr(), batch, tasks.start, tasks.end, scratch) }
    }
}
