//! Winograd's convolution: transforms patches of pixels, multiplies position by position, transforms back.
//!
//! The tiles of a sample are cut into blocks whose transformed pixels stay in the second-level cache. A task is one block of tiles and one block of
//! 16 output channels; a run of tasks of the same block of tiles transforms its pixels once. Transformed pixels lie in the thread's scratch memory as
//! `[position][channel block][tile][16]`, products as `[position][tile][16]`; a vector is left free between positions, lest all of
//! them fall into one set of the cache.

mod transform;

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, SigRef, Value};
use cranelift_frontend::FunctionBuilder;
use cranelift_module::{DataId, FuncId};
use rnc_plan::kernel::{Activation, BLOCK, Conv, Winograd, blocks};

use super::{Kernel, Tasks};
use crate::clif::{MEMORY, for_range, offset};
use crate::error::CodegenError;
use crate::isa::Isa;
use crate::module::{KernelArguments, ModuleBuilder, Table};
use crate::panels::BLOCK_BYTES;
use crate::tile::{self, Ahead, Channels, Column, Pixel, Repeat, Tap, Tile};
use transform::{Data, Outcome};

/// Bytes of transformed pixels that a block of tiles may have: what the second-level cache holds beside the weights that stream by.
const DATA_BYTES: usize = 600 << 10;

/// How far ahead of their use weights are asked for.
const STREAM_BYTES: i32 = 16 << 10;

/// Compiles a Winograd convolution.
pub fn compile(module: &mut ModuleBuilder, winograd: &Winograd) -> Result<Kernel, CodegenError> {
    let layout = Layout::new(module.isa(), winograd)?;
    let tables = Tables::new(module, &layout)?;
    let Conv { input, output, .. } = winograd.conv;
    let name = format!("winograd{}.{}to{}", winograd.tile, input.channels, output.channels);
    let function = module.kernel(&name, |module, builder, arguments| {
        drive(module, builder, (&layout, &tables), arguments);
        Ok(())
    })?;
    let tasks = Tasks::PerSample(layout.blocks.len() * blocks(output.channels));
    Ok(Kernel { function, tasks, scratch: layout.scratch(), name })
}

/// How the work is cut and where scratch data lie.
struct Layout<'a> {
    conv: &'a Conv,
    m: usize,
    /// Tiles in a row of the result.
    across: usize,
    /// Blocks of tiles, as ranges of tile numbers.
    blocks: Vec<std::ops::Range<usize>>,
    /// Bytes from one channel block of transformed pixels to the next, and between positions of pixels and of products.
    channel_block: usize,
    data_position: usize,
    product_position: usize,
}

impl<'a> Layout<'a> {
    fn new(isa: Isa, winograd: &'a Winograd) -> Result<Self, CodegenError> {
        let (conv, m) = (&winograd.conv, winograd.tile);
        let positions = (m + 2) * (m + 2);
        let (down, across) = (conv.output.height.div_ceil(m), conv.output.width.div_ceil(m));
        let tile_bytes = positions * blocks(conv.input.channels) * BLOCK_BYTES;
        let most = (DATA_BYTES / tile_bytes).clamp(1, most_tiles(isa));
        let count = (down * across).div_ceil(most);
        let range = |i: usize| down * across * i / count..down * across * (i + 1) / count;
        let largest = (down * across).div_ceil(count);
        let channel_block = largest * BLOCK_BYTES;
        let layout = Self {
            conv,
            m,
            across,
            blocks: (0..count).map(range).collect(),
            channel_block,
            data_position: channel_block * blocks(conv.input.channels) + BLOCK_BYTES,
            product_position: channel_block + BLOCK_BYTES,
        };
        let plane = conv.input.height.max(conv.output.height) * conv.input.width.max(conv.output.width) * BLOCK_BYTES;
        for bytes in [layout.scratch(), plane] {
            near("a plane of the layer", bytes)?;
        }
        Ok(layout)
    }

    fn positions(&self) -> usize {
        (self.m + 2) * (self.m + 2)
    }

    fn products_offset(&self) -> usize {
        self.positions() * self.data_position
    }

    fn spill_offset(&self) -> usize {
        self.products_offset() + self.positions() * self.product_position
    }

    fn scratch(&self) -> usize {
        self.spill_offset() + self.positions() * BLOCK_BYTES
    }

    /// Row and column of a tile's first result.
    fn place(&self, tile: usize) -> [usize; 2] {
        [tile / self.across * self.m, tile % self.across * self.m]
    }
}

fn near(what: &'static str, bytes: usize) -> Result<i32, CodegenError> {
    i32::try_from(bytes).map_err(|_| CodegenError::TooLarge { what, bytes })
}

/// Tiles whose products fill the registers, or a few times that where those are few: weights are then read as often less.
const fn most_tiles(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 28,
        Isa::Avx2 => 24,
        Isa::Baseline => 12,
    }
}

/// Tiles and vectors of one product in registers.
const fn product_size(isa: Isa) -> (usize, usize) {
    match isa {
        Isa::Avx512 => (28, 1),
        Isa::Avx2 | Isa::Baseline => (6, 2),
    }
}

/// The products of a block of `tiles` tiles with 16 output channels, at all positions.
fn products(module: &mut ModuleBuilder, layout: &Layout<'_>, tiles: usize) -> Result<FuncId, CodegenError> {
    let isa = module.isa();
    let (most, columns) = product_size(isa);
    let channels = layout.conv.input.channels;
    let groups = tiles.div_ceil(most);
    let parts = BLOCK / isa.lanes();
    let tile = |group: usize, part: usize| {
        let range = tiles * group / groups..tiles * (group + 1) / groups;
        let pixels: Vec<_> = range.map(|i| (i * BLOCK_BYTES) as i32).map(|at| Pixel { x: at, out: at }).collect();
        let lanes = (part..part + columns).map(|vector| (vector * isa.lanes() * 4) as i32);
        Tile {
            taps: vec![Tap { x: 0, index: 0, inside: vec![true; pixels.len()] }],
            pixels,
            columns: lanes.map(|lane| Column { w: lane, out: lane, bias: 0 }).collect(),
            channels: Channels {
                block: BLOCK,
                full: channels / BLOCK,
                rest: channels % BLOCK,
                stride: layout.channel_block as i32,
                window: 1,
            },
            residual: false,
            activation: Activation::None,
            ahead: if group == 0 && part == 0 { Ahead::Stream(STREAM_BYTES) } else { Ahead::Nothing },
        }
    };
    let parts = (0..parts).step_by(columns);
    let all: Vec<Tile> = (0..groups)
        .flat_map(|group| parts.clone().map(move |part| (group, part)))
        .map(|(group, part)| tile(group, part))
        .collect();
    let repeat = Repeat {
        count: layout.positions(),
        x: layout.data_position as i32,
        w: near("a position's weights", channels * BLOCK_BYTES)?,
        out: layout.product_position as i32,
    };
    module.leaf(&format!("winograd{}.products{tiles}", layout.m), |emitter| tile::write_repeated(&all, repeat, emitter))
}

/// The tables of the driver.
struct Tables {
    /// A row a block of tiles: first tile, one past the last, leaf of the products.
    blocks: DataId,
    /// A row a tile: from the start of a sample to the patch's first pixel, from a plane's start to the first result, and both leaves.
    tiles: DataId,
    /// Zeros, where products start, and then the factors of the transforms.
    constants: DataId,
}

const BLOCK_WORDS: i64 = 3;
const TILE_WORDS: i64 = 4;

impl Tables {
    fn new(module: &mut ModuleBuilder, layout: &Layout<'_>) -> Result<Self, CodegenError> {
        let mut leaves = Leaves::default();
        let mut block_rows = Table::default();
        let mut tile_rows = Table::default();
        for range in &layout.blocks {
            block_rows.numbers([range.start as i64, range.end as i64]);
            block_rows.functions([leaves.products(module, layout, range.len())?]);
            for tile in range.clone() {
                let [y, x] = layout.place(tile);
                let pad = layout.conv.window.pad;
                let source = (y as i64 - pad[0] as i64) * layout.conv.input.width as i64 + x as i64 - pad[1] as i64;
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
            tiles: module.table(tile_rows)?,
            constants: module.table(constants)?,
        })
    }
}

/// The leaves written so far.
#[derive(Default)]
struct Leaves {
    products: HashMap<usize, FuncId>,
    data: HashMap<Data, FuncId>,
    outcomes: HashMap<Outcome, FuncId>,
}

impl Leaves {
    fn products(
        &mut self,
        module: &mut ModuleBuilder,
        layout: &Layout<'_>,
        tiles: usize,
    ) -> Result<FuncId, CodegenError> {
        if let Some(leaf) = self.products.get(&tiles) {
            return Ok(*leaf);
        }
        let leaf = products(module, layout, tiles)?;
        self.products.insert(tiles, leaf);
        Ok(leaf)
    }

    /// The data and the result transform of the tile whose first result is at this place.
    fn transforms(
        &mut self,
        module: &mut ModuleBuilder,
        layout: &Layout<'_>,
        place: [usize; 2],
    ) -> Result<[FuncId; 2], CodegenError> {
        let Conv { input, output, window, residual, activation, .. } = *layout.conv;
        let m = layout.m;
        let inside = |axis: usize, size: usize| {
            (0..m + 2).map(|i| (window.pad[axis]..window.pad[axis] + size).contains(&(place[axis] + i))).collect()
        };
        let data = Data {
            m,
            inside: [inside(0, input.height), inside(1, input.width)],
            row: (input.width * BLOCK_BYTES) as i32,
            blocks: blocks(input.channels),
            block_x: (input.height * input.width * BLOCK_BYTES) as i32,
            block_out: layout.channel_block as i32,
            position: layout.data_position as i32,
        };
        let outcome = Outcome {
            m,
            inside: [(output.height - place[0]).min(m), (output.width - place[1]).min(m)],
            row: (output.width * BLOCK_BYTES) as i32,
            position: layout.product_position as i32,
            residual,
            activation,
        };
        let data = match self.data.get(&data) {
            Some(leaf) => *leaf,
            None => {
                let leaf = module.leaf("winograd.data", |emitter| transform::data(&data, emitter))?;
                self.data.insert(data, leaf);
                leaf
            }
        };
        let outcome = match self.outcomes.get(&outcome) {
            Some(leaf) => *leaf,
            None => {
                let leaf = module.leaf("winograd.result", |emitter| transform::outcome(&outcome, emitter))?;
                self.outcomes.insert(outcome, leaf);
                leaf
            }
        };
        Ok([data, outcome])
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
    blocks: Value,
    tiles: Value,
    zeros: Value,
    factors: Value,
    data: Value,
    products: Value,
    spill: Value,
}

fn drive(
    module: &mut ModuleBuilder,
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
        blocks: module.table_address(builder, tables.blocks),
        tiles: module.table_address(builder, tables.tiles),
        zeros,
        factors: builder.ins().iadd_imm_s(zeros, BLOCK_BYTES as i64),
        data: arguments.scratch,
        products: builder.ins().iadd_imm_s(arguments.scratch, layout.products_offset() as i64),
        spill: builder.ins().iadd_imm_s(arguments.scratch, layout.spill_offset() as i64),
    };
    // The block of tiles whose pixels are in the scratch memory, counted over all samples.
    let transformed = builder.declare_var(I64);
    let none = builder.ins().iconst(I64, -1);
    builder.def_var(transformed, none);
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        let outputs = builder.ins().iconst(I64, blocks(layout.conv.output.channels) as i64);
        let group = builder.ins().udiv(task, outputs);
        let output = builder.ins().urem(task, outputs);
        let count = builder.ins().iconst(I64, layout.blocks.len() as i64);
        let sample = builder.ins().udiv(group, count);
        let block = builder.ins().urem(group, count);
        let row = offset(builder, bases.blocks, block, BLOCK_WORDS * 8);
        let [first, end, leaf] = [0, 1, 2].map(|word| builder.ins().load(I64, MEMORY, row, word * 8));

        let last = builder.use_var(transformed);
        let fresh = builder.ins().icmp(IntCC::NotEqual, last, group);
        builder.def_var(transformed, group);
        let transform = builder.create_block();
        let multiply = builder.create_block();
        builder.ins().brif(fresh, transform, &[], multiply, &[]);
        builder.switch_to_block(transform);
        builder.seal_block(transform);
        bases.transform_pixels(builder, sample, [first, end]);
        builder.ins().jump(multiply, &[]);
        builder.switch_to_block(multiply);
        builder.seal_block(multiply);

        let weight_bytes = layout.positions() * layout.conv.input.channels * BLOCK_BYTES;
        let weights = offset(builder, bases.weights, output, weight_bytes as i64);
        let arguments = [bases.data, weights, bases.products, bases.zeros, bases.spill, bases.spill];
        builder.ins().call_indirect(bases.signature, leaf, &arguments);
        bases.transform_products(builder, [sample, output], [first, end]);
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

    fn transform_pixels(&self, builder: &mut FunctionBuilder<'_>, sample: Value, tiles: [Value; 2]) {
        let bytes = self.layout.conv.input.blocked_len().expect("the plan's verifier checked the sizes") * 4;
        let x = offset(builder, self.x, sample, bytes as i64);
        self.for_tiles(builder, tiles, |builder, row, place| {
            let patch = builder.ins().load(I64, MEMORY, row, 0);
            let leaf = builder.ins().load(I64, MEMORY, row, 16);
            let x = builder.ins().iadd(x, patch);
            let to = offset(builder, self.data, place, BLOCK_BYTES as i64);
            let arguments = [x, self.factors, to, self.zeros, self.spill, self.spill];
            builder.ins().call_indirect(self.signature, leaf, &arguments);
        });
    }

    fn transform_products(&self, builder: &mut FunctionBuilder<'_>, [sample, output]: [Value; 2], tiles: [Value; 2]) {
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
            let from = offset(builder, self.products, place, BLOCK_BYTES as i64);
            let to = builder.ins().iadd(self.result, within);
            let residual = self.residual.map_or(self.zeros, |residual| builder.ins().iadd(residual, within));
            let arguments = [from, self.factors, to, bias, residual, self.spill];
            builder.ins().call_indirect(self.signature, leaf, &arguments);
        });
    }
}
