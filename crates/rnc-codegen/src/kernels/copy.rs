//! Moving elements. A task is one sample, or one iteration of the outermost loop where there is only one box and nothing to fill.

use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use cranelift_module::FuncId;
use rnc_plan::kernel::{Copy, CopyBox, CopyLoop};

use super::math::Math;
use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_count, for_range, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder};

/// Compiles a copy.
pub fn compile(module: &mut ModuleBuilder<'_>, copy: &Copy) -> Result<Kernel, CodegenError> {
    let name = format!("copy{}", copy.boxes.len());
    let outermost = match copy.boxes.as_slice() {
        [only] if copy.fill.is_none() && only.loops.len() > 1 => only.loops[0].count,
        _ => 1,
    };
    let chunks = if outermost > 1 { Vec::new() } else { chunks(module, copy)? };
    let function = module.kernel(&name, |module, builder, arguments| {
        samples(module, builder, (copy, outermost, &chunks), arguments);
        Ok(())
    })?;
    Ok(Kernel { function, tasks: Tasks::PerSample(outermost), scratch: 0, tile: None, name })
}

/// Boxes in a function: Cranelift's time grows faster than its functions do.
const CHUNK: usize = 32;

/// Functions of source and result, a sample each, that copy some boxes each.
fn chunks(module: &mut ModuleBuilder<'_>, copy: &Copy) -> Result<Vec<FuncId>, CodegenError> {
    let chunk = |boxes: &[CopyBox]| {
        module.helper("copy.boxes", 2, |builder, arguments| {
            for part in boxes {
                let at = start(builder, (arguments[0], arguments[1]), part);
                nest(builder, at, &part.loops);
            }
        })
    };
    copy.boxes.chunks(CHUNK).map(chunk).collect()
}

fn start(builder: &mut FunctionBuilder<'_>, (source, result): (Value, Value), part: &CopyBox) -> (Value, Value) {
    let source = builder.ins().iadd_imm_s(source, part.source as i64 * 4);
    (source, builder.ins().iadd_imm_s(result, part.result as i64 * 4))
}

fn samples(
    module: &mut ModuleBuilder<'_>,
    builder: &mut FunctionBuilder<'_>,
    (copy, outermost, chunks): (&Copy, usize, &[FuncId]),
    arguments: KernelArguments,
) {
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
        if outermost > 1 {
            let part = &copy.boxes[0];
            let at = start(builder, (source, result), part);
            let at = step(builder, at, part.loops[0], index);
            nest(builder, at, &part.loops[1..]);
        } else {
            for chunk in chunks {
                module.call(builder, *chunk, &[source, result]);
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
        // The step of a single iteration is never taken, and may be anything.
        [outer, inner @ ..] if outer.count == 1 => nest(builder, at, inner),
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
