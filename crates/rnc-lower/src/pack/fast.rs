//! Packs weights for the fast algorithms: transformed filters for Winograd's, sums for Strassen's.

use rnc_plan::kernel::{BLOCK, Conv, blocks};
use rnc_plan::strassen::Levels;
use rnc_plan::weights::Bundles;
use rnc_plan::winograd::{Filtering, WeightTransform};

use super::{VECTOR, write};

/// The 3×3 filters of a convolution whose groups come in bundles.
pub(super) struct Filters<'g> {
    /// `[O][channels of a group][3][3]`.
    data: &'g [f32],
    outputs: usize,
    bundles: Bundles,
    /// Channels of a group, in and out.
    group: [usize; 2],
}

impl<'g> Filters<'g> {
    pub(super) fn of(conv: &Conv, data: &'g [f32]) -> Option<Self> {
        let bundles = Bundles::of(conv)?;
        let (inputs, outputs) = (conv.input.channels, conv.output.channels);
        Some(Self { data, outputs, bundles, group: [inputs / conv.groups, outputs / conv.groups] })
    }

    /// The filter of an output channel and an input channel of its bundle; none if they belong to different groups, or if there is no such output channel.
    fn get(&self, output: usize, input: usize) -> Option<&[f32; 9]> {
        let [inputs, outputs] = self.group;
        let own = output < self.outputs && output % self.bundles.outputs / outputs == input / inputs;
        own.then(|| &self.data.as_chunks().0[output * inputs + input % inputs])
    }

    /// Bytes of the transformed weights. `None` on overflow.
    pub(super) fn transformed_bytes(&self, filtering: Filtering) -> Option<usize> {
        let points = filtering.points().pow(2);
        blocks(self.outputs).checked_mul(points)?.checked_mul(self.bundles.inputs)?.checked_mul(VECTOR)
    }
}

/// Packs transformed filters as `[O/16][pair of points][I of a bundle][16]`.
pub(super) fn pack_winograd(filters: &Filters<'_>, filtering: Filtering, out: &mut [u8]) {
    let transform = WeightTransform::new(filtering);
    let points = filtering.points().pow(2);
    let inputs = filters.bundles.inputs;
    // One input channel's points for all lanes, so that whole vectors are written.
    let mut lanes = vec![[0.0f32; BLOCK]; points];
    for (block, out) in out.chunks_exact_mut(points * inputs * VECTOR).enumerate() {
        for input in 0..inputs {
            for lane in 0..BLOCK {
                match filters.get(block * BLOCK + lane, input) {
                    Some(filter) => transform.apply(filter, |p, value| lanes[p][lane] = value),
                    None => lanes.iter_mut().for_each(|point| point[lane] = 0.0),
                }
            }
            for (point, lanes) in lanes.iter().enumerate() {
                write(lanes, &mut out[(point * inputs + input) * VECTOR..][..VECTOR]);
            }
        }
    }
}

/// Bytes of the summed weights of so many channels in and out. `None` on overflow.
pub(super) fn strassen_bytes([inputs, outputs]: [usize; 2], levels: Levels) -> Option<usize> {
    let parts = levels.parts();
    (outputs / parts / BLOCK).checked_mul(levels.products())?.checked_mul(inputs / parts)?.checked_mul(VECTOR)
}

/// Packs sums of weights as `[O/parts/16][product][I/parts][16]`.
pub(super) fn pack_strassen(data: &[f32], [inputs, outputs]: [usize; 2], levels: Levels, out: &mut [u8]) {
    let (parts, products) = (levels.parts(), levels.products());
    let part = [inputs / parts, outputs / parts];
    let product_bytes = part[0] * VECTOR;
    let mut elements = vec![0.0f32; parts * parts];
    let mut sums = vec![0.0f32; products];
    // One input channel's sums for all lanes, so that whole vectors are written.
    let mut lanes = vec![[0.0f32; BLOCK]; products];
    for (block, out) in out.chunks_exact_mut(products * product_bytes).enumerate() {
        for input in 0..part[0] {
            for lane in 0..BLOCK {
                let output = block * BLOCK + lane;
                for (i, element) in elements.iter_mut().enumerate() {
                    let (row, column) = (i / parts, i % parts);
                    *element = data[(column * part[1] + output) * inputs + row * part[0] + input];
                }
                levels.weights(&elements, &mut sums);
                lanes.iter_mut().zip(&sums).for_each(|(product, sum)| product[lane] = *sum);
            }
            for (product, lanes) in lanes.iter().enumerate() {
                write(lanes, &mut out[product * product_bytes + input * VECTOR..][..VECTOR]);
            }
        }
    }
}
