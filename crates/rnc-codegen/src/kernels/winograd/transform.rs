//! Winograd's data and result transforms as leaves. See [`rnc_plan::winograd`] for what they compute.
//!
//! Both work on 16 channels of one patch, vector by vector. A transform of a patch is the one-dimensional transform of its columns, kept
//! in scratch memory, and then of the rows of that.

use rnc_plan::kernel::BLOCK;
use rnc_plan::winograd::{A, B, Filtering};

use super::super::epilogue::Epilogue;
use super::slots::slot;
use crate::emitter::{Address, Emitter, Pointer, V, repeated};

/// Bytes of a vector of 16 channels.
const VECTOR: i32 = BLOCK as i32 * 4;

/// Factors that the transforms of F(4) multiply with, in the order of [`Factor`], each filling a vector of 16.
pub(super) fn factors() -> Vec<f32> {
    let (a2, b2) = (A * A, B * B);
    [A, -A, B, -B, -a2, -b2, a2, b2, a2 * b2, -(a2 + b2), A * a2, B * b2].map(|factor| factor as f32).to_vec()
}

/// An index into [`factors`].
#[derive(Clone, Copy)]
enum Factor {
    A,
    MinusA,
    B,
    MinusB,
    MinusA2,
    MinusB2,
    A2,
    B2,
    A2B2,
    MinusSum,
    A3,
    B3,
}

/// W points to the factors.
const fn factor(factor: Factor) -> Address {
    Address::new(Pointer::W, factor as i32 * VECTOR)
}

/// The data transform of one patch: from X, the pixel at its upper left (which may lie on padding), to Out. Extra is scratch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Data {
    pub(super) filtering: Filtering,
    /// Rows and columns of the patch that lie inside of the source; the others are zero.
    pub(super) inside: [Vec<bool>; 2],
    /// Bytes from one row of the source to the next.
    pub(super) row: i32,
    /// Channel blocks, and bytes from one to the next in the source and in the result.
    pub(super) blocks: usize,
    pub(super) block_x: i32,
    pub(super) block_out: i32,
    /// Bytes from one slot of the result to the next.
    pub(super) slot: i32,
}

/// Writes a data transform.
pub(super) fn data(data: &Data, emitter: &mut dyn Emitter) {
    let parts = BLOCK / emitter.lanes();
    let part_bytes = emitter.lanes() as i32 * 4;
    repeated(emitter, data.blocks, |emitter| {
        repeated(emitter, parts, |emitter| {
            data_of_part(data, emitter);
            emitter.advance(Pointer::X, part_bytes);
            emitter.advance(Pointer::Out, part_bytes);
        });
        emitter.advance(Pointer::X, data.block_x - VECTOR);
        emitter.advance(Pointer::Out, data.block_out - VECTOR);
    });
}

fn data_of_part(data: &Data, emitter: &mut dyn Emitter) {
    let filtering = data.filtering;
    let (size, mixed, stride) = (filtering.positions(), filtering.mixed(), filtering.stride());
    // With stride 2, the point 0 and its pixel do not exist.
    let first = stride - 1;
    let scratch =
        |position: usize, column: usize| Address::new(Pointer::Extra, (position * size + column) as i32 * VECTOR);
    // The pixel that a position behind the mixed ones is.
    let copied = |position: usize| 2 * (position - mixed) + 1;
    for column in 0..size {
        for i in 0..mixed {
            pixel(data, emitter, V(first + i), [stride * i, column]);
        }
        mix(filtering, emitter, |emitter, position, value| emitter.store(scratch(position, column), value));
    }
    for row in 0..size {
        let load = |emitter: &mut dyn Emitter, to: V, column: usize| {
            if row < mixed {
                emitter.load(to, scratch(row, column));
            } else {
                pixel(data, emitter, to, [copied(row), column]);
            }
        };
        let out = |column: usize| Address::new(Pointer::Out, slot(filtering, [row, column]) as i32 * data.slot);
        for i in 0..mixed {
            load(emitter, V(first + i), stride * i);
        }
        mix(filtering, emitter, |emitter, column, value| emitter.store(out(column), value));
        for column in mixed..size {
            load(emitter, V(0), copied(column));
            emitter.store(out(column), V(0));
        }
    }
}

/// Loads a pixel of the patch; zeros if it lies on padding.
fn pixel(data: &Data, emitter: &mut dyn Emitter, to: V, [row, column]: [usize; 2]) {
    if data.inside[0][row] && data.inside[1][column] {
        emitter.load(to, Address::new(Pointer::X, row as i32 * data.row + column as i32 * VECTOR));
    } else {
        emitter.splat(to, 0.0);
    }
}

/// Transforms the values in the registers 0 to `tile + 1`, which it may overwrite, and hands out the mixed positions. With stride 2 there is no
/// point 0, and nothing in register 0.
fn mix(filtering: Filtering, e: &mut dyn Emitter, mut store: impl FnMut(&mut dyn Emitter, usize, V)) {
    let d = V;
    let first = filtering.stride() - 1;
    let mut store = |e: &mut dyn Emitter, result: usize, value: V| store(e, result - first, value);
    if filtering.tile() == 2 {
        e.copy(V(4), d(1));
        e.add_vector(V(4), d(2));
        store(e, 1, V(4));
        if first == 0 {
            e.subtract_vector(d(0), d(2));
            store(e, 0, d(0));
        }
        e.subtract_vector(d(2), d(1));
        store(e, 2, d(2));
        e.subtract_vector(d(3), d(1));
        store(e, 3, d(3));
        return;
    }
    for (result, [far, middle, near]) in [(0, [4, 2, 0]), (5, [5, 3, 1])].into_iter().skip(first) {
        let sum = V(6 + result % 2);
        e.copy(sum, d(far));
        e.scale_add(sum, d(middle), factor(Factor::MinusSum));
        e.scale_add(sum, d(near), factor(Factor::A2B2));
        store(e, result, sum);
    }
    let pairs = [(1, Factor::MinusB2, [Factor::A, Factor::MinusA]), (3, Factor::MinusA2, [Factor::B, Factor::MinusB])];
    for (result, square, [plus, minus]) in pairs {
        let (even, odd, sum) = (V(5 + result), V(6 + result), V(7 + result));
        e.copy(even, d(4));
        e.scale_add(even, d(2), factor(square));
        e.copy(odd, d(3));
        e.scale_add(odd, d(1), factor(square));
        e.copy(sum, even);
        e.scale_add(sum, odd, factor(plus));
        store(e, result, sum);
        e.scale_add(even, odd, factor(minus));
        store(e, result + 1, even);
    }
}

/// The result transform of one patch: from X, its first slot, to Out. Bias and Residual are what they say; Extra is scratch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    pub(super) filtering: Filtering,
    /// Rows and columns of the tile that lie inside of the result.
    pub(super) inside: [usize; 2],
    /// Bytes from one row of the result to the next.
    pub(super) row: i32,
    /// Bytes from one slot of the source to the next.
    pub(super) slot: i32,
    /// Done last.
    pub(super) epilogue: Epilogue,
}

/// Writes a result transform.
pub(super) fn outcome(outcome: &Outcome, emitter: &mut dyn Emitter) {
    let parts = BLOCK / emitter.lanes();
    let part_bytes = emitter.lanes() as i32 * 4;
    repeated(emitter, parts, |emitter| {
        outcome_of_part(outcome, emitter);
        for pointer in [Pointer::X, Pointer::Out, Pointer::Bias, Pointer::Residual] {
            emitter.advance(pointer, part_bytes);
        }
    });
}

fn outcome_of_part(outcome: &Outcome, emitter: &mut dyn Emitter) {
    let filtering = outcome.filtering;
    let size = filtering.positions();
    let scratch = |row: usize, column: usize| Address::new(Pointer::Extra, (row * size + column) as i32 * VECTOR);
    for column in 0..size {
        let at = |row: usize| Address::new(Pointer::X, slot(filtering, [row, column]) as i32 * outcome.slot);
        merge(filtering, emitter, at, |emitter, row, value| emitter.store(scratch(row, column), value));
    }
    outcome.epilogue.prepare(emitter);
    for row in 0..outcome.inside[0] {
        let at = |column: usize| scratch(row, column);
        merge(filtering, emitter, at, |emitter, column, value| {
            if column < outcome.inside[1] {
                emitter.add(value, Address::new(Pointer::Bias, 0));
                outcome.epilogue.store(emitter, row as i32 * outcome.row + column as i32 * VECTOR, value);
            }
        });
    }
}

/// Transforms the products of a row of positions, which lie at the given addresses, and hands out the results.
fn merge(
    filtering: Filtering,
    e: &mut dyn Emitter,
    at: impl Fn(usize) -> Address,
    mut store: impl FnMut(&mut dyn Emitter, usize, V),
) {
    let d = V;
    let (m, mixed) = (filtering.tile(), filtering.mixed());
    // With stride 2, the first copied position takes the place of the point 0: it adds to the first result and to nothing else, too.
    let first = filtering.stride() - 1;
    if first == 1 {
        e.load(d(0), at(mixed));
    }
    for position in 0..mixed {
        e.load(d(first + position), at(position));
    }
    let mut store = |e: &mut dyn Emitter, result: usize, value: V| {
        if first == 1 && result > 0 {
            e.add(value, at(mixed + result));
        }
        store(e, result, value);
    };
    let (sum_a, sum_b) = (V(6), V(7));
    e.copy(sum_a, d(1));
    e.add_vector(sum_a, d(2));
    e.subtract_vector(d(1), d(2));
    let difference_a = d(1);
    e.add_vector(d(0), sum_a);
    if m == 2 {
        store(e, 0, d(0));
        e.add_vector(difference_a, d(3));
        store(e, 1, difference_a);
        return;
    }
    e.copy(sum_b, d(3));
    e.add_vector(sum_b, d(4));
    e.subtract_vector(d(3), d(4));
    let difference_b = d(3);
    e.add_vector(d(0), sum_b);
    store(e, 0, d(0));
    e.scale(V(8), difference_a, factor(Factor::A));
    e.scale_add(V(8), difference_b, factor(Factor::B));
    store(e, 1, V(8));
    e.scale(V(9), sum_a, factor(Factor::A2));
    e.scale_add(V(9), sum_b, factor(Factor::B2));
    store(e, 2, V(9));
    e.scale_add(d(5), difference_a, factor(Factor::A3));
    e.scale_add(d(5), difference_b, factor(Factor::B3));
    store(e, 3, d(5));
}
