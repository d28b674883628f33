//! Portable 128-bit leaves: the register machine as Cranelift variables, so that any CPU that Cranelift knows runs them.

use cranelift_codegen::ir::types::{F32, F32X4, I8X16, I64};
use cranelift_codegen::ir::{Block, Endianness, InstBuilder, MemFlagsData, Value};
use cranelift_frontend::{FunctionBuilder, Variable};

use super::{Address, Emitter, Lane, Pointer, V};
use crate::clif::{MEMORY, select_greater, select_less};

/// Vectors that a leaf may use: x86-64's sixteen less one for the broadcast scalar.
const VECTORS: usize = 15;

/// A loop tests before its body. Cranelift makes a load part of the instruction that uses its value only if that is its one use, and counts what uses a
/// result twice as using its operands twice: sums that went from the body's end both around the loop and out of it would keep all of an iteration's loads apart from
/// their broadcasts.
struct Loop {
    header: Block,
    after: Block,
    counter: Variable,
}

/// Writes one leaf into a Cranelift function whose parameters are the leaf's pointers.
pub struct Portable<'a, 'b> {
    builder: &'a mut FunctionBuilder<'b>,
    vectors: [Variable; VECTORS],
    pointers: [Variable; Pointer::ALL.len()],
    open: Vec<Loop>,
    /// Whether the scalar of the last multiply-adds was loaded for each. On x86-64, a scalar that is loaded for one of them is broadcast by the load; one that
    /// they share is broadcast by a shuffle. Taking turns keeps both the load ports and the ports for shuffles, which are also for multiply-adds, below their
    /// limits.
    apart: bool,
}

impl<'a, 'b> Portable<'a, 'b> {
    /// A leaf in a function that is still empty.
    pub fn new(builder: &'a mut FunctionBuilder<'b>) -> Self {
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let vectors = std::array::from_fn(|_| builder.declare_var(F32X4));
        let pointers = std::array::from_fn(|_| builder.declare_var(I64));
        for (i, pointer) in pointers.iter().enumerate() {
            let parameter = builder.block_params(entry)[i];
            builder.def_var(*pointer, parameter);
        }
        Self { builder, vectors, pointers, open: Vec::new(), apart: false }
    }

    /// Ends the leaf.
    pub fn finish(self) {
        self.builder.ins().return_(&[]);
    }

    fn base(&mut self, at: Address) -> Value {
        self.builder.use_var(self.pointers[at.pointer as usize])
    }

    fn broadcast(&mut self, scalar: Address) -> Value {
        let base = self.base(scalar);
        let value = self.builder.ins().load(F32, MEMORY, base, scalar.offset);
        self.builder.ins().splat(F32X4, value)
    }

    /// Lane `l` of the result is lane `lanes[l]` of `x`.
    fn permute(&mut self, x: Value, lanes: [u8; 4]) -> Value {
        let bytes: Vec<u8> = lanes.iter().flat_map(|lane| (0..4).map(move |byte| 4 * lane + byte)).collect();
        let mask = self.builder.func.dfg.immediates.push(bytes.into());
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        let x = self.builder.ins().bitcast(I8X16, flags, x);
        let x = self.builder.ins().shuffle(x, x, mask);
        self.builder.ins().bitcast(F32X4, flags, x)
    }

    fn get(&mut self, v: V) -> Value {
        self.builder.use_var(self.vectors[v.0])
    }

    fn set(&mut self, v: V, value: Value) {
        self.builder.def_var(self.vectors[v.0], value);
    }
}

impl Emitter for Portable<'_, '_> {
    fn lanes(&self) -> usize {
        4
    }

    fn vectors(&self) -> usize {
        VECTORS
    }

    fn load(&mut self, to: V, from: Address) {
        let base = self.base(from);
        let value = self.builder.ins().load(F32X4, MEMORY, base, from.offset);
        self.set(to, value);
    }

    fn store(&mut self, to: Address, from: V) {
        let base = self.base(to);
        let value = self.get(from);
        self.builder.ins().store(MEMORY, value, base, to.offset);
    }

    fn copy(&mut self, to: V, from: V) {
        let value = self.get(from);
        self.set(to, value);
    }

    fn splat(&mut self, to: V, value: f32) {
        let scalar = self.builder.ins().f32const(value);
        let value = self.builder.ins().splat(F32X4, scalar);
        self.set(to, value);
    }

    fn multiply_add(&mut self, sum: &[V], weights: &[V], scalar: Address) {
        self.apart = !self.apart;
        let shared = self.broadcast(scalar);
        for (j, (sum, weights)) in sum.iter().zip(weights).enumerate() {
            let value = if j > 0 && self.apart { self.broadcast(scalar) } else { shared };
            let (old, weights) = (self.get(*sum), self.get(*weights));
            let new = self.builder.ins().fma(value, weights, old);
            self.set(*sum, new);
        }
    }

    fn multiply_add_grouped(&mut self, sum: V, weights: V, from: Address, lane: Lane) {
        let x = if lane.channels == 4 {
            self.broadcast(Address::new(from.pointer, from.offset + 4 * lane.channel as i32))
        } else {
            let base = self.base(from);
            let x = self.builder.ins().load(F32X4, MEMORY, base, from.offset);
            if lane.channels == 1 { x } else { self.permute(x, [0, 0, 2, 2].map(|first| first + lane.channel as u8)) }
        };
        let (old, weights) = (self.get(sum), self.get(weights));
        let new = self.builder.ins().fma(x, weights, old);
        self.set(sum, new);
    }

    fn add(&mut self, to: V, from: Address) {
        let base = self.base(from);
        let value = self.builder.ins().load(F32X4, MEMORY, base, from.offset);
        let old = self.get(to);
        let new = self.builder.ins().fadd(old, value);
        self.set(to, new);
    }

    fn add_vector(&mut self, to: V, from: V) {
        let (a, b) = (self.get(to), self.get(from));
        let new = self.builder.ins().fadd(a, b);
        self.set(to, new);
    }

    fn subtract_vector(&mut self, to: V, from: V) {
        let (a, b) = (self.get(to), self.get(from));
        let new = self.builder.ins().fsub(a, b);
        self.set(to, new);
    }

    fn scale(&mut self, to: V, from: V, factor: Address) {
        let base = self.base(factor);
        let factor = self.builder.ins().load(F32X4, MEMORY, base, factor.offset);
        let from = self.get(from);
        let new = self.builder.ins().fmul(from, factor);
        self.set(to, new);
    }

    fn scale_add(&mut self, to: V, from: V, factor: Address) {
        let base = self.base(factor);
        let factor = self.builder.ins().load(F32X4, MEMORY, base, factor.offset);
        let (from, old) = (self.get(from), self.get(to));
        let new = self.builder.ins().fma(from, factor, old);
        self.set(to, new);
    }

    fn at_least(&mut self, to: V, bound: V) {
        let (bound, value) = (self.get(bound), self.get(to));
        let new = select_greater(self.builder, bound, value);
        self.set(to, new);
    }

    fn at_most(&mut self, to: V, bound: V) {
        let (bound, value) = (self.get(bound), self.get(to));
        let new = select_less(self.builder, bound, value);
        self.set(to, new);
    }

    fn prefetch(&mut self, _at: Address) {
        // Cranelift has no instruction for it.
    }

    fn advance(&mut self, pointer: Pointer, bytes: i32) {
        if bytes != 0 {
            let old = self.builder.use_var(self.pointers[pointer as usize]);
            let new = self.builder.ins().iadd_imm_s(old, i64::from(bytes));
            self.builder.def_var(self.pointers[pointer as usize], new);
        }
    }

    fn begin_loop(&mut self, count: usize) {
        let counter = self.builder.declare_var(I64);
        let start = self.builder.ins().iconst(I64, count as i64);
        self.builder.def_var(counter, start);
        let [header, body, after] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.ins().jump(header, &[]);
        self.builder.switch_to_block(header);
        let left = self.builder.use_var(counter);
        self.builder.ins().brif(left, body, &[], after, &[]);
        self.builder.switch_to_block(body);
        self.builder.seal_block(body);
        self.open.push(Loop { header, after, counter });
    }

    fn end_loop(&mut self) {
        let Loop { header, after, counter } = self.open.pop().expect("end_loop matches a begin_loop");
        let left = self.builder.use_var(counter);
        let left = self.builder.ins().iadd_imm_s(left, -1);
        self.builder.def_var(counter, left);
        self.builder.ins().jump(header, &[]);
        self.builder.seal_block(header);
        self.builder.switch_to_block(after);
        self.builder.seal_block(after);
    }
}
