//! Matrix products in scratch memory: what the fast algorithms for convolutions come down to.
//!
//! A run of *slots* holds matrices of rows (of pixels, or of tiles) × channels, as `[slot][channel block][row][16]`; each is multiplied with a matrix of channels × 16
//! output channels, to `[slot][row][16]`. The leaf is the tile of a convolution, repeated.

use cranelift_module::FuncId;
use rnc_plan::TileSize;
use rnc_plan::chain;
use rnc_plan::kernel::{Activation, BLOCK};

use crate::code::RegisterTile;
use crate::error::{CodegenError, near};
use crate::isa::Isa;
use crate::module::ModuleBuilder;
use crate::panels::BLOCK_BYTES;
use crate::taps::Tap;
use crate::tile::{self, Ahead, Channels, Column, Pixel, Repeat, Tile};

/// How far ahead of their use weights are asked for.
const STREAM_BYTES: i32 = 16 << 10;

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
    /// From one channel block to the next.
    pub(super) channel_block: usize,
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

/// Rows and vectors of one product in registers.
const fn size(isa: Isa) -> (usize, usize) {
    match isa {
        Isa::Avx512 => (28, 1),
        Isa::Avx2 => (6, 2),
        Isa::Baseline => (4, 2),
    }
}

/// Parts that so many rows are cut into, one after the other in registers.
const fn parts(isa: Isa, rows: usize) -> usize {
    rows.div_ceil(size(isa).0)
}

/// The largest tile that the products of so many rows are made of.
pub(super) fn register_tile(isa: Isa, rows: usize) -> RegisterTile {
    RegisterTile::Pixels(TileSize { pixels: rows.div_ceil(parts(isa, rows).max(1)), columns: size(isa).1 })
}

/// The products of a run of slots with 16 output channels, as a leaf of X, W and Out. Bias points to a vector of zeros.
pub(super) fn leaf(module: &mut ModuleBuilder<'_>, name: &str, products: &Products) -> Result<FuncId, CodegenError> {
    let isa = module.isa();
    let (_, columns) = size(isa);
    let Products { rows, channels, kind, .. } = *products;
    let groups = parts(isa, rows);
    let parts = (0..BLOCK / isa.lanes()).step_by(columns);
    let tiles: Vec<Tile> = (0..groups)
        .flat_map(|group| parts.clone().map(move |part| (group, part)))
        .map(|(group, part)| {
            let range = rows * group / groups..rows * (group + 1) / groups;
            let vectors = part..part + columns;
            tile(products, isa, (range, vectors), group == 0 && part == 0)
        })
        .collect();
    let repeat = Repeat {
        count: kind.count,
        x: near("a slot", products.data_slot)?,
        w: if kind.shared { 0 } else { near("a slot's weights", channels * BLOCK_BYTES)? },
        out: near("a slot of products", products.product_slot)?,
    };
    module.leaf(name, |emitter| tile::write_repeated(&tiles, repeat, emitter))
}

fn tile(
    products: &Products,
    isa: Isa,
    (rows, vectors): (std::ops::Range<usize>, std::ops::Range<usize>),
    first: bool,
) -> Tile {
    let pixels: Vec<_> = rows.map(|i| (i * BLOCK_BYTES) as i32).map(|at| Pixel { x: at, out: at }).collect();
    let lanes = vectors.map(|vector| (vector * isa.lanes() * 4) as i32);
    Tile {
        taps: vec![Tap { x: 0, index: 0, inside: vec![true; pixels.len()] }],
        pixels,
        columns: lanes.map(|lane| Column { w: lane, out: lane, bias: 0 }).collect(),
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
        // The tiles behind the first find the weights in the cache.
        ahead: if first { Ahead::Stream(STREAM_BYTES) } else { Ahead::Nothing },
    }
}
