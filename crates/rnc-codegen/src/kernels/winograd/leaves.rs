//! The leaves of a Winograd convolution: transforms and products.

use std::collections::HashMap;

use cranelift_module::FuncId;
use rnc_plan::kernel::{Conv, blocks};

use super::super::epilogue::Epilogue;
use super::super::products::{self, Class, Kind, Products};
use super::Layout;
use super::transform::{self, Data, Outcome};
use crate::error::CodegenError;
use crate::module::ModuleBuilder;
use crate::panels::BLOCK_BYTES;

/// The leaves written so far: tiles that differ only in their place share one.
#[derive(Default)]
pub(super) struct Leaves(HashMap<Leaf, FuncId>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Leaf {
    /// Of this many tiles.
    Products(usize, Class, Kind),
    Data(Data),
    Outcome(Outcome),
}

impl Leaves {
    /// The products of a block of tiles with a class of panels, for a run of positions.
    pub(super) fn products(
        &mut self,
        module: &mut ModuleBuilder<'_>,
        layout: &Layout<'_>,
        (tiles, class, kind): (usize, Class, Kind),
    ) -> Result<FuncId, CodegenError> {
        self.leaf(module, layout, Leaf::Products(tiles, class, kind))
    }

    /// The data and the result transform of the tile whose first result is at this place.
    pub(super) fn transforms(
        &mut self,
        module: &mut ModuleBuilder<'_>,
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
            blocks: blocks(layout.bundles.inputs),
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
            epilogue: Epilogue { residual, activation },
        };
        Ok([self.leaf(module, layout, Leaf::Data(data))?, self.leaf(module, layout, Leaf::Outcome(outcome))?])
    }

    fn leaf(
        &mut self,
        module: &mut ModuleBuilder<'_>,
        layout: &Layout<'_>,
        leaf: Leaf,
    ) -> Result<FuncId, CodegenError> {
        if let Some(known) = self.0.get(&leaf) {
            return Ok(*known);
        }
        let written = match &leaf {
            Leaf::Products(tiles, class, kind) => {
                let name = format!("{}.products{tiles}x{}", layout.name(), class.blocks);
                let products = Products {
                    rows: *tiles,
                    channels: layout.bundles.inputs,
                    channel_block: layout.channel_block,
                    class: *class,
                    kind: *kind,
                    data_slot: layout.data_slot,
                    product_slot: layout.product_slot,
                };
                products::leaf(module, &name, &products)?
            }
            Leaf::Data(data) => {
                module.leaf(&format!("{}.pixels", layout.name()), |emitter| transform::data(data, emitter))?
            }
            Leaf::Outcome(outcome) => {
                module.leaf(&format!("{}.results", layout.name()), |emitter| transform::outcome(outcome, emitter))?
            }
        };
        self.0.insert(leaf, written);
        Ok(written)
    }
}
