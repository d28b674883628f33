//! The sums before and behind Strassen's products as leaves. See [`rnc_plan::strassen`] for what they are.

use rnc_plan::kernel::BLOCK;
use rnc_plan::strassen::PRODUCTS;

use super::super::epilogue::Epilogue;
use crate::emitter::{Address, Emitter, Pointer, V, repeated};

/// Bytes of a vector of 16 channels.
const VECTOR: i32 = BLOCK as i32 * 4;

/// The sums of a block of pairs: from X, the block's first pixel, to Out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Data {
    /// The pairs.
    pub(super) runs: Vec<Run>,
    /// From the first half of the source's channels to the second.
    pub(super) half: i32,
    /// Channel blocks in a half, and bytes from one to the next in the source and in the result.
    pub(super) blocks: usize,
    pub(super) block_x: i32,
    pub(super) block_out: i32,
    /// Bytes from the sums of one product to those of the next.
    pub(super) slot: i32,
}

/// Pairs at equal distances. Offsets are in bytes from the block's first pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    /// The first pair's first pixel.
    pub(super) first: i32,
    /// From a pair's first pixel to its second, if it has one.
    pub(super) second: Option<i32>,
    /// From one pair to the next.
    pub(super) step: i32,
    /// Pairs.
    pub(super) count: usize,
}

/// Joins pairs, given as both pixels' offsets, to runs.
pub(super) fn runs(pairs: impl IntoIterator<Item = (i32, Option<i32>)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (first, second) in pairs {
        let second = second.map(|second| second - first);
        match runs.last_mut() {
            Some(run) if run.second == second && run.count == 1 => {
                (run.step, run.count) = (first - run.first, 2);
            }
            Some(run) if run.second == second && first == run.first + run.step * run.count as i32 => run.count += 1,
            _ => runs.push(Run { first, second, step: 0, count: 1 }),
        }
    }
    runs
}

/// Writes the sums of pixels.
pub(super) fn data(data: &Data, emitter: &mut dyn Emitter) {
    let parts = BLOCK / emitter.lanes();
    let part_bytes = emitter.lanes() as i32 * 4;
    let pairs: i32 = data.runs.iter().map(|run| run.count as i32).sum();
    repeated(emitter, data.blocks, |emitter| {
        repeated(emitter, parts, |emitter| {
            for run in &data.runs {
                emitter.advance(Pointer::X, run.first);
                repeated(emitter, run.count, |emitter| {
                    sums_of_pair(data, run, emitter);
                    emitter.advance(Pointer::X, run.step);
                    emitter.advance(Pointer::Out, VECTOR);
                });
                emitter.advance(Pointer::X, -(run.first + run.step * run.count as i32));
            }
            emitter.advance(Pointer::X, part_bytes);
            emitter.advance(Pointer::Out, part_bytes - pairs * VECTOR);
        });
        emitter.advance(Pointer::X, data.block_x - VECTOR);
        emitter.advance(Pointer::Out, data.block_out - VECTOR);
    });
}

fn sums_of_pair(data: &Data, run: &Run, e: &mut dyn Emitter) {
    let [a11, a12, a21, a22, sum] = [0, 1, 2, 3, 4].map(V);
    e.load(a11, Address::new(Pointer::X, 0));
    e.load(a12, Address::new(Pointer::X, data.half));
    if let Some(second) = run.second {
        e.load(a21, Address::new(Pointer::X, second));
        e.load(a22, Address::new(Pointer::X, second + data.half));
    } else {
        e.splat(a21, 0.0);
        e.splat(a22, 0.0);
    }
    let store = |e: &mut dyn Emitter, product: i32, value: V| {
        e.store(Address::new(Pointer::Out, product * data.slot), value);
    };
    for (product, [a, b]) in [(0, [a11, a22]), (1, [a21, a22]), (4, [a11, a12])] {
        e.copy(sum, a);
        e.add_vector(sum, b);
        store(e, product, sum);
    }
    store(e, 2, a11);
    store(e, 3, a22);
    e.subtract_vector(a21, a11);
    store(e, 5, a21);
    e.subtract_vector(a12, a22);
    store(e, 6, a12);
}

/// The results of a block of pairs: from X, the first product, to Out. Bias and Residual are what they say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    /// Pairs of two pixels.
    pub(super) pairs: usize,
    /// Whether a pair of one pixel follows.
    pub(super) odd: bool,
    /// From the first half of the result's channels to the second, and of the bias.
    pub(super) half: i32,
    pub(super) half_bias: i32,
    /// From one product to the next.
    pub(super) slot: i32,
    /// Done last.
    pub(super) epilogue: Epilogue,
}

/// Registers that hold the halves' biases all along.
const BIAS: [V; 2] = [V(8), V(9)];

/// Writes the sums of products.
pub(super) fn outcome(outcome: &Outcome, emitter: &mut dyn Emitter) {
    outcome.epilogue.prepare(emitter);
    let parts = BLOCK / emitter.lanes();
    let part_bytes = emitter.lanes() as i32 * 4;
    repeated(emitter, parts, |emitter| {
        for (half, bias) in BIAS.into_iter().enumerate() {
            emitter.load(bias, Address::new(Pointer::Bias, half as i32 * outcome.half_bias));
        }
        let advance = |emitter: &mut dyn Emitter, pairs: i32, bytes: i32| {
            emitter.advance(Pointer::X, pairs * VECTOR + bytes);
            emitter.advance(Pointer::Out, pairs * 2 * VECTOR + bytes);
            emitter.advance(Pointer::Residual, pairs * 2 * VECTOR + bytes);
        };
        if outcome.pairs > 0 {
            repeated(emitter, outcome.pairs, |emitter| {
                results_of_pair(outcome, emitter, true);
                advance(emitter, 1, 0);
            });
        }
        if outcome.odd {
            results_of_pair(outcome, emitter, false);
        }
        advance(emitter, -(outcome.pairs as i32), part_bytes);
        emitter.advance(Pointer::Bias, part_bytes);
    });
}

fn results_of_pair(outcome: &Outcome, e: &mut dyn Emitter, both: bool) {
    let p: [V; PRODUCTS] = [0, 1, 2, 3, 4, 5, 6].map(V);
    for (product, register) in p.into_iter().enumerate() {
        e.load(register, Address::new(Pointer::X, product as i32 * outcome.slot));
    }
    let [p1, p2, p3, p4, p5, p6, p7] = p;
    let c11 = V(PRODUCTS);
    e.copy(c11, p1);
    e.add_vector(c11, p4);
    e.subtract_vector(c11, p5);
    e.add_vector(c11, p7);
    finish(outcome, e, [0, 0], c11);
    let c12 = p5;
    e.add_vector(c12, p3);
    finish(outcome, e, [0, 1], c12);
    if both {
        let c21 = p4;
        e.add_vector(c21, p2);
        finish(outcome, e, [1, 0], c21);
        let c22 = p1;
        e.subtract_vector(c22, p2);
        e.add_vector(c22, p3);
        e.add_vector(c22, p6);
        finish(outcome, e, [1, 1], c22);
    }
}

/// Finishes and stores a result of a pixel of the pair and of a half of the channels.
fn finish(outcome: &Outcome, e: &mut dyn Emitter, [pixel, half]: [usize; 2], value: V) {
    let offset = pixel as i32 * VECTOR + half as i32 * outcome.half;
    e.add_vector(value, BIAS[half]);
    outcome.epilogue.store(e, offset, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_pairs_at_equal_distances() {
        let pairs = [(0, Some(64)), (128, Some(192)), (256, Some(320)), (512, Some(576)), (600, None)];
        let run = |first, second, step, count| Run { first, second, step, count };
        assert_eq!(runs(pairs), [run(0, Some(64), 128, 3), run(512, Some(64), 0, 1), run(600, None, 0, 1)]);
        assert_eq!(runs([]), []);
    }
}
