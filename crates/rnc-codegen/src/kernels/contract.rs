//! Products of two values summed over one index: matrix products whose both sides are computed when the model runs. A task is one line of the result, its columns four
//! vectors at a time where both operands have them side by side or in common.

use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_frontend::FunctionBuilder;
use rnc_plan::kernel::{Contract, Strides};

use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_range, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder};

/// Vectors of columns that are summed together.
const VECTORS: usize = 4;

/// Compiles a contraction.
pub fn compile(module: &mut ModuleBuilder<'_>, spec: &Contract) -> Result<Kernel, CodegenError> {
    let name = format!("contract{}", spec.sum);
    let function = module.kernel(&name, |_, builder, arguments| {
        lines(builder, spec, arguments);
        Ok(())
    })?;
    let lines = spec.result.iter().rev().skip(1).product();
    Ok(Kernel { function, tasks: Tasks::PerSample(lines), scratch: 0, tile: None, name })
}

fn lines(builder: &mut FunctionBuilder<'_>, spec: &Contract, arguments: KernelArguments) {
    let [result, a, b] = [0, 1, 2].map(|i| arguments.operand(builder, i));
    let Some((columns, outer)) = spec.result.split_last() else { return };
    let per_sample: usize = outer.iter().product();
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        let count = builder.ins().iconst(I64, per_sample as i64);
        let sample = builder.ins().udiv(task, count);
        let mut rest = builder.ins().urem(task, count);
        // Samples follow each other, and so do the lines of all of them.
        let result = offset(builder, result, task, *columns as i64 * 4);
        let start = |builder: &mut FunctionBuilder<'_>, base: Value, strides: &Strides| {
            offset(builder, base, sample, strides.sample.unwrap_or(0) as i64 * 4)
        };
        let (mut a, mut b) = (start(builder, a, &spec.a), start(builder, b, &spec.b));
        for (axis, size) in outer.iter().enumerate().rev() {
            let size = builder.ins().iconst(I64, *size as i64);
            let index = builder.ins().urem(rest, size);
            rest = builder.ins().udiv(rest, size);
            a = offset(builder, a, index, spec.a.result[axis] as i64 * 4);
            b = offset(builder, b, index, spec.b.result[axis] as i64 * 4);
        }
        let line = Line { a, b, result, spec };
        let side_by_side = [&spec.a, &spec.b].iter().all(|strides| strides.last() <= 1);
        // Vectors only of columns that are loaded side by side; the rest goes one by one.
        let vectors = if side_by_side { *columns } else { 0 };
        let [zero, wide, whole, end] =
            [0, vectors - vectors % (4 * VECTORS), vectors & !3, *columns].map(|n| builder.ins().iconst(I64, n as i64));
        if side_by_side {
            line.write(builder, (F32X4, VECTORS), (zero, wide));
            line.write(builder, (F32X4, 1), (wide, whole));
        }
        line.write(builder, (F32, 1), (whole, end));
    });
}

/// A line of the result, and where its operands begin.
#[derive(Clone, Copy)]
struct Line<'s> {
    a: Value,
    b: Value,
    result: Value,
    spec: &'s Contract,
}

impl Line<'_> {
    /// Writes a range of columns, so many vectors (or numbers) of a type at a time.
    fn write(self, builder: &mut FunctionBuilder<'_>, (ty, vectors): (Type, usize), range: (Value, Value)) {
        let sums: Vec<_> = (0..vectors).map(|_| builder.declare_var(ty)).collect();
        let lanes = ty.lane_count() as usize;
        for_range(builder, range, (lanes * vectors) as i64, |builder, column| {
            let [a, b] = [(self.a, &self.spec.a), (self.b, &self.spec.b)]
                .map(|(base, strides)| offset(builder, base, column, strides.last() as i64 * 4));
            let operand = |builder: &mut FunctionBuilder<'_>, base: Value, strides: &Strides, vector: usize| {
                if strides.last() == 0 && ty != F32 {
                    let number = builder.ins().load(F32, MEMORY, base, 0);
                    return builder.ins().splat(ty, number);
                }
                builder.ins().load(ty, MEMORY, base, (vector * lanes * strides.last() * 4) as i32)
            };
            for (vector, sum) in sums.iter().enumerate() {
                let (x, y) = (operand(builder, a, &self.spec.a, vector), operand(builder, b, &self.spec.b, vector));
                let product = builder.ins().fmul(x, y);
                builder.def_var(*sum, product);
            }
            let [one, count] = [1, self.spec.sum].map(|n| builder.ins().iconst(I64, n as i64));
            for_range(builder, (one, count), 1, |builder, index| {
                let a = offset(builder, a, index, self.spec.a.sum as i64 * 4);
                let b = offset(builder, b, index, self.spec.b.sum as i64 * 4);
                for (vector, sum) in sums.iter().enumerate() {
                    let (x, y) = (operand(builder, a, &self.spec.a, vector), operand(builder, b, &self.spec.b, vector));
                    let before = builder.use_var(*sum);
                    let after = builder.ins().fma(x, y, before);
                    builder.def_var(*sum, after);
                }
            });
            for (vector, sum) in sums.iter().enumerate() {
                let value = builder.use_var(*sum);
                let to = offset(builder, self.result, column, 4);
                builder.ins().store(MEMORY, value, to, (vector * lanes * 4) as i32);
            }
        });
    }
}
