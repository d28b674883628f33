//! GEMM: a convolution of one pixel a sample, so that the samples are the pixels of a tile.
//!
//! A task is one panel of output features for the whole batch: the weights, which are most of the traffic, are read from memory once.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::{FunctionBuilder, Variable};
use cranelift_module::{DataId, FuncId};
use rnc_plan::chain;
use rnc_plan::kernel::{BLOCK, Gemm, blocks};
use rnc_plan::weights::WeightBlock;

use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_range, offset};
use crate::code::RegisterTile;
use crate::error::{CodegenError, near};
use crate::grid;
use crate::isa::Isa;
use crate::module::{KernelArguments, ModuleBuilder, Table};
use crate::panels::{self, BLOCK_BYTES, Cut};
use crate::taps::Tap;
use crate::tile::{self, Ahead, Channels, Pixel, Tile};

/// Numbers of samples that a tile takes, largest first; the batch is made of these.
pub const SAMPLES: [usize; 4] = [6, 4, 2, 1];

/// Vectors of output features in a panel: as many as six samples leave registers for, or fewer if the last thread is done earlier then.
fn columns(isa: Isa, features: usize, threads: usize) -> usize {
    let most = match isa {
        Isa::Avx512 => 4,
        Isa::Avx2 | Isa::Baseline => 2,
    };
    let vectors = blocks(features) * (BLOCK / isa.lanes());
    let time = |columns: usize| {
        let panels: Vec<f64> = (0..vectors).step_by(columns).map(|v| columns.min(vectors - v) as f64).collect();
        grid::makespan(&panels, threads)
    };
    (1..=most).rev().min_by(|a, b| time(*a).total_cmp(&time(*b))).unwrap_or(most)
}

/// Compiles a GEMM.
pub fn compile(module: &mut ModuleBuilder<'_>, gemm: &Gemm) -> Result<Kernel, CodegenError> {
    let block =
        |b: usize| WeightBlock { channels: 0..gemm.features, depth: gemm.features, offset: b * gemm.features * BLOCK };
    let weight_blocks: Vec<_> = (0..blocks(gemm.out)).map(block).collect();
    let cut = Cut {
        columns: columns(module.isa(), gemm.out, module.threads()),
        lanes: module.isa().lanes(),
        plane: BLOCK_BYTES,
    };
    let panels = panels::cut(&weight_blocks, cut)?;
    let name = format!("gemm.{}to{}", gemm.features, gemm.out);

    // A row a panel: weights, bias, result, then the leaves for each number of samples. Full panels share their leaves.
    let mut table = Table::default();
    let mut written: Vec<(usize, [FuncId; SAMPLES.len()])> = Vec::new();
    for panel in &panels {
        let known = written.iter().find(|(columns, _)| *columns == panel.columns.len()).map(|(_, leaves)| *leaves);
        let leaves = if let Some(leaves) = known {
            leaves
        } else {
            let leaves = leaves(module, gemm, &name, panel)?;
            written.push((panel.columns.len(), leaves));
            leaves
        };
        table.numbers([panel.w, panel.bias, panel.out].map(|word| word as i64));
        table.functions(leaves);
    }
    let table = module.table(table)?;
    let function = module.kernel(&name, |module, builder, arguments| {
        drive(module, builder, (gemm, table), arguments);
        Ok(())
    })?;
    let columns = panels.iter().map(|panel| panel.columns.len()).max().unwrap_or(0);
    let tile = Some(RegisterTile::Samples { columns });
    Ok(Kernel { function, tasks: Tasks::Total(panels.len()), scratch: 0, tile, name })
}

/// Bytes from one sample's source to the next, and of the result.
fn strides(gemm: &Gemm) -> (usize, usize) {
    (blocks(gemm.features) * BLOCK_BYTES, blocks(gemm.out) * BLOCK_BYTES)
}

fn leaves(
    module: &mut ModuleBuilder<'_>,
    gemm: &Gemm,
    name: &str,
    panel: &panels::Panel,
) -> Result<[FuncId; SAMPLES.len()], CodegenError> {
    let (x, out) = strides(gemm);
    let mut leaves = [FuncId::from_u32(0); SAMPLES.len()];
    for (leaf, samples) in leaves.iter_mut().zip(SAMPLES) {
        let pixels = (0..samples).map(|i| Ok(Pixel { x: near("a sample", i * x)?, out: near("a sample", i * out)? }));
        let tile = Tile {
            pixels: pixels.collect::<Result<_, CodegenError>>()?,
            columns: panel.columns.clone(),
            taps: vec![Tap { x: 0, index: 0, inside: vec![true; samples] }],
            channels: Channels {
                block: BLOCK,
                full: gemm.features / BLOCK,
                rest: gemm.features % BLOCK,
                chain: chain::plain(BLOCK, 1),
                stride: BLOCK_BYTES as i32,
                window: 1,
                group: None,
            },
            residual: false,
            activation: gemm.activation,
            ahead: Ahead::Nothing,
        };
        *leaf = module
            .leaf(&format!("{name}.tile{samples}x{}", panel.columns.len()), |emitter| tile::write(&tile, emitter))?;
    }
    Ok(leaves)
}

fn drive(
    module: &mut ModuleBuilder<'_>,
    builder: &mut FunctionBuilder<'_>,
    (gemm, table): (&Gemm, DataId),
    arguments: KernelArguments,
) {
    let [out, x, w, bias] = [0, 1, 2, 3].map(|index| arguments.operand(builder, index));
    let table = module.table_address(builder, table);
    let signature = builder.import_signature(module.leaf_signature());
    let row_bytes = (3 + SAMPLES.len() as i64) * 8;
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, panel| {
        let row = offset(builder, table, panel, row_bytes);
        let word =
            |builder: &mut FunctionBuilder<'_>, index: usize| builder.ins().load(I64, MEMORY, row, index as i32 * 8);
        let place = |builder: &mut FunctionBuilder<'_>, base: Value, index: usize| {
            let distance = word(builder, index);
            builder.ins().iadd(base, distance)
        };
        let w = place(builder, w, 0);
        let bias = place(builder, bias, 1);
        let out = place(builder, out, 2);
        let none = builder.ins().iconst(I64, 0);
        let sample = builder.declare_var(I64);
        builder.def_var(sample, none);
        for (i, samples) in SAMPLES.into_iter().enumerate() {
            while_left(builder, (sample, arguments.batch), samples, |builder, first| {
                let (x_stride, out_stride) = strides(gemm);
                let x = offset(builder, x, first, x_stride as i64);
                let out = offset(builder, out, first, out_stride as i64);
                let leaf = word(builder, 3 + i);
                builder.ins().call_indirect(signature, leaf, &[x, w, out, bias, none, none]);
            });
        }
    });
}

/// Runs `body(index)` and adds `step` to `index`, as long as `step` more fit below `end`.
fn while_left(
    builder: &mut FunctionBuilder<'_>,
    (index, end): (Variable, Value),
    step: usize,
    body: impl FnOnce(&mut FunctionBuilder<'_>, Value),
) {
    let header = builder.create_block();
    let inside = builder.create_block();
    let after = builder.create_block();
    builder.ins().jump(header, &[]);
    builder.switch_to_block(header);
    let current = builder.use_var(index);
    let next = builder.ins().iadd_imm_s(current, step as i64);
    let fits = builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, next, end);
    builder.ins().brif(fits, inside, &[], after, &[]);
    builder.switch_to_block(inside);
    builder.seal_block(inside);
    body(builder, current);
    builder.def_var(index, next);
    builder.ins().jump(header, &[]);
    builder.seal_block(header);
    builder.switch_to_block(after);
    builder.seal_block(after);
}
