//! Convolution: cuts the result into tiles and panels, has a leaf written for every different pair, and drives them.
//!
//! A task is one tile of one panel of one sample. Which of the three runs fastest is a matter of what is worth keeping in the cache.

use std::collections::HashMap;
use std::hash::Hash;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::{FunctionBuilder, Variable};
use cranelift_module::{DataId, FuncId};
use rnc_plan::kernel::{BLOCK, Conv, Extent, Source, Window};
use rnc_plan::weights::weight_blocks;

use super::{Kernel, Tasks};
use crate::clif::{MEMORY, offset};
use crate::error::CodegenError;
use crate::module::{KernelArguments, ModuleBuilder, Table};
use crate::panels::{self, BLOCK_BYTES, Cut, Panel};
use crate::tile::{self, Channels, Column, Pixel, Tap, Tile};
use crate::tiling::{self, Place, Problem};

/// Compiles a convolution.
pub fn compile(module: &mut ModuleBuilder, conv: &Conv) -> Result<Kernel, CodegenError> {
    let conv = &flattened(conv);
    let (blocks, weights) = weight_blocks(conv).expect("the plan's verifier checked the groups");
    let lanes = module.isa().lanes();
    let sharing = blocks.iter().take_while(|block| block.channels == blocks[0].channels).count();
    let problem = Problem {
        output: [conv.output.height, conv.output.width],
        vectors: sharing * (BLOCK / lanes),
        depth: blocks[0].channels.len() * conv.window.kernel[0] * conv.window.kernel[1],
    };
    let size = tiling::choose(module.isa(), problem);
    let plane = conv.output.height * conv.output.width * BLOCK_BYTES;
    let panels = panels::cut(&blocks, Cut { columns: size.columns, lanes, plane })?;
    let tiles = tiling::cut(problem.output, size.pixels);
    let order = if weights * 4 > conv.input.planar_len().unwrap_or(usize::MAX) * 4 { Order::PanelFirst } else { Order::SampleFirst };
    let tables = tables(module, conv, &panels, &tiles)?;
    let name = name(conv);
    let function = module.kernel(&name, |module, builder, arguments| {
        drive(module, builder, &Driver { conv, tables, order }, arguments);
        Ok(())
    })?;
    Ok(Kernel { function, tasks: Tasks::PerSample(panels.len() * tiles.len()), name })
}

fn name(conv: &Conv) -> String {
    let Window { kernel, stride, .. } = conv.window;
    format!("conv{}x{}s{}.{}to{}", kernel[0], kernel[1], stride[0], conv.input.channels, conv.output.channels)
}

/// A pointwise convolution sees no rows: one long row tiles best.
fn flattened(conv: &Conv) -> Conv {
    let pointwise = conv.window.kernel == [1, 1] && conv.window.stride == [1, 1] && conv.window.pad == [0, 0];
    let same = (conv.input.height, conv.input.width) == (conv.output.height, conv.output.width);
    let mut conv = conv.clone();
    if pointwise && same {
        let row = |extent: Extent| Extent { channels: extent.channels, height: 1, width: extent.height * extent.width };
        (conv.input, conv.output) = (row(conv.input), row(conv.output));
    }
    conv
}

/// Which digit of a task's number changes slowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Panel, sample, tile: a panel's weights are read once for the whole batch.
    PanelFirst,
    /// Sample, panel, tile: a sample's pixels stay in the cache for all panels.
    SampleFirst,
}

/// The three tables of a driver and how many rows they have.
#[derive(Clone, Copy)]
struct Tables {
    /// Rows of `x, w, bias, out, class`.
    panels: DataId,
    panel_count: usize,
    /// Rows of `x, out, variant`.
    tiles: DataId,
    tile_count: usize,
    /// Leaves by `variant + class`, which are counted in bytes.
    leaves: DataId,
}

const PANEL_WORDS: i64 = 5;
const TILE_WORDS: i64 = 3;

/// Numbers different values in the order in which they come.
struct Numbering<T>(Vec<T>, HashMap<T, usize>);

impl<T: Clone + Eq + Hash> Numbering<T> {
    fn new() -> Self {
        Self(Vec::new(), HashMap::new())
    }

    fn number(&mut self, value: T) -> usize {
        let next = self.0.len();
        *self.1.entry(value.clone()).or_insert_with(|| {
            self.0.push(value);
            next
        })
    }
}

fn tables(
    module: &mut ModuleBuilder,
    conv: &Conv,
    panels: &[Panel],
    tiles: &[Vec<Place>],
) -> Result<Tables, CodegenError> {
    let geometry = Geometry::new(conv)?;
    let mut classes = Numbering::new();
    let mut variants = Numbering::new();
    let panel_classes: Vec<_> =
        panels.iter().map(|panel| classes.number((panel.columns.clone(), panel.channels.len()))).collect();
    let tile_variants =
        tiles.iter().map(|tile| Ok(variants.number(geometry.variant(tile)?))).collect::<Result<Vec<_>, CodegenError>>()?;

    let mut leaves = Table::default();
    for (pixels, taps) in &variants.0 {
        for (columns, channels) in &classes.0 {
            leaves.functions([leaf(module, conv, &geometry, (pixels, taps), (columns, *channels))?]);
        }
    }
    let mut panel_table = Table::default();
    for (panel, class) in panels.iter().zip(panel_classes) {
        let x = geometry.channel_offset(panel.channels.start);
        panel_table.numbers([x, panel.w as i64, panel.bias as i64, panel.out as i64, class as i64 * 8]);
    }
    let mut tile_table = Table::default();
    for (tile, variant) in tiles.iter().zip(tile_variants) {
        let (x, out) = geometry.place(tile[0]);
        tile_table.numbers([x, out, (variant * classes.0.len()) as i64 * 8]);
    }
    Ok(Tables {
        panels: module.table(panel_table)?,
        panel_count: panels.len(),
        tiles: module.table(tile_table)?,
        tile_count: tiles.len(),
        leaves: module.table(leaves)?,
    })
}

fn leaf(
    module: &mut ModuleBuilder,
    conv: &Conv,
    geometry: &Geometry<'_>,
    (pixels, taps): (&[Pixel], &[Tap]),
    (columns, channels): (&[Column], usize),
) -> Result<FuncId, CodegenError> {
    let block = conv.source.channel_block();
    let tile = Tile {
        pixels: pixels.to_vec(),
        columns: columns.to_vec(),
        taps: taps.to_vec(),
        channels: Channels {
            block,
            full: channels / block,
            rest: channels % block,
            stride: geometry.near("a channel block", geometry.block_stride)?,
            window: (conv.window.kernel[0] * conv.window.kernel[1]) as i32,
        },
        residual: conv.residual,
        activation: conv.activation,
    };
    let name = format!("{}.tile{}x{}", name(conv), pixels.len(), columns.len());
    module.leaf(&name, |emitter| tile::write(&tile, emitter))
}

/// Offsets in bytes in a convolution's source and result.
struct Geometry<'a> {
    conv: &'a Conv,
    /// From one pixel of the source to the next.
    pixel: i64,
    /// From one channel block of the source to the next.
    block_stride: i64,
}

impl<'a> Geometry<'a> {
    fn new(conv: &'a Conv) -> Result<Self, CodegenError> {
        let pixel = match conv.source {
            Source::Blocked => BLOCK_BYTES as i64,
            Source::Planar => 4,
        };
        let geometry = Self { conv, pixel, block_stride: (conv.input.height * conv.input.width) as i64 * pixel };
        geometry.near("a channel block", geometry.block_stride)?;
        Ok(geometry)
    }

    fn near(&self, what: &'static str, bytes: i64) -> Result<i32, CodegenError> {
        i32::try_from(bytes).map_err(|_| CodegenError::TooLarge { what, bytes: bytes.unsigned_abs() as usize })
    }

    fn channel_offset(&self, channel: usize) -> i64 {
        (channel / self.conv.source.channel_block()) as i64 * self.block_stride
    }

    /// From the start of a sample's panel to a pixel's first tap (which may lie on padding, before the source), and to the pixel of the result.
    fn place(&self, [y, x]: Place) -> (i64, i64) {
        let Window { stride, pad, .. } = self.conv.window;
        let row = (y * stride[0]) as i64 - pad[0] as i64;
        let column = (x * stride[1]) as i64 - pad[1] as i64;
        let source = (row * self.conv.input.width as i64 + column) * self.pixel;
        (source, ((y * self.conv.output.width + x) * BLOCK_BYTES) as i64)
    }

    /// What the code of a tile depends on: its pixels relative to the first one, and the taps that fall inside of the source.
    fn variant(&self, tile: &[Place]) -> Result<(Vec<Pixel>, Vec<Tap>), CodegenError> {
        let origin = self.place(tile[0]);
        let pixels = tile
            .iter()
            .map(|place| {
                let (x, out) = self.place(*place);
                Ok(Pixel { x: self.near("a tile's pixel", x - origin.0)?, out: self.near("a tile's result", out - origin.1)? })
            })
            .collect::<Result<_, CodegenError>>()?;
        let [rows, columns] = self.conv.window.kernel;
        let taps = (0..rows * columns).map(|index| self.tap(tile, index, [index / columns, index % columns]));
        let taps = taps.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|tap| tap.inside.contains(&true)).collect();
        Ok((pixels, taps))
    }

    fn tap(&self, tile: &[Place], index: usize, tap: [usize; 2]) -> Result<Tap, CodegenError> {
        let Window { stride, pad, dilation, .. } = self.conv.window;
        let [dy, dx] = [tap[0] * dilation[0], tap[1] * dilation[1]];
        let size = [self.conv.input.height, self.conv.input.width];
        let inside = |place: &Place| {
            [0, 1].into_iter().all(|axis| {
                let position = place[axis] * stride[axis] + [dy, dx][axis];
                position >= pad[axis] && position - pad[axis] < size[axis]
            })
        };
        let x = (dy * self.conv.input.width + dx) as i64 * self.pixel;
        Ok(Tap { x: self.near("a tap", x)?, index: index as i32, inside: tile.iter().map(inside).collect() })
    }
}

struct Driver<'a> {
    conv: &'a Conv,
    tables: Tables,
    order: Order,
}

/// The loop over tasks: a number of three digits that counts up.
fn drive(module: &mut ModuleBuilder, builder: &mut FunctionBuilder<'_>, driver: &Driver<'_>, arguments: KernelArguments) {
    let Driver { conv, tables, order } = driver;
    let panels = builder.ins().iconst(I64, tables.panel_count as i64);
    let tiles = builder.ins().iconst(I64, tables.tile_count as i64);
    let sizes = match order {
        Order::PanelFirst => [panels, arguments.batch, tiles],
        Order::SampleFirst => [arguments.batch, panels, tiles],
    };
    let bases = Bases {
        operands: [1, 2, 0, 3].map(|index| arguments.operand(builder, index)),
        residual: conv.residual.then(|| arguments.operand(builder, 4)),
        tables: [tables.panels, tables.tiles, tables.leaves].map(|table| module.table_address(builder, table)),
    };
    let digits = first_digits(builder, arguments.begin, sizes);
    let task = builder.declare_var(I64);
    builder.def_var(task, arguments.begin);
    let signature = builder.import_signature(module.leaf_signature());

    let header = builder.create_block();
    let body = builder.create_block();
    let after = builder.create_block();
    builder.ins().jump(header, &[]);
    builder.switch_to_block(header);
    let current = builder.use_var(task);
    let more = builder.ins().icmp(IntCC::UnsignedLessThan, current, arguments.end);
    builder.ins().brif(more, body, &[], after, &[]);
    builder.switch_to_block(body);
    builder.seal_block(body);
    let [slow, middle, tile] = digits.map(|digit| builder.use_var(digit));
    let (panel, sample) = match order {
        Order::PanelFirst => (slow, middle),
        Order::SampleFirst => (middle, slow),
    };
    let (leaf, pointers) = bases.task(builder, conv, [panel, sample, tile]);
    builder.ins().call_indirect(signature, leaf, &pointers);
    count_up(builder, digits, sizes);
    let next = builder.ins().iadd_imm_s(current, 1);
    builder.def_var(task, next);
    builder.ins().jump(header, &[]);
    builder.seal_block(header);
    builder.switch_to_block(after);
    builder.seal_block(after);
}

fn first_digits(builder: &mut FunctionBuilder<'_>, number: Value, sizes: [Value; 3]) -> [Variable; 3] {
    let last = builder.ins().urem(number, sizes[2]);
    let rest = builder.ins().udiv(number, sizes[2]);
    let middle = builder.ins().urem(rest, sizes[1]);
    let first = builder.ins().udiv(rest, sizes[1]);
    [first, middle, last].map(|value| {
        let digit = builder.declare_var(I64);
        builder.def_var(digit, value);
        digit
    })
}

/// Adds one to the last digit and carries.
fn count_up(builder: &mut FunctionBuilder<'_>, digits: [Variable; 3], sizes: [Value; 3]) {
    let zero = builder.ins().iconst(I64, 0);
    let mut carry = builder.ins().iconst(I64, 1);
    for (digit, size) in digits.into_iter().zip(sizes).rev() {
        let old = builder.use_var(digit);
        let new = builder.ins().iadd(old, carry);
        let full = builder.ins().icmp(IntCC::Equal, new, size);
        let wrapped = builder.ins().select(full, zero, new);
        builder.def_var(digit, wrapped);
        carry = builder.ins().uextend(I64, full);
    }
}

/// Addresses that stay the same for all tasks.
struct Bases {
    /// x, w, result, bias.
    operands: [Value; 4],
    residual: Option<Value>,
    /// Panels, tiles, leaves.
    tables: [Value; 3],
}

impl Bases {
    /// The leaf of a task and its arguments.
    fn task(&self, builder: &mut FunctionBuilder<'_>, conv: &Conv, [panel, sample, tile]: [Value; 3]) -> (Value, [Value; 5]) {
        let [x, w, out, bias] = self.operands;
        let [panels, tiles, leaves] = self.tables;
        let panel = offset(builder, panels, panel, PANEL_WORDS * 8);
        let tile = offset(builder, tiles, tile, TILE_WORDS * 8);
        let word = |builder: &mut FunctionBuilder<'_>, row, index: i32| builder.ins().load(I64, MEMORY, row, index * 8);
        let sum = |builder: &mut FunctionBuilder<'_>, a, b, c| {
            let ab = builder.ins().iadd(a, b);
            builder.ins().iadd(ab, c)
        };
        let source_sample = match conv.source {
            Source::Blocked => conv.input.blocked_len(),
            Source::Planar => conv.input.planar_len(),
        };
        let bytes = |len: Option<usize>| len.expect("the plan's verifier checked the sizes") as i64 * 4;

        let (panel_x, tile_x) = (word(builder, panel, 0), word(builder, tile, 0));
        let x = offset(builder, x, sample, bytes(source_sample));
        let x = sum(builder, x, panel_x, tile_x);
        let panel_w = word(builder, panel, 1);
        let w = builder.ins().iadd(w, panel_w);
        let panel_bias = word(builder, panel, 2);
        let bias = builder.ins().iadd(bias, panel_bias);
        let (panel_out, tile_out) = (word(builder, panel, 3), word(builder, tile, 1));
        let zero = builder.ins().iconst(I64, 0);
        let within = offset(builder, zero, sample, bytes(conv.output.blocked_len()));
        let within = sum(builder, within, panel_out, tile_out);
        let out = builder.ins().iadd(out, within);
        let residual = self.residual.map_or(zero, |residual| builder.ins().iadd(residual, within));
        let (class, variant) = (word(builder, panel, 4), word(builder, tile, 2));
        let leaf = sum(builder, leaves, class, variant);
        (word(builder, leaf, 0), [x, w, out, bias, residual])
    }
}
