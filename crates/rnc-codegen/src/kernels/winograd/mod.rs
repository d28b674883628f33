//! Winograd's convolution: transforms patches of pixels, multiplies position by position, transforms back.
//!
//! The tiles of a sample are cut into blocks whose transformed pixels stay in the second-level cache. A task is one block of tiles and one panel: one or two blocks of
//! 16 output channels; a run of tasks of the same block of tiles, and of the same bundle of groups, transforms its pixels once. Transformed pixels lie in the thread's scratch memory as
//! `[slot][channel block][tile][16]`, products as `[slot][block of the panel][tile][16]`, a slot being a position's place; a vector is left free between slots, lest all of
//! them fall into one set of the cache.

mod driver;
mod leaves;
mod slots;
mod transform;

use rnc_plan::kernel::{Conv, Winograd, blocks};
use rnc_plan::weights::{Bundles, ProductWeights};
use rnc_plan::winograd::Filtering;

use super::products::{Cut, most_rows};
use super::{Kernel, Tasks};
use crate::error::{CodegenError, near};
use crate::grid::Blocks;
use crate::module::ModuleBuilder;
use crate::panels::BLOCK_BYTES;
use driver::Tables;

/// Bytes of transformed pixels that a block of tiles may have: what the second-level cache holds beside the weights that stream by.
const DATA_BYTES: usize = 600 << 10;

/// Multiply-adds in the time that the transform of a position of 16 channels takes.
const TRANSFORM: f64 = 5.0;

/// Compiles a Winograd convolution.
pub fn compile(module: &mut ModuleBuilder<'_>, winograd: &Winograd) -> Result<Kernel, CodegenError> {
    let layout = Layout::new(module, winograd)?;
    let tables = Tables::new(module, &layout)?;
    let name = layout.name();
    let function = module.kernel(&name, |module, builder, arguments| {
        driver::write(module, builder, (&layout, &tables), arguments);
        Ok(())
    })?;
    let tasks = Tasks::PerSample(layout.cut.rows.len() * layout.bundles.count * layout.cut.panels());
    let tile = Some(layout.cut.register_tile(module.isa()));
    Ok(Kernel { function, tasks, scratch: layout.scratch(), tile, name })
}

/// How the work is cut and where scratch data lie.
struct Layout<'a> {
    conv: &'a Conv,
    filtering: Filtering,
    bundles: Bundles,
    /// Tiles in a row of the result.
    across: usize,
    /// Blocks of tiles, and panels of output channels.
    cut: Cut,
    /// Bytes from one channel block of transformed pixels to the next, and between slots of pixels and of products.
    channel_block: usize,
    data_slot: usize,
    product_slot: usize,
}

impl<'a> Layout<'a> {
    fn new(module: &ModuleBuilder<'_>, winograd: &'a Winograd) -> Result<Self, CodegenError> {
        let (conv, m) = (&winograd.conv, winograd.tile);
        let filtering = winograd.filtering().expect("the plan's verifier checked the tile and the stride");
        let patch = filtering.positions();
        let (down, across) = (conv.output.height.div_ceil(m), conv.output.width.div_ceil(m));
        let bundles = Bundles::of(conv).expect("the plan's verifier checked the groups");
        let inputs = blocks(bundles.inputs);
        let tile_bytes = patch * patch * inputs * BLOCK_BYTES;
        let work = Blocks {
            copies: bundles.count,
            rows: down * across,
            most: (DATA_BYTES / tile_bytes).clamp(1, most_rows(module.isa())),
            outputs: blocks(bundles.outputs),
            products: (patch * patch * bundles.inputs) as f64,
            transform: (patch * patch * inputs) as f64 * TRANSFORM,
        };
        let weights = ProductWeights::winograd(winograd).expect("the plan's verifier checked the kernel");
        let cut = Cut::new(module, work, weights);
        let largest = (down * across).div_ceil(cut.rows.len());
        let channel_block = largest * BLOCK_BYTES;
        let layout = Self {
            conv,
            filtering,
            bundles,
            across,
            channel_block,
            data_slot: channel_block * inputs + BLOCK_BYTES,
            product_slot: channel_block * cut.panel_blocks + BLOCK_BYTES,
            cut,
        };
        let plane = conv.input.height.max(conv.output.height) * conv.input.width.max(conv.output.width) * BLOCK_BYTES;
        near("a patch of the layer", patch * (conv.input.width.max(conv.output.width) + patch) * BLOCK_BYTES)?;
        for bytes in [layout.scratch(), plane] {
            near("a plane of the layer", bytes)?;
        }
        Ok(layout)
    }

    /// A name for people.
    fn name(&self) -> String {
        let Conv { input, output, groups, window, .. } = self.conv;
        let grouped = if *groups > 1 { format!("g{groups}") } else { String::new() };
        let (tile, stride) = (self.filtering.tile(), window.stride[0]);
        format!("winograd{tile}s{stride}{grouped}.{}to{}", input.channels, output.channels)
    }

    fn slots(&self) -> usize {
        self.filtering.positions().pow(2)
    }

    fn products_offset(&self) -> usize {
        self.slots() * self.data_slot
    }

    fn spill_offset(&self) -> usize {
        self.products_offset() + self.slots() * self.product_slot
    }

    fn scratch(&self) -> usize {
        self.spill_offset() + self.slots() * BLOCK_BYTES
    }

    /// Row and column of a tile's first result.
    fn place(&self, tile: usize) -> [usize; 2] {
        [tile / self.across * self.filtering.tile(), tile % self.across * self.filtering.tile()]
    }
}
