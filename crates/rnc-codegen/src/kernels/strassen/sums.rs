//! The sums before and behind Strassen's products as leaves. See [`rnc_plan::strassen`] for what they are.

use rnc_plan::kernel::BLOCK;
use rnc_plan::strassen::{DATA, Levels, PRODUCTS, RESULTS, Term};

use super::super::epilogue::Epilogue;
use crate::emitter::{Address, Emitter, Pointer, V, repeated};

/// Bytes of a vector of 16 channels.
const VECTOR: i32 = BLOCK as i32 * 4;

/// The sums of a block of groups of pixels: from X, the block's first pixel, to Out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Data {
    pub(super) levels: Levels,
    /// The groups.
    pub(super) runs: Vec<Run>,
    /// From one part of the source's channels to the next.
    pub(super) part: i32,
    /// Channel blocks in a part, and bytes from one to the next in the source and in the result.
    pub(super) blocks: usize,
    pub(super) block_x: i32,
    pub(super) block_out: i32,
    /// Bytes from the sums of one product to those of the next.
    pub(super) slot: i32,
}

/// Groups at equal distances. Offsets are in bytes from the block's first pixel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    /// The first group's first pixel.
    pub(super) first: i32,
    /// From a group's first pixel to each of its pixels. Zeros stand for those that are missing.
    pub(super) pixels: Vec<i32>,
    /// From one group to the next.
    pub(super) step: i32,
    /// Groups.
    pub(super) count: usize,
}

/// Joins groups, given as their pixels' offsets, to runs. A group has one pixel at the least.
pub(super) fn runs(groups: impl IntoIterator<Item = Vec<i32>>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for group in groups {
        let first = group[0];
        let pixels: Vec<i32> = group.into_iter().map(|pixel| pixel - first).collect();
        match runs.last_mut() {
            Some(run) if run.pixels == pixels && run.count == 1 => (run.step, run.count) = (first - run.first, 2),
            Some(run) if run.pixels == pixels && first == run.first + run.step * run.count as i32 => run.count += 1,
            _ => runs.push(Run { first, pixels, step: 0, count: 1 }),
        }
    }
    runs
}

/// Writes the sums of pixels.
pub(super) fn data(data: &Data, emitter: &mut dyn Emitter) {
    let lane_parts = BLOCK / emitter.lanes();
    let part_bytes = emitter.lanes() as i32 * 4;
    let groups: i32 = data.runs.iter().map(|run| run.count as i32).sum();
    repeated(emitter, data.blocks, |emitter| {
        repeated(emitter, lane_parts, |emitter| {
            for run in &data.runs {
                emitter.advance(Pointer::X, run.first);
                repeated(emitter, run.count, |emitter| {
                    sums_of_group(data, run, emitter);
                    emitter.advance(Pointer::X, run.step);
                    emitter.advance(Pointer::Out, VECTOR);
                });
                emitter.advance(Pointer::X, -(run.first + run.step * run.count as i32));
            }
            emitter.advance(Pointer::X, part_bytes);
            emitter.advance(Pointer::Out, part_bytes - groups * VECTOR);
        });
        emitter.advance(Pointer::X, data.block_x - VECTOR);
        emitter.advance(Pointer::Out, data.block_out - VECTOR);
    });
}

/// Registers of the four quarters that the last level works on, of a sum, and of a term of it.
const QUARTERS: [V; 4] = [V(0), V(1), V(2), V(3)];
const SUM: V = V(4);

fn sums_of_group(data: &Data, run: &Run, e: &mut dyn Emitter) {
    let element = |element: usize| {
        let (pixel, part) = (element / data.levels.parts(), element % data.levels.parts());
        run.pixels.get(pixel).map(|pixel| Address::new(Pointer::X, pixel + part as i32 * data.part))
    };
    match data.levels {
        Levels::One => {
            for (quarter, register) in QUARTERS.into_iter().enumerate() {
                load_sum(e, register, [(element(quarter), false)]);
            }
            products_of_quarters(data, 0, e);
        }
        Levels::Two => {
            for (outer, terms) in DATA.iter().enumerate() {
                for (inner, register) in QUARTERS.into_iter().enumerate() {
                    let term = |term: &Term| (element(Levels::element(term.of, inner)), term.negative);
                    load_sum(e, register, terms.iter().map(term));
                }
                products_of_quarters(data, outer * PRODUCTS, e);
            }
        }
    }
}

/// Stores the data of seven products, from `first` on, of the quarters.
fn products_of_quarters(data: &Data, first: usize, e: &mut dyn Emitter) {
    for (product, terms) in DATA.iter().enumerate() {
        let to = Address::new(Pointer::Out, (first + product) as i32 * data.slot);
        if let [only] = terms {
            e.store(to, QUARTERS[only.of]);
        } else {
            sum_of(e, SUM, terms, &QUARTERS);
            e.store(to, SUM);
        }
    }
}

/// Sums what lies at addresses, zeros where there is none; whether a term is negative stands beside it. Uses [`SUM`].
fn load_sum(e: &mut dyn Emitter, to: V, terms: impl IntoIterator<Item = (Option<Address>, bool)>) {
    let load = |e: &mut dyn Emitter, to: V, address: Option<Address>| match address {
        Some(address) => e.load(to, address),
        None => e.splat(to, 0.0),
    };
    for (index, (address, negative)) in terms.into_iter().enumerate() {
        match (index, negative, address) {
            (0, ..) => load(e, to, address),
            (_, false, Some(address)) => e.add(to, address),
            (_, negative, _) => {
                load(e, SUM, address);
                if negative { e.subtract_vector(to, SUM) } else { e.add_vector(to, SUM) }
            }
        }
    }
}

/// Sums registers into another one.
fn sum_of(e: &mut dyn Emitter, to: V, terms: &[Term], values: &[V]) {
    let (first, rest) = terms.split_first().expect("a sum has terms");
    e.copy(to, values[first.of]);
    for term in rest {
        if term.negative { e.subtract_vector(to, values[term.of]) } else { e.add_vector(to, values[term.of]) }
    }
}

/// The results of a block of groups: from X, the first product, to Out. Bias and Residual are what they say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    pub(super) levels: Levels,
    /// Groups that have all their pixels.
    pub(super) groups: usize,
    /// Pixels of a group that follows, if it has fewer.
    pub(super) rest: usize,
    /// From one part of the result's channels to the next, and of the bias.
    pub(super) part: i32,
    pub(super) part_bias: i32,
    /// From one product to the next.
    pub(super) slot: i32,
    /// Done last.
    pub(super) epilogue: Epilogue,
}

/// Registers of the products of the first level, of a result, and of the parts' biases, which stay all along.
const OF_PRODUCTS: [V; PRODUCTS] = [V(0), V(1), V(2), V(3), V(5), V(6), V(7)];
const RESULT: V = V(4);
const BIAS: [V; 4] = [V(8), V(9), V(10), V(11)];

/// Writes the sums of products.
pub(super) fn outcome(outcome: &Outcome, emitter: &mut dyn Emitter) {
    outcome.epilogue.prepare(emitter);
    let parts = outcome.levels.parts();
    let lane_parts = BLOCK / emitter.lanes();
    let part_bytes = emitter.lanes() as i32 * 4;
    repeated(emitter, lane_parts, |emitter| {
        for (part, bias) in BIAS.into_iter().enumerate().take(parts) {
            emitter.load(bias, Address::new(Pointer::Bias, part as i32 * outcome.part_bias));
        }
        let advance = |emitter: &mut dyn Emitter, groups: i32, bytes: i32| {
            let pixels = groups * parts as i32;
            emitter.advance(Pointer::X, groups * VECTOR + bytes);
            emitter.advance(Pointer::Out, pixels * VECTOR + bytes);
            emitter.advance(Pointer::Residual, pixels * VECTOR + bytes);
        };
        if outcome.groups > 0 {
            repeated(emitter, outcome.groups, |emitter| {
                results_of_group(outcome, emitter, parts);
                advance(emitter, 1, 0);
            });
        }
        if outcome.rest > 0 {
            results_of_group(outcome, emitter, outcome.rest);
        }
        advance(emitter, -(outcome.groups as i32), part_bytes);
        emitter.advance(Pointer::Bias, part_bytes);
    });
}

fn results_of_group(outcome: &Outcome, e: &mut dyn Emitter, pixels: usize) {
    let product = |product: usize| Some(Address::new(Pointer::X, product as i32 * outcome.slot));
    match outcome.levels {
        Levels::One => {
            for (index, register) in OF_PRODUCTS.into_iter().enumerate() {
                load_sum(e, register, [(product(index), false)]);
            }
            results_of_products(outcome, e, pixels, |quarter| quarter);
        }
        Levels::Two => {
            for (inner, terms) in RESULTS.iter().enumerate() {
                for (outer, register) in OF_PRODUCTS.into_iter().enumerate() {
                    let term = |term: &Term| (product(outer * PRODUCTS + term.of), term.negative);
                    load_sum(e, register, terms.iter().map(term));
                }
                results_of_products(outcome, e, pixels, |outer| Levels::element(outer, inner));
            }
        }
    }
}

/// Finishes the four results of the first level's products; `element` says which of the group's each of them is.
fn results_of_products(outcome: &Outcome, e: &mut dyn Emitter, pixels: usize, element: impl Fn(usize) -> usize) {
    let parts = outcome.levels.parts();
    for (quarter, terms) in RESULTS.iter().enumerate() {
        let (pixel, part) = (element(quarter) / parts, element(quarter) % parts);
        if pixel < pixels {
            sum_of(e, RESULT, terms, &OF_PRODUCTS);
            e.add_vector(RESULT, BIAS[part]);
            outcome.epilogue.store(e, pixel as i32 * VECTOR + part as i32 * outcome.part, RESULT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_groups_at_equal_distances() {
        let groups = [vec![0, 64], vec![128, 192], vec![256, 320], vec![512, 576], vec![600]];
        let run = |first, pixels: &[i32], step, count| Run { first, pixels: pixels.to_vec(), step, count };
        let expected = [run(0, &[0, 64], 128, 3), run(512, &[0, 64], 0, 1), run(600, &[0], 0, 1)];
        assert_eq!(runs(groups), expected);
        assert_eq!(runs([]), []);
    }
}
