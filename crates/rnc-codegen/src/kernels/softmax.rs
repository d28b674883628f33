//! Softmax over one axis of planar values. A task is one slice along the axis; its numbers are few, so scalars do.

use cranelift_codegen::ir::types::{F32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use rnc_plan::kernel::{Binary, Softmax, Unary};

use super::math::Math;
use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_count, for_range, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder};

/// Compiles a softmax.
pub fn compile(module: &mut ModuleBuilder<'_>, softmax: &Softmax) -> Result<Kernel, CodegenError> {
    let name = format!("softmax{}", softmax.len);
    let function = module.kernel(&name, |_, builder, arguments| {
        slices(builder, softmax, arguments);
        Ok(())
    })?;
    Ok(Kernel { function, tasks: Tasks::PerSample(softmax.outer * softmax.inner), scratch: 0, tile: None, name })
}

fn slices(builder: &mut FunctionBuilder<'_>, softmax: &Softmax, arguments: KernelArguments) {
    let (result, source) = (arguments.operand(builder, 0), arguments.operand(builder, 1));
    let step = softmax.inner as i64 * 4;
    let total = builder.declare_var(F32);
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        // Samples follow each other as outer indices do.
        let inner = builder.ins().iconst(I64, softmax.inner as i64);
        let outer = builder.ins().udiv(task, inner);
        let inner = builder.ins().urem(task, inner);
        let first = offset(builder, inner, outer, (softmax.len * softmax.inner) as i64);
        let [source, result] = [source, result].map(|base| offset(builder, base, first, 4));
        let at = |builder: &mut FunctionBuilder<'_>, base: Value, i: Value| offset(builder, base, i, step);

        let lowest = builder.ins().f32const(f32::NEG_INFINITY);
        builder.def_var(total, lowest);
        for_count(builder, softmax.len, |builder, i| {
            let from = at(builder, source, i);
            let x = builder.ins().load(F32, MEMORY, from, 0);
            let old = builder.use_var(total);
            let new = Math { builder, ty: F32 }.binary(Binary::Max, old, x);
            builder.def_var(total, new);
        });
        let largest = builder.use_var(total);
        let zero = builder.ins().f32const(0.0);
        builder.def_var(total, zero);
        for_count(builder, softmax.len, |builder, i| {
            let (from, to) = (at(builder, source, i), at(builder, result, i));
            let x = builder.ins().load(F32, MEMORY, from, 0);
            let x = builder.ins().fsub(x, largest);
            let e = Math { builder, ty: F32 }.unary(Unary::Exp, x);
            builder.ins().store(MEMORY, e, to, 0);
            let old = builder.use_var(total);
            let new = builder.ins().fadd(old, e);
            builder.def_var(total, new);
        });
        let sum = builder.use_var(total);
        for_count(builder, softmax.len, |builder, i| {
            let to = at(builder, result, i);
            let e = builder.ins().load(F32, MEMORY, to, 0);
            let share = builder.ins().fdiv(e, sum);
            builder.ins().store(MEMORY, share, to, 0);
        });
    });
}
