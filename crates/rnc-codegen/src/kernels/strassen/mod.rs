//! Strassen's product of pixels and weights: sums of quarters, seven products, sums of those. See [`rnc_plan::strassen`].
//!
//! The pairs of pixels of a sample are cut into blocks whose sums stay in the second-level cache. A task is one block of pairs and one pair of
//! blocks of output channels; a run of tasks of the same block of pairs makes its sums once. Sums lie in the thread's scratch memory as
//! `[product][channel block][pair][16]`, products as `[product][pair][16]`; a vector is left free between them, lest all fall into one set of the cache.

mod driver;
mod sums;

use rnc_plan::kernel::{BLOCK, Conv, Strassen, blocks};
use rnc_plan::strassen::PRODUCTS;

use super::products::{self, Kind, Products, most_rows};
use super::{Kernel, Tasks};
use crate::error::{CodegenError, near};
use crate::grid::Blocks;
use crate::module::ModuleBuilder;
use crate::panels::BLOCK_BYTES;
use driver::Tables;

/// Bytes of sums that a block of pairs may have: what the second-level cache holds beside the weights that stream by.
const DATA_BYTES: usize = 720 << 10;

/// Multiply-adds in the time that the sums of a pair of pixels and a pair of channel blocks take.
const SUMS: f64 = 14.0;

/// Compiles a convolution by Strassen's product.
pub fn compile(module: &mut ModuleBuilder, strassen: &Strassen) -> Result<Kernel, CodegenError> {
    let layout = Layout::new(module, &strassen.conv)?;
    let Conv { input, output, window, .. } = &strassen.conv;
    let name = format!("strassen_s{}.{}to{}", window.stride[0], input.channels, output.channels);
    let tables = Tables::new(module, &layout, &name)?;
    let function = module.kernel(&name, |module, builder, arguments| {
        driver::write(module, builder, (&layout, &tables), arguments);
        Ok(())
    })?;
    let tasks = Tasks::PerSample(layout.blocks.len() * layout.outputs());
    Ok(Kernel { function, tasks, scratch: layout.scratch(), name })
}

/// How the work is cut and where scratch data lie. Distances are in bytes.
struct Layout<'a> {
    conv: &'a Conv,
    /// Blocks of pairs, as ranges of pair numbers.
    blocks: Vec<std::ops::Range<usize>>,
    /// From one channel block of sums to the next, and between the sums of products and between products.
    channel_block: usize,
    data_slot: usize,
    product_slot: usize,
}

impl<'a> Layout<'a> {
    fn new(module: &ModuleBuilder, conv: &'a Conv) -> Result<Self, CodegenError> {
        let pairs = pixels(conv).div_ceil(2);
        let half = blocks(conv.input.channels) / 2;
        let cut = Blocks {
            rows: pairs,
            most: (DATA_BYTES / (PRODUCTS * half * BLOCK_BYTES)).clamp(1, most_rows(module.isa())),
            outputs: blocks(conv.output.channels) / 2,
            products: (PRODUCTS * half * BLOCK) as f64,
            transform: half as f64 * SUMS,
        };
        let count = cut.count(module.threads());
        let channel_block = pairs.div_ceil(count) * BLOCK_BYTES;
        let layout = Self {
            conv,
            blocks: (0..count).map(|block| cut.block(block, count)).collect(),
            channel_block,
            data_slot: channel_block * half + BLOCK_BYTES,
            product_slot: channel_block + BLOCK_BYTES,
        };
        for bytes in [layout.scratch(), layout.source_half(), layout.result_half()] {
            near("half of the layer's channels", bytes)?;
        }
        Ok(layout)
    }

    /// From the first half of the source's channels to the second.
    fn source_half(&self) -> usize {
        blocks(self.conv.input.channels) / 2 * self.source_plane()
    }

    /// From one channel block of the source to the next.
    fn source_plane(&self) -> usize {
        self.conv.input.height * self.conv.input.width * BLOCK_BYTES
    }

    /// From the first half of the result's channels to the second.
    fn result_half(&self) -> usize {
        self.outputs() * self.result_plane()
    }

    /// From one channel block of the result to the next.
    fn result_plane(&self) -> usize {
        pixels(self.conv) * BLOCK_BYTES
    }

    /// Pairs of blocks of output channels.
    fn outputs(&self) -> usize {
        blocks(self.conv.output.channels) / 2
    }

    fn products_offset(&self) -> usize {
        PRODUCTS * self.data_slot
    }

    fn scratch(&self) -> usize {
        self.products_offset() + PRODUCTS * self.product_slot
    }

    /// The leaf of the products of so many pairs.
    fn products(&self, pairs: usize) -> Products {
        Products {
            rows: pairs,
            channels: blocks(self.conv.input.channels) / 2 * BLOCK,
            channel_block: self.channel_block,
            kind: Kind { count: PRODUCTS, shared: false },
            data_slot: self.data_slot,
            product_slot: self.product_slot,
        }
    }

    /// Where a pixel of the result finds its source.
    fn source(&self, pixel: usize) -> usize {
        let Conv { input, output, window, .. } = self.conv;
        let (y, x) = (pixel / output.width * window.stride[0], pixel % output.width * window.stride[1]);
        (y * input.width + x) * BLOCK_BYTES
    }
}

fn pixels(conv: &Conv) -> usize {
    conv.output.height * conv.output.width
}
