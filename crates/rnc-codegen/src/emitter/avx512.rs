//! AVX-512F leaves, by the `iced-x86` assembler. Scalars come in by `{1to16}` memory operands, or through the last register if several multiply-adds take them.

use iced_x86::IcedError;
#[allow(clippy::wildcard_imports, reason = "the assembler's registers and operand sizes")]
use iced_x86::code_asm::*;

use super::scalar::{Scalar, address};
use super::{Address, Emitter, Lane, Pointer, V};

const ZMM: [AsmRegisterZmm; 31] = [
    zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15, zmm16, zmm17,
    zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30,
];

/// Holds what the scalars of a multiply-add were spread to.
const SPREAD: AsmRegisterZmm = zmm31;

/// Writes one leaf with 512-bit vectors.
pub struct Avx512(Scalar);

impl Avx512 {
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

impl Emitter for Avx512 {
    fn lanes(&self) -> usize {
        16
    }

    fn vectors(&self) -> usize {
        ZMM.len()
    }

    fn load(&mut self, to: V, from: Address) {
        self.0.emit(|a| a.vmovups(ZMM[to.0], zmmword_ptr(address(from))));
    }

    fn store(&mut self, to: Address, from: V) {
        self.0.emit(|a| a.vmovups(zmmword_ptr(address(to)), ZMM[from.0]));
    }

    fn copy(&mut self, to: V, from: V) {
        self.0.emit(|a| a.vmovaps(ZMM[to.0], ZMM[from.0]));
    }

    fn splat(&mut self, to: V, value: f32) {
        self.0.emit(|a| {
            if value.to_bits() == 0 {
                return a.vpxord(ZMM[to.0], ZMM[to.0], ZMM[to.0]);
            }
            // Every general register may be in use; the red zone below the stack is ours.
            a.mov(dword_ptr(rsp - 8), value.to_bits())?;
            a.vbroadcastss(ZMM[to.0], dword_ptr(rsp - 8))
        });
    }

    fn multiply_add(&mut self, sum: &[V], weights: &[V], scalar: Address) {
        if let ([sum], [weights]) = (sum, weights) {
            self.0.emit(|a| a.vfmadd231ps(ZMM[sum.0], ZMM[weights.0], dword_bcst(address(scalar))));
            return;
        }
        // One load for all: two multiply-adds that loaded the scalar each would occupy both load ports of a cycle.
        self.0.emit(|a| a.vbroadcastss(SPREAD, dword_ptr(address(scalar))));
        for (sum, weights) in sum.iter().zip(weights) {
            self.0.emit(|a| a.vfmadd231ps(ZMM[sum.0], ZMM[weights.0], SPREAD));
        }
    }

    fn multiply_add_grouped(&mut self, sum: V, weights: V, from: Address, lane: Lane) {
        self.0.emit(|a| {
            let from = zmmword_ptr(address(from));
            match lane.channels {
                1 => return a.vfmadd231ps(ZMM[sum.0], ZMM[weights.0], from),
                2 if lane.channel == 0 => a.vmovsldup(SPREAD, from)?,
                2 => a.vmovshdup(SPREAD, from)?,
                _ => a.vpermilps(SPREAD, from, 0x55 * lane.channel as u32)?,
            }
            a.vfmadd231ps(ZMM[sum.0], ZMM[weights.0], SPREAD)
        });
    }

    fn add(&mut self, to: V, from: Address) {
        self.0.emit(|a| a.vaddps(ZMM[to.0], ZMM[to.0], zmmword_ptr(address(from))));
    }

    fn add_vector(&mut self, to: V, from: V) {
        self.0.emit(|a| a.vaddps(ZMM[to.0], ZMM[to.0], ZMM[from.0]));
    }

    fn subtract_vector(&mut self, to: V, from: V) {
        self.0.emit(|a| a.vsubps(ZMM[to.0], ZMM[to.0], ZMM[from.0]));
    }

    fn scale(&mut self, to: V, from: V, factor: Address) {
        self.0.emit(|a| a.vmulps(ZMM[to.0], ZMM[from.0], zmmword_ptr(address(factor))));
    }

    fn scale_add(&mut self, to: V, from: V, factor: Address) {
        self.0.emit(|a| a.vfmadd231ps(ZMM[to.0], ZMM[from.0], zmmword_ptr(address(factor))));
    }

    fn at_least(&mut self, to: V, bound: V) {
        // vmaxps gives its last operand when the comparison is unordered.
        self.0.emit(|a| a.vmaxps(ZMM[to.0], ZMM[bound.0], ZMM[to.0]));
    }

    fn at_most(&mut self, to: V, bound: V) {
        self.0.emit(|a| a.vminps(ZMM[to.0], ZMM[bound.0], ZMM[to.0]));
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
