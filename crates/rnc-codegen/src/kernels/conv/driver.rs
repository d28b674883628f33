//! The loop over a convolution's tasks: a number of four digits (group of panels, sample, panel, tile) that counts up, and a call for each.
//!
//! A group's weights stay in the second-level cache while they meet all samples of the batch; a sample's pixels stay while they meet the
//! panels of a group. With one sample the order is panel by panel.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::{FunctionBuilder, Variable};
use cranelift_module::DataId;
use rnc_plan::kernel::{Conv, Source};

use crate::clif::{MEMORY, for_range, offset};
use crate::module::{KernelArguments, ModuleBuilder};

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
    /// Panels in a group; the last group may have fewer.
    pub(super) group: usize,
    /// Bytes of the next panel's weights that each tile asks for.
    pub(super) bytes_ahead: usize,
}

/// Writes the loop.
pub(super) fn write(
    driver: &Driver<'_>,
    module: &mut ModuleBuilder<'_>,
    builder: &mut FunctionBuilder<'_>,
    arguments: KernelArguments,
) {
    let bases = Bases {
        operands: [1, 2, 0, 3].map(|index| arguments.operand(builder, index)),
        residual: driver.conv.residual.then(|| arguments.operand(builder, 4)),
        tables: [driver.tables.panels, driver.tables.tiles, driver.tables.leaves]
            .map(|table| module.table_address(builder, table)),
    };
    let digits = Digits::new(builder, driver, arguments);
    let signature = builder.import_signature(module.leaf_signature());
    for_range(builder, (arguments.begin, arguments.end), 1, |builder, _| {
        let [group, sample, within, tile] = digits.values.map(|digit| builder.use_var(digit));
        let panel = offset(builder, within, group, driver.group as i64);
        let (leaf, pointers) = bases.task(builder, driver, [panel, sample, tile]);
        builder.ins().call_indirect(signature, leaf, &pointers);
        digits.count_up(builder);
    });
}

/// A task's number as group of panels, sample, panel of the group, tile; the last changes fastest.
struct Digits {
    values: [Variable; 4],
    /// How many values the last three digits have; the number of panels depends on the group.
    batch: Value,
    tiles: Value,
    group: Value,
    panels: Value,
}

impl Digits {
    /// The digits of the first task.
    fn new(builder: &mut FunctionBuilder<'_>, driver: &Driver<'_>, arguments: KernelArguments) -> Self {
        let constant = |builder: &mut FunctionBuilder<'_>, n: usize| builder.ins().iconst(I64, n as i64);
        let digits = Self {
            values: [(); 4].map(|()| builder.declare_var(I64)),
            batch: arguments.batch,
            tiles: constant(builder, driver.tables.tile_count),
            group: constant(builder, driver.group),
            panels: constant(builder, driver.tables.panel_count),
        };
        // All groups before the first task's are full.
        let sample_tasks = builder.ins().imul(digits.group, digits.tiles);
        let group_tasks = builder.ins().imul(sample_tasks, digits.batch);
        let group = builder.ins().udiv(arguments.begin, group_tasks);
        let rest = builder.ins().urem(arguments.begin, group_tasks);
        let size = digits.size(builder, group);
        let sample_tasks = builder.ins().imul(size, digits.tiles);
        let sample = builder.ins().udiv(rest, sample_tasks);
        let rest = builder.ins().urem(rest, sample_tasks);
        let within = builder.ins().udiv(rest, digits.tiles);
        let tile = builder.ins().urem(rest, digits.tiles);
        for (digit, value) in digits.values.into_iter().zip([group, sample, within, tile]) {
            builder.def_var(digit, value);
        }
        digits
    }

    /// Panels of a group. Beyond the last group it is one, so that nothing divides by zero when there is no task.
    fn size(&self, builder: &mut FunctionBuilder<'_>, group: Value) -> Value {
        let before = builder.ins().imul(group, self.group);
        let left = builder.ins().isub(self.panels, before);
        let size = builder.ins().smin(left, self.group);
        let one = builder.ins().iconst(I64, 1);
        builder.ins().smax(size, one)
    }

    /// Adds one to the last digit and carries.
    fn count_up(&self, builder: &mut FunctionBuilder<'_>) {
        let group = builder.use_var(self.values[0]);
        let size = self.size(builder, group);
        let zero = builder.ins().iconst(I64, 0);
        let mut carry = builder.ins().iconst(I64, 1);
        for (digit, size) in self.values[1..].iter().zip([self.batch, size, self.tiles]).rev() {
            let old = builder.use_var(*digit);
            let new = builder.ins().iadd(old, carry);
            let full = builder.ins().icmp(IntCC::Equal, new, size);
            let wrapped = builder.ins().select(full, zero, new);
            builder.def_var(*digit, wrapped);
            carry = builder.ins().uextend(I64, full);
        }
        let next = builder.ins().iadd(group, carry);
        builder.def_var(self.values[0], next);
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
        let ahead = ahead(builder, driver, (w, panel_row), tile);
        let w = builder.ins().iadd(w, panel_w);
        (word(builder, leaf, 0), [x, w, out, bias, residual, ahead])
    }
}

/// Where a tile's share of the next panel's weights lies; the panel's own weights once all are taken, which costs nothing.
fn ahead(builder: &mut FunctionBuilder<'_>, driver: &Driver<'_>, (w, panel_row): (Value, Value), tile: Value) -> Value {
    if driver.bytes_ahead == 0 {
        return w;
    }
    let distance = builder.ins().imul_imm_s(tile, driver.bytes_ahead as i64);
    let (own, next, bytes) = (word(builder, panel_row, 1), word(builder, panel_row, 5), word(builder, panel_row, 6));
    let share = builder.ins().iadd(next, distance);
    let left = builder.ins().icmp(IntCC::UnsignedLessThan, distance, bytes);
    let chosen = builder.ins().select(left, share, own);
    builder.ins().iadd(w, chosen)
}
