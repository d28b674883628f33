//! How the weights of the fast algorithms are packed, which come down to products of matrices of pixels × channels and channels × output channels.
//!
//! Blocks of 16 output channels lie in pairs: `[pair of blocks][product][block of the pair][channels][16]`. A kernel that computes a pair at once, as AVX-512 does, then reads
//! one stream. A last block without a partner lies alone. With groups, each bundle ([`super::Bundles`]) has its own pairs, one bundle after the other.

use super::Bundles;
use crate::kernel::{BLOCK, Strassen, Winograd, blocks};

/// The packed weights of all products of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductWeights {
    /// Bundles of groups.
    pub bundles: usize,
    /// Blocks of output channels in a bundle (in a part of the channels, for Strassen's products).
    pub blocks: usize,
    /// Products.
    pub products: usize,
    /// Input channels of a product.
    pub channels: usize,
}

/// Where the weights of one block of output channels lie, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductBlock {
    /// The first one of the first product.
    pub first: usize,
    /// From one product to the next.
    pub step: usize,
}

impl ProductWeights {
    /// The weights of a convolution by Winograd's method: a product for each pair of points. `None` if the kernel is none that there is.
    pub fn winograd(winograd: &Winograd) -> Option<Self> {
        let bundles = Bundles::of(&winograd.conv)?;
        let products = winograd.filtering()?.points().pow(2);
        Some(Self { bundles: bundles.count, blocks: blocks(bundles.outputs), products, channels: bundles.inputs })
    }

    /// The weights of a convolution by Strassen's product.
    pub const fn strassen(strassen: &Strassen) -> Self {
        let parts = strassen.levels.parts();
        Self {
            bundles: 1,
            blocks: blocks(strassen.conv.output.channels) / parts,
            products: strassen.levels.products(),
            channels: strassen.conv.input.channels / parts,
        }
    }

    /// Elements. `None` on overflow.
    pub fn elements(&self) -> Option<usize> {
        [self.blocks, self.products, self.channels, BLOCK].into_iter().try_fold(self.bundles, usize::checked_mul)
    }

    /// Elements of a block's weights for one product.
    const fn block_elements(&self) -> usize {
        self.channels * BLOCK
    }

    /// The weights of a block of output channels, counted over all bundles.
    pub const fn block(&self, index: usize) -> ProductBlock {
        let (bundle, block) = (index / self.blocks, index % self.blocks);
        let pair = block / 2 * 2;
        let together = if pair + 1 < self.blocks { 2 } else { 1 };
        let before = (bundle * self.blocks + pair) * self.products + block % 2;
        ProductBlock { first: before * self.block_elements(), step: together * self.block_elements() }
    }

    /// The weight of an output channel, counted as blocks are, for a channel of a product.
    pub const fn index(&self, output: usize, [product, channel]: [usize; 2]) -> usize {
        let block = self.block(output / BLOCK);
        block.first + product * block.step + channel * BLOCK + output % BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_in_pairs_and_a_last_one_alone() {
        let weights = ProductWeights { bundles: 1, blocks: 3, products: 7, channels: 4 };
        let block = |first, step| ProductBlock { first, step };
        assert_eq!([0, 1, 2].map(|index| weights.block(index)), [block(0, 128), block(64, 128), block(896, 64)]);
        // The second product of the pair's second block: two blocks of the first product, and one of the second, come before.
        assert_eq!(weights.index(16 + 5, [1, 2]), 3 * 64 + 2 * 16 + 5);
    }

    #[test]
    fn every_element_is_one_weight() {
        for (bundles, blocks, products, channels) in
            [(1, 1, 7, 3), (1, 2, 49, 2), (1, 5, 4, 3), (3, 3, 16, 16), (4, 1, 36, 16)]
        {
            let weights = ProductWeights { bundles, blocks, products, channels };
            let mut seen = vec![false; weights.elements().unwrap()];
            for output in 0..bundles * blocks * BLOCK {
                for at in (0..products).flat_map(|product| (0..channels).map(move |channel| [product, channel])) {
                    let place = &mut seen[weights.index(output, at)];
                    assert!(!*place, "{weights:?}: output {output}, {at:?}");
                    *place = true;
                }
            }
            assert!(seen.iter().all(|seen| *seen), "{weights:?}");
        }
    }

    #[test]
    fn sizes_that_overflow_are_none() {
        assert_eq!(ProductWeights { bundles: 1, blocks: 1 << 40, products: 36, channels: 1 << 20 }.elements(), None);
    }
}
