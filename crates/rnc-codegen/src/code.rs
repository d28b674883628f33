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
use crate::kernels::{self, Kernel, Tasks, gemm};
use crate::module::{self, ModuleBuilder};
use crate::symbols::{self, Announce, Symbol};

/// `fn(operands, batch, begin, end, scratch)`.
type Function = unsafe extern "C" fn(*const *mut u8, usize, usize, usize, *mut u8);

/// The machine code of some kernels.
pub struct Code {
    kernels: Vec<Compiled>,
    /// Kernels of the specifications that were asked for, in their order; equal ones share.
    indices: Vec<usize>,
    isa: Isa,
    /// What the kernels lie in.
    memory: Vec<Memory>,
}

/// One kernel.
pub struct Compiled {
    function: Function,
    tasks: Tasks,
    scratch: usize,
    tile: Option<RegisterTile>,
    name: String,
}

/// What sums a kernel holds in registers: pixels × vectors of output channels. A vector has [`Isa::lanes`] channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterTile {
    /// The largest of its tiles.
    Pixels(TileSize),
    /// Samples are the pixels, in parts that depend on the batch.
    Samples {
        /// Vectors of output features.
        columns: usize,
    },
}

impl RegisterTile {
    /// The largest tile of a run with so many samples.
    pub fn of_batch(self, batch: usize) -> TileSize {
        match self {
            Self::Pixels(size) => size,
            Self::Samples { columns } => {
                let pixels = gemm::SAMPLES.into_iter().find(|samples| *samples <= batch).unwrap_or(1);
                TileSize { pixels, columns }
            }
        }
    }
}

/// A finished module: executable memory.
struct Memory {
    module: ManuallyDrop<JITModule>,
    /// Its functions, if anyone was told of them.
    symbols: Vec<Symbol>,
    #[cfg(feature = "gdb")]
    gdb: Option<crate::gdb::Registered>,
}

impl Memory {
    /// Takes a finished module, and tells who is to know what its functions are called.
    fn new(module: JITModule, defined: Vec<module::Defined>, announce: Announce) -> Result<Self, CodegenError> {
        let symbols = if announce.is_nobody() { Vec::new() } else { symbols::of_module(&module, defined) };
        let memory = Self {
            module: ManuallyDrop::new(module),
            #[cfg(feature = "gdb")]
            gdb: if announce.gdb { crate::gdb::Registered::new(&symbols)? } else { None },
            symbols,
        };
        if announce.perf_map {
            symbols::append_to_perf_map(&memory.symbols)?;
        }
        Ok(memory)
    }
}

// SAFETY: after `finish` the module is only a holder of memory that nobody writes; it is touched again only by `drop`.
#[allow(unsafe_code, reason = "the module's memory is immutable once finished")]
unsafe impl Send for Memory {}
// SAFETY: as above; a shared `Memory` gives out nothing.
#[allow(unsafe_code, reason = "the module's memory is immutable once finished")]
unsafe impl Sync for Memory {}

impl Drop for Memory {
    #[allow(unsafe_code, reason = "a JITModule leaks its memory unless told otherwise")]
    fn drop(&mut self) {
        // A debugger must not look at memory that is gone.
        #[cfg(feature = "gdb")]
        drop(self.gdb.take());
        // SAFETY: function pointers into the memory are only called through `&Compiled`, which borrows from the `Code` that owns both, so none runs
        // now or later; the module is not used after it has been taken.
        unsafe { ManuallyDrop::take(&mut self.module).free_memory() }
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
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it computes.
    pub spec: &'a KernelSpec,
    /// Register tile of a convolution. One that does not fit the instruction set is ignored.
    pub tile: Option<TileSize>,
    /// The step that it is for; a part of the names that profilers and debuggers show, and of nothing else.
    pub step: &'a str,
}

impl<'a> From<&'a KernelSpec> for Request<'a> {
    fn from(spec: &'a KernelSpec) -> Self {
        Self { spec, tile: None, step: "" }
    }
}

impl Code {
    /// Compiles kernels for an instruction set of this CPU. Requests for equal specifications and tiles are compiled once.
    ///
    /// The specifications must come from a verified plan: sizes are not checked here again.
    ///
    /// # Errors
    /// If the CPU lacks the instruction set, or a layer is too large to be addressed.
    pub fn compile<'a, R: Into<Request<'a>>>(
        requests: impl IntoIterator<Item = R>,
        target: impl Into<Target>,
    ) -> Result<Self, CodegenError> {
        Self::announced(requests, target, Announce::default())
    }

    /// Compiles kernels as [`Code::compile`] does, and tells profilers or debuggers what the functions are called.
    ///
    /// # Errors
    /// As [`Code::compile`]; if the perf map cannot be written.
    pub fn announced<'a, R: Into<Request<'a>>>(
        requests: impl IntoIterator<Item = R>,
        target: impl Into<Target>,
        announce: Announce,
    ) -> Result<Self, CodegenError> {
        let target = target.into();
        let isa = target.isa;
        if !isa.is_supported() {
            return Err(CodegenError::UnsupportedIsa(isa));
        }
        let mut known = HashMap::new();
        let mut distinct: Vec<Wanted<'a>> = Vec::new();
        let indices = requests.into_iter().map(Into::into).map(|request: Request<'a>| {
            let index = *known.entry((request.spec, request.tile)).or_insert_with(|| {
                distinct.push(Wanted { request, times: 0 });
                distinct.len() - 1
            });
            distinct[index].times += 1;
            index
        });
        let indices = indices.collect();
        let (memory, kernels) = Queue { wanted: &distinct, target, announce, next: AtomicUsize::new(0) }.compile()?;
        Ok(Self { kernels, indices, isa, memory })
    }

    /// The kernel of the `index`-th specification.
    pub fn kernel(&self, index: usize) -> &Compiled {
        &self.kernels[self.indices[index]]
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The functions that profilers or debuggers were told of.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.memory.iter().flat_map(|memory| &memory.symbols)
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
    wanted: &'a [Wanted<'a>],
    target: Target,
    announce: Announce,
    next: AtomicUsize,
}

/// A kernel, and how often it was asked for.
struct Wanted<'a> {
    request: Request<'a>,
    times: usize,
}

impl Wanted<'_> {
    /// Whose it is: the first step, and how many more.
    fn owner(&self) -> String {
        let step = self.request.step;
        if step.is_empty() || self.times == 1 { step.to_owned() } else { format!("{step} +{}", self.times - 1) }
    }
}

/// Most threads that compile: a network has few dozen different kernels, and each thread sets address space aside.
const MOST_COMPILERS: usize = 8;

/// What one thread made of its kernels, with their places among the requests.
type Part = (Memory, Vec<(usize, Compiled)>);

impl Queue<'_> {
    /// Compiles everything; the kernels come in the order of the requests.
    fn compile(&self) -> Result<(Vec<Memory>, Vec<Compiled>), CodegenError> {
        let helpers = self.target.threads.min(self.wanted.len()).min(MOST_COMPILERS).saturating_sub(1);
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
            let Some(wanted) = self.wanted.get(index) else { break };
            builder.set_owner(wanted.owner());
            unfinished.push((index, kernels::compile(&mut builder, &wanted.request).map_err(at(index))?));
        }
        let defined = builder.finish();
        module.finalize_definitions().map_err(CodegenError::from).map_err(at(self.wanted.len()))?;
        let compiled = unfinished.into_iter().map(|(index, kernel)| {
            let function = function(&module, kernel.function);
            let Kernel { tasks, scratch, tile, name, .. } = kernel;
            (index, Compiled { function, tasks, scratch, tile, name })
        });
        let compiled = compiled.collect();
        let memory = Memory::new(module, defined, self.announce).map_err(at(self.wanted.len()))?;
        Ok((memory, compiled))
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

    /// What it holds in registers, if it is made of products.
    pub fn tile(&self) -> Option<RegisterTile> {
        self.tile
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
