//! Winograd's convolution against the same operations as plain loops, bit by bit, and against the direct convolution within its rounding.

mod support;

use rnc_plan::kernel::{Activation, BLOCK, Conv, Extent, KernelSpec, Source, Window, Winograd, blocks};
use rnc_plan::winograd::{Filtering, WeightTransform};
use support::{Random, assert_same_bits, isas, naive, run, run_on_residual, sizes};

/// Channels in and out, the source's size, padding above, left, below and right. With stride 1.
fn conv(channels: [usize; 2], size: [usize; 2], pad: [usize; 4]) -> Conv {
    strided(1, channels, size, pad)
}

fn strided(stride: usize, channels: [usize; 2], size: [usize; 2], pad: [usize; 4]) -> Conv {
    let windows = |size: usize, pad: usize| (size + pad - 3) / stride + 1;
    Conv {
        input: Extent { channels: channels[0], height: size[0], width: size[1] },
        source: Source::Blocked,
        output: Extent {
            channels: channels[1],
            height: windows(size[0], pad[0] + pad[2]),
            width: windows(size[1], pad[1] + pad[3]),
        },
        groups: 1,
        window: Window { kernel: [3, 3], stride: [stride; 2], pad: [pad[0], pad[1]], dilation: [1, 1] },
        residual: false,
        activation: Activation::None,
    }
}

fn check(conv: &Conv, tile: usize, batch: usize) {
    let spec = Winograd { conv: conv.clone(), tile };
    let kernel = KernelSpec::Winograd(spec.clone());
    let mut random = Random(conv.input.channels as u64 + 100 * tile as u64);
    let inputs: Vec<_> = sizes(&kernel, batch)[1..].iter().map(|size| random.floats(*size)).collect();
    let expected = naive::winograd(&spec, batch, &inputs);
    for isa in isas() {
        for parts in [1, 3, 16] {
            let found = run(&kernel, isa, batch, &inputs, parts);
            assert_same_bits(&found, &expected, &format!("{isa}, batch {batch}, {parts} parts, F({tile}), {conv:?}"));
        }
        if conv.residual {
            let found = run_on_residual(&kernel, isa, batch, &inputs, 2);
            assert_same_bits(&found, &expected, &format!("{isa}, batch {batch}, in place, F({tile}), {conv:?}"));
        }
    }
}

#[test]
fn sizes_that_are_no_multiple_of_the_tile_agree() {
    for tile in [2, 4] {
        for size in [[1, 1], [2, 3], [4, 4], [7, 7], [9, 14], [14, 14], [5, 33]] {
            for stride in [1, 2] {
                check(&strided(stride, [16, 16], size, [1; 4]), tile, 1);
            }
        }
    }
}

#[test]
fn padding_at_any_edge_agrees() {
    for tile in [2, 4] {
        for pad in [[0; 4], [1, 0, 0, 1], [0, 1, 1, 0], [2, 2, 2, 2], [3, 2, 1, 2]] {
            for stride in [1, 2] {
                check(&strided(stride, [16, 16], [6, 8], pad), tile, 1);
            }
        }
    }
}

#[test]
fn channels_that_fill_no_block_agree() {
    for tile in [2, 4] {
        for channels in [[1, 1], [5, 20], [40, 33], [64, 16]] {
            for stride in [1, 2] {
                check(&strided(stride, channels, [8, 8], [1; 4]), tile, 2);
            }
        }
    }
}

#[test]
fn groups_that_fill_blocks_agree() {
    for tile in [2, 4] {
        // Groups of 8 in 8, of 4 in 16, of 32 in 16, of 24 in 40, and 16 groups of one.
        for (groups, channels) in [(4, [32, 32]), (8, [32, 128]), (3, [96, 48]), (4, [96, 160]), (16, [16, 16])] {
            for stride in [1, 2] {
                check(&Conv { groups, ..strided(stride, channels, [9, 6], [1; 4]) }, tile, 2);
            }
        }
    }
}

#[test]
fn residual_and_activation_agree() {
    for tile in [2, 4] {
        for residual in [false, true] {
            for activation in
                [Activation::None, Activation::Relu, Activation::Clip { min: (-0.5).into(), max: 1.0.into() }]
            {
                for stride in [1, 2] {
                    check(&Conv { residual, activation, ..strided(stride, [16, 32], [9, 7], [1; 4]) }, tile, 2);
                }
            }
        }
    }
}

#[test]
fn several_blocks_of_tiles_agree() {
    check(&conv([32, 32], [40, 40], [1; 4]), 4, 2);
    check(&conv([16, 16], [31, 17], [1; 4]), 2, 1);
    check(&strided(2, [32, 16], [60, 40], [1; 4]), 4, 2);
    check(&strided(2, [16, 32], [33, 62], [1; 4]), 2, 1);
    // So many channels that fewer tiles fit a block.
    check(&conv([700, 16], [12, 12], [1; 4]), 4, 1);
}

/// The largest error relative to the largest result. f32 has 6e-8; the transforms of F(4) amplify it some 20 times (measured at 256 channels:
/// 2.6e-6), those of F(2) not.
#[test]
fn results_are_those_of_the_convolution() {
    for (tile, stride, tolerance) in [(2, 1, 2e-6), (4, 1, 5e-6), (2, 2, 2e-6), (4, 2, 5e-6)] {
        let conv = strided(stride, [256, 16], [14, 14], [1; 4]);
        let filtering = Filtering::new(tile, stride).unwrap();
        let mut random = Random(11);
        let filters: Vec<[f32; 9]> = (0..256 * 16).map(|_| std::array::from_fn(|_| random.float())).collect();
        let x = random.floats(14 * 14 * 256);
        let bias = random.floats(16);
        let mut packed = vec![0.0; blocks(256) * 9 * BLOCK * BLOCK];
        let mut transformed = vec![0.0; filtering.points().pow(2) * 256 * BLOCK];
        for (i, filter) in filters.iter().enumerate() {
            let (o, c) = (i / 256, i % 256);
            for tap in 0..9 {
                packed[((c / BLOCK * 9 + tap) * BLOCK + c % BLOCK) * BLOCK + o] = filter[tap];
            }
            WeightTransform::new(filtering).apply(filter, |p, value| transformed[(p * 256 + c) * BLOCK + o] = value);
        }
        let expected = naive::conv(&conv, 1, &[x.clone(), packed, bias.clone()]);
        let found =
            run(&KernelSpec::Winograd(Winograd { conv, tile }), isas().last().unwrap(), 1, &[x, transformed, bias], 1);
        let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let error = found.iter().zip(&expected).fold(0.0f32, |a, (x, y)| a.max((x - y).abs()));
        assert!(error <= tolerance * largest, "F({tile}), stride {stride}: {}", error / largest);
    }
}
