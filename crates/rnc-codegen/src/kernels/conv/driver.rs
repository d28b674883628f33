//! The loop over a convolution's tasks: a number of three digits (panel, sample, tile) that counts up, and a call for each.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::{FunctionBuilder, Variable};
use cranelift_module::DataId;
use rnc_plan::kernel::{Conv, Source};

use crate::clif::{MEMORY, for_range, offset};
use crate::module::{KernelArguments, ModuleBuilder};

/// Which digit of a task's number changes slowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Panel, sample, tile: a panel's weights are read once for the whole batch.
    PanelFirst,
    /// Sample, panel, tile: a sample's pixels stay in the cache for all panels.
    SampleFirst,
}

/// The tables of a convolution and how many rows they have.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    /// Rows of [`PANEL_WORDS`]: x, weights, bias, result, class, next panel's weights, bytes of those.
    pub(super) panels: DataId,
    pub(super) panel_count: usize,
    /// Rows of [`TILE_WORDS`]: x, result, variant.
    pub(super) tiles: DataId,
    pub(super) tile_count: usize,
    /// Leaves by `variant + class`, which are counted in bytes.
    pub(super) leaves: DataId,
}

/// Words of a row of [`Tables::panels`].
pub(super) const PANEL_WORDS: usize = 7;
/// Words of a row of [`Tables::tiles`].
pub(super) const TILE_WORDS: usize = 3;

/// What the loop depends on.
pub(super) struct Driver<'a> {
    pub(super) conv: &'a Conv,
    pub(super) tables: Tables,
    pub(super) order: Order,
    /// Bytes of the next panel's weights that each tile asks for.
    pub(super) bytes_ahead: usize,
}

/// Writes the loop.
pub(super) fn write(
    driver: &Driver<'_>,
    module: &mut ModuleBuilder,
    builder: &mut FunctionBuilder<'_>,
    arguments: KernelArguments,
) {
    let Tables { panel_count, tile_count, .. } = driver.tables;
    let panels = builder.ins().iconst(I64, panel_count as i64);
    let tiles = builder.ins().iconst(I64, tile_count as i64);
    let sizes = match driver.order {
        Order::PanelFirst => [panels, arguments.batch, tiles],
        Order::SampleFirst => [arguments.batch, panels, tiles],
    };
    let bases = Bases {
        operands: [1, 2, 0, 3].map(|index| arguments.operand(builder, index)),
        residual: driver.conv.residual.then(|| arguments.operand(builder, 4)),
        tables: [driver.tables.panels, driver.tables.tiles, driver.tables.leaves]
            .map(|table| module.table_address(builder, table)),
    };
    let digits = first_digits(builder, arguments.begin, sizes);
    let signature = builder.import_signature(module.leaf_signature());
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, _| {
        let [slow, middle, tile] = digits.map(|digit| builder.use_var(digit));
        let (panel, sample) = match driver.order {
            Order::PanelFirst => (slow, middle),
            Order::SampleFirst => (middle, slow),
        };
        let (leaf, pointers) = bases.task(builder, driver, [panel, sample, tile]);
        builder.ins().call_indirect(signature, leaf, &pointers);
        count_up(builder, digits, sizes);
    });
}

fn first_digits(builder: &mut FunctionBuilder<'_>, number: Value, sizes: [Value; 3]) -> [Variable; 3] {
    let last = builder.ins().urem(number, sizes[2]);
    let rest = builder.ins().udiv(number, sizes[2]);
    let middle = builder.ins().urem(rest, sizes[1]);
    let first = builder.ins().udiv(rest, sizes[1]);
    [first, middle, last].map(|value| {
        let digit = builder.declare_var(I64);
        builder.def_var(digit, value);
        digit
    })
}

/// Adds one to the last digit and carries.
fn count_up(builder: &mut FunctionBuilder<'_>, digits: [Variable; 3], sizes: [Value; 3]) {
    let zero = builder.ins().iconst(I64, 0);
    let mut carry = builder.ins().iconst(I64, 1);
    for (digit, size) in digits.into_iter().zip(sizes).rev() {
        let old = builder.use_var(digit);
        let new = builder.ins().iadd(old, carry);
        let full = builder.ins().icmp(IntCC::Equal, new, size);
        let wrapped = builder.ins().select(full, zero, new);
        builder.def_var(digit, wrapped);
        carry = builder.ins().uextend(I64, full);
    }
}

/// Addresses that stay the same for all tasks.
struct Bases {
    /// x, weights, result, bias.
    operands: [Value; 4],
    residual: Option<Value>,
    /// Panels, tiles, leaves.
    tables: [Value; 3],
}

fn word(builder: &mut FunctionBuilder<'_>, row: Value, index: i32) -> Value {
    builder.ins().load(I64, MEMORY, row, index * 8)
}

fn sum(builder: &mut FunctionBuilder<'_>, a: Value, b: Value, c: Value) -> Value {
    let ab = builder.ins().iadd(a, b);
    builder.ins().iadd(ab, c)
}

impl Bases {
    /// The leaf of a task and its arguments.
    fn task(
        &self,
        builder: &mut FunctionBuilder<'_>,
        driver: &Driver<'_>,
        [panel, sample, tile]: [Value; 3],
    ) -> (Value, [Value; 6]) {
        let conv = driver.conv;
        let [x, w, out, bias] = self.operands;
        let [panels, tiles, leaves] = self.tables;
        let panel_row = offset(builder, panels, panel, PANEL_WORDS as i64 * 8);
        let tile_row = offset(builder, tiles, tile, TILE_WORDS as i64 * 8);
        let source_sample = match conv.source {
            Source::Blocked => conv.input.blocked_len(),
            Source::Planar => conv.input.planar_len(),
        };
        let bytes = |len: Option<usize>| len.expect("the plan's verifier checked the sizes") as i64 * 4;

        let (panel_x, tile_x) = (word(builder, panel_row, 0), word(builder, tile_row, 0));
        let x = offset(builder, x, sample, bytes(source_sample));
        let x = sum(builder, x, panel_x, tile_x);
        let panel_w = word(builder, panel_row, 1);
        let panel_bias = word(builder, panel_row, 2);
        let bias = builder.ins().iadd(bias, panel_bias);
        let (panel_out, tile_out) = (word(builder, panel_row, 3), word(builder, tile_row, 1));
        let zero = builder.ins().iconst(I64, 0);
        let within = offset(builder, zero, sample, bytes(conv.output.blocked_len()));
        let within = sum(builder, within, panel_out, tile_out);
        let out = builder.ins().iadd(out, within);
        let residual = self.residual.map_or(zero, |residual| builder.ins().iadd(residual, within));
        let (class, variant) = (word(builder, panel_row, 4), word(builder, tile_row, 2));
        let leaf = sum(builder, leaves, class, variant);
        let ahead = ahead(builder, driver, (w, panel_row), [sample, tile]);
        let w = builder.ins().iadd(w, panel_w);
        (word(builder, leaf, 0), [x, w, out, bias, residual, ahead])
    }
}

/// Where a tile's share of the next panel's weights lies; the panel's own weights once all are taken, which costs nothing.
fn ahead(
    builder: &mut FunctionBuilder<'_>,
    driver: &Driver<'_>,
    (w, panel_row): (Value, Value),
    [sample, tile]: [Value; 2],
) -> Value {
    if driver.bytes_ahead == 0 {
        return w;
    }
    let number = offset(builder, tile, sample, driver.tables.tile_count as i64);
    let distance = builder.ins().imul_imm_s(number, driver.bytes_ahead as i64);
    let (own, next, bytes) = (word(builder, panel_row, 1), word(builder, panel_row, 5), word(builder, panel_row, 6));
    let share = builder.ins().iadd(next, distance);
    let left = builder.ins().icmp(IntCC::UnsignedLessThan, distance, bytes);
    let chosen = builder.ins().select(left, share, own);
    builder.ins().iadd(w, chosen)
}
