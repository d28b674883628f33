//! What a kernel costs: floating-point operations and bytes, from its specification alone.

use crate::footprint::{self, Footprint};
use crate::kernel::{Conv, KernelSpec};

/// Cost of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations as the model defines them: a multiply-add is two, one with padding counts, one with a filled-up channel does not.
    pub flops: u64,
    /// Bytes that the operands occupy, weights included.
    pub bytes: u64,
    /// Those of them that all samples of a batch share: weights.
    pub weight_bytes: u64,
}

impl Cost {
    /// Cost of a batch: weights come once. What is too large for a number is the largest number.
    #[must_use]
    pub fn of_batch(self, batch: usize) -> Self {
        let batch = batch as u64;
        let Self { flops, bytes, weight_bytes } = self;
        let of_samples = (bytes - weight_bytes).saturating_mul(batch);
        Self { flops: flops.saturating_mul(batch), bytes: weight_bytes.saturating_add(of_samples), weight_bytes }
    }

    /// Arithmetic intensity (Williams, Waterman, Patterson, 2009): floating-point operations a byte, if no byte comes twice. Zero if there are no bytes.
    pub fn intensity(self) -> f64 {
        if self.bytes == 0 { 0.0 } else { self.flops as f64 / self.bytes as f64 }
    }
}

/// The cost of a kernel. A specification that is not sound costs nothing.
pub fn cost(spec: &KernelSpec) -> Cost {
    let Ok(footprints) = footprint::operands(spec) else { return Cost { flops: 0, bytes: 0, weight_bytes: 0 } };
    let bytes = |operand: &Footprint| operand.elements_per_sample as u64 * 4;
    let weight_bytes = footprints.iter().filter(|operand| operand.shared).map(bytes).sum();
    let bytes = footprints.iter().map(bytes).sum();
    let flops = match spec {
        KernelSpec::Conv(conv) => conv_flops(conv),
        KernelSpec::Winograd(winograd) => conv_flops(&winograd.conv),
        KernelSpec::Strassen(strassen) => conv_flops(&strassen.conv),
        KernelSpec::Gemm(gemm) => 2 * (gemm.features * gemm.out) as u64,
        KernelSpec::Pool(pool) => {
            let window: usize = pool.window.kernel.iter().product();
            (pool.input.channels * pool.output[0] * pool.output[1] * window) as u64
        }
        KernelSpec::Elementwise(elementwise) => {
            (elementwise.space.len().unwrap_or(0) * elementwise.program.len()) as u64
        }
        // Subtraction, exponential, sum and division.
        KernelSpec::Softmax(softmax) => 4 * (softmax.outer * softmax.len * softmax.inner) as u64,
        KernelSpec::Copy(_) => 0,
        KernelSpec::Contract(contract) => 2 * (contract.result.iter().product::<usize>() * contract.sum) as u64,
        KernelSpec::Resample(resample) => {
            let taps: usize = resample.taps.iter().map(Vec::len).sum();
            2 * (resample.outer * resample.inner * taps) as u64
        }
    };
    Cost { flops, bytes, weight_bytes }
}

fn conv_flops(conv: &Conv) -> u64 {
    let depth = conv.input.channels / conv.groups.max(1) * conv.window.kernel[0] * conv.window.kernel[1];
    let pixels = conv.output.height * conv.output.width;
    2 * conv.output.channels as u64 * pixels as u64 * depth as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Activation, Gemm};

    #[test]
    fn counts_a_multiply_add_as_two_and_padded_lanes_only_as_bytes() {
        let gemm = Gemm { features: 40, out: 1000, activation: Activation::None };
        let weight_bytes = 4 * (63 * 40 * 16 + 1008);
        let bytes = 4 * (1008 + 48) + weight_bytes;
        let cost = cost(&KernelSpec::Gemm(gemm));
        assert_eq!(cost, Cost { flops: 80_000, bytes, weight_bytes });
        let of_three = Cost { flops: 240_000, bytes: 3 * 4 * (1008 + 48) + weight_bytes, weight_bytes };
        assert_eq!(cost.of_batch(3), of_three);
        assert!((of_three.intensity() - 240_000.0 / of_three.bytes as f64).abs() < 1e-12);
    }

    #[test]
    fn a_specification_that_is_not_sound_costs_nothing() {
        let gemm = Gemm { features: usize::MAX, out: usize::MAX, activation: Activation::None };
        assert_eq!(cost(&KernelSpec::Gemm(gemm)), Cost { flops: 0, bytes: 0, weight_bytes: 0 });
    }
}
