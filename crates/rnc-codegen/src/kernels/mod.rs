//! The kernels: one file each. A kernel is a function over a range of tasks, and says how many tasks there are.

pub mod contract;
pub mod conv;
pub mod copy;
pub mod elementwise;
mod epilogue;
pub mod gemm;
pub mod math;
pub mod pool;
mod products;
pub mod resample;
pub mod softmax;
pub mod strassen;
pub mod winograd;

use cranelift_module::FuncId;
use rnc_plan::kernel::KernelSpec;

use crate::code::{RegisterTile, Request};
use crate::error::CodegenError;
use crate::module::ModuleBuilder;

/// How many tasks a kernel has. Any partition of them into ranges gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tasks {
    /// This many for every sample.
    PerSample(usize),
    /// This many for any batch.
    Total(usize),
}

impl Tasks {
    /// The number of tasks for a batch.
    pub const fn count(self, batch: usize) -> usize {
        match self {
            Self::PerSample(n) => n * batch,
            Self::Total(n) => n,
        }
    }
}

/// A kernel in a module under construction.
pub struct Kernel {
    /// Its function.
    pub function: FuncId,
    /// Its tasks.
    pub tasks: Tasks,
    /// Bytes of scratch memory that each thread needs.
    pub scratch: usize,
    /// What it multiplies in, if it has products.
    pub tile: Option<RegisterTile>,
    /// A name for people.
    pub name: String,
}

/// Compiles a kernel.
pub fn compile(module: &mut ModuleBuilder<'_>, request: &Request<'_>) -> Result<Kernel, CodegenError> {
    match request.spec {
        KernelSpec::Conv(conv) => conv::compile(module, conv, request.tile),
        KernelSpec::Winograd(winograd) => winograd::compile(module, winograd),
        KernelSpec::Strassen(strassen) => strassen::compile(module, strassen),
        KernelSpec::Gemm(gemm) => gemm::compile(module, gemm),
        KernelSpec::Pool(pool) => pool::compile(module, pool),
        KernelSpec::Elementwise(elementwise) => elementwise::compile(module, elementwise),
        KernelSpec::Softmax(softmax) => softmax::compile(module, softmax),
        KernelSpec::Copy(copy) => copy::compile(module, copy),
        KernelSpec::Contract(contract) => contract::compile(module, contract),
        KernelSpec::Resample(resample) => resample::compile(module, resample),
    }
}
