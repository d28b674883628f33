//! Strassen's product of pixels and weights: sums of parts, products, sums of those. See [`rnc_plan::strassen`].
//!
//! The groups of pixels of a sample are cut into blocks whose sums stay in the second-level cache. A task is one block of groups and one panel: one or two
//! blocks of output channels of each part; a run of tasks of the same block of groups makes its sums once. Sums lie in the thread's scratch memory as
//! `[product][channel block][group][16]`, products as `[product][block of the panel][group][16]`; a vector is left free between them, lest all fall into one set of the cache.

mod driver;
mod sums;

use rnc_plan::kernel::{BLOCK, Conv, Strassen, blocks};
use rnc_plan::strassen::Levels;
use rnc_plan::weights::ProductWeights;

use super::products::{Class, Cut, Kind, Products, most_rows};
use super::{Kernel, Tasks};
use crate::error::{CodegenError, near};
use crate::grid::Blocks;
use crate::module::ModuleBuilder;
use crate::panels::BLOCK_BYTES;
use driver::Tables;

/// Bytes of sums that a block of groups may have: what the second-level cache holds beside the weights that stream by.
const DATA_BYTES: usize = 720 << 10;

/// Multiply-adds in the time that the sums of a group of pixels and a channel block of each part take: as many vectors are stored as there are products.
const SUM: f64 = 2.0;

/// Compiles a convolution by Strassen's product.
pub fn compile(module: &mut ModuleBuilder<'_>, strassen: &Strassen) -> Result<Kernel, CodegenError> {
    let layout = Layout::new(module, strassen)?;
    let Conv { input, output, window, .. } = &strassen.conv;
    let levels = strassen.levels.number();
    let name = format!("strassen{levels}s{}.{}to{}", window.stride[0], input.channels, output.channels);
    let tables = Tables::new(module, &layout, &name)?;
    let function = module.kernel(&name, |module, builder, arguments| {
        driver::write(module, builder, (&layout, &tables), arguments);
        Ok(())
    })?;
    let tasks = Tasks::PerSample(layout.cut.rows.len() * layout.cut.panels());
    let tile = Some(layout.cut.register_tile(module.isa()));
    Ok(Kernel { function, tasks, scratch: layout.scratch(), tile, name })
}

/// How the work is cut and where scratch data lie. Distances are in bytes.
struct Layout<'a> {
    conv: &'a Conv,
    levels: Levels,
    /// Blocks of groups of pixels, and panels of output channels.
    cut: Cut,
    /// From one channel block of sums to the next, and between the sums of products and between products.
    channel_block: usize,
    data_slot: usize,
    product_slot: usize,
}

impl<'a> Layout<'a> {
    fn new(module: &ModuleBuilder<'_>, strassen: &'a Strassen) -> Result<Self, CodegenError> {
        let Strassen { conv, levels } = strassen;
        let (parts, products) = (levels.parts(), levels.products());
        let groups = pixels(conv).div_ceil(parts);
        let inputs = blocks(conv.input.channels) / parts;
        let work = Blocks {
            copies: 1,
            rows: groups,
            most: (DATA_BYTES / (products * inputs * BLOCK_BYTES)).clamp(1, most_rows(module.isa())),
            outputs: blocks(conv.output.channels) / parts,
            products: (products * inputs * BLOCK) as f64,
            transform: (products * inputs) as f64 * SUM,
        };
        let cut = Cut::new(module, work, ProductWeights::strassen(strassen));
        let channel_block = groups.div_ceil(cut.rows.len()) * BLOCK_BYTES;
        let layout = Self {
            conv,
            levels: *levels,
            channel_block,
            data_slot: channel_block * inputs + BLOCK_BYTES,
            product_slot: channel_block * cut.panel_blocks + BLOCK_BYTES,
            cut,
        };
        let last = |part: usize| part.saturating_mul(parts - 1);
        for bytes in [layout.scratch(), last(layout.source_part()), last(layout.result_part())] {
            near("the last part of the layer's channels", bytes)?;
        }
        Ok(layout)
    }

    /// Channel blocks in a part of the source.
    fn inputs(&self) -> usize {
        blocks(self.conv.input.channels) / self.levels.parts()
    }

    /// From one part of the source's channels to the next.
    fn source_part(&self) -> usize {
        self.inputs() * self.source_plane()
    }

    /// From one channel block of the source to the next.
    fn source_plane(&self) -> usize {
        self.conv.input.height * self.conv.input.width * BLOCK_BYTES
    }

    /// From one part of the result's channels to the next.
    fn result_part(&self) -> usize {
        self.outputs() * self.result_plane()
    }

    /// From one channel block of the result to the next.
    fn result_plane(&self) -> usize {
        pixels(self.conv) * BLOCK_BYTES
    }

    /// Channel blocks in a part of the result.
    fn outputs(&self) -> usize {
        blocks(self.conv.output.channels) / self.levels.parts()
    }

    fn products_offset(&self) -> usize {
        self.levels.products() * self.data_slot
    }

    fn scratch(&self) -> usize {
        self.products_offset() + self.levels.products() * self.product_slot
    }

    /// The products of so many groups and a panel.
    fn products(&self, groups: usize, class: Class) -> Products {
        Products {
            rows: groups,
            channels: self.inputs() * BLOCK,
            channel_block: self.channel_block,
            class,
            kind: Kind { count: self.levels.products(), shared: false },
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
