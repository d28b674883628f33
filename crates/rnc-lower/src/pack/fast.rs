//! Packs weights for the fast algorithms: transformed filters for Winograd's, sums for Strassen's.

use rnc_plan::kernel::{BLOCK, Conv};
use rnc_plan::strassen::Levels;
use rnc_plan::weights::{Bundles, ProductWeights};
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
}

/// Packs transformed filters.
pub(super) fn pack_winograd(filters: &Filters<'_>, (filtering, weights): (Filtering, ProductWeights), out: &mut [u8]) {
    let transform = WeightTransform::new(filtering);
    pack_products(weights, out, |[output, input], lane, vectors| match filters.get(output, input) {
        Some(filter) => transform.apply(filter, |product, value| vectors[product][lane] = value),
        None => vectors.iter_mut().for_each(|vector| vector[lane] = 0.0),
    });
}

/// Packs sums of weights.
pub(super) fn pack_strassen(
    data: &[f32],
    [inputs, outputs]: [usize; 2],
    (levels, weights): (Levels, ProductWeights),
    out: &mut [u8],
) {
    let parts = levels.parts();
    let part = [inputs / parts, outputs / parts];
    let mut elements = vec![0.0f32; parts * parts];
    let mut sums = vec![0.0f32; levels.products()];
    pack_products(weights, out, |[output, input], lane, vectors| {
        for (i, element) in elements.iter_mut().enumerate() {
            let (row, column) = (i / parts, i % parts);
            *element = data[(column * part[1] + output) * inputs + row * part[0] + input];
        }
        levels.weights(&elements, &mut sums);
        vectors.iter_mut().zip(&sums).for_each(|(vector, sum)| vector[lane] = *sum);
    });
}

/// Packs what `set` gives each product's vector in one lane, for an output channel and an input channel.
fn pack_products(weights: ProductWeights, out: &mut [u8], mut set: impl FnMut([usize; 2], usize, &mut [[f32; BLOCK]])) {
    // One input channel's products for all lanes, so that whole vectors are written.
    let mut vectors = vec![[0.0f32; BLOCK]; weights.products];
    for block in 0..weights.bundles * weights.blocks {
        let place = weights.block(block);
        for input in 0..weights.channels {
            for lane in 0..BLOCK {
                set([block * BLOCK + lane, input], lane, &mut vectors);
            }
            for (product, vector) in vectors.iter().enumerate() {
                let element = place.first + product * place.step + input * BLOCK;
                write(vector, &mut out[element * size_of::<f32>()..][..VECTOR]);
            }
        }
    }
}
