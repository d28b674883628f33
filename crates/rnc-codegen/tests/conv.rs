//! Convolution and GEMM against plain loops, bit by bit, on every instruction set of the machine, on memory that ends at guard pages.

mod support;

use rnc_plan::kernel::{Activation, Conv, Extent, Gemm, KernelSpec, Source, Window};
use support::{Random, assert_same_bits, isas, naive, run, run_on_residual, sizes};

struct Case {
    channels: [usize; 2],
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    /// top, left, bottom, right
    pad: [usize; 4],
    dilation: [usize; 2],
    groups: usize,
}

impl Case {
    fn new(channels: [usize; 2], size: [usize; 2], kernel: usize) -> Self {
        Self { channels, size, kernel: [kernel; 2], stride: [1; 2], pad: [0; 4], dilation: [1; 2], groups: 1 }
    }

    fn spec(&self) -> Conv {
        let out = |axis: usize| {
            let extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            (self.size[axis] + self.pad[axis] + self.pad[axis + 2] - extent) / self.stride[axis] + 1
        };
        Conv {
            input: Extent { channels: self.channels[0], height: self.size[0], width: self.size[1] },
            source: Source::Blocked,
            output: Extent { channels: self.channels[1], height: out(0), width: out(1) },
            groups: self.groups,
            window: Window {
                kernel: self.kernel,
                stride: self.stride,
                pad: [self.pad[0], self.pad[1]],
                dilation: self.dilation,
            },
            residual: false,
            activation: Activation::None,
        }
    }
}

fn check(spec: &Conv, batch: usize) {
    let kernel = KernelSpec::Conv(spec.clone());
    let mut random = Random(spec.input.channels as u64 * 31 + spec.output.width as u64);
    let inputs: Vec<_> = sizes(&kernel, batch)[1..].iter().map(|size| random.floats(*size)).collect();
    let expected = naive::conv(spec, batch, &inputs);
    for isa in isas() {
        for parts in [1, 3] {
            let found = run(&kernel, isa, batch, &inputs, parts);
            assert_same_bits(&found, &expected, &format!("{isa}, batch {batch}, {parts} parts, {spec:?}"));
        }
        if spec.residual {
            let found = run_on_residual(&kernel, isa, batch, &inputs, 2);
            assert_same_bits(&found, &expected, &format!("{isa}, batch {batch}, in place, {spec:?}"));
        }
    }
}

#[test]
fn pointwise_layers_of_every_width_agree() {
    for size in [[1, 1], [1, 5], [7, 7], [14, 14], [3, 29], [9, 31]] {
        check(&Case::new([32, 64], size, 1).spec(), 1);
    }
}

#[test]
fn channels_that_fill_no_block_agree() {
    for channels in [[1, 1], [3, 5], [16, 17], [17, 16], [20, 40], [33, 100]] {
        check(&Case { pad: [1; 4], ..Case::new(channels, [6, 7], 3) }.spec(), 2);
    }
}

#[test]
fn windows_with_padding_at_every_edge_agree() {
    for (kernel, pad) in
        [(3, [1; 4]), (3, [2; 4]), (3, [1, 0, 0, 1]), (3, [0, 1, 2, 0]), (5, [2; 4]), (7, [3; 4]), (2, [1, 1, 0, 0])]
    {
        for size in [[7, 7], [14, 15], [5, 30]] {
            check(&Case { pad, ..Case::new([18, 32], size, kernel) }.spec(), 1);
        }
    }
}

#[test]
fn tiles_that_lie_wholly_on_padding_agree() {
    for (kernel, pad) in [(1, [2, 40, 1, 0]), (3, [5, 0, 4, 33])] {
        check(&Case { pad, ..Case::new([20, 40], [3, 4], kernel) }.spec(), 2);
    }
}

#[test]
fn strides_and_dilations_agree() {
    for (stride, dilation, kernel) in [
        ([2, 2], [1, 1], 3),
        ([2, 2], [1, 1], 1),
        ([3, 3], [1, 1], 2),
        ([1, 2], [1, 1], 3),
        ([1, 1], [2, 2], 3),
        ([2, 1], [3, 2], 3),
    ] {
        let pad = if kernel == 1 { [0; 4] } else { [1; 4] };
        check(&Case { stride, pad, dilation, ..Case::new([16, 48], [15, 17], kernel) }.spec(), 2);
    }
}

#[test]
fn windows_that_are_not_square_agree() {
    for kernel in [[1, 3], [3, 1], [2, 5], [1, 7]] {
        check(
            &Case {
                kernel,
                pad: [kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2],
                ..Case::new([16, 32], [9, 11], 1)
            }
            .spec(),
            1,
        );
    }
}

#[test]
fn groups_agree_whether_they_align_with_blocks_or_not() {
    for (channels, groups) in [
        ([32, 32], 2),
        ([64, 64], 16),
        ([32, 32], 16),
        ([40, 40], 10),
        ([22, 22], 11),
        ([5, 5], 5),
        ([64, 64], 8),
        ([32, 32], 32),
        ([48, 48], 2),
        ([6, 9], 3),
        ([40, 80], 5),
        ([64, 32], 4),
        ([8, 64], 8),
    ] {
        check(&Case { groups, pad: [1; 4], ..Case::new(channels, [7, 9], 3) }.spec(), 2);
    }
}

#[test]
fn planar_sources_agree() {
    for (channels, kernel, stride, pad) in [(3, 7, 2, 3), (1, 3, 1, 1), (4, 5, 2, 2), (3, 1, 1, 0)] {
        let case = Case { stride: [stride; 2], pad: [pad; 4], ..Case::new([channels, 64], [23, 29], kernel) };
        check(&Conv { source: Source::Planar, ..case.spec() }, 2);
    }
}

#[test]
fn residual_and_activation_agree() {
    let base = Case { pad: [1; 4], ..Case::new([16, 40], [7, 14], 3) }.spec();
    for residual in [false, true] {
        for activation in
            [Activation::None, Activation::Relu, Activation::Clip { min: (-0.25).into(), max: 0.5.into() }]
        {
            check(&Conv { residual, activation, ..base.clone() }, 2);
        }
    }
}

/// Chains of 128 products of a pointwise layer, of a block of a larger window: a last one that is full, of full blocks, of a partial block alone, of both.
#[test]
fn sums_of_any_number_of_chains_agree() {
    for channels in [128, 136, 144, 150, 256, 264, 300, 640] {
        for activation in [Activation::None, Activation::Relu] {
            let pointwise = Case::new([channels, 32], [3, 5], 1).spec();
            check(&Conv { residual: true, activation, ..pointwise }, 1);
        }
    }
    for channels in [16, 20, 32, 52] {
        check(&Conv { residual: true, ..Case { pad: [1; 4], ..Case::new([channels, 32], [4, 5], 3) }.spec() }, 2);
    }
    let planar = Case { pad: [1; 4], ..Case::new([40, 16], [4, 5], 3) }.spec();
    check(&Conv { source: Source::Planar, ..planar }, 1);
}

#[test]
fn weights_of_many_groups_change_the_order_of_tasks_but_no_bit() {
    // 25 blocks of output channels, several to a group, and a last group that is smaller.
    check(&Case::new([512, 400], [2, 2], 1).spec(), 3);
    check(&Case::new([256, 256], [2, 2], 1).spec(), 3);
    check(&Case::new([16, 16], [40, 40], 1).spec(), 3);
}

#[test]
fn random_layers_agree() {
    let mut random = Random(7);
    for _ in 0..60 {
        let kernel = [1 + random.below(4), 1 + random.below(4)];
        let dilation = [1 + random.below(2), 1 + random.below(2)];
        let extent = |axis: usize| dilation[axis] * (kernel[axis] - 1);
        let pad = [0, 1, 2, 3].map(|i| random.below(extent(i % 2) + 1));
        let size = [extent(0) + 1 + random.below(12), extent(1) + 1 + random.below(34)];
        let groups = 1 + random.below(3);
        let channels = [groups * (1 + random.below(20)), groups * (1 + random.below(30))];
        let stride = [1 + random.below(3), 1 + random.below(3)];
        check(&Case { channels, size, kernel, stride, pad, dilation, groups }.spec(), 1 + random.below(2));
    }
}

#[test]
fn relu_keeps_nan_and_clip_keeps_nan() {
    let spec = Conv { activation: Activation::Relu, ..Case::new([16, 16], [1, 1], 1).spec() };
    let clip = Conv { activation: Activation::Clip { min: 0.0.into(), max: 6.0.into() }, ..spec.clone() };
    for spec in [spec, clip] {
        let kernel = KernelSpec::Conv(spec);
        let inputs: Vec<_> = sizes(&kernel, 1)[1..].iter().map(|size| vec![f32::NAN; *size]).collect();
        for isa in isas() {
            assert!(run(&kernel, isa, 1, &inputs, 1).iter().all(|x| x.is_nan()), "{isa}");
        }
    }
}

#[test]
fn gemm_agrees_for_every_batch() {
    for (features, out) in [(1, 1), (16, 16), (20, 10), (64, 1000), (512, 40), (300, 24), (37, 100)] {
        for batch in [1, 2, 3, 7, 13] {
            let spec = Gemm { features, out, activation: Activation::Relu };
            let kernel = KernelSpec::Gemm(spec.clone());
            let mut random = Random(features as u64);
            let inputs: Vec<_> = sizes(&kernel, batch)[1..].iter().map(|size| random.floats(*size)).collect();
            let expected = naive::gemm(&spec, batch, &inputs);
            for isa in isas() {
                let found = run(&kernel, isa, batch, &inputs, 2);
                assert_same_bits(&found, &expected, &format!("{isa}, batch {batch}, {spec:?}"));
            }
        }
    }
}
