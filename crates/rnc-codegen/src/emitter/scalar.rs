//! What the x86-64 assemblers share: arguments, loops, pointer arithmetic, the end of a leaf.

use iced_x86::IcedError;
#[allow(clippy::wildcard_imports, reason = "the assembler's registers and operand sizes")]
use iced_x86::code_asm::*;

use super::{Address, MAX_LOOPS, Pointer};

/// System V's order of arguments.
const fn register(pointer: Pointer) -> AsmRegister64 {
    match pointer {
        Pointer::X => rdi,
        Pointer::W => rsi,
        Pointer::Out => rdx,
        Pointer::Bias => rcx,
        Pointer::Residual => r8,
        Pointer::Extra => r9,
    }
}

/// Caller-saved registers that hold no argument of a leaf.
const COUNTERS: [AsmRegister64; MAX_LOOPS] = [r10, r11, rax];

pub(super) fn address(at: Address) -> AsmMemoryOperand {
    register(at.pointer) + at.offset
}

/// Loops and pointer arithmetic, which both assemblers share. The first error is kept and reported by `finish`.
pub(super) struct Scalar {
    pub(super) asm: CodeAssembler,
    open: Vec<CodeLabel>,
    error: Option<IcedError>,
}

impl Scalar {
    pub(super) fn new() -> Result<Self, IcedError> {
        Ok(Self { asm: CodeAssembler::new(64)?, open: Vec::new(), error: None })
    }

    /// Runs assembler calls, keeping the first error.
    pub(super) fn emit(&mut self, write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) {
        if self.error.is_none() {
            self.error = write(&mut self.asm).err();
        }
    }

    pub(super) fn advance(&mut self, pointer: Pointer, bytes: i32) {
        if bytes != 0 {
            self.emit(|a| a.add(register(pointer), bytes));
        }
    }

    pub(super) fn begin_loop(&mut self, count: usize) {
        let counter = COUNTERS[self.open.len()];
        let mut label = self.asm.create_label();
        self.emit(|a| {
            a.mov(counter, count as u64)?;
            a.set_label(&mut label)
        });
        self.open.push(label);
    }

    pub(super) fn end_loop(&mut self) {
        let label = self.open.pop().expect("end_loop matches a begin_loop");
        let counter = COUNTERS[self.open.len()];
        self.emit(|a| {
            a.dec(counter)?;
            a.jne(label)
        });
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, IcedError> {
        // Cranelift's legacy SSE code runs at half speed behind dirty upper halves.
        self.emit(|a| {
            a.vzeroupper()?;
            a.ret()
        });
        match self.error {
            Some(error) => Err(error),
            None => self.asm.assemble(0),
        }
    }
}
