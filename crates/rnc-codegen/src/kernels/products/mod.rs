//! Matrix products in scratch memory: what the fast algorithms for convolutions come down to.
//!
//! A run of *slots* holds matrices of rows (of pixels, or of tiles) × channels, as `[slot][channel block][row][16]`; each is multiplied with a matrix of channels × 16
//! output channels, or twice as many, to `[slot][output block][row][16]`. The leaf is the tile of a convolution, repeated.

mod cut;

use std::ops::Range;

use cranelift_module::FuncId;
use rnc_plan::chain;
use rnc_plan::kernel::{Activation, BLOCK};

use crate::error::{CodegenError, near};
use crate::isa::Isa;
use crate::module::ModuleBuilder;
use crate::panels::BLOCK_BYTES;
use crate::taps::Tap;
use crate::tile::{self, Ahead, Channels, Column, Pixel, Repeat, Tile};
pub(super) use cut::{Class, Cut, PanelRow, Panels};

/// How far ahead of their use weights are asked for, at the least: as many as a core uses while memory answers.
const STREAM_BYTES: usize = 16 << 10;

/// A run of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// Slots.
    pub(super) count: usize,
    /// Whether all have the same weights; else they have consecutive ones.
    pub(super) shared: bool,
}

/// What the leaf of a run depends on. Distances are in bytes.
#[derive(Clone, Debug)]
pub(super) struct Products {
    pub(super) rows: usize,
    pub(super) channels: usize,
    /// From one channel block to the next, of the source and of the result.
    pub(super) channel_block: usize,
    pub(super) class: Class,
    pub(super) kind: Kind,
    /// From one slot to the next, of the source and of the result.
    pub(super) data_slot: usize,
    pub(super) product_slot: usize,
}

/// Rows whose products fill the registers, or a few times that where those are few: weights are then read as often less.
pub(super) const fn most_rows(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 28,
        Isa::Avx2 => 24,
        Isa::Baseline => 8,
    }
}

/// Rows and vectors of one product in registers, for so many blocks of output channels.
const fn size(isa: Isa, blocks: usize) -> (usize, usize) {
    match isa {
        Isa::Avx512 => (28 / blocks, blocks),
        Isa::Avx2 => (6, 2),
        Isa::Baseline => (4, 2),
    }
}

/// The products of a run of slots with a panel's output channels, as a leaf of X, W and Out. Bias points to a vector of zeros.
pub(super) fn leaf(module: &mut ModuleBuilder<'_>, name: &str, products: &Products) -> Result<FuncId, CodegenError> {
    let isa = module.isa();
    let Products { rows, channels, class, kind, .. } = *products;
    let (most, vectors) = size(isa, class.blocks);
    let groups = rows.div_ceil(most);
    let lanes = isa.lanes();
    let all: Vec<Column> = (0..class.blocks)
        .flat_map(|block| (0..BLOCK / lanes).map(move |part| (block, (part * lanes * 4) as i32)))
        .map(|(block, lane)| Column {
            w: (block * channels * BLOCK_BYTES) as i32 + lane,
            out: (block * products.channel_block) as i32 + lane,
            bias: 0,
        })
        .collect();
    let parts: Vec<&[Column]> = all.chunks(vectors).collect();
    let count = groups * parts.len();
    let tiles: Vec<Tile> = (0..count)
        .map(|number| {
            let (group, part) = (number / parts.len(), number % parts.len());
            let range = rows * group / groups..rows * (group + 1) / groups;
            tile(products, (range, parts[part]), ahead(class, number, count))
        })
        .collect();
    let repeat = Repeat {
        count: kind.count,
        x: near("a slot", products.data_slot)?,
        w: if kind.shared { 0 } else { near("a slot's weights", class.step)? },
        out: near("a slot of products", products.product_slot)?,
    };
    module.leaf(name, |emitter| tile::write_repeated(&tiles, repeat, emitter))
}

/// Weights of a product to come that one of so many tiles asks for: all together ask for each line once, and the first ones for a block of output channels each. A line holds
/// a channel's weights for a block; where that is several vectors, panels have one block and the first vector stands for it.
fn ahead(class: Class, number: usize, tiles: usize) -> Ahead {
    let distance = (class.step * STREAM_BYTES.div_ceil(class.step)) as i32;
    if tiles < class.blocks {
        return Ahead::Stream { distance, first: 0, count: class.blocks };
    }
    if number < class.blocks { Ahead::Stream { distance, first: number, count: 1 } } else { Ahead::Nothing }
}

fn tile(products: &Products, (rows, columns): (Range<usize>, &[Column]), ahead: Ahead) -> Tile {
    let pixels: Vec<_> = rows.map(|i| (i * BLOCK_BYTES) as i32).map(|at| Pixel { x: at, out: at }).collect();
    Tile {
        taps: vec![Tap { x: 0, index: 0, inside: vec![true; pixels.len()] }],
        pixels,
        columns: columns.to_vec(),
        channels: Channels {
            block: BLOCK,
            full: products.channels / BLOCK,
            rest: products.channels % BLOCK,
            chain: chain::amplified(),
            stride: products.channel_block as i32,
            window: 1,
            group: None,
        },
        residual: false,
        activation: Activation::None,
        ahead,
    }
}
