//! Small helpers for building Cranelift functions: memory flags, selections, loops.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use cranelift_frontend::FunctionBuilder;

/// Generated code never traps on memory (the plan's verifier saw to that), and assumes no alignment.
pub const MEMORY: MemFlagsData = MemFlagsData::new().with_notrap();

/// `condition(x, y) ? a : b` lane by lane, on `f32` scalars or vectors.
pub fn select(
    builder: &mut FunctionBuilder<'_>,
    condition: FloatCC,
    (x, y): (Value, Value),
    (a, b): (Value, Value),
) -> Value {
    let mask = builder.ins().fcmp(condition, x, y);
    let ty = builder.func.dfg.value_type(a);
    if ty.is_vector() {
        let mask = builder.ins().bitcast(ty, MemFlagsData::new(), mask);
        builder.ins().bitselect(mask, a, b)
    } else {
        builder.ins().select(mask, a, b)
    }
}

/// `x < y ? x : y`, so `y` where one is NaN; one instruction on x86-64.
pub fn select_less(builder: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    select(builder, FloatCC::LessThan, (x, y), (x, y))
}

/// `x > y ? x : y`, so `y` where one is NaN; one instruction on x86-64.
pub fn select_greater(builder: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    select(builder, FloatCC::LessThan, (y, x), (x, y))
}

/// Calls `body(i)` for `i = start, start + step, …` while `i < end` (signed), with `step > 0`.
pub fn for_range(
    builder: &mut FunctionBuilder<'_>,
    (start, end): (Value, Value),
    step: i64,
    body: impl FnOnce(&mut FunctionBuilder<'_>, Value),
) {
    let index = builder.declare_var(I64);
    builder.def_var(index, start);
    let header = builder.create_block();
    let inside = builder.create_block();
    let after = builder.create_block();
    builder.ins().jump(header, &[]);
    builder.switch_to_block(header);
    let i = builder.use_var(index);
    let more = builder.ins().icmp(IntCC::SignedLessThan, i, end);
    builder.ins().brif(more, inside, &[], after, &[]);
    builder.switch_to_block(inside);
    builder.seal_block(inside);
    body(builder, i);
    let next = builder.ins().iadd_imm_s(i, step);
    builder.def_var(index, next);
    builder.ins().jump(header, &[]);
    builder.seal_block(header);
    builder.switch_to_block(after);
    builder.seal_block(after);
}

/// [`for_range`] over `0..count`, a number known now; a single iteration makes no loop.
pub fn for_count(builder: &mut FunctionBuilder<'_>, count: usize, body: impl FnOnce(&mut FunctionBuilder<'_>, Value)) {
    let start = builder.ins().iconst(I64, 0);
    if count == 1 {
        body(builder, start);
        return;
    }
    let end = builder.ins().iconst(I64, count as i64);
    for_range(builder, (start, end), 1, body);
}

/// Quotient and remainder of a number that is not negative.
pub fn divided(builder: &mut FunctionBuilder<'_>, value: Value, by: usize) -> (Value, Value) {
    let by = builder.ins().iconst(I64, by as i64);
    (builder.ins().udiv(value, by), builder.ins().urem(value, by))
}

/// `base + index * scale`, all 64-bit.
pub fn offset(builder: &mut FunctionBuilder<'_>, base: Value, index: Value, scale: i64) -> Value {
    if scale == 0 {
        return base;
    }
    let scaled = builder.ins().imul_imm_s(index, scale);
    builder.ins().iadd(base, scaled)
}
