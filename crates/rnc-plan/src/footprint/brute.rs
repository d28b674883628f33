//! Tests of footprints against an enumerator that walks through what each kernel does, element by element.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{SpecError, operands};
use crate::kernel::*;
use crate::strassen::Levels;
use crate::weights::weight_blocks;

/// Highest element touched, plus one, of each operand of a sample.
type Ends = Vec<usize>;

/// Element of channel `c`, row `y`, column `x` in the blocked layout.
fn blocked(extent: Extent, c: usize, y: usize, x: usize) -> usize {
    ((c / BLOCK * extent.height + y) * extent.width + x) * BLOCK + c % BLOCK
}

fn touch(end: &mut usize, element: usize) {
    *end = (*end).max(element + 1);
}

/// The source position of a tap, if it lies in the source.
fn tap(window: &Window, axis: usize, output: usize, tap: usize, input: usize) -> Option<usize> {
    let at = (output * window.stride[axis] + tap * window.dilation[axis]).checked_sub(window.pad[axis])?;
    (at < input).then_some(at)
}

fn conv_ends(conv: &Conv) -> Ends {
    let mut ends = vec![0; if conv.residual { 5 } else { 4 }];
    let [kh, kw] = conv.window.kernel;
    let (weight_blocks, _) = weight_blocks(conv).expect("the specification is valid");
    for c in 0..blocks(conv.output.channels) * BLOCK {
        touch(&mut ends[3], c);
        let block = &weight_blocks[c / BLOCK];
        for y in 0..conv.output.height {
            for x in 0..conv.output.width {
                let result = blocked(conv.output, c, y, x);
                touch(&mut ends[0], result);
                if conv.residual {
                    touch(&mut ends[4], result);
                }
                let taps = (0..kh).flat_map(|dy| (0..kw).map(move |dx| (dy, dx)));
                let inside = taps.filter_map(|(dy, dx)| {
                    let sy = tap(&conv.window, 0, y, dy, conv.input.height)?;
                    Some((sy, tap(&conv.window, 1, x, dx, conv.input.width)?))
                });
                for ((sy, sx), channel) in
                    inside.flat_map(|at| block.channels.clone().map(move |channel| (at, channel)))
                {
                    touch(
                        &mut ends[1],
                        match conv.source {
                            Source::Blocked => blocked(conv.input, channel, sy, sx),
                            Source::Planar => (channel * conv.input.height + sy) * conv.input.width + sx,
                        },
                    );
                }
            }
        }
        // All weights of the block, in packed order; a kernel may load those of taps that are always outside.
        for vector in 0..block.depth * kh * kw {
            touch(&mut ends[2], block.offset + vector * BLOCK + c % BLOCK);
        }
    }
    ends
}

/// The convolution's, but for the weights: every pair of points of every channel, or with groups of every channel of as many groups as fill blocks.
fn winograd_ends(winograd: &Winograd) -> Ends {
    let mut ends = conv_ends(&winograd.conv);
    let points = (winograd.tile + 2).pow(2);
    let Conv { input, output, groups, .. } = winograd.conv;
    let bundle = |count: &usize| {
        let full = |channels: usize| (channels * count).is_multiple_of(groups * BLOCK);
        groups == 1 || groups.is_multiple_of(*count) && full(input.channels) && full(output.channels)
    };
    let together = (1..=groups).find(bundle).expect("the bounds are known");
    let channels = input.channels * together / groups;
    let vectors = blocks(winograd.conv.output.channels) * points * channels;
    ends[2] = vectors * BLOCK;
    ends
}

/// The convolution's, but for the weights: seven products of half the channels for every pair of blocks, or 49 of a quarter for every four.
fn strassen_ends(strassen: &Strassen) -> Ends {
    let mut ends = conv_ends(&strassen.conv);
    let Conv { input, output, .. } = strassen.conv;
    ends[2] = match strassen.levels {
        Levels::One => output.channels / 32 * 7 * (input.channels / 2) * BLOCK,
        Levels::Two => output.channels / 64 * 49 * (input.channels / 4) * BLOCK,
    };
    ends
}

/// `None` if a window is empty or starts behind the source.
fn pool_ends(pool: &Pool) -> Option<Ends> {
    let mut ends = vec![0; 2];
    let [height, width] = pool.output;
    let output = Extent { channels: pool.input.channels, height, width };
    for y in 0..height {
        for x in 0..width {
            let behind = |axis: usize, at: usize, input: usize| {
                (at * pool.window.stride[axis]).checked_sub(pool.window.pad[axis]).is_some_and(|start| start >= input)
            };
            if behind(0, y, pool.input.height) || behind(1, x, pool.input.width) {
                return None;
            }
            let mut counted = 0;
            for dy in 0..pool.window.kernel[0] {
                for dx in 0..pool.window.kernel[1] {
                    let sy = tap(&pool.window, 0, y, dy, pool.input.height);
                    let sx = tap(&pool.window, 1, x, dx, pool.input.width);
                    let (Some(sy), Some(sx)) = (sy, sx) else { continue };
                    counted += 1;
                    for c in 0..blocks(pool.input.channels) * BLOCK {
                        touch(&mut ends[1], blocked(pool.input, c, sy, sx));
                        touch(&mut ends[0], blocked(output, c, y, x));
                    }
                }
            }
            if counted == 0 {
                return None;
            }
        }
    }
    Some(ends)
}

/// `None` if a box leaves a sample. The flag is whether a box writes an element twice.
fn copy_ends(copy: &Copy) -> Option<(Ends, bool)> {
    let mut ends = vec![if copy.fill.is_some() { copy.result_sample } else { 0 }, 0];
    let mut repeats = false;
    for part in &copy.boxes {
        let mut seen = HashSet::new();
        let mut counters = vec![0; part.loops.len()];
        loop {
            let (mut source, mut result) = (part.source as isize, part.result as isize);
            for (each, i) in part.loops.iter().zip(&counters) {
                source += i * each.source;
                result += i * each.result;
            }
            let inside = |at, len| usize::try_from(at).ok().filter(|at| *at < len);
            touch(&mut ends[1], inside(source, copy.source_sample)?);
            touch(&mut ends[0], inside(result, copy.result_sample)?);
            repeats |= !seen.insert(result);
            // Count up, the innermost loop fastest.
            let Some(up) = (0..counters.len()).rev().find(|l| counters[*l] + 1 < part.loops[*l].count as isize) else {
                break;
            };
            counters[up] += 1;
            counters[up + 1..].fill(0);
        }
    }
    Some((ends, repeats))
}

fn elementwise_ends(spec: &Elementwise) -> Ends {
    let mut ends = vec![0; spec.operands.len() + 1];
    for i in 0..spec.space.len().expect("small") {
        touch(&mut ends[0], i);
        for (end, access) in ends[1..].iter_mut().zip(&spec.operands) {
            match (access, spec.space) {
                (Access::Full, _) => touch(end, i),
                (Access::PerChannel | Access::PerChannelShared, Space::Blocked { pixels, .. }) => {
                    touch(end, i / (pixels * BLOCK) * BLOCK + i % BLOCK);
                }
                (Access::PerChannel | Access::PerChannelShared, Space::Flat { .. }) => {
                    panic!("accepted in a flat space")
                }
            }
        }
    }
    ends
}

fn gemm_ends(gemm: &Gemm) -> Ends {
    let mut ends = vec![0; 4];
    for o in 0..blocks(gemm.out) * BLOCK {
        touch(&mut ends[0], o);
        touch(&mut ends[3], o);
        for i in 0..gemm.features {
            touch(&mut ends[1], i);
            touch(&mut ends[2], (o / BLOCK * gemm.features + i) * BLOCK + o % BLOCK);
        }
    }
    ends
}

fn window() -> impl Strategy<Value = Window> {
    (pair(1..4usize), pair(1..4usize), pair(0..4usize), pair(1..3usize))
        .prop_map(|(kernel, stride, pad, dilation)| Window { kernel, stride, pad, dilation })
}

fn pair(range: std::ops::Range<usize>) -> impl Strategy<Value = [usize; 2]> {
    [range.clone(), range]
}

fn extent() -> impl Strategy<Value = Extent> {
    (1..40usize, pair(1..7)).prop_map(|(channels, [height, width])| Extent { channels, height, width })
}

prop_compose! {
    fn small_conv()(
        input in extent(), output in extent(), window in window(), planar: bool, residual: bool,
        groups in prop_oneof![Just(1), 1..6usize], fit: bool,
    ) -> Conv {
        let rounded = |channels: usize| if fit { channels.div_ceil(groups) * groups } else { channels };
        Conv {
            input: Extent { channels: rounded(input.channels), ..input },
            output: Extent { channels: rounded(output.channels), ..output },
            source: if planar { Source::Planar } else { Source::Blocked },
            groups, window, residual,
            activation: Activation::None,
        }
    }
}

prop_compose! {
    fn small_pool()(input in extent(), output in pair(1..5), window in window(), kind in 0..3, pad_end in pair(0..3)) -> Pool {
        let kind = [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding { pad_end }][kind as usize];
        Pool { kind, input, output, window }
    }
}

fn small_copy() -> impl Strategy<Value = Copy> {
    let one_loop =
        (1..4usize, -9..10isize, -9..10isize).prop_map(|(count, source, result)| CopyLoop { count, source, result });
    let one_box = (0..40usize, 0..40usize, prop::collection::vec(one_loop, 0..4))
        .prop_map(|(source, result, loops)| CopyBox { source, result, loops });
    (1..80usize, 1..80usize, any::<Option<u32>>(), prop::collection::vec(one_box, 0..3)).prop_map(
        |(source_sample, result_sample, fill, boxes)| Copy {
            source_sample,
            result_sample,
            fill: fill.map(|bits| F32::from(f32::from_bits(bits))),
            boxes,
        },
    )
}

fn small_elementwise() -> impl Strategy<Value = Elementwise> {
    let space = prop_oneof![
        (1..4usize, 1..10usize).prop_map(|(blocks, pixels)| Space::Blocked { blocks, pixels }),
        (1..50usize).prop_map(|len| Space::Flat { len }),
    ];
    let access = prop_oneof![Just(Access::Full), Just(Access::PerChannel), Just(Access::PerChannelShared)];
    let code = prop_oneof![
        (0..4usize).prop_map(Instruction::Operand),
        (0..4usize).prop_map(|a| Instruction::Unary(Unary::Exp, a)),
        (0..4usize, 0..4usize).prop_map(|(a, b)| Instruction::Binary(Binary::Add, a, b)),
        Just(Instruction::Constant(F32::from(1.0))),
    ];
    (space, prop::collection::vec(access, 0..4), prop::collection::vec(code, 0..5))
        .prop_map(|(space, operands, program)| Elementwise { space, operands, program })
}

/// Sizes as an attacker would choose them: mostly harmless, so that the odd one gets far.
fn wild() -> impl Strategy<Value = usize> {
    prop_oneof![
        16 => 1..5usize,
        1 => any::<usize>(),
        2 => (0..64u32).prop_map(|bit| 1usize << bit),
        1 => (0..64u32).prop_map(|bit| (1usize << bit) - 1),
        1 => (0..8usize).prop_map(|below| usize::MAX - below),
    ]
}

fn wild_spec() -> impl Strategy<Value = KernelSpec> {
    let pair = || [wild(), wild()];
    let window = || {
        [pair(), pair(), pair(), pair()].prop_map(|[kernel, stride, pad, dilation]| Window {
            kernel,
            stride,
            pad,
            dilation,
        })
    };
    let extent = || [wild(), wild(), wild()].prop_map(|[channels, height, width]| Extent { channels, height, width });
    let conv =
        (extent(), extent(), wild(), window(), any::<bool>()).prop_map(|(input, output, groups, window, planar)| {
            let source = if planar { Source::Planar } else { Source::Blocked };
            KernelSpec::Conv(Conv {
                input,
                source,
                output,
                groups,
                window,
                residual: planar,
                activation: Activation::Relu,
            })
        });
    let pool = (extent(), pair(), window(), pair()).prop_map(|(input, output, window, pad_end)| {
        KernelSpec::Pool(Pool { kind: PoolKind::AverageWithPadding { pad_end }, input, output, window })
    });
    let step = || wild().prop_map(|step| step as isize);
    let one_loop = (wild(), step(), step()).prop_map(|(count, source, result)| CopyLoop { count, source, result });
    let one_box = (wild(), wild(), prop::collection::vec(one_loop, 0..9)).prop_map(|(source, result, loops)| CopyBox {
        source,
        result,
        loops,
    });
    let copy =
        (wild(), wild(), prop::collection::vec(one_box, 0..3)).prop_map(|(source_sample, result_sample, boxes)| {
            KernelSpec::Copy(Copy { source_sample, result_sample, fill: None, boxes })
        });
    let program = (pair(), any::<bool>(), wild(), wild()).prop_map(|([blocks, pixels], flat, a, b)| {
        let space = if flat { Space::Flat { len: blocks } } else { Space::Blocked { blocks, pixels } };
        let program =
            vec![Instruction::Operand(a), Instruction::Unary(Unary::Exp, b), Instruction::Binary(Binary::Add, a, b)];
        KernelSpec::Elementwise(Elementwise { space, operands: vec![Access::Full, Access::PerChannel], program })
    });
    let gemm =
        pair().prop_map(|[features, out]| KernelSpec::Gemm(Gemm { features, out, activation: Activation::None }));
    let softmax =
        [wild(), wild(), wild()].prop_map(|[outer, len, inner]| KernelSpec::Softmax(Softmax { outer, len, inner }));
    let tap = (wild(), any::<f32>()).prop_map(|(source, weight)| Tap { source, weight: weight.into() });
    let taps = prop::collection::vec(prop::collection::vec(tap, 0..3), 0..3);
    let resample = ([wild(), wild(), wild()], taps)
        .prop_map(|([outer, len, inner], taps)| KernelSpec::Resample(Resample { outer, len, inner, taps }));
    let strides = || {
        (prop::option::of(wild()), prop::collection::vec(wild(), 0..4), wild())
            .prop_map(|(sample, result, sum)| Strides { sample, result, sum })
    };
    let contract = (prop::collection::vec(wild(), 0..4), wild(), strides(), strides())
        .prop_map(|(result, sum, a, b)| KernelSpec::Contract(Contract { result, sum, a, b }));
    prop_oneof![conv, pool, copy, program, gemm, softmax, resample, contract]
}

/// The bounds that footprints give, and the invariant that samples do not overlap.
fn bounds(spec: &KernelSpec) -> Result<Ends, SpecError> {
    let footprints = operands(spec)?;
    for f in &footprints {
        assert!(f.shared && f.sample_stride == 0 || !f.shared && f.elements_per_sample <= f.sample_stride, "{f:?}");
    }
    Ok(footprints.iter().map(|f| f.elements_per_sample).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn never_panics_on_wild_sizes(spec in wild_spec()) {
        let _ = bounds(&spec);
    }

    #[test]
    fn winograd_is_bounded_as_its_convolution_is(
        conv in small_conv(), tile in 0..5usize, stride in 1..4usize, groups in 1..65usize, channels in pair(1..17), grouped in any::<bool>(),
    ) {
        let mut conv = conv;
        if grouped {
            conv.groups = groups;
            (conv.input.channels, conv.output.channels) = (channels[0] * groups, channels[1] * groups);
        }
        conv.window = Window { kernel: [3, 3], stride: [stride; 2], dilation: [1, 1], ..conv.window };
        let spec = Winograd { conv, tile };
        let Ok(bounds) = bounds(&KernelSpec::Winograd(spec.clone())) else { return Ok(()) };
        prop_assert!((tile == 2 || tile == 4) && stride < 3);
        let ends = winograd_ends(&spec);
        for (i, (end, bound)) in ends.iter().zip(&bounds).enumerate() {
            prop_assert!(i == 1 && end <= bound || end == bound, "operand {}: {} against {}", i, end, bound);
        }
    }

    #[test]
    fn strassen_is_bounded_as_its_convolution_is(
        conv in small_conv(), channels in pair(1..10), kernel in 1..3usize, pad in 0..2usize, stride in pair(1..4), two in any::<bool>(),
    ) {
        let mut conv = conv;
        conv.window = Window { kernel: [kernel; 2], stride, pad: [pad; 2], dilation: [1; 2] };
        (conv.input.channels, conv.output.channels) = (channels[0] * 16, channels[1] * 16);
        let levels = if two { Levels::Two } else { Levels::One };
        let spec = Strassen { conv, levels };
        let Ok(bounds) = bounds(&KernelSpec::Strassen(spec.clone())) else { return Ok(()) };
        let parts = if two { 4 } else { 2 };
        prop_assert!(channels[0] % parts == 0 && channels[1] % parts == 0 && kernel == 1 && pad == 0);
        let ends = strassen_ends(&spec);
        for (i, (end, bound)) in ends.iter().zip(&bounds).enumerate() {
            prop_assert!(i == 1 && end <= bound || end == bound, "operand {}: {} against {}", i, end, bound);
        }
    }

    #[test]
    fn convolutions_stay_inside_and_reach_the_bounds(conv in small_conv()) {
        let Ok(bounds) = bounds(&KernelSpec::Conv(conv.clone())) else { return Ok(()) };
        let ends = conv_ends(&conv);
        prop_assert_eq!(ends.len(), bounds.len());
        for (i, (end, bound)) in ends.iter().zip(&bounds).enumerate() {
            prop_assert!(end <= bound, "operand {}: {} > {}", i, end, bound);
            // The source counts whole: a stride may leave its last rows unread, and so may the last block's lanes be.
            prop_assert!(i == 1 || end == bound, "operand {}: {} < {}", i, end, bound);
        }
        let last_lane = conv.input.channels % BLOCK == 0 || conv.source == Source::Planar;
        let window = &conv.window;
        let reads_last = |axis: usize, output: usize, input: usize| {
            (0..output).any(|at| (0..window.kernel[axis]).any(|t| tap(window, axis, at, t, input) == Some(input - 1)))
        };
        if last_lane && reads_last(0, conv.output.height, conv.input.height) && reads_last(1, conv.output.width, conv.input.width) {
            prop_assert_eq!(ends[1], bounds[1]);
        }
    }

    #[test]
    fn pools_are_accepted_exactly_if_all_windows_hold_something(pool in small_pool()) {
        let ends = pool_ends(&pool);
        let bounds = bounds(&KernelSpec::Pool(pool));
        prop_assert_eq!(ends.is_some(), bounds.is_ok(), "{:?}", bounds);
        if let (Some(ends), Ok(bounds)) = (ends, bounds) {
            prop_assert_eq!(ends[0], bounds[0]);
            prop_assert!(ends[1] <= bounds[1]);
        }
    }

    #[test]
    fn copies_stay_inside_and_reach_the_bounds(copy in small_copy()) {
        let found = copy_ends(&copy);
        match bounds(&KernelSpec::Copy(copy.clone())) {
            Ok(bounds) => prop_assert_eq!(found, Some((bounds, false))),
            Err(SpecError::BoxOutside { .. }) => prop_assert_eq!(found, None),
            Err(SpecError::NothingToDo) => prop_assert!(copy.fill.is_none() && copy.boxes.is_empty()),
            // The criterion is sufficient and not necessary, so nothing follows.
            Err(SpecError::BoxRepeats { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn programs_stay_inside_and_reach_the_bounds(spec in small_elementwise()) {
        if let Ok(bounds) = bounds(&KernelSpec::Elementwise(spec.clone())) {
            prop_assert_eq!(elementwise_ends(&spec), bounds);
        }
    }

    #[test]
    fn matrix_products_stay_inside_and_reach_the_bounds(features in 1..70usize, out in 1..70usize) {
        let gemm = Gemm { features, out, activation: Activation::None };
        let bounds = bounds(&KernelSpec::Gemm(gemm.clone())).unwrap();
        let mut ends = gemm_ends(&gemm);
        ends[1] = ends[1].next_multiple_of(BLOCK); // lanes past the last feature are not read
        prop_assert_eq!(ends, bounds);
    }
}
