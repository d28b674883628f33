//! What the x86-64 assemblers share: arguments, loops, pointer arithmetic, the end of a leaf.

#[allow(clippy::wildcard_imports, reason = "the assembler's registers and operand sizes")]
use iced_x86::code_asm::*;
use iced_x86::{Code, Encoder, IcedError, Instruction};

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

/// Counters of loops by depth: caller-saved registers that hold no argument of a leaf, and one that is saved around its loop.
const COUNTERS: [AsmRegister64; MAX_LOOPS] = [r10, r11, rax, rbx];

const SAVED: AsmRegister64 = rbx;

pub(super) fn address(at: Address) -> AsmMemoryOperand {
    register(at.pointer) + at.offset
}

/// Loops and pointer arithmetic, which both assemblers share. The first error is kept and reported by `finish`.
pub(super) struct Scalar {
    pub(super) asm: CodeAssembler,
    /// For each open loop, the index of its first instruction.
    open: Vec<usize>,
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
        self.emit(|a| {
            if counter == SAVED {
                a.push(SAVED)?;
            }
            a.mov(counter, count as u64)
        });
        self.open.push(self.asm.instructions().len());
    }

    pub(super) fn end_loop(&mut self) {
        let start = self.open.pop().expect("end_loop matches a begin_loop");
        let counter = COUNTERS[self.open.len()];
        self.emit(|a| {
            a.dec(counter)?;
            // `encode` knows that targets are indices.
            a.add_instruction(Instruction::with_branch(Code::Jne_rel32_64, start as u64)?)?;
            if counter == SAVED { a.pop(SAVED) } else { Ok(()) }
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
            None => encode(self.asm.instructions()),
        }
    }
}

/// Encodes instructions whose only jumps go back, to instructions given by their index. The library's own assembler takes twice as long: it does not know that
/// all targets are known when they are needed.
fn encode(instructions: &[Instruction]) -> Result<Vec<u8>, IcedError> {
    let mut encoder = Encoder::new(64);
    let mut starts = Vec::with_capacity(instructions.len());
    let mut at = 0u64;
    for instruction in instructions {
        starts.push(at);
        let mut instruction = *instruction;
        if instruction.code() == Code::Jne_rel32_64 {
            let target = starts[instruction.near_branch64() as usize];
            instruction.set_near_branch64(target);
            // The distance counts from behind the jump, which then has two bytes.
            if at + 2 - target <= 128 {
                instruction.set_code(Code::Jne_rel8_64);
            }
        }
        at += encoder.encode(&instruction, at)? as u64;
    }
    Ok(encoder.take_buffer())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop of so many one-byte instructions, as iced's own assembler encodes it.
    fn assembled(nops: usize) -> Result<Vec<u8>, IcedError> {
        let mut a = CodeAssembler::new(64)?;
        let mut label = a.create_label();
        a.mov(r10, 7u64)?;
        a.set_label(&mut label)?;
        for _ in 0..nops {
            a.nop()?;
        }
        a.dec(r10)?;
        a.jne(label)?;
        a.vzeroupper()?;
        a.ret()?;
        a.assemble(0)
    }

    #[test]
    fn short_and_long_loops_are_encoded_as_the_assembler_does() {
        for nops in [1, 100, 122, 123, 124, 125, 126, 127, 128, 1000] {
            let mut scalar = Scalar::new().unwrap();
            scalar.begin_loop(7);
            for _ in 0..nops {
                scalar.emit(CodeAssembler::nop);
            }
            scalar.end_loop();
            assert_eq!(scalar.finish().unwrap(), assembled(nops).unwrap(), "{nops} instructions");
        }
    }
}
