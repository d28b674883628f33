//! Cuts products into tasks: blocks of rows, and panels of one or two blocks of output channels.

use std::ops::Range;

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use cranelift_module::DataId;
use rnc_plan::TileSize;
use rnc_plan::weights::ProductWeights;

use super::size;
use crate::clif::{MEMORY, offset};
use crate::code::RegisterTile;
use crate::error::CodegenError;
use crate::grid::Blocks;
use crate::isa::Isa;
use crate::module::{ModuleBuilder, Table};

/// Blocks of output channels that a task computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Panel {
    /// The first block, in its bundle.
    first: usize,
    /// Bytes from the bundle's weights to its own.
    weights: usize,
    class: Class,
}

/// What the code of a panel depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::kernels) struct Class {
    /// Blocks: one or two.
    pub(in crate::kernels) blocks: usize,
    /// Bytes from the weights of one product to those of the next.
    pub(in crate::kernels) step: usize,
}

/// How the work is cut.
pub(in crate::kernels) struct Cut {
    /// Blocks of rows.
    pub(in crate::kernels) rows: Vec<Range<usize>>,
    /// The panels of a bundle.
    panels: Vec<Panel>,
    /// Most blocks of output channels in a panel.
    pub(in crate::kernels) panel_blocks: usize,
}

/// Two blocks of output channels at once read pixels half as often, and are worth it even if some threads have a little more to do. One thread of a Zen 5 takes 6 % less for ResNet-50 and
/// 8 for ResNeXt-50; CPUs with one multiply-add a cycle may gain less, so that only a part of it may be lost again.
const PAIR_GAIN: f64 = 1.02;

impl Cut {
    /// Cuts the work, which is given with panels of one block.
    pub(in crate::kernels) fn new(module: &ModuleBuilder<'_>, work: Blocks, weights: ProductWeights) -> Self {
        let threads = module.threads();
        let pairs = weights.blocks.div_ceil(2);
        let paired = Blocks { outputs: pairs, products: work.products * weights.blocks as f64 / pairs as f64, ..work };
        let time = |work: Blocks| work.time(work.count(threads), threads);
        let is_paired = module.isa() == Isa::Avx512 && weights.blocks > 1 && time(paired) <= PAIR_GAIN * time(work);
        let (panel_blocks, work) = if is_paired { (2, paired) } else { (1, work) };
        let count = work.count(threads);
        Self {
            rows: (0..count).map(|block| work.block(block, count)).collect(),
            panels: (0..weights.blocks)
                .step_by(panel_blocks)
                .map(|first| panel(weights, first, panel_blocks))
                .collect(),
            panel_blocks,
        }
    }

    /// The different classes of panels.
    pub(in crate::kernels) fn classes(&self) -> Vec<Class> {
        let mut classes: Vec<_> = self.panels.iter().map(|panel| panel.class).collect();
        classes.dedup();
        classes
    }

    /// Panels of a bundle.
    pub(in crate::kernels) fn panels(&self) -> usize {
        self.panels.len()
    }

    /// The largest tile that the products are made of.
    pub(in crate::kernels) fn register_tile(&self, isa: Isa) -> RegisterTile {
        let rows = self.rows.iter().map(Range::len).max().unwrap_or(0);
        let (most, columns) = size(isa, self.panel_blocks);
        RegisterTile::Pixels(TileSize { pixels: rows.div_ceil(rows.div_ceil(most).max(1)), columns })
    }
}

fn panel(weights: ProductWeights, first: usize, most: usize) -> Panel {
    let place = weights.block(first);
    let blocks = most.min(weights.blocks - first);
    Panel { first, weights: place.first * 4, class: Class { blocks, step: place.step * 4 } }
}

/// The panels of a bundle as a table: from the bundle's weights to a panel's, from one product's weights to the next's, the panel's first block of output channels and
/// one past the last, and its class in bytes.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Panels(DataId);

const WORDS: i64 = 5;

impl Panels {
    /// Defines the table.
    pub(in crate::kernels) fn new(module: &mut ModuleBuilder<'_>, cut: &Cut) -> Result<Self, CodegenError> {
        let classes = cut.classes();
        let mut table = Table::default();
        for Panel { first, weights, class } in &cut.panels {
            let number = classes.iter().position(|known| known == class).expect("a class is that of a panel");
            let words = [*weights, class.step, *first, first + class.blocks, number * 8];
            table.numbers(words.map(|word| word as i64));
        }
        module.table(table).map(Self)
    }

    /// The table's address inside of a function.
    pub(in crate::kernels) fn address(
        self,
        module: &mut ModuleBuilder<'_>,
        builder: &mut FunctionBuilder<'_>,
    ) -> Value {
        module.table_address(builder, self.0)
    }
}

/// A panel's row of [`Panels`], read.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct PanelRow {
    pub(in crate::kernels) weights: Value,
    pub(in crate::kernels) step: Value,
    /// The first block of output channels, and one past the last.
    pub(in crate::kernels) blocks: [Value; 2],
    /// Where the leaves of its class lie among those of all classes, in bytes.
    pub(in crate::kernels) class: Value,
}

impl PanelRow {
    /// Reads a panel's row of the table at an address.
    pub(in crate::kernels) fn read(builder: &mut FunctionBuilder<'_>, table: Value, panel: Value) -> Self {
        let row = offset(builder, table, panel, WORDS * 8);
        let [weights, step, first, end, class] =
            [0, 1, 2, 3, 4].map(|word| builder.ins().load(I64, MEMORY, row, word * 8));
        Self { weights, step, blocks: [first, end], class }
    }
}
