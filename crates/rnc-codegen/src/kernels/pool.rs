//! Pooling over windows of blocked values, 128 bits at a time. A task is one row of one channel block of one sample.

use std::ops::Range;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::{FunctionBuilder, Variable};
use rnc_plan::kernel::{Binary, Pool, PoolKind, Window, blocks};

use super::math::Math;
use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_count, for_range, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder};
use crate::panels::BLOCK_BYTES;

/// Vectors of four in a block of sixteen channels.
const PARTS: usize = 4;

/// Compiles a pool.
pub fn compile(module: &mut ModuleBuilder<'_>, pool: &Pool) -> Result<Kernel, CodegenError> {
    let kind = match pool.kind {
        PoolKind::Max => "max",
        PoolKind::Average | PoolKind::AverageWithPadding { .. } => "average",
    };
    let name = format!("{kind}_pool{}x{}", pool.window.kernel[0], pool.window.kernel[1]);
    let function = module.kernel(&name, |_, builder, arguments| {
        rows(builder, pool, arguments);
        Ok(())
    })?;
    Ok(Kernel {
        function,
        tasks: Tasks::PerSample(blocks(pool.input.channels) * pool.output[0]),
        scratch: 0,
        tile: None,
        name,
    })
}

fn rows(builder: &mut FunctionBuilder<'_>, pool: &Pool, arguments: KernelArguments) {
    let (result, source) = (arguments.operand(builder, 0), arguments.operand(builder, 1));
    let sums = Sums { parts: [(); PARTS].map(|()| builder.declare_var(F32X4)), count: builder.declare_var(I64) };
    let [height, width] = pool.output;
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        let rows = builder.ins().iconst(I64, height as i64);
        let plane = builder.ins().udiv(task, rows);
        let y = builder.ins().urem(task, rows);
        let source = offset(builder, source, plane, (pool.input.height * pool.input.width * BLOCK_BYTES) as i64);
        let result = offset(builder, result, task, (width * BLOCK_BYTES) as i64);
        let edge = |builder: &mut FunctionBuilder<'_>, columns: Range<usize>| {
            let [start, end] = [columns.start, columns.end].map(|x| builder.ins().iconst(I64, x as i64));
            for_range(builder, (start, end), 1, |builder, x| {
                sums.start(builder, pool.kind);
                let take = |builder: &mut FunctionBuilder<'_>, offset| {
                    let at = builder.ins().iadd(source, offset);
                    sums.take(builder, pool.kind, (at, 0));
                };
                window(builder, pool, [y, x], take, sums.count);
                let to = offset(builder, result, x, BLOCK_BYTES as i64);
                sums.store(builder, pool.kind, to);
            });
        };
        let Some([full_rows, full_columns]) = interior(pool) else { return edge(builder, 0..width) };
        let [inside, outside, after] = [(); 3].map(|()| builder.create_block());
        let shifted = builder.ins().iadd_imm_s(y, -(full_rows.start as i64));
        let full = builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, shifted, full_rows.len() as i64);
        builder.ins().brif(full, inside, &[], outside, &[]);
        for (block, columns) in [(inside, full_columns), (outside, 0..0)] {
            builder.switch_to_block(block);
            builder.seal_block(block);
            edge(builder, 0..columns.start);
            if !columns.is_empty() {
                interior_columns(builder, pool, (&sums, columns.clone()), (source, result, y));
            }
            edge(builder, columns.end..width);
            builder.ins().jump(after, &[]);
        }
        builder.switch_to_block(after);
        builder.seal_block(after);
    });
}

/// Windows of more taps than this are not laid out without loops.
const MOST_UNROLLED_TAPS: usize = 16;

/// Rows and columns of the result whose windows lie in the source, if it is worth having code for them.
fn interior(pool: &Pool) -> Option<[Range<usize>; 2]> {
    let Window { kernel, stride, pad, dilation } = pool.window;
    let size = [pool.input.height, pool.input.width];
    let ranges = [0, 1].map(|axis| {
        let reach = (kernel[axis] - 1) * dilation[axis];
        let first = pad[axis].div_ceil(stride[axis]);
        let end = (size[axis] + pad[axis]).checked_sub(reach + 1).map_or(0, |last| last / stride[axis] + 1);
        first..end.min(pool.output[axis])
    });
    let worth = kernel[0] * kernel[1] <= MOST_UNROLLED_TAPS && ranges.iter().all(|range| !range.is_empty());
    worth.then_some(ranges)
}

/// The results of one row whose windows lie in the source: no tap needs a check.
fn interior_columns(
    builder: &mut FunctionBuilder<'_>,
    pool: &Pool,
    (sums, columns): (&Sums, Range<usize>),
    (source, result, y): (Value, Value, Value),
) {
    let Window { kernel, stride, pad, dilation } = pool.window;
    let row_bytes = pool.input.width * BLOCK_BYTES;
    let corner = pad[0] * row_bytes + pad[1] * BLOCK_BYTES;
    let source = offset(builder, source, y, (stride[0] * row_bytes) as i64);
    let source = builder.ins().iadd_imm_s(source, -(corner as i64));
    let [start, end] = [columns.start, columns.end].map(|x| builder.ins().iconst(I64, x as i64));
    for_range(builder, (start, end), 1, |builder, x| {
        sums.start(builder, pool.kind);
        let first = offset(builder, source, x, (stride[1] * BLOCK_BYTES) as i64);
        for ky in 0..kernel[0] {
            let row = builder.ins().iadd_imm_s(first, (ky * dilation[0] * row_bytes) as i64);
            for kx in 0..kernel[1] {
                sums.take(builder, pool.kind, (row, (kx * dilation[1] * BLOCK_BYTES) as i32));
            }
        }
        let taps = builder.ins().iconst(I64, (kernel[0] * kernel[1]) as i64);
        builder.def_var(sums.count, taps);
        let to = offset(builder, result, x, BLOCK_BYTES as i64);
        sums.store(builder, pool.kind, to);
    });
}

/// Calls `take` with the offset of every element of the source that a window covers, row by row, and counts what an average divides by.
fn window(
    builder: &mut FunctionBuilder<'_>,
    pool: &Pool,
    [y, x]: [Value; 2],
    take: impl FnOnce(&mut FunctionBuilder<'_>, Value),
    count: Variable,
) {
    let [top, left] = [(y, 0), (x, 1)].map(|(index, axis)| {
        let start = builder.ins().imul_imm_s(index, pool.window.stride[axis] as i64);
        builder.ins().iadd_imm_s(start, -(pool.window.pad[axis] as i64))
    });
    let size = [pool.input.height, pool.input.width];
    let margins = match pool.kind {
        PoolKind::AverageWithPadding { pad_end } => Some((pool.window.pad, pad_end)),
        PoolKind::Max | PoolKind::Average => None,
    };
    let one = builder.ins().iconst(I64, 1);
    for_count(builder, pool.window.kernel[0], |builder, ky| {
        let row = offset(builder, top, ky, pool.window.dilation[0] as i64);
        let row_inside = within(builder, row, 0, size[0]);
        let row_counts = margins.map(|(pad, end)| within(builder, row, pad[0], size[0] + end[0]));
        for_count(builder, pool.window.kernel[1], |builder, kx| {
            let column = offset(builder, left, kx, pool.window.dilation[1] as i64);
            let column_inside = within(builder, column, 0, size[1]);
            let inside = builder.ins().band(row_inside, column_inside);
            let counts = match (margins, row_counts) {
                (Some((pad, end)), Some(row_counts)) => {
                    let column_counts = within(builder, column, pad[1], size[1] + end[1]);
                    builder.ins().band(row_counts, column_counts)
                }
                _ => inside,
            };
            let old = builder.use_var(count);
            let more = builder.ins().iadd(old, one);
            let new = builder.ins().select(counts, more, old);
            builder.def_var(count, new);
            let taken = builder.create_block();
            let after = builder.create_block();
            builder.ins().brif(inside, taken, &[], after, &[]);
            builder.switch_to_block(taken);
            builder.seal_block(taken);
            let pixel = offset(builder, column, row, size[1] as i64);
            let zero = builder.ins().iconst(I64, 0);
            let bytes = offset(builder, zero, pixel, BLOCK_BYTES as i64);
            take(builder, bytes);
            builder.ins().jump(after, &[]);
            builder.switch_to_block(after);
            builder.seal_block(after);
        });
    });
}

/// Whether `-before <= position < end`.
fn within(builder: &mut FunctionBuilder<'_>, position: Value, before: usize, end: usize) -> Value {
    let shifted = builder.ins().iadd_imm_s(position, before as i64);
    builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, shifted, (before + end) as i64)
}

/// The sixteen channels of one pixel of the result, and the divisor of an average.
struct Sums {
    parts: [Variable; PARTS],
    count: Variable,
}

impl Sums {
    fn start(&self, builder: &mut FunctionBuilder<'_>, kind: PoolKind) {
        let mut math = Math { builder, ty: F32X4 };
        let first = match kind {
            PoolKind::Max => math.constant(f32::NEG_INFINITY),
            PoolKind::Average | PoolKind::AverageWithPadding { .. } => math.constant(0.0),
        };
        for part in self.parts {
            builder.def_var(part, first);
        }
        let zero = builder.ins().iconst(I64, 0);
        builder.def_var(self.count, zero);
    }

    /// Takes the sixteen channels of the pixel at an address and a distance from it.
    fn take(&self, builder: &mut FunctionBuilder<'_>, kind: PoolKind, (at, distance): (Value, i32)) {
        let function = match kind {
            PoolKind::Max => Binary::Max,
            PoolKind::Average | PoolKind::AverageWithPadding { .. } => Binary::Add,
        };
        for (i, part) in self.parts.into_iter().enumerate() {
            let value = builder.ins().load(F32X4, MEMORY, at, distance + i as i32 * 16);
            let old = builder.use_var(part);
            let new = Math { builder, ty: F32X4 }.binary(function, old, value);
            builder.def_var(part, new);
        }
    }

    fn store(&self, builder: &mut FunctionBuilder<'_>, kind: PoolKind, to: Value) {
        let factor = match kind {
            PoolKind::Max => None,
            PoolKind::Average | PoolKind::AverageWithPadding { .. } => {
                let count = builder.use_var(self.count);
                let count = builder.ins().fcvt_from_sint(F32, count);
                let one = builder.ins().f32const(1.0);
                let factor = builder.ins().fdiv(one, count);
                Some(builder.ins().splat(F32X4, factor))
            }
        };
        for (i, part) in self.parts.into_iter().enumerate() {
            let value = builder.use_var(part);
            let value = factor.map_or(value, |factor| builder.ins().fmul(value, factor));
            builder.ins().store(MEMORY, value, to, i as i32 * 16);
        }
    }
}
