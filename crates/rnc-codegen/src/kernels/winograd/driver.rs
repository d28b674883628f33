//! The loop over a Winograd convolution's tasks.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, SigRef, Value};
use cranelift_frontend::FunctionBuilder;
use cranelift_module::DataId;
use rnc_plan::kernel::{BLOCK, Extent, blocks};

use super::super::products::{Kind, PanelRow, Panels};
use super::Layout;
use super::leaves::Leaves;
use super::slots::{self, Run};
use super::transform;
use crate::clif::{MEMORY, divided, for_range, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder, Table};
use crate::panels::BLOCK_BYTES;

/// The tables of the driver.
pub(super) struct Tables {
    panels: Panels,
    /// A row a block of tiles: first tile, one past the last, a leaf for each class of panels and kind of run.
    blocks: DataId,
    block_words: i64,
    /// Kinds of runs.
    kinds: i64,
    /// A row a run of products: where its pixels and its products begin, which leaf of a class computes it, in bytes, and its first product.
    runs: DataId,
    run_count: i64,
    /// A row a tile: from the start of a sample to the patch's first pixel, from a plane's start to the first result, and both leaves.
    tiles: DataId,
    /// Zeros, where products start, and then the factors of the transforms.
    constants: DataId,
}

const RUN_WORDS: i64 = 4;
/// Words of a block's row before its leaves.
const LEAVES_WORD: i32 = 2;
const TILE_WORDS: i64 = 4;

impl Tables {
    pub(super) fn new(module: &mut ModuleBuilder<'_>, layout: &Layout<'_>) -> Result<Self, CodegenError> {
        let mut leaves = Leaves::default();
        let mut block_rows = Table::default();
        let mut tile_rows = Table::default();
        let runs = slots::runs(layout.filtering);
        let mut kinds: Vec<Kind> = Vec::new();
        let mut run_rows = Table::default();
        for Run { slot, weights, kind } in &runs {
            let number = kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
                kinds.push(*kind);
                kinds.len() - 1
            });
            let words = [slot * layout.data_slot, slot * layout.product_slot, number * 8, *weights];
            run_rows.numbers(words.map(|word| word as i64));
        }
        let classes = layout.cut.classes();
        for range in &layout.cut.rows {
            block_rows.numbers([range.start as i64, range.end as i64]);
            for (class, kind) in classes.iter().flat_map(|class| kinds.iter().map(move |kind| (*class, *kind))) {
                block_rows.functions([leaves.products(module, layout, (range.len(), class, kind))?]);
            }
            for tile in range.clone() {
                let [y, x] = layout.place(tile);
                let pad = layout.conv.window.pad;
                let first = |axis: usize, at: usize| (at * layout.filtering.stride()) as i64 - pad[axis] as i64;
                let source = first(0, y) * layout.conv.input.width as i64 + first(1, x);
                let result = y * layout.conv.output.width + x;
                tile_rows.numbers([source * BLOCK_BYTES as i64, (result * BLOCK_BYTES) as i64]);
                tile_rows.functions(leaves.transforms(module, layout, [y, x])?);
            }
        }
        let vectors = std::iter::once(0.0).chain(transform::factors()).flat_map(|value| [value; BLOCK]);
        let words: Vec<f32> = vectors.collect();
        let mut constants = Table::default();
        constants.numbers(words.chunks_exact(2).map(|pair| {
            let [low, high] = [pair[0], pair[1]].map(f32::to_ne_bytes);
            i64::from_ne_bytes([low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]])
        }));
        Ok(Self {
            blocks: module.table(block_rows)?,
            panels: Panels::new(module, &layout.cut)?,
            block_words: 2 + (classes.len() * kinds.len()) as i64,
            kinds: kinds.len() as i64,
            runs: module.table(run_rows)?,
            run_count: runs.len() as i64,
            tiles: module.table(tile_rows)?,
            constants: module.table(constants)?,
        })
    }
}

/// Addresses that stay the same for all tasks.
struct Bases<'a> {
    layout: &'a Layout<'a>,
    signature: SigRef,
    result: Value,
    x: Value,
    weights: Value,
    bias: Value,
    residual: Option<Value>,
    panels: Value,
    blocks: Value,
    runs: Value,
    tiles: Value,
    zeros: Value,
    factors: Value,
    data: Value,
    products: Value,
    spill: Value,
}

/// Writes the loop.
pub(super) fn write(
    module: &mut ModuleBuilder<'_>,
    builder: &mut FunctionBuilder<'_>,
    (layout, tables): (&Layout<'_>, &Tables),
    arguments: KernelArguments,
) {
    let zeros = module.table_address(builder, tables.constants);
    let bases = Bases {
        layout,
        signature: builder.import_signature(module.leaf_signature()),
        result: arguments.operand(builder, 0),
        x: arguments.operand(builder, 1),
        weights: arguments.operand(builder, 2),
        bias: arguments.operand(builder, 3),
        residual: layout.conv.residual.then(|| arguments.operand(builder, 4)),
        panels: tables.panels.address(module, builder),
        blocks: module.table_address(builder, tables.blocks),
        runs: module.table_address(builder, tables.runs),
        tiles: module.table_address(builder, tables.tiles),
        zeros,
        factors: builder.ins().iadd_imm_s(zeros, BLOCK_BYTES as i64),
        data: arguments.scratch,
        products: builder.ins().iadd_imm_s(arguments.scratch, layout.products_offset() as i64),
        spill: builder.ins().iadd_imm_s(arguments.scratch, layout.spill_offset() as i64),
    };
    // The block of tiles whose pixels are in the scratch memory, counted over all bundles of all samples.
    let transformed = builder.declare_var(I64);
    let none = builder.ins().iconst(I64, -1);
    builder.def_var(transformed, none);
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        let (group, panel) = divided(builder, task, layout.cut.panels());
        let (bundle, block) = divided(builder, group, layout.cut.rows.len());
        let (sample, bundle) = divided(builder, bundle, layout.bundles.count);
        let row = offset(builder, bases.blocks, block, tables.block_words * 8);
        let [first, end] = [0, 1].map(|word| builder.ins().load(I64, MEMORY, row, word * 8));

        let last = builder.use_var(transformed);
        let fresh = builder.ins().icmp(IntCC::NotEqual, last, group);
        builder.def_var(transformed, group);
        let transform = builder.create_block();
        let multiply = builder.create_block();
        builder.ins().brif(fresh, transform, &[], multiply, &[]);
        builder.switch_to_block(transform);
        builder.seal_block(transform);
        bases.transform_pixels(builder, [sample, bundle], [first, end]);
        builder.ins().jump(multiply, &[]);
        builder.switch_to_block(multiply);
        builder.seal_block(multiply);

        let panel = PanelRow::read(builder, bases.panels, panel);
        let class = builder.ins().imul_imm_s(panel.class, tables.kinds);
        let leaves = builder.ins().iadd(row, class);
        bases.multiply(builder, tables.run_count, (leaves, bundle), panel);
        for_range(builder, (panel.blocks[0], panel.blocks[1]), 1, |builder, output| {
            let number = builder.ins().isub(output, panel.blocks[0]);
            let from = offset(builder, bases.products, number, layout.channel_block as i64);
            let output = offset(builder, output, bundle, blocks(layout.bundles.outputs) as i64);
            bases.transform_products(builder, from, [sample, output], [first, end]);
        });
    });
}

impl Bases<'_> {
    /// Calls `body` with a tile's row of the table and its place in the block, for each tile of a block.
    fn for_tiles(
        &self,
        builder: &mut FunctionBuilder<'_>,
        [first, end]: [Value; 2],
        body: impl FnOnce(&mut FunctionBuilder<'_>, Value, Value),
    ) {
        for_range(builder, (first, end), 1, |builder, tile| {
            let row = offset(builder, self.tiles, tile, TILE_WORDS * 8);
            let place = builder.ins().isub(tile, first);
            body(builder, row, place);
        });
    }

    fn transform_pixels(&self, builder: &mut FunctionBuilder<'_>, [sample, bundle]: [Value; 2], tiles: [Value; 2]) {
        let Extent { height, width, .. } = self.layout.conv.input;
        let bytes = self.layout.conv.input.blocked_len().expect("the plan's verifier checked the sizes") * 4;
        let x = offset(builder, self.x, sample, bytes as i64);
        let channels = blocks(self.layout.bundles.inputs) * height * width * BLOCK_BYTES;
        let x = offset(builder, x, bundle, channels as i64);
        self.for_tiles(builder, tiles, |builder, row, place| {
            let patch = builder.ins().load(I64, MEMORY, row, 0);
            let leaf = builder.ins().load(I64, MEMORY, row, 16);
            let x = builder.ins().iadd(x, patch);
            let to = offset(builder, self.data, place, BLOCK_BYTES as i64);
            let arguments = [x, self.factors, to, self.zeros, self.spill, self.spill];
            builder.ins().call_indirect(self.signature, leaf, &arguments);
        });
    }

    /// Calls the leaf of every run for a block of tiles and a panel of a bundle. The leaves are those of the panel's class, in the block's row of the table.
    fn multiply(
        &self,
        builder: &mut FunctionBuilder<'_>,
        runs: i64,
        (leaves, bundle): (Value, Value),
        panel: PanelRow,
    ) {
        let points = self.layout.filtering.points();
        let bundle_bytes =
            blocks(self.layout.bundles.outputs) * points * points * self.layout.bundles.inputs * BLOCK_BYTES;
        let weights = offset(builder, self.weights, bundle, bundle_bytes as i64);
        let weights = builder.ins().iadd(weights, panel.weights);
        let [first, end] = [0, runs].map(|run| builder.ins().iconst(I64, run));
        for_range(builder, (first, end), 1, |builder, run| {
            let row = offset(builder, self.runs, run, RUN_WORDS * 8);
            let [data, product, kind, number] = [0, 1, 2, 3].map(|word| builder.ins().load(I64, MEMORY, row, word * 8));
            let x = builder.ins().iadd(self.data, data);
            let out = builder.ins().iadd(self.products, product);
            let before = builder.ins().imul(number, panel.step);
            let w = builder.ins().iadd(weights, before);
            let leaf = builder.ins().iadd(leaves, kind);
            let leaf = builder.ins().load(I64, MEMORY, leaf, LEAVES_WORD * 8);
            let arguments = [x, w, out, self.zeros, self.spill, self.spill];
            builder.ins().call_indirect(self.signature, leaf, &arguments);
        });
    }

    /// Transforms the products with a block of output channels, which begin at `from`.
    fn transform_products(
        &self,
        builder: &mut FunctionBuilder<'_>,
        from: Value,
        [sample, output]: [Value; 2],
        tiles: [Value; 2],
    ) {
        let conv = self.layout.conv;
        let bytes = conv.output.blocked_len().expect("the plan's verifier checked the sizes") * 4;
        let plane = conv.output.height * conv.output.width * BLOCK_BYTES;
        let start = builder.ins().imul_imm_s(sample, bytes as i64);
        let start = offset(builder, start, output, plane as i64);
        let bias = offset(builder, self.bias, output, BLOCK_BYTES as i64);
        self.for_tiles(builder, tiles, |builder, row, place| {
            let result = builder.ins().load(I64, MEMORY, row, 8);
            let leaf = builder.ins().load(I64, MEMORY, row, 24);
            let within = builder.ins().iadd(start, result);
            let from = offset(builder, from, place, BLOCK_BYTES as i64);
            let to = builder.ins().iadd(self.result, within);
            let residual = self.residual.map_or(self.zeros, |residual| builder.ins().iadd(residual, within));
            let arguments = [from, self.factors, to, bias, residual, self.spill];
            builder.ins().call_indirect(self.signature, leaf, &arguments);
        });
    }
}
