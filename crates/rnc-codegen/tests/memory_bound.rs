//! Pools, elementwise programs, softmax and copies against plain loops, on every instruction set, on memory that ends at guard pages.

mod support;

use rnc_plan::kernel::{
    Access, BLOCK, Binary, Contract, Copy, CopyBox, CopyLoop, Elementwise, Extent, Instruction, KernelSpec, Pool,
    PoolKind, Resample, Softmax, Space, Strides, Tap, Unary, Window,
};
use support::{Random, assert_same_bits, isas, naive, run, sizes};

type One = fn(f32) -> f32;
type Two = fn(f32, f32) -> f32;

fn inputs(spec: &KernelSpec, batch: usize) -> Vec<Vec<f32>> {
    let mut random = Random(batch as u64 + 5);
    sizes(spec, batch)[1..].iter().map(|size| random.floats(*size)).collect()
}

/// Runs on every instruction set, in one and in three parts, and compares bits.
fn check(spec: &KernelSpec, batch: usize, inputs: &[Vec<f32>], expected: &[f32]) {
    for isa in isas() {
        for parts in [1, 3] {
            let found = run(spec, isa, batch, inputs, parts);
            assert_same_bits(&found, expected, &format!("{isa}, batch {batch}, {parts} parts, {spec:?}"));
        }
    }
}

fn check_pool(kind: PoolKind, size: [usize; 2], output: [usize; 2], window: Window) {
    let input = Extent { channels: 20, height: size[0], width: size[1] };
    let pool = Pool { kind, input, output, window };
    let spec = KernelSpec::Pool(pool.clone());
    for batch in [1, 2] {
        let inputs = inputs(&spec, batch);
        check(&spec, batch, &inputs, &naive::pool(&pool, batch, &inputs[0]));
    }
}

#[test]
fn pools_agree_at_every_edge() {
    let kinds = [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding { pad_end: [1, 1] }];
    for kind in kinds {
        check_pool(kind, [9, 7], [5, 4], Window { kernel: [3, 3], stride: [2, 2], pad: [1, 1], dilation: [1, 1] });
        check_pool(kind, [8, 6], [4, 3], Window { kernel: [2, 2], stride: [2, 2], pad: [0, 0], dilation: [1, 1] });
        check_pool(kind, [9, 9], [7, 7], Window { kernel: [3, 3], stride: [1, 1], pad: [1, 1], dilation: [2, 2] });
        check_pool(kind, [7, 7], [1, 1], Window { kernel: [7, 7], stride: [1, 1], pad: [0, 0], dilation: [1, 1] });
        check_pool(kind, [1, 1], [1, 1], Window { kernel: [1, 1], stride: [3, 3], pad: [0, 0], dilation: [1, 1] });
    }
}

#[test]
fn a_pool_whose_last_window_hangs_over_the_end_agrees() {
    for kind in [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding { pad_end: [0, 0] }] {
        check_pool(kind, [6, 6], [3, 3], Window { kernel: [3, 3], stride: [2, 2], pad: [0, 0], dilation: [1, 1] });
    }
}

#[test]
fn the_maximum_of_a_window_with_nan_is_nan_wherever_it_stands() {
    let window = Window { kernel: [1, 3], stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
    let input = Extent { channels: 16, height: 1, width: 3 };
    let spec = KernelSpec::Pool(Pool { kind: PoolKind::Max, input, output: [1, 1], window });
    for position in 0..3 {
        let mut x = vec![1.0; 3 * BLOCK];
        x[position * BLOCK..(position + 1) * BLOCK].fill(f32::NAN);
        check(&spec, 1, &[x], &[f32::NAN; BLOCK]);
    }
}

#[test]
#[allow(clippy::float_cmp, reason = "that is what Equal says")]
fn every_binary_function_agrees_for_every_access() {
    let (blocks, pixels, batch) = (2, 5, 3);
    let functions: [(Binary, Two); 9] = [
        (Binary::Add, |a, b| a + b),
        (Binary::Sub, |a, b| a - b),
        (Binary::Mul, |a, b| a * b),
        (Binary::Div, |a, b| a / b),
        (Binary::Max, f32::max),
        (Binary::Min, f32::min),
        (Binary::Equal, |a, b| f32::from(u8::from(a == b))),
        (Binary::Greater, |a, b| f32::from(u8::from(a > b))),
        (Binary::GreaterOrEqual, |a, b| f32::from(u8::from(a >= b))),
    ];
    for (function, plain) in functions {
        for access in [Access::Full, Access::PerChannel, Access::PerChannelShared] {
            let spec = KernelSpec::Elementwise(Elementwise {
                space: Space::Blocked { blocks, pixels },
                operands: vec![Access::Full, access],
                program: vec![Instruction::Operand(0), Instruction::Operand(1), Instruction::Binary(function, 0, 1)],
            });
            let inputs = inputs(&spec, batch);
            let expected: Vec<f32> = (0..batch * blocks * pixels * BLOCK)
                .map(|i| {
                    let (lane, plane) = (i % BLOCK, i / (pixels * BLOCK));
                    let j = match access {
                        Access::Full => i,
                        Access::PerChannel => plane * BLOCK + lane,
                        Access::PerChannelShared => plane % blocks * BLOCK + lane,
                    };
                    plain(inputs[0][i], inputs[1][j])
                })
                .collect();
            check(&spec, batch, &inputs, &expected);
        }
    }
}

fn unary(function: Unary, len: usize) -> KernelSpec {
    KernelSpec::Elementwise(Elementwise {
        space: Space::Flat { len },
        operands: vec![Access::Full],
        program: vec![Instruction::Operand(0), Instruction::Unary(function, 0)],
    })
}

#[test]
fn exact_functions_agree_on_flat_values_of_any_length() {
    let functions: [(Unary, One); 9] = [
        (Unary::Relu, |x| if 0.0 > x { 0.0 } else { x }),
        (Unary::Sqrt, f32::sqrt),
        (Unary::Abs, f32::abs),
        (Unary::Neg, |x| -x),
        (Unary::Reciprocal, |x| 1.0 / x),
        (Unary::Floor, f32::floor),
        (Unary::Ceil, f32::ceil),
        (Unary::Round, f32::round_ties_even),
        (Unary::Sign, |x| if x == 0.0 { 0.0 } else { x.signum() }),
    ];
    for (function, plain) in functions {
        for len in [1, 3, 4, 10, 4096, 4099] {
            let spec = unary(function, len);
            let inputs = inputs(&spec, 2);
            let expected: Vec<f32> = inputs[0].iter().map(|x| plain(*x)).collect();
            check(&spec, 2, &inputs, &expected);
        }
    }
}

/// Results within `relative` of the f64 function; Cephes states 2 ulp (2.4e-7) for `exp`, to which sums, divisions and the rounding of
/// arguments add as much again. `floor` is where results of `exp` are flushed to zero.
fn close(function: Unary, plain: fn(f64) -> f64, relative: f64, floor: f64) {
    let arguments: Vec<f32> = (-4400..4400).map(|i| i as f32 * 0.02 + 0.001).collect();
    let spec = unary(function, arguments.len());
    let found = run(&spec, rnc_codegen::Isa::Baseline, 1, std::slice::from_ref(&arguments), 1);
    for (x, y) in arguments.iter().zip(found) {
        let expected = plain(f64::from(*x));
        if y.is_nan() && expected.is_nan() {
            continue;
        }
        let error = (f64::from(y) - expected).abs();
        assert!(error <= relative * expected.abs() + floor, "{function:?}({x}) = {y}, expected {expected}");
    }
}

#[test]
fn transcendental_functions_are_accurate() {
    close(Unary::Exp, f64::exp, 2.5e-7, 2e-38);
    close(Unary::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 5e-7, 2e-38);
    close(Unary::Tanh, f64::tanh, 3e-7, 0.0);
    close(Unary::Erf, libm::erf, 2.5e-7, 0.0);
    // Below zero it is no number.
    close(Unary::Log, |x| if x < 0.0 { f64::NAN } else { x.ln() }, 2.5e-7, 0.0);
}

#[test]
fn logarithms_of_all_magnitudes_are_accurate() {
    let arguments: Vec<f32> = (1..2000u32).map(|i| f32::from_bits(i * 1_069_000)).collect();
    let spec = unary(Unary::Log, arguments.len());
    let found = run(&spec, rnc_codegen::Isa::Baseline, 1, std::slice::from_ref(&arguments), 1);
    for (x, y) in arguments.iter().zip(found) {
        let expected = f64::from(*x).ln();
        assert!((f64::from(y) - expected).abs() <= 2.5e-7 * expected.abs(), "log({x}) = {y}, expected {expected}");
    }
}

/// As accurate as its logarithm: the error of `b ln a` is one of the result, relative.
#[test]
fn powers_are_accurate_and_take_what_ieee_754_says() {
    let bases = [0.0, 0.3, 0.999, 1.0, 1.5, 7.0, 1e4, -0.5, -2.0, -3.0, f32::INFINITY, f32::NAN];
    let exponents = [0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, 0.75, -0.75, 2.5, f32::NAN];
    let pairs: Vec<(f32, f32)> = bases.iter().flat_map(|a| exponents.map(|b| (*a, b))).collect();
    let spec = KernelSpec::Elementwise(Elementwise {
        space: Space::Flat { len: pairs.len() },
        operands: vec![Access::Full; 2],
        program: vec![Instruction::Operand(0), Instruction::Operand(1), Instruction::Binary(Binary::Pow, 0, 1)],
    });
    let inputs = [pairs.iter().map(|(a, _)| *a).collect(), pairs.iter().map(|(_, b)| *b).collect()];
    let found = run(&spec, rnc_codegen::Isa::Baseline, 1, &inputs, 1);
    for ((a, b), y) in pairs.iter().zip(found) {
        let expected = f64::from(*a).powf(f64::from(*b));
        let allowed = 5e-7 * (1.0 + (b * a.abs().ln()).abs());
        // Zeros and infinities.
        let same = y.to_bits() == (expected as f32).to_bits() || (y.is_nan() && expected.is_nan());
        let close = (f64::from(y) - expected).abs() <= f64::from(allowed) * expected.abs();
        assert!(same || close, "{a}^{b} = {y}, expected {expected}");
    }
}

#[test]
fn transcendental_functions_take_infinities_and_nan() {
    let x = vec![f32::NEG_INFINITY, -1e30, 0.0, 1e30, f32::INFINITY, f32::NAN];
    for (function, expected) in [
        (Unary::Exp, [0.0, 0.0, 1.0, f32::INFINITY, f32::INFINITY, f32::NAN]),
        (Unary::Sigmoid, [0.0, 0.0, 0.5, 1.0, 1.0, f32::NAN]),
        (Unary::Tanh, [-1.0, -1.0, 0.0, 1.0, 1.0, f32::NAN]),
        (Unary::Erf, [-1.0, -1.0, 0.0, 1.0, 1.0, f32::NAN]),
        (Unary::Log, [f32::NAN, f32::NAN, f32::NEG_INFINITY, 69.077_55, f32::INFINITY, f32::NAN]),
    ] {
        check(&unary(function, x.len()), 1, std::slice::from_ref(&x), &expected);
    }
}

#[test]
fn vectors_and_scalars_give_the_same_bits() {
    let mut random = Random(3);
    let x: Vec<f32> = (0..64).map(|_| random.float() * 20.0).collect();
    for function in [Unary::Exp, Unary::Sigmoid, Unary::Tanh, Unary::Erf, Unary::Log] {
        let vectors = run(&unary(function, 64), rnc_codegen::Isa::Baseline, 1, std::slice::from_ref(&x), 1);
        let scalars = run(&unary(function, 1), rnc_codegen::Isa::Baseline, 64, std::slice::from_ref(&x), 1);
        assert_same_bits(&scalars, &vectors, &format!("{function:?}"));
    }
}

#[test]
fn a_program_with_constants_runs_in_order() {
    use Instruction::{Binary as B, Constant, Operand, Unary as U};
    let program = vec![
        Operand(0),
        Constant(2.0.into()),
        B(Binary::Mul, 0, 1),
        Operand(1),
        B(Binary::Add, 2, 3),
        U(Unary::Relu, 4),
        B(Binary::Sub, 5, 0),
    ];
    let operands = vec![Access::Full, Access::PerChannelShared];
    let spec =
        KernelSpec::Elementwise(Elementwise { space: Space::Blocked { blocks: 1, pixels: 3 }, operands, program });
    let inputs = inputs(&spec, 2);
    let expected: Vec<f32> = (0..inputs[0].len())
        .map(|i| {
            let x = inputs[0][i];
            let y = x * 2.0 + inputs[1][i % BLOCK];
            (if 0.0 > y { 0.0 } else { y }) - x
        })
        .collect();
    check(&spec, 2, &inputs, &expected);
}

#[test]
fn softmax_agrees_along_any_axis() {
    for (outer, len, inner) in [(1, 10, 1), (1, 1000, 1), (3, 5, 4), (2, 1, 7)] {
        let spec = KernelSpec::Softmax(Softmax { outer, len, inner });
        let batch = 2;
        let inputs: Vec<Vec<f32>> =
            inputs(&spec, batch).into_iter().map(|v| v.iter().map(|x| x * 30.0).collect()).collect();
        for isa in isas() {
            let found = run(&spec, isa, batch, &inputs, 2);
            for slice in 0..batch * outer * inner {
                let at = |i: usize| (slice / inner * len + i) * inner + slice % inner;
                let largest = (0..len).map(|i| inputs[0][at(i)]).fold(f32::NEG_INFINITY, f32::max);
                let exponential = |i: usize| f64::from(inputs[0][at(i)] - largest).exp();
                let total: f64 = (0..len).map(exponential).sum();
                for i in 0..len {
                    // 2 ulp of exp, and one ulp for each of the additions in the worst case.
                    let tolerance = 2.5e-7 + 6e-8 * len as f64;
                    let expected = exponential(i) / total;
                    assert!((f64::from(found[at(i)]) - expected).abs() <= tolerance * expected + 1e-37);
                }
            }
        }
    }
}

#[test]
fn contractions_are_sums_of_products_in_order_whatever_the_strides() {
    let matrix = |m: usize, k: usize, p: usize, shared: bool| Contract {
        result: vec![2, m, p],
        sum: k,
        a: Strides { sample: Some(2 * m * k), result: vec![m * k, k, 0], sum: 1 },
        b: Strides {
            sample: (!shared).then_some(2 * k * p),
            result: vec![if shared { 0 } else { k * p }, 0, 1],
            sum: p,
        },
    };
    let transposed = |columns: usize| Contract {
        result: vec![3, columns],
        sum: 4,
        a: Strides { sample: Some(12), result: vec![1, 0], sum: 3 },
        b: Strides { sample: Some(4 * columns), result: vec![0, 4], sum: 1 },
    };
    let matrices = [matrix(3, 7, 37, false), matrix(1, 1, 16, true), matrix(4, 5, 3, true)];
    for spec in matrices.into_iter().chain([4, 5, 8, 16].map(transposed)) {
        let kernel = KernelSpec::Contract(spec.clone());
        let batch = 2;
        let inputs = inputs(&kernel, batch);
        let per_sample: usize = spec.result.iter().product();
        let expected: Vec<f32> = (0..batch * per_sample)
            .map(|i| {
                let start = |strides: &Strides| {
                    let mut rest = i % per_sample;
                    let mut at = i / per_sample * strides.sample.unwrap_or(0);
                    for (size, stride) in spec.result.iter().zip(&strides.result).rev() {
                        at += rest % size * stride;
                        rest /= size;
                    }
                    at
                };
                let (a, b) = (start(&spec.a), start(&spec.b));
                let factors = |k: usize| (inputs[0][a + k * spec.a.sum], inputs[1][b + k * spec.b.sum]);
                let first = factors(0);
                (1..spec.sum).map(factors).fold(first.0 * first.1, |sum, (x, y)| x.mul_add(y, sum))
            })
            .collect();
        check(&kernel, batch, &inputs, &expected);
    }
}

#[test]
fn resamples_of_any_line_are_sums_of_their_taps_in_order() {
    let tap = |source, weight: f32| Tap { source, weight: weight.into() };
    let taps = vec![vec![tap(1, 0.75), tap(0, 0.5)], vec![tap(2, -1.25)], vec![tap(0, 0.1), tap(1, 0.2), tap(2, 0.7)]];
    for (outer, inner) in [(1, 1), (3, 7), (2, 16), (1, 35)] {
        let spec = KernelSpec::Resample(Resample { outer, len: 3, inner, taps: taps.clone() });
        let batch = 2;
        let inputs = inputs(&spec, batch);
        let at = |o: usize, source: usize, i: usize| inputs[0][(o * 3 + source) * inner + i];
        let mut expected = Vec::new();
        for (o, row) in (0..batch * outer).flat_map(|o| taps.iter().map(move |row| (o, row))) {
            expected.extend((0..inner).map(|i| {
                let first = row[0].weight.get() * at(o, row[0].source, i);
                row[1..].iter().fold(first, |sum, tap| at(o, tap.source, i).mul_add(tap.weight.get(), sum))
            }));
        }
        check(&spec, batch, &inputs, &expected);
    }
}

fn naive_copy(spec: &Copy, batch: usize, source: &[f32], result: &mut [f32]) {
    for n in 0..batch {
        if let Some(value) = spec.fill {
            result[n * spec.result_sample..(n + 1) * spec.result_sample].fill(value.get());
        }
        for part in &spec.boxes {
            let total: usize = part.loops.iter().map(|l| l.count).product();
            for mut i in 0..total {
                let mut from = (n * spec.source_sample + part.source) as isize;
                let mut to = (n * spec.result_sample + part.result) as isize;
                for this in part.loops.iter().rev() {
                    let index = (i % this.count) as isize;
                    i /= this.count;
                    from += index * this.source;
                    to += index * this.result;
                }
                result[to as usize] = source[from as usize];
            }
        }
    }
}

#[test]
fn copies_agree() {
    let step = |count, source, result| CopyLoop { count, source, result };
    let transposition = CopyBox { source: 0, result: 0, loops: vec![step(5, 1, 7), step(7, 5, 1)] };
    let rows = CopyBox { source: 2, result: 1, loops: vec![step(3, 11, 9), step(9, 1, 1)] };
    let reversed = CopyBox { source: 6, result: 3, loops: vec![step(7, -1, 1)] };
    let broadcast = CopyBox { source: 4, result: 0, loops: vec![step(4, 0, 6), step(6, 1, 1)] };
    let single = CopyBox { source: 0, result: 30, loops: vec![] };
    let cases = [
        Copy { source_sample: 35, result_sample: 35, fill: None, boxes: vec![transposition] },
        Copy { source_sample: 40, result_sample: 30, fill: Some(0.5.into()), boxes: vec![rows, reversed.clone()] },
        Copy { source_sample: 10, result_sample: 24, fill: None, boxes: vec![broadcast] },
        Copy { source_sample: 7, result_sample: 40, fill: Some(f32::NAN.into()), boxes: vec![reversed, single] },
        Copy { source_sample: 1, result_sample: 9, fill: Some((-1.0).into()), boxes: vec![] },
    ];
    for copy in cases {
        let spec = KernelSpec::Copy(copy.clone());
        let batch = 3;
        let inputs = inputs(&spec, batch);
        let mut expected = vec![f32::NAN; sizes(&spec, batch)[0]];
        naive_copy(&copy, batch, &inputs[0], &mut expected);
        check(&spec, batch, &inputs, &expected);
    }
}
