//! Strassen's product against the same operations as plain loops, bit by bit, and against the direct convolution within its rounding.

mod support;

use rnc_plan::kernel::{Activation, BLOCK, Conv, Extent, KernelSpec, Source, Strassen, Window};
use rnc_plan::strassen::Levels;
use rnc_plan::weights::ProductWeights;
use support::{Random, assert_same_bits, isas, naive, run, run_on_residual, sizes};

/// A pointwise convolution by channels in and out, the result's size and the strides.
fn conv([inputs, outputs]: [usize; 2], [height, width]: [usize; 2], stride: [usize; 2]) -> Conv {
    Conv {
        input: Extent {
            channels: inputs,
            height: (height - 1) * stride[0] + 1,
            // Columns behind the last window, too.
            width: width * stride[1],
        },
        source: Source::Blocked,
        output: Extent { channels: outputs, height, width },
        groups: 1,
        window: Window { kernel: [1, 1], stride, pad: [0, 0], dilation: [1, 1] },
        residual: false,
        activation: Activation::None,
    }
}

fn check(conv: &Conv, batch: usize) {
    for levels in Levels::ALL {
        check_levels(conv, levels, batch);
    }
}

fn check_levels(conv: &Conv, levels: Levels, batch: usize) {
    let spec = Strassen { conv: conv.clone(), levels };
    let kernel = KernelSpec::Strassen(spec.clone());
    let mut random = Random(conv.input.channels as u64);
    let inputs: Vec<_> = sizes(&kernel, batch)[1..].iter().map(|size| random.floats(*size)).collect();
    let expected = naive::pointwise_by_strassen(&spec, batch, &inputs);
    for isa in isas() {
        for parts in [1, 3, 16] {
            let found = run(&kernel, isa, batch, &inputs, parts);
            assert_same_bits(&found, &expected, &format!("{isa}, {levels:?}, batch {batch}, {parts} parts, {conv:?}"));
        }
        if conv.residual {
            let found = run_on_residual(&kernel, isa, batch, &inputs, 2);
            assert_same_bits(&found, &expected, &format!("{isa}, {levels:?}, batch {batch}, in place, {conv:?}"));
        }
    }
}

#[test]
fn any_number_of_pixels_agrees() {
    for size in [[1, 1], [1, 2], [1, 3], [2, 2], [3, 3], [7, 7], [4, 5], [8, 14], [1, 61], [1, 62], [9, 7], [16, 15]] {
        check(&conv([64, 64], size, [1, 1]), 1);
    }
}

#[test]
fn strides_agree() {
    for stride in [[2, 2], [1, 3], [3, 1]] {
        for size in [[1, 1], [3, 3], [7, 7], [5, 14], [14, 14]] {
            check(&conv([64, 128], size, stride), 1);
        }
    }
}

#[test]
fn any_number_of_blocks_that_the_parts_divide_agrees() {
    for channels in [[32, 96], [64, 32], [160, 64]] {
        check_levels(&conv(channels, [5, 5], [1, 1]), Levels::One, 2);
    }
    for channels in [[64, 192], [128, 64], [320, 128]] {
        check_levels(&conv(channels, [5, 5], [1, 1]), Levels::Two, 2);
    }
}

#[test]
fn residual_and_activation_agree() {
    for residual in [false, true] {
        for activation in [Activation::None, Activation::Relu, Activation::Clip { min: (-0.5).into(), max: 1.0.into() }]
        {
            check(&Conv { residual, activation, ..conv([64, 128], [7, 9], [1, 1]) }, 2);
        }
    }
}

#[test]
fn so_many_channels_that_fewer_groups_fit_a_block_agree() {
    check(&conv([4096, 64], [6, 7], [1, 1]), 1);
}

/// The largest error relative to the largest result. A plain sum of 256 products has some 1e-6; Strassen's sums double and triple the numbers that are rounded, at each level.
#[test]
fn results_are_those_of_the_convolution() {
    for (levels, tolerance) in [(Levels::One, 4e-6), (Levels::Two, 1e-5)] {
        let error = error(levels);
        assert!(error <= tolerance, "{levels:?}: {error}");
    }
}

fn error(levels: Levels) -> f32 {
    let (parts, count) = (levels.parts(), levels.products());
    let part = [256 / parts, 64 / parts];
    let conv = conv([256, 64], [14, 14], [1, 1]);
    let mut random = Random(5);
    let matrix: Vec<Vec<f32>> = (0..256).map(|_| random.floats(64)).collect();
    let (x, bias) = (random.floats(14 * 14 * 256), random.floats(64));
    let direct = (0..64).step_by(BLOCK).flat_map(|o| matrix.iter().flat_map(move |row| row[o..o + BLOCK].to_vec()));
    let spec = Strassen { conv: conv.clone(), levels };
    let weights = ProductWeights::strassen(&spec);
    let mut summed = vec![0.0; weights.elements().unwrap()];
    let mut sums = vec![0.0; count];
    for (c, o) in (0..part[0]).flat_map(|c| (0..part[1]).map(move |o| (c, o))) {
        let element = |i: usize| matrix[i / parts * part[0] + c][i % parts * part[1] + o];
        levels.weights(&(0..parts * parts).map(element).collect::<Vec<_>>(), &mut sums);
        for (k, sum) in sums.iter().enumerate() {
            summed[weights.index(o, [k, c])] = *sum;
        }
    }
    let expected = naive::conv(&conv, 1, &[x.clone(), direct.collect(), bias.clone()]);
    let found = run(&KernelSpec::Strassen(spec), isas().last().unwrap(), 1, &[x, summed, bias], 1);
    let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    found.iter().zip(&expected).fold(0.0f32, |a, (x, y)| a.max((x - y).abs())) / largest
}
