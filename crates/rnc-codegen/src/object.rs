//! Code for another machine, as an object file. Tests link it with a harness and run it under an emulator.

use cranelift_codegen::isa;
use cranelift_module::{DataDescription, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use rnc_plan::kernel::KernelSpec;

use crate::code::Target;
use crate::error::CodegenError;
use crate::isa::Isa;
use crate::kernels::{self, Tasks};
use crate::module::{self, ModuleBuilder};

/// An object file (ELF) with the functions of some kernels.
pub struct Object {
    /// The file. Its symbol `rnc_kernels` is a table of one address a kernel: a `void (*)(void *const *operands, size_t batch, size_t begin, size_t end, void *scratch)`.
    pub bytes: Vec<u8>,
    /// By kernel: its tasks, and the bytes of scratch memory that it needs.
    pub kernels: Vec<(Tasks, usize)>,
}

/// Makes 128-bit code of kernels for a machine that Cranelift knows by this name, for example `aarch64-unknown-linux-gnu`.
///
/// # Errors
/// If Cranelift does not know the machine, or a layer is too large.
pub fn compile<'a>(kernels: impl IntoIterator<Item = &'a KernelSpec>, machine: &str) -> Result<Object, CodegenError> {
    let isa = module::with_settings(&isa::lookup_by_name(machine).map_err(CodegenError::host)?)?;
    let builder = ObjectBuilder::new(isa, "rnc", default_libcall_names())?;
    let mut object = ObjectModule::new(builder);
    let mut builder = ModuleBuilder::new(&mut object, Target::from(Isa::Baseline));
    let kernels = kernels.into_iter().map(|spec| kernels::compile(&mut builder, &spec.into()));
    let kernels = kernels.collect::<Result<Vec<_>, _>>()?;
    let id = object.declare_data("rnc_kernels", Linkage::Export, false, false)?;
    let mut table = DataDescription::new();
    table.set_align(8);
    table.define(vec![0; kernels.len() * 8].into());
    for (i, kernel) in kernels.iter().enumerate() {
        let function = object.declare_func_in_data(kernel.function, &mut table);
        table.write_function_addr(i as u32 * 8, function);
    }
    object.define_data(id, &table)?;
    let bytes = object.finish().emit().map_err(CodegenError::host)?;
    Ok(Object { bytes, kernels: kernels.iter().map(|kernel| (kernel.tasks, kernel.scratch)).collect() })
}
