//! Moving elements. A task is one sample, or one iteration of the outermost loop where there is only one box and nothing to fill.

use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use rnc_plan::kernel::{Copy, CopyLoop};

use super::math::Math;
use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_count, for_range, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder};

/// Compiles a copy.
pub fn compile(module: &mut ModuleBuilder, copy: &Copy) -> Result<Kernel, CodegenError> {
    let name = format!("copy{}", copy.boxes.len());
    let outermost = match copy.boxes.as_slice() {
        [only] if copy.fill.is_none() && only.loops.len() > 1 => only.loops[0].count,
        _ => 1,
    };
    let function = module.kernel(&name, |_, builder, arguments| {
        samples(builder, copy, outermost, arguments);
        Ok(())
    })?;
    Ok(Kernel { function, tasks: Tasks::PerSample(outermost), scratch: 0, name })
}

fn samples(builder: &mut FunctionBuilder<'_>, copy: &Copy, outermost: usize, arguments: KernelArguments) {
    let (result, source) = (arguments.operand(builder, 0), arguments.operand(builder, 1));
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        let count = builder.ins().iconst(I64, outermost as i64);
        let sample = builder.ins().udiv(task, count);
        let index = builder.ins().urem(task, count);
        let source = offset(builder, source, sample, copy.source_sample as i64 * 4);
        let result = offset(builder, result, sample, copy.result_sample as i64 * 4);
        if let Some(value) = copy.fill {
            let value = Math { builder, ty: F32 }.constant(value.get());
            for_count(builder, copy.result_sample, |builder, i| {
                let to = offset(builder, result, i, 4);
                builder.ins().store(MEMORY, value, to, 0);
            });
        }
        for part in &copy.boxes {
            let source = builder.ins().iadd_imm_s(source, part.source as i64 * 4);
            let result = builder.ins().iadd_imm_s(result, part.result as i64 * 4);
            if outermost > 1 {
                let (source, result) = step(builder, (source, result), part.loops[0], index);
                nest(builder, (source, result), &part.loops[1..]);
            } else {
                nest(builder, (source, result), &part.loops);
            }
        }
    });
}

fn step(builder: &mut FunctionBuilder<'_>, at: (Value, Value), this: CopyLoop, index: Value) -> (Value, Value) {
    (offset(builder, at.0, index, this.source as i64 * 4), offset(builder, at.1, index, this.result as i64 * 4))
}

fn nest(builder: &mut FunctionBuilder<'_>, at: (Value, Value), loops: &[CopyLoop]) {
    match loops {
        [] => {
            let value = builder.ins().load(F32, MEMORY, at.0, 0);
            builder.ins().store(MEMORY, value, at.1, 0);
        }
        [row] if row.source == 1 && row.result == 1 => contiguous(builder, at, row.count),
        [outer, inner @ ..] => for_count(builder, outer.count, |builder, i| {
            let at = step(builder, at, *outer, i);
            nest(builder, at, inner);
        }),
    }
}

fn contiguous(builder: &mut FunctionBuilder<'_>, at: (Value, Value), count: usize) {
    let vectors = count / 4;
    if vectors > 0 {
        for_count(builder, vectors, |builder, i| {
            let (from, to) = (offset(builder, at.0, i, 16), offset(builder, at.1, i, 16));
            let value = builder.ins().load(F32X4, MEMORY, from, 0);
            builder.ins().store(MEMORY, value, to, 0);
        });
    }
    for i in vectors * 4..count {
        let value = builder.ins().load(F32, MEMORY, at.0, i as i32 * 4);
        builder.ins().store(MEMORY, value, at.1, i as i32 * 4);
    }
}
