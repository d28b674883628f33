//! The code under construction: one module that takes assembled leaves, Cranelift functions and tables.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Value};
use cranelift_codegen::isa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{DataDescription, DataId, FuncId, Linkage, Module, default_libcall_names};

use crate::clif::MEMORY;
use crate::code::Target;
use crate::emitter::portable::Portable;
use crate::emitter::{Emitter, Pointer};
#[cfg(target_arch = "x86_64")]
use crate::emitter::{avx2::Avx2, avx512::Avx512};
use crate::error::CodegenError;
use crate::isa::Isa;

/// Address space set aside for one module. All of its code must lie within the reach of a near call; untouched pages cost nothing.
const ARENA_BYTES: usize = 256 << 20;

/// Collects the functions of one plan.
pub struct ModuleBuilder<'m> {
    module: &'m mut dyn Module,
    target: Target,
    /// Whose functions are being defined, for people.
    owner: String,
    defined: Vec<Defined>,
}

/// A function that was defined.
pub struct Defined {
    /// Its number in the module.
    pub id: FuncId,
    /// A name for people, which is not its alone.
    pub name: String,
    /// Bytes of its code.
    pub bytes: usize,
}

/// The arguments of a kernel: `fn(operands: *const *mut u8, batch, begin, end, scratch)`; it runs tasks `begin..end`.
#[derive(Clone, Copy)]
pub struct KernelArguments {
    operands: Value,
    /// Number of samples.
    pub batch: Value,
    /// First task.
    pub begin: Value,
    /// One past the last task.
    pub end: Value,
    /// Memory of the thread's own.
    pub scratch: Value,
}

impl KernelArguments {
    /// The address of an operand.
    pub fn operand(self, builder: &mut FunctionBuilder<'_>, index: usize) -> Value {
        builder.ins().load(I64, MEMORY, self.operands, index as i32 * 8)
    }
}

/// A table of 64-bit words in read-only memory; some of them are addresses of functions.
#[derive(Default)]
pub struct Table {
    words: Vec<i64>,
    functions: Vec<(usize, FuncId)>,
}

impl Table {
    /// Appends numbers.
    pub fn numbers(&mut self, words: impl IntoIterator<Item = i64>) {
        self.words.extend(words);
    }

    /// Appends the addresses of functions.
    pub fn functions(&mut self, functions: impl IntoIterator<Item = FuncId>) {
        for function in functions {
            self.functions.push((self.words.len(), function));
            self.words.push(0);
        }
    }
}

/// An empty module whose code is for this machine, to be run.
///
/// # Errors
/// If Cranelift does not know the host, or address space cannot be reserved.
pub fn jit() -> Result<JITModule, CodegenError> {
    let host = cranelift_native::builder().map_err(|message| CodegenError::Host(message.to_owned()))?;
    let mut builder = JITBuilder::with_isa(with_settings(&host)?, default_libcall_names());
    let arena = ArenaMemoryProvider::new_with_size(ARENA_BYTES).map_err(CodegenError::host)?;
    builder.memory_provider(Box::new(arena));
    Ok(JITModule::new(builder))
}

/// A machine with the settings that kernels are made with.
///
/// # Errors
/// If Cranelift refuses a setting.
pub fn with_settings(machine: &isa::Builder) -> Result<isa::OwnedTargetIsa, CodegenError> {
    let mut flags = settings::builder();
    // `speed` hoists loads out of the register tiles and spills them.
    flags.set("opt_level", "none").map_err(CodegenError::host)?;
    flags.set("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }).map_err(CodegenError::host)?;
    machine.finish(settings::Flags::new(flags)).map_err(CodegenError::host)
}

impl<'m> ModuleBuilder<'m> {
    /// Kernels go into this module.
    pub fn new(module: &'m mut dyn Module, target: Target) -> Self {
        Self { module, target, owner: String::new(), defined: Vec::new() }
    }

    /// The functions that are defined from now on are this one's: a step's name.
    pub fn set_owner(&mut self, owner: String) {
        self.owner = owner;
    }

    /// All functions that were defined.
    pub fn finish(self) -> Vec<Defined> {
        self.defined
    }

    /// The instruction set of the leaves.
    pub fn isa(&self) -> Isa {
        self.target.isa
    }

    /// Threads that kernels are cut for.
    pub fn threads(&self) -> usize {
        self.target.threads
    }

    /// Defines a leaf that `write` writes.
    pub fn leaf(&mut self, name: &str, write: impl FnOnce(&mut dyn Emitter)) -> Result<FuncId, CodegenError> {
        let signature = self.leaf_signature();
        match self.target.isa {
            Isa::Baseline => self.function(name, signature, |_, builder| {
                let mut emitter = Portable::new(builder);
                write(&mut emitter);
                emitter.finish();
                Ok(())
            }),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                let mut emitter = Avx2::new()?;
                write(&mut emitter);
                self.assembled(name, &signature, &emitter.finish()?)
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                let mut emitter = Avx512::new()?;
                write(&mut emitter);
                self.assembled(name, &signature, &emitter.finish()?)
            }
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => Err(CodegenError::UnsupportedIsa(self.target.isa)),
        }
    }

    /// Defines a kernel; `write` gets its arguments and writes its body up to the return.
    pub fn kernel(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Self, &mut FunctionBuilder<'_>, KernelArguments) -> Result<(), CodegenError>,
    ) -> Result<FuncId, CodegenError> {
        let signature = self.pointers(5);
        self.function(name, signature, |module, builder| {
            let entry = builder.create_block();
            builder.append_block_params_for_function_params(entry);
            builder.switch_to_block(entry);
            builder.seal_block(entry);
            let [operands, batch, begin, end, scratch] = builder.block_params(entry) else {
                unreachable!("the signature has five parameters");
            };
            let arguments =
                KernelArguments { operands: *operands, batch: *batch, begin: *begin, end: *end, scratch: *scratch };
            write(module, builder, arguments)?;
            builder.ins().return_(&[]);
            Ok(())
        })
    }

    /// Defines a function of so many addresses; `write` gets them and writes its body up to the return.
    pub fn helper(
        &mut self,
        name: &str,
        addresses: usize,
        write: impl FnOnce(&mut FunctionBuilder<'_>, &[Value]),
    ) -> Result<FuncId, CodegenError> {
        let signature = self.pointers(addresses);
        self.function(name, signature, |_, builder| {
            let entry = builder.create_block();
            builder.append_block_params_for_function_params(entry);
            builder.switch_to_block(entry);
            builder.seal_block(entry);
            let arguments = builder.block_params(entry).to_vec();
            write(builder, &arguments);
            builder.ins().return_(&[]);
            Ok(())
        })
    }

    /// Calls a function of this module inside of another.
    pub fn call(&mut self, builder: &mut FunctionBuilder<'_>, function: FuncId, arguments: &[Value]) {
        let function = self.module.declare_func_in_func(function, builder.func);
        builder.ins().call(function, arguments);
    }

    /// Defines a table.
    pub fn table(&mut self, table: Table) -> Result<DataId, CodegenError> {
        let id = self.module.declare_anonymous_data(false, false)?;
        let mut data = DataDescription::new();
        data.set_align(64);
        data.define(table.words.iter().flat_map(|word| word.to_ne_bytes()).collect());
        for (index, function) in table.functions {
            let function = self.module.declare_func_in_data(function, &mut data);
            data.write_function_addr(index as u32 * 8, function);
        }
        self.module.define_data(id, &data)?;
        Ok(id)
    }

    /// The address of a table inside of a function.
    pub fn table_address(&mut self, builder: &mut FunctionBuilder<'_>, table: DataId) -> Value {
        let global = self.module.declare_data_in_func(table, builder.func);
        builder.ins().symbol_value(I64, global)
    }

    /// The signature of leaves: one address for each [`Pointer`].
    pub fn leaf_signature(&self) -> Signature {
        self.pointers(Pointer::ALL.len())
    }

    fn pointers(&self, count: usize) -> Signature {
        let mut signature = self.module.make_signature();
        signature.params.extend((0..count).map(|_| AbiParam::new(I64)));
        signature
    }

    fn declare(&mut self, name: &str, signature: &Signature) -> Result<FuncId, CodegenError> {
        // Names of a module's functions differ.
        let number = self.defined.len();
        let id = self.module.declare_function(&format!("rnc.{name}#{number}"), Linkage::Export, signature)?;
        let name = if self.owner.is_empty() { format!("rnc::{name}") } else { format!("rnc::{name} {}", self.owner) };
        self.defined.push(Defined { id, name, bytes: 0 });
        Ok(id)
    }

    /// Notes how long the code of a function is that was declared not long ago.
    fn defined(&mut self, id: FuncId, bytes: usize) {
        if let Some(defined) = self.defined.iter_mut().rev().find(|defined| defined.id == id) {
            defined.bytes = bytes;
        }
    }

    fn assembled(&mut self, name: &str, signature: &Signature, code: &[u8]) -> Result<FuncId, CodegenError> {
        let id = self.declare(name, signature)?;
        self.module.define_function_bytes(id, 64, code, &[])?;
        self.defined(id, code.len());
        Ok(id)
    }

    fn function(
        &mut self,
        name: &str,
        signature: Signature,
        write: impl FnOnce(&mut Self, &mut FunctionBuilder<'_>) -> Result<(), CodegenError>,
    ) -> Result<FuncId, CodegenError> {
        let id = self.declare(name, &signature)?;
        let mut context = self.module.make_context();
        let mut functions = FunctionBuilderContext::new();
        context.func.signature = signature;
        let mut builder = FunctionBuilder::new(&mut context.func, &mut functions);
        write(self, &mut builder)?;
        builder.finalize(self.module.target_config());
        self.module.define_function(id, &mut context)?;
        self.defined(id, context.compiled_code().map_or(0, |compiled| compiled.code_buffer().len()));
        Ok(id)
    }
}
