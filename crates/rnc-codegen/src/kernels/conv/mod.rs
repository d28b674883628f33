//! Convolution: cuts the result into tiles and panels, has a leaf written for every different pair, and drives them.
//!
//! A task is one tile of one panel of one sample.

mod driver;
mod geometry;

use std::collections::HashMap;
use std::hash::Hash;

use cranelift_module::FuncId;
use rnc_plan::TileSize;
use rnc_plan::chain;
use rnc_plan::kernel::{BLOCK, Conv, Extent, Window};
use rnc_plan::weights::{lane_group, weight_blocks};

use super::{Kernel, Tasks};
use crate::code::RegisterTile;
use crate::error::{CodegenError, near};
use crate::isa::Isa;
use crate::module::{ModuleBuilder, Table};
use crate::panels::{self, BLOCK_BYTES, Cut, Panel};
use crate::taps::Tap;
use crate::tile::{self, Ahead, Channels, Column, Pixel, Tile};
use crate::tiling::{self, Place, Problem};
use driver::{Driver, Tables};
use geometry::{Geometry, Keys};

/// Compiles a convolution.
pub fn compile(module: &mut ModuleBuilder<'_>, conv: &Conv, tile: Option<TileSize>) -> Result<Kernel, CodegenError> {
    let shape = Shape::new(module, &flattened(conv), tile)?;
    let tables = tables(module, &shape)?;
    let name = name(conv);
    let driver = Driver { conv: &shape.conv, tables, group: shape.group, bytes_ahead: shape.lines_ahead * LINE_BYTES };
    let function = module.kernel(&name, |module, builder, arguments| {
        driver::write(&driver, module, builder, arguments);
        Ok(())
    })?;
    let tasks = Tasks::PerSample(shape.panels.len() * shape.tiles.len());
    Ok(Kernel { function, tasks, scratch: 0, tile: Some(shape.register_tile()), name })
}

const LINE_BYTES: usize = 64;

/// Bytes of weights that stay in the second-level cache beside the pixels of a sample.
const GROUP_BYTES: usize = 256 << 10;

fn name(conv: &Conv) -> String {
    let Window { kernel, stride, .. } = conv.window;
    let groups = if conv.groups > 1 { format!("g{}", conv.groups) } else { String::new() };
    format!("conv{}x{}s{}{groups}.{}to{}", kernel[0], kernel[1], stride[0], conv.input.channels, conv.output.channels)
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

/// How a convolution is cut up.
struct Shape {
    conv: Conv,
    panels: Vec<Panel>,
    tiles: Vec<Vec<Place>>,
    /// Channels of the groups, if lanes read nothing but their own.
    lane_group: Option<usize>,
    /// Panels in a group.
    group: usize,
    /// Lines of the next panel's weights that each tile asks for.
    lines_ahead: usize,
}

impl Shape {
    fn new(module: &ModuleBuilder<'_>, conv: &Conv, tile: Option<TileSize>) -> Result<Self, CodegenError> {
        let isa = module.isa();
        let (blocks, _) = weight_blocks(conv).expect("the plan's verifier checked the groups");
        let lanes = isa.lanes();
        let sharing = blocks.iter().take_while(|block| block.channels == blocks[0].channels).count();
        let problem = Problem {
            output: [conv.output.height, conv.output.width],
            vectors: sharing * (BLOCK / lanes),
            depth: blocks[0].depth * conv.window.taps(),
            threads: module.threads(),
        };
        let size = tiling::choose(isa, problem, tile);
        let plane = conv.output.height * conv.output.width * BLOCK_BYTES;
        let panels = panels::cut(&blocks, Cut { columns: size.columns, lanes, plane })?;
        let tiles = tiling::cut(problem.output, size.pixels);
        let bytes = panel_bytes(conv, &panels[0]);
        let group = (GROUP_BYTES / bytes).clamp(1, panels.len());
        // Cranelift knows no prefetch.
        let far = group < panels.len() && isa != Isa::Baseline;
        let lines_ahead = if far { bytes.div_ceil(LINE_BYTES).div_ceil(tiles.len()) } else { 0 };
        Ok(Self { conv: conv.clone(), panels, tiles, lane_group: lane_group(conv), group, lines_ahead })
    }

    /// The largest of its tiles: most are as large.
    fn register_tile(&self) -> RegisterTile {
        let pixels = self.tiles.iter().map(Vec::len).max().unwrap_or(0);
        let columns = self.panels.iter().map(|panel| panel.columns.len()).max().unwrap_or(0);
        RegisterTile::Pixels(TileSize { pixels, columns })
    }
}

/// Most multiply-adds (pixels × taps × vectors) of all of a layer's tiles together, some hundred times what a large layer of a real network has.
const fn most_code(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 | Isa::Avx2 => 1 << 21,
        // Cranelift takes some hundred times as long as the assembler.
        Isa::Baseline => 1 << 17,
    }
}

/// Bytes of a panel's weights.
fn panel_bytes(conv: &Conv, panel: &Panel) -> usize {
    let taps = conv.window.taps();
    let last = panel.columns.last().map_or(0, |column| column.w as usize);
    (last + panel.depth * taps * BLOCK_BYTES).next_multiple_of(LINE_BYTES)
}

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

/// A tile's code depends on its pixels and on the taps that they have.
type Variant = (Vec<Pixel>, Vec<Tap>);

/// The different tiles, each of which is written for so many classes of panels, and which of them each tile is.
fn variants(
    isa: Isa,
    shape: &Shape,
    geometry: &Geometry<'_>,
    classes: usize,
) -> Result<(Vec<Variant>, Vec<usize>), CodegenError> {
    let mut keys = Numbering::new();
    let mut variants = Vec::new();
    let mut numbers = Vec::with_capacity(shape.tiles.len());
    let key = Keys::new(geometry);
    let (mut laid_out, limit) = (0, most_code(isa));
    for tile in &shape.tiles {
        let number = keys.number(key.of(tile));
        numbers.push(number);
        if number == variants.len() {
            let variant = geometry.variant(tile)?;
            laid_out += variant.0.len() * variant.1.len() * shape.panels[0].columns.len() * classes;
            variants.push(variant);
        }
        if laid_out > limit {
            return Err(CodegenError::TooMuchCode { kernel: name(&shape.conv), found: laid_out, limit });
        }
    }
    Ok((variants, numbers))
}

fn tables(module: &mut ModuleBuilder<'_>, shape: &Shape) -> Result<Tables, CodegenError> {
    let geometry = Geometry::new(&shape.conv)?;
    let mut classes = Numbering::new();
    let panel_classes: Vec<_> =
        shape.panels.iter().map(|panel| classes.number((panel.columns.clone(), panel.depth))).collect();
    let (variants, tile_variants) = variants(module.isa(), shape, &geometry, classes.0.len())?;

    let mut leaves = Table::default();
    for (pixels, taps) in &variants {
        for (columns, channels) in &classes.0 {
            leaves.functions([leaf(module, shape, &geometry, (pixels, taps), (columns, *channels))?]);
        }
    }
    let mut panels = Table::default();
    for (i, (panel, class)) in shape.panels.iter().zip(panel_classes).enumerate() {
        // A lane's own group lies where the lane does.
        let lane = if shape.lane_group.is_some() { panel.bias % BLOCK_BYTES } else { 0 };
        let x = geometry.channel_offset(panel.channels.start) + lane as i64;
        let next = shape.panels.get(i + 1).unwrap_or(panel);
        let ahead = [next.w, panel_bytes(&shape.conv, next)].map(|bytes| bytes as i64);
        panels.numbers([x, panel.w as i64, panel.bias as i64, panel.out as i64, class as i64 * 8]);
        panels.numbers(ahead);
    }
    let mut tiles = Table::default();
    for (tile, variant) in shape.tiles.iter().zip(tile_variants) {
        let (x, out) = geometry.place(tile[0]);
        tiles.numbers([x, out, (variant * classes.0.len()) as i64 * 8]);
    }
    Ok(Tables {
        panels: module.table(panels)?,
        panel_count: shape.panels.len(),
        tiles: module.table(tiles)?,
        tile_count: shape.tiles.len(),
        leaves: module.table(leaves)?,
    })
}

fn leaf(
    module: &mut ModuleBuilder<'_>,
    shape: &Shape,
    geometry: &Geometry<'_>,
    (pixels, taps): (&[Pixel], &[Tap]),
    (columns, channels): (&[Column], usize),
) -> Result<FuncId, CodegenError> {
    let conv = &shape.conv;
    let block = shape.lane_group.unwrap_or(conv.source.channel_block());
    let tile = Tile {
        pixels: pixels.to_vec(),
        columns: columns.to_vec(),
        taps: taps.to_vec(),
        channels: Channels {
            block,
            full: channels / block,
            rest: channels % block,
            chain: chain::plain(block, shape.conv.window.taps()),
            stride: near("a channel block", geometry.block_stride)?,
            window: conv.window.taps() as i32,
            group: shape.lane_group,
        },
        residual: conv.residual,
        activation: conv.activation,
        ahead: if shape.lines_ahead == 0 { Ahead::Nothing } else { Ahead::Lines(shape.lines_ahead) },
    };
    let name = format!("{}.tile{}x{}", name(conv), pixels.len(), columns.len());
    module.leaf(&name, |emitter| tile::write(&tile, emitter))
}
