//! The leaves of a Winograd convolution: transforms and products.

use std::collections::HashMap;

use cranelift_module::FuncId;
use rnc_plan::kernel::{Activation, BLOCK, Conv, blocks};

use super::Layout;
use super::slots::Kind;
use super::transform::{self, Data, Outcome};
use crate::error::{CodegenError, near};
use crate::isa::Isa;
use crate::module::ModuleBuilder;
use crate::panels::BLOCK_BYTES;
use crate::tile::{self, Ahead, Channels, Column, Pixel, Repeat, Tap, Tile};

/// How far ahead of their use weights are asked for.
const STREAM_BYTES: i32 = 16 << 10;

/// The leaves written so far: tiles that differ only in their place share one.
#[derive(Default)]
pub(super) struct Leaves(HashMap<Leaf, FuncId>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Leaf {
    /// Of this many tiles.
    Products(usize, Kind),
    Data(Data),
    Outcome(Outcome),
}

impl Leaves {
    /// The products of a block of tiles with 16 output channels, for a run of positions.
    pub(super) fn products(
        &mut self,
        module: &mut ModuleBuilder,
        layout: &Layout<'_>,
        (tiles, kind): (usize, Kind),
    ) -> Result<FuncId, CodegenError> {
        self.leaf(module, layout, Leaf::Products(tiles, kind))
    }

    /// The data and the result transform of the tile whose first result is at this place.
    pub(super) fn transforms(
        &mut self,
        module: &mut ModuleBuilder,
        layout: &Layout<'_>,
        place: [usize; 2],
    ) -> Result<[FuncId; 2], CodegenError> {
        let Conv { input, output, window, residual, activation, .. } = *layout.conv;
        let filtering = layout.filtering;
        let inside = |axis: usize, size: usize| {
            let first = place[axis] * filtering.stride();
            let source = window.pad[axis]..window.pad[axis] + size;
            (0..filtering.positions()).map(|i| source.contains(&(first + i))).collect()
        };
        let data = Data {
            filtering,
            inside: [inside(0, input.height), inside(1, input.width)],
            row: (input.width * BLOCK_BYTES) as i32,
            blocks: blocks(input.channels),
            block_x: (input.height * input.width * BLOCK_BYTES) as i32,
            block_out: layout.channel_block as i32,
            slot: layout.data_slot as i32,
        };
        let inside = |axis: usize, size: usize| (size - place[axis]).min(filtering.tile());
        let outcome = Outcome {
            filtering,
            inside: [inside(0, output.height), inside(1, output.width)],
            row: (output.width * BLOCK_BYTES) as i32,
            slot: layout.product_slot as i32,
            residual,
            activation,
        };
        Ok([self.leaf(module, layout, Leaf::Data(data))?, self.leaf(module, layout, Leaf::Outcome(outcome))?])
    }

    fn leaf(&mut self, module: &mut ModuleBuilder, layout: &Layout<'_>, leaf: Leaf) -> Result<FuncId, CodegenError> {
        if let Some(known) = self.0.get(&leaf) {
            return Ok(*known);
        }
        let written = match &leaf {
            Leaf::Products(tiles, kind) => products(module, layout, (*tiles, *kind))?,
            Leaf::Data(data) => module.leaf("winograd.data", |emitter| transform::data(data, emitter))?,
            Leaf::Outcome(outcome) => module.leaf("winograd.result", |emitter| transform::outcome(outcome, emitter))?,
        };
        self.0.insert(leaf, written);
        Ok(written)
    }
}

/// Tiles and vectors of one product in registers.
const fn product_size(isa: Isa) -> (usize, usize) {
    match isa {
        Isa::Avx512 => (28, 1),
        Isa::Avx2 | Isa::Baseline => (6, 2),
    }
}

/// The products of a block of `tiles` tiles with 16 output channels, for a run of positions.
fn products(
    module: &mut ModuleBuilder,
    layout: &Layout<'_>,
    (tiles, kind): (usize, Kind),
) -> Result<FuncId, CodegenError> {
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
        count: kind.count,
        x: layout.data_slot as i32,
        w: if kind.shared { 0 } else { near("a point's weights", channels * BLOCK_BYTES)? },
        out: layout.product_slot as i32,
    };
    module.leaf(&format!("winograd{}.products{tiles}", layout.filtering.tile()), |emitter| {
        tile::write_repeated(&all, repeat, emitter)
    })
}
