//! Linear maps along one axis: resized images. A task is one element of the result's axis for one outer index: a line of `inner` numbers, four at a time.

use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_frontend::FunctionBuilder;
use rnc_plan::kernel::Resample;

use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_range, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder, Table};

/// Bytes of a tap in its table: where its line begins in the source, and its weight.
const TAP_BYTES: i64 = 16;
/// Bytes of a row's entry: where its taps begin, and where they end.
const ROW_BYTES: i64 = 16;

/// Compiles a resample.
pub fn compile(module: &mut ModuleBuilder<'_>, spec: &Resample) -> Result<Kernel, CodegenError> {
    let name = format!("resample{}to{}", spec.len, spec.taps.len());
    let mut table = Table::default();
    let mut end = spec.taps.len() as i64 * ROW_BYTES;
    for taps in &spec.taps {
        let begin = end;
        end += taps.len() as i64 * TAP_BYTES;
        table.numbers([begin, end]);
    }
    for tap in spec.taps.iter().flatten() {
        let line = (tap.source * spec.inner * 4) as i64;
        table.numbers([line, i64::from(tap.weight.get().to_bits())]);
    }
    let table = module.table(table)?;
    let function = module.kernel(&name, |module, builder, arguments| {
        let table = module.table_address(builder, table);
        lines(builder, spec, arguments, table);
        Ok(())
    })?;
    Ok(Kernel { function, tasks: Tasks::PerSample(spec.outer * spec.taps.len()), scratch: 0, tile: None, name })
}

fn lines(builder: &mut FunctionBuilder<'_>, spec: &Resample, arguments: KernelArguments, table: Value) {
    let (result, source) = (arguments.operand(builder, 0), arguments.operand(builder, 1));
    let line = (spec.inner * 4) as i64;
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        // Samples follow each other as outer indices do.
        let rows = builder.ins().iconst(I64, spec.taps.len() as i64);
        let outer = builder.ins().udiv(task, rows);
        let row = builder.ins().urem(task, rows);
        let source = offset(builder, source, outer, spec.len as i64 * line);
        let result = offset(builder, result, task, line);
        let entry = offset(builder, table, row, ROW_BYTES);
        let [first, end] = [0, 8].map(|at| {
            let place = builder.ins().load(I64, MEMORY, entry, at);
            builder.ins().iadd(table, place)
        });
        let whole = spec.inner & !3;
        let [zero, whole, inner] = [0, whole, spec.inner].map(|n| builder.ins().iconst(I64, n as i64));
        let ends = Ends { first, end, source, result };
        ends.write(builder, F32X4, (zero, whole));
        ends.write(builder, F32, (whole, inner));
    });
}

/// The taps of a line and where they find it.
#[derive(Clone, Copy)]
struct Ends {
    first: Value,
    end: Value,
    source: Value,
    result: Value,
}

impl Ends {
    /// Writes a range of a line's numbers, as many at a time as the type has.
    fn write(self, builder: &mut FunctionBuilder<'_>, ty: Type, range: (Value, Value)) {
        let sum = builder.declare_var(ty);
        for_range(builder, range, i64::from(ty.lane_count()), |builder, index| {
            let product = |builder: &mut FunctionBuilder<'_>, tap: Value| {
                let line = builder.ins().load(I64, MEMORY, tap, 0);
                let weight = builder.ins().load(F32, MEMORY, tap, 8);
                let from = builder.ins().iadd(self.source, line);
                let from = offset(builder, from, index, 4);
                let x = builder.ins().load(ty, MEMORY, from, 0);
                (x, if ty == F32 { weight } else { builder.ins().splat(ty, weight) })
            };
            let (x, weight) = product(builder, self.first);
            let start = builder.ins().fmul(x, weight);
            builder.def_var(sum, start);
            let second = builder.ins().iadd_imm_s(self.first, TAP_BYTES);
            for_range(builder, (second, self.end), TAP_BYTES, |builder, tap| {
                let (x, weight) = product(builder, tap);
                let before = builder.use_var(sum);
                let after = builder.ins().fma(x, weight, before);
                builder.def_var(sum, after);
            });
            let value = builder.use_var(sum);
            let to = offset(builder, self.result, index, 4);
            builder.ins().store(MEMORY, value, to, 0);
        });
    }
}
