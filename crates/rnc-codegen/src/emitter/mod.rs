//! The trait that microkernels are written against, and its three implementations.
//!
//! A microkernel ("leaf") is a function of six pointers, [`Pointer`], that keeps its accumulators in vector registers. The trait is a small
//! register machine: numbered vectors of [`Emitter::lanes`] `f32`s, pointers that can be advanced, counted loops. The assemblers map it to
//! registers one to one; the portable emitter maps it to Cranelift variables.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod portable;
#[cfg(target_arch = "x86_64")]
mod scalar;

/// A vector register of the machine, from 0 up to but not including [`Emitter::vectors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V(pub usize);

/// A pointer argument of a leaf, in the order of the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// Source.
    X,
    /// Packed weights.
    W,
    /// Result.
    Out,
    /// Bias.
    Bias,
    /// Residual.
    Residual,
    /// Memory that will be read soon, or scratch: what a leaf makes of it.
    Extra,
}

impl Pointer {
    /// Every pointer, in the order of the arguments.
    pub const ALL: [Self; 6] = [Self::X, Self::W, Self::Out, Self::Bias, Self::Residual, Self::Extra];
}

/// `pointer + offset` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Base.
    pub pointer: Pointer,
    /// Distance in bytes.
    pub offset: i32,
}

impl Address {
    /// `pointer + offset` bytes.
    pub const fn new(pointer: Pointer, offset: i32) -> Self {
        Self { pointer, offset }
    }
}

/// Which element a lane reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Neighbours that read the same element: 1, 2 or 4.
    pub channels: usize,
    /// The element, counted from their first.
    pub channel: usize,
}

/// Writes `body` in a loop, unless it runs once.
pub fn repeated(emitter: &mut dyn Emitter, count: usize, body: impl FnOnce(&mut dyn Emitter)) {
    if count > 1 {
        emitter.begin_loop(count);
    }
    body(emitter);
    if count > 1 {
        emitter.end_loop();
    }
}

/// Deepest nesting of loops in a leaf.
pub const MAX_LOOPS: usize = 4;

/// Writes one leaf. Memory is accessed without any assumption on alignment beyond 4 bytes.
pub trait Emitter {
    /// `f32`s in a vector.
    fn lanes(&self) -> usize;

    /// Number of vectors that a leaf may use.
    fn vectors(&self) -> usize;

    /// `to = memory`.
    fn load(&mut self, to: V, from: Address);

    /// `memory = from`.
    fn store(&mut self, to: Address, from: V);

    /// `to = from`.
    fn copy(&mut self, to: V, from: V);

    /// All lanes of `to` become `value`.
    fn splat(&mut self, to: V, value: f32);

    /// `sum[j] += weights[j] * s` for all j, fused, where `s` is the scalar at `scalar`.
    fn multiply_add(&mut self, sum: &[V], weights: &[V], scalar: Address);

    /// `sum += weights * x`, fused, where lane `l` of x is the element `l / channels * channels + channel` of memory. Takes a
    /// register beyond [`Emitter::vectors`], if it takes one.
    fn multiply_add_grouped(&mut self, sum: V, weights: V, from: Address, lane: Lane);

    /// `to += memory`.
    fn add(&mut self, to: V, from: Address);

    /// `to += from`.
    fn add_vector(&mut self, to: V, from: V);

    /// `to -= from`.
    fn subtract_vector(&mut self, to: V, from: V);

    /// `to = from * factor` with a vector in memory.
    fn scale(&mut self, to: V, from: V, factor: Address);

    /// `to += from * factor`, fused, with a vector in memory.
    fn scale_add(&mut self, to: V, from: V, factor: Address);

    /// `to = bound > to ? bound : to`, so a NaN in `to` stays.
    fn at_least(&mut self, to: V, bound: V);

    /// `to = bound < to ? bound : to`, so a NaN in `to` stays.
    fn at_most(&mut self, to: V, bound: V);

    /// Asks for the cache line at an address, which need not be valid, to be brought into the second-level cache.
    fn prefetch(&mut self, at: Address);

    /// `pointer += bytes`.
    fn advance(&mut self, pointer: Pointer, bytes: i32);

    /// What follows, up to the matching [`Emitter::end_loop`], runs `count` (at least one) times.
    fn begin_loop(&mut self, count: usize);

    /// Ends the innermost open loop.
    fn end_loop(&mut self);
}
