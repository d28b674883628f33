//! Elementwise programs, 128 bits at a time: they are bound by memory.
//!
//! A task of a blocked space is one channel block of one sample; of a flat space, a chunk of one sample.

use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_frontend::FunctionBuilder;
use rnc_plan::kernel::{Access, Elementwise, Instruction, Space};

use super::math::Math;
use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_count, for_range, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder};
use crate::panels::BLOCK_BYTES;

/// Elements in a chunk of a flat space.
const CHUNK: usize = 4096;

/// Compiles an elementwise program.
pub fn compile(module: &mut ModuleBuilder<'_>, spec: &Elementwise) -> Result<Kernel, CodegenError> {
    let name = format!("elementwise{}", spec.program.len());
    let (write, tasks): (fn(&mut FunctionBuilder<'_>, &Elementwise, KernelArguments), usize) = match spec.space {
        Space::Blocked { blocks, .. } => (blocked, blocks),
        Space::Flat { len } => (flat, len.div_ceil(CHUNK)),
    };
    let function = module.kernel(&name, |_, builder, arguments| {
        write(builder, spec, arguments);
        Ok(())
    })?;
    Ok(Kernel { function, tasks: Tasks::PerSample(tasks), scratch: 0, tile: None, name })
}

/// One run of the program: where its operands lie, and the type of a value.
fn evaluate(builder: &mut FunctionBuilder<'_>, ty: Type, program: &[Instruction], operands: &[Value]) -> Value {
    let mut math = Math { builder, ty };
    let mut values = Vec::with_capacity(program.len());
    for instruction in program {
        let value = match *instruction {
            Instruction::Operand(i) => math.builder.ins().load(ty, MEMORY, operands[i], 0),
            Instruction::Constant(c) => math.constant(c.get()),
            Instruction::Unary(function, x) => math.unary(function, values[x]),
            Instruction::Binary(function, a, b) => math.binary(function, values[a], values[b]),
            Instruction::Select(condition, a, b) => math.choose(values[condition], values[a], values[b]),
        };
        values.push(value);
    }
    *values.last().expect("the plan's verifier checked that the program has a result")
}

fn addresses(builder: &mut FunctionBuilder<'_>, spec: &Elementwise, arguments: KernelArguments) -> (Value, Vec<Value>) {
    let result = arguments.operand(builder, 0);
    (result, (1..=spec.operands.len()).map(|i| arguments.operand(builder, i)).collect())
}

fn blocked(builder: &mut FunctionBuilder<'_>, spec: &Elementwise, arguments: KernelArguments) {
    let Space::Blocked { blocks, pixels } = spec.space else { unreachable!("a blocked space") };
    let (result, operands) = addresses(builder, spec, arguments);
    let plane = (pixels * BLOCK_BYTES) as i64;
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        let count = builder.ins().iconst(I64, blocks as i64);
        let block = builder.ins().urem(task, count);
        let result = offset(builder, result, task, plane);
        let operands: Vec<_> = operands
            .iter()
            .zip(&spec.operands)
            .map(|(base, access)| match access {
                Access::Full => offset(builder, *base, task, plane),
                Access::PerChannel => offset(builder, *base, task, BLOCK_BYTES as i64),
                Access::PerChannelShared => offset(builder, *base, block, BLOCK_BYTES as i64),
            })
            .collect();
        for_count(builder, pixels, |builder, pixel| {
            for lane in (0..BLOCK_BYTES as i64).step_by(16) {
                let at = |builder: &mut FunctionBuilder<'_>, base: Value, access: Access| {
                    let base =
                        if access == Access::Full { offset(builder, base, pixel, BLOCK_BYTES as i64) } else { base };
                    builder.ins().iadd_imm_s(base, lane)
                };
                let operands: Vec<_> =
                    operands.iter().zip(&spec.operands).map(|(base, access)| at(builder, *base, *access)).collect();
                let value = evaluate(builder, F32X4, &spec.program, &operands);
                let to = at(builder, result, Access::Full);
                builder.ins().store(MEMORY, value, to, 0);
            }
        });
    });
}

fn flat(builder: &mut FunctionBuilder<'_>, spec: &Elementwise, arguments: KernelArguments) {
    let Space::Flat { len } = spec.space else { unreachable!("a flat space") };
    let (result, operands) = addresses(builder, spec, arguments);
    let chunks = len.div_ceil(CHUNK) as i64;
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        let count = builder.ins().iconst(I64, chunks);
        let sample = builder.ins().udiv(task, count);
        let chunk = builder.ins().urem(task, count);
        let start = builder.ins().imul_imm_s(chunk, CHUNK as i64);
        let limit = builder.ins().iconst(I64, len as i64);
        let end = builder.ins().iadd_imm_s(start, CHUNK as i64);
        let end = builder.ins().smin(end, limit);
        let part = |builder: &mut FunctionBuilder<'_>, range, ty: Type, step| {
            for_range(builder, range, step, |builder, index| {
                let first = offset(builder, index, sample, len as i64);
                let operands: Vec<_> = operands.iter().map(|base| offset(builder, *base, first, 4)).collect();
                let value = evaluate(builder, ty, &spec.program, &operands);
                let to = offset(builder, result, first, 4);
                builder.ins().store(MEMORY, value, to, 0);
            });
        };
        let size = builder.ins().isub(end, start);
        let whole = builder.ins().band_imm_s(size, -4);
        let middle = builder.ins().iadd(start, whole);
        part(builder, (start, middle), F32X4, 4);
        part(builder, (middle, end), F32, 1);
    });
}
