//! AVX2 + FMA leaves, by the `iced-x86` assembler. The last register broadcasts the scalars.

use iced_x86::IcedError;
#[allow(clippy::wildcard_imports, reason = "the assembler's registers and operand sizes")]
use iced_x86::code_asm::*;

use super::scalar::{Scalar, address};
use super::{Address, Emitter, Lane, Pointer, V};

const YMM: [AsmRegisterYmm; 15] =
    [ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14];
const SCALAR: AsmRegisterYmm = ymm15;

/// Writes one leaf with 256-bit vectors.
pub struct Avx2(Scalar);

impl Avx2 {
    /// An empty leaf.
    ///
    /// # Errors
    /// If the assembler cannot be made.
    pub fn new() -> Result<Self, IcedError> {
        Ok(Self(Scalar::new()?))
    }

    /// The machine code.
    ///
    /// # Errors
    /// If an instruction could not be encoded.
    pub fn finish(self) -> Result<Vec<u8>, IcedError> {
        self.0.finish()
    }
}

impl Emitter for Avx2 {
    fn lanes(&self) -> usize {
        8
    }

    fn vectors(&self) -> usize {
        YMM.len()
    }

    fn load(&mut self, to: V, from: Address) {
        self.0.emit(|a| a.vmovups(YMM[to.0], ymmword_ptr(address(from))));
    }

    fn store(&mut self, to: Address, from: V) {
        self.0.emit(|a| a.vmovups(ymmword_ptr(address(to)), YMM[from.0]));
    }

    fn copy(&mut self, to: V, from: V) {
        self.0.emit(|a| a.vmovaps(YMM[to.0], YMM[from.0]));
    }

    fn splat(&mut self, to: V, value: f32) {
        self.0.emit(|a| {
            if value.to_bits() == 0 {
                return a.vxorps(YMM[to.0], YMM[to.0], YMM[to.0]);
            }
            // Every general register may be in use; the red zone below the stack is ours.
            a.mov(dword_ptr(rsp - 8), value.to_bits())?;
            a.vbroadcastss(YMM[to.0], dword_ptr(rsp - 8))
        });
    }

    fn multiply_add(&mut self, sum: &[V], weights: &[V], scalar: Address) {
        self.0.emit(|a| a.vbroadcastss(SCALAR, dword_ptr(address(scalar))));
        for (sum, weights) in sum.iter().zip(weights) {
            self.0.emit(|a| a.vfmadd231ps(YMM[sum.0], YMM[weights.0], SCALAR));
        }
    }

    fn multiply_add_grouped(&mut self, sum: V, weights: V, from: Address, lane: Lane) {
        self.0.emit(|a| {
            let from = ymmword_ptr(address(from));
            match lane.channels {
                1 => return a.vfmadd231ps(YMM[sum.0], YMM[weights.0], from),
                2 if lane.channel == 0 => a.vmovsldup(SCALAR, from)?,
                2 => a.vmovshdup(SCALAR, from)?,
                _ => a.vpermilps(SCALAR, from, 0x55 * lane.channel as u32)?,
            }
            a.vfmadd231ps(YMM[sum.0], YMM[weights.0], SCALAR)
        });
    }

    fn add(&mut self, to: V, from: Address) {
        self.0.emit(|a| a.vaddps(YMM[to.0], YMM[to.0], ymmword_ptr(address(from))));
    }

    fn add_vector(&mut self, to: V, from: V) {
        self.0.emit(|a| a.vaddps(YMM[to.0], YMM[to.0], YMM[from.0]));
    }

    fn subtract_vector(&mut self, to: V, from: V) {
        self.0.emit(|a| a.vsubps(YMM[to.0], YMM[to.0], YMM[from.0]));
    }

    fn scale(&mut self, to: V, from: V, factor: Address) {
        self.0.emit(|a| a.vmulps(YMM[to.0], YMM[from.0], ymmword_ptr(address(factor))));
    }

    fn scale_add(&mut self, to: V, from: V, factor: Address) {
        self.0.emit(|a| a.vfmadd231ps(YMM[to.0], YMM[from.0], ymmword_ptr(address(factor))));
    }

    fn at_least(&mut self, to: V, bound: V) {
        // vmaxps gives its last operand when the comparison is unordered.
        self.0.emit(|a| a.vmaxps(YMM[to.0], YMM[bound.0], YMM[to.0]));
    }

    fn at_most(&mut self, to: V, bound: V) {
        self.0.emit(|a| a.vminps(YMM[to.0], YMM[bound.0], YMM[to.0]));
    }

    fn prefetch(&mut self, at: Address) {
        self.0.emit(|a| a.prefetcht1(byte_ptr(address(at))));
    }

    fn advance(&mut self, pointer: Pointer, bytes: i32) {
        self.0.advance(pointer, bytes);
    }

    fn begin_loop(&mut self, count: usize) {
        self.0.begin_loop(count);
    }

    fn end_loop(&mut self) {
        self.0.end_loop();
    }
}
