//! The loop over the tasks of a convolution by Strassen's product.

use std::collections::HashMap;
use std::hash::Hash;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use cranelift_module::{DataId, FuncId};

use super::super::epilogue::Epilogue;
use super::super::products::{self, Class, PanelRow, Panels};
use super::sums::{self, Data, Outcome};
use super::{Layout, pixels};
use crate::clif::{MEMORY, divided, for_range, offset};
use crate::error::{CodegenError, near};
use crate::module::{KernelArguments, ModuleBuilder, Table};
use crate::panels::BLOCK_BYTES;

/// The tables of the driver.
pub(super) struct Tables {
    /// A row a block of groups: from the start of a sample to its first pixel, from a plane's start to its first result, and the leaves of
    /// the pixels' sums, of the results, and of the products with each class of panels.
    blocks: DataId,
    block_words: i64,
    panels: Panels,
    /// A vector of zeros, where products start.
    zeros: DataId,
}

/// Words of a block's row before the leaves of the products.
const PRODUCTS_WORD: i32 = 4;

/// Leaves written so far, by what they depend on.
#[derive(Default)]
struct Leaves {
    data: HashMap<Data, FuncId>,
    products: HashMap<(usize, Class), FuncId>,
    outcomes: HashMap<Outcome, FuncId>,
    /// Groups of pixels in all leaves of `data`.
    groups: usize,
}

/// Most groups of pixels in all leaves together: with strides and odd widths, many blocks differ. Some hundred times what a large layer of a real network has.
const MOST_GROUPS: usize = 1 << 20;

impl Tables {
    pub(super) fn new(module: &mut ModuleBuilder<'_>, layout: &Layout<'_>, name: &str) -> Result<Self, CodegenError> {
        let mut leaves = Leaves::default();
        let mut rows = Table::default();
        let classes = layout.cut.classes();
        for groups in &layout.cut.rows {
            let first = layout.levels.parts() * groups.start;
            rows.numbers([layout.source(first) as i64, (first * BLOCK_BYTES) as i64]);
            rows.functions(leaves.sums(module, layout, groups.clone(), name)?);
            for class in &classes {
                rows.functions([leaves.products(module, layout, (groups.len(), *class), name)?]);
            }
        }
        let mut zeros = Table::default();
        zeros.numbers([0; BLOCK_BYTES / 8]);
        let block_words = i64::from(PRODUCTS_WORD) + classes.len() as i64;
        let panels = Panels::new(module, &layout.cut)?;
        Ok(Self { blocks: module.table(rows)?, block_words, panels, zeros: module.table(zeros)? })
    }
}

impl Leaves {
    /// Those of the sums of pixels and of results.
    fn sums(
        &mut self,
        module: &mut ModuleBuilder<'_>,
        layout: &Layout<'_>,
        groups: std::ops::Range<usize>,
        name: &str,
    ) -> Result<[FuncId; 2], CodegenError> {
        let data = once(&mut self.data, data(layout, groups.clone())?, |data| {
            self.groups += groups.len();
            if self.groups > MOST_GROUPS {
                let kernel = name.to_owned();
                return Err(CodegenError::TooMuchCode { kernel, found: self.groups, limit: MOST_GROUPS });
            }
            module.leaf(&format!("{name}.pixels"), |emitter| sums::data(data, emitter))
        })?;
        let outcome = once(&mut self.outcomes, outcome(layout, groups)?, |outcome| {
            module.leaf(&format!("{name}.results"), |emitter| sums::outcome(outcome, emitter))
        })?;
        Ok([data, outcome])
    }

    /// That of the products of so many groups with a class of panels.
    fn products(
        &mut self,
        module: &mut ModuleBuilder<'_>,
        layout: &Layout<'_>,
        key: (usize, Class),
        name: &str,
    ) -> Result<FuncId, CodegenError> {
        once(&mut self.products, key, |(groups, class)| {
            let name = format!("{name}.products{groups}x{}", class.blocks);
            products::leaf(module, &name, &layout.products(*groups, *class))
        })
    }
}

/// The leaf that is known for a key, or else is written now.
fn once<K: Eq + Hash>(
    known: &mut HashMap<K, FuncId>,
    key: K,
    write: impl FnOnce(&K) -> Result<FuncId, CodegenError>,
) -> Result<FuncId, CodegenError> {
    if let Some(leaf) = known.get(&key) {
        return Ok(*leaf);
    }
    let leaf = write(&key)?;
    known.insert(key, leaf);
    Ok(leaf)
}

fn data(layout: &Layout<'_>, groups: std::ops::Range<usize>) -> Result<Data, CodegenError> {
    let parts = layout.levels.parts();
    let origin = layout.source(parts * groups.start);
    let place = |pixel: usize| (layout.source(pixel) - origin) as i32;
    let pixels_of = |group: usize| (parts * group..pixels(layout.conv).min(parts * (group + 1))).map(place).collect();
    Ok(Data {
        levels: layout.levels,
        runs: sums::runs(groups.map(pixels_of)),
        part: near("a part of the channels", layout.source_part())?,
        blocks: layout.inputs(),
        block_x: near("a channel block", layout.source_plane())?,
        block_out: near("a channel block", layout.channel_block)?,
        slot: near("a product's sums", layout.data_slot)?,
    })
}

fn outcome(layout: &Layout<'_>, groups: std::ops::Range<usize>) -> Result<Outcome, CodegenError> {
    let parts = layout.levels.parts();
    let pixels = pixels(layout.conv).min(parts * groups.end) - parts * groups.start;
    Ok(Outcome {
        levels: layout.levels,
        groups: pixels / parts,
        rest: pixels % parts,
        part: near("a part of the channels", layout.result_part())?,
        part_bias: near("a part of the bias", layout.outputs() * BLOCK_BYTES)?,
        slot: near("a product", layout.product_slot)?,
        epilogue: Epilogue { residual: layout.conv.residual, activation: layout.conv.activation },
    })
}

/// Writes the loop.
pub(super) fn write(
    module: &mut ModuleBuilder<'_>,
    builder: &mut FunctionBuilder<'_>,
    (layout, tables): (&Layout<'_>, &Tables),
    arguments: KernelArguments,
) {
    let signature = builder.import_signature(module.leaf_signature());
    let [result, x, weights, bias] = [0, 1, 2, 3].map(|index| arguments.operand(builder, index));
    let residual = layout.conv.residual.then(|| arguments.operand(builder, 4));
    let zeros = module.table_address(builder, tables.zeros);
    let table = module.table_address(builder, tables.blocks);
    let panels = tables.panels.address(module, builder);
    let products = builder.ins().iadd_imm_s(arguments.scratch, layout.products_offset() as i64);
    let bytes = |len: Option<usize>| len.expect("the plan's verifier checked the sizes") as i64 * 4;
    let (source_sample, result_sample) =
        (bytes(layout.conv.input.blocked_len()), bytes(layout.conv.output.blocked_len()));

    // The block of groups whose sums are in the scratch memory, counted over all samples.
    let summed = builder.declare_var(I64);
    let none = builder.ins().iconst(I64, -1);
    builder.def_var(summed, none);
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, task| {
        let (group, panel) = divided(builder, task, layout.cut.panels());
        let (sample, block) = divided(builder, group, layout.cut.rows.len());
        let row = offset(builder, table, block, tables.block_words * 8);
        let word = |builder: &mut FunctionBuilder<'_>, index: i32| builder.ins().load(I64, MEMORY, row, index * 8);
        let call = |builder: &mut FunctionBuilder<'_>, leaf: Value, pointers: [Value; 5]| {
            let [x, w, out, bias, residual] = pointers;
            builder.ins().call_indirect(signature, leaf, &[x, w, out, bias, residual, zeros]);
        };

        let last = builder.use_var(summed);
        let fresh = builder.ins().icmp(IntCC::NotEqual, last, group);
        builder.def_var(summed, group);
        let sum = builder.create_block();
        let multiply = builder.create_block();
        builder.ins().brif(fresh, sum, &[], multiply, &[]);
        builder.switch_to_block(sum);
        builder.seal_block(sum);
        let sample_x = offset(builder, x, sample, source_sample);
        let first = word(builder, 0);
        let block_x = builder.ins().iadd(sample_x, first);
        let leaf = word(builder, 2);
        call(builder, leaf, [block_x, zeros, arguments.scratch, zeros, zeros]);
        builder.ins().jump(multiply, &[]);
        builder.switch_to_block(multiply);
        builder.seal_block(multiply);

        let panel = PanelRow::read(builder, panels, panel);
        let leaf = builder.ins().iadd(row, panel.class);
        let leaf = builder.ins().load(I64, MEMORY, leaf, PRODUCTS_WORD * 8);
        let panel_weights = builder.ins().iadd(weights, panel.weights);
        call(builder, leaf, [arguments.scratch, panel_weights, products, zeros, zeros]);

        let leaf = word(builder, 3);
        let first = word(builder, 1);
        let start = offset(builder, first, sample, result_sample);
        for_range(builder, (panel.blocks[0], panel.blocks[1]), 1, |builder, output| {
            let number = builder.ins().isub(output, panel.blocks[0]);
            let from = offset(builder, products, number, layout.channel_block as i64);
            let within = offset(builder, start, output, layout.result_plane() as i64);
            let to = builder.ins().iadd(result, within);
            let bias = offset(builder, bias, output, BLOCK_BYTES as i64);
            let residual = residual.map_or(zeros, |residual| builder.ins().iadd(residual, within));
            call(builder, leaf, [from, zeros, to, bias, residual]);
        });
    });
}
