//! Chains: how long sums of products are cut.
//!
//! A sum of `n` products that are added one after the other has rounding errors that grow with `n`; cut into chains whose sums are added afterwards, it
//! has those of a chain and of the few additions (N. J. Higham, *The Accuracy of Floating Point Summation*, 1993). The first chain begins with the bias,
//! or with zero; each of the others begins with zero, and its sum is added to that of the chains before it.

use crate::kernel::BLOCK;

/// Products in a chain of a convolution or GEMM that is computed as it is defined. Shorter chains take time (at 128 a hundredth) and would not make the
/// result of a network much more exact.
const PLAIN: usize = 128;

/// Products in a chain of a fast algorithm, whose transforms amplify errors.
const AMPLIFIED: usize = 64;

/// Channel blocks in a chain of [`Conv`](crate::kernel::Conv) and [`Gemm`](crate::kernel::Gemm), with blocks of so many channels and windows of so
/// many taps.
pub const fn plain(channels: usize, taps: usize) -> usize {
    let products = channels.saturating_mul(taps);
    if products == 0 || products > PLAIN { 1 } else { PLAIN / products }
}

/// Channel blocks, of 16, in a chain of a product of [`Winograd`](crate::kernel::Winograd) and [`Strassen`](crate::kernel::Strassen).
pub const fn amplified() -> usize {
    AMPLIFIED / BLOCK
}

/// A product of a fast algorithm, as its kernel sums it: for those who recompute one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Product {
    before: f32,
    chain: f32,
    channels: usize,
}

impl Product {
    /// Takes the next channel.
    pub fn multiply_add(&mut self, x: f32, weight: f32) {
        if self.channels == AMPLIFIED {
            *self = Self { before: self.sum(), ..Self::default() };
        }
        self.chain = x.mul_add(weight, self.chain);
        self.channels += 1;
    }

    /// The sum of the chains.
    pub fn sum(self) -> f32 {
        self.before + self.chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_have_a_block_at_the_least() {
        assert_eq!([plain(16, 1), plain(1, 1), plain(16, 9), plain(1, 49), plain(16, 0)], [8, 128, 1, 2, 1]);
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "whole numbers are exact")]
    fn a_product_is_the_sum_of_its_chains() {
        // 2²⁴ takes no ones, one by one; a chain of ones comes to 64 first.
        let mut product = Product::default();
        product.multiply_add(16_777_216.0, 1.0);
        (1..128).for_each(|_| product.multiply_add(1.0, 1.0));
        assert_eq!(product.sum(), 16_777_216.0 + 64.0);
    }
}
