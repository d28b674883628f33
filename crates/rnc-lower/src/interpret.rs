//! A slow and safe executor of plans, for tests: it shows that a plan computes what its graph says, without generated code.
//!
//! What a kernel leaves unspecified (the lanes past the last channel, memory that nothing has written) holds NaN here, so a result that
//! depended on it would show.

use rnc_plan::kernel::{
    Access, Activation, BLOCK, Binary, Contract, Conv, Copy, Elementwise, Extent, Gemm, Instruction, KernelSpec, Pool,
    PoolKind, Resample, Softmax, Source, Space, Strassen, Strides, Tap, Unary, Window, Winograd, blocks,
};
use rnc_plan::weights::{Bundles, ProductWeights, lane_group, weight_blocks};
use rnc_plan::{Operand, Plan, footprint};

/// The outputs of a plan on `batch` samples of its inputs.
pub(crate) fn run(plan: &Plan, inputs: &[Vec<f32>], batch: usize) -> Vec<Vec<f32>> {
    let constants: Vec<f32> = plan.data.bytes().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let mut arena = vec![f32::NAN; plan.arena_bytes / 4 * batch];
    let mut outputs: Vec<Vec<f32>> =
        plan.outputs.iter().map(|port| vec![f32::NAN; batch * port.sample_len().expect("fits")]).collect();
    for step in &plan.steps {
        let footprints = footprint::operands(&step.kernel).expect("a verified plan");
        for sample in 0..batch {
            let range = |i: usize| {
                let start = sample * footprints[i].sample_stride;
                start..start + footprints[i].elements_per_sample
            };
            let buffer = |b: usize| plan.buffers[b].offset / 4 * batch;
            let read = |i: usize| match step.operands[i] {
                Operand::Buffer(b) => arena[buffer(b)..][range(i)].to_vec(),
                Operand::Constant(c) => constants[plan.constants[c].offset / 4..][range(i)].to_vec(),
                Operand::Input(port) => inputs[port][range(i)].to_vec(),
                Operand::Output(port) => outputs[port][range(i)].to_vec(),
            };
            let mut result = read(0);
            let operands: Vec<Vec<f32>> = (1..step.operands.len()).map(read).collect();
            kernel(&step.kernel, &operands, &mut result);
            match step.operands[0] {
                Operand::Buffer(b) => arena[buffer(b)..][range(0)].copy_from_slice(&result),
                Operand::Output(port) => outputs[port][range(0)].copy_from_slice(&result),
                Operand::Constant(_) | Operand::Input(_) => panic!("{} writes a constant or an input", step.name),
            }
        }
    }
    outputs
}

fn kernel(spec: &KernelSpec, operands: &[Vec<f32>], result: &mut [f32]) {
    match spec {
        KernelSpec::Conv(spec) => conv(spec, operands, result),
        KernelSpec::Winograd(spec) => winograd(spec, operands, result),
        KernelSpec::Strassen(spec) => pointwise_by_strassen(spec, operands, result),
        KernelSpec::Gemm(spec) => gemm(spec, operands, result),
        KernelSpec::Pool(spec) => pool(spec, &operands[0], result),
        KernelSpec::Elementwise(spec) => elementwise(spec, operands, result),
        KernelSpec::Softmax(spec) => softmax(spec, &operands[0], result),
        KernelSpec::Resample(spec) => resample(spec, &operands[0], result),
        KernelSpec::Contract(spec) => contract(spec, [&operands[0], &operands[1]], result),
        KernelSpec::Copy(spec) => copy(spec, &operands[0], result),
    }
}

/// Offset in the blocked layout.
fn blocked(extent: Extent, c: usize, y: usize, x: usize) -> usize {
    ((c / BLOCK * extent.height + y) * extent.width + x) * BLOCK + c % BLOCK
}

/// Where tap `t` of window `o` of axis `a` lies in a source of `size`.
fn tap(window: &Window, a: usize, o: usize, t: usize, size: usize) -> Option<usize> {
    let at = (o * window.stride[a] + t * window.dilation[a]).checked_sub(window.pad[a])?;
    (at < size).then_some(at)
}

fn activate(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Clip { min, max } => x.max(min.get()).min(max.get()),
    }
}

/// By the definition, in f64: `Y = Aᵀ [U ⊙ (Bᵀ d B)] A` for each tile.
fn winograd(spec: &Winograd, operands: &[Vec<f32>], result: &mut [f32]) {
    let Winograd { conv: Conv { input, output, window, .. }, tile: m } = spec;
    let filtering = spec.filtering().expect("fits");
    let bundles = Bundles::of(&spec.conv).expect("fits");
    let weights = ProductWeights::winograd(spec).expect("fits");
    let (data, outcome) = (filtering.data_transform(), filtering.result_transform());
    let (size, points, stride) = (filtering.positions(), filtering.points(), filtering.stride());
    let transform = |by: &[Vec<f64>], matrix: &[f64]| -> Vec<f64> {
        let element = |i: usize, j: usize| -> f64 {
            (0..size * size).map(|k| by[i][k / size] * matrix[k] * by[j][k % size]).sum()
        };
        (0..by.len() * by.len()).map(|k| element(k / by.len(), k % by.len())).collect()
    };
    result.fill(f32::NAN);
    let tiles = (0..output.height).step_by(*m).flat_map(|y| (0..output.width).step_by(*m).map(move |x| [y, x]));
    for at in tiles {
        let pixel = |c: usize, k: usize| {
            let inside = |axis: usize, offset: usize, size: usize| {
                (at[axis] * stride + offset).checked_sub(window.pad[axis]).filter(|place| *place < size)
            };
            let place = inside(0, k / size, input.height).zip(inside(1, k % size, input.width));
            place.map_or(0.0, |(y, x)| f64::from(operands[0][blocked(*input, c, y, x)]))
        };
        let patches: Vec<Vec<f64>> = (0..input.channels)
            .map(|c| transform(&data, &(0..size * size).map(|k| pixel(c, k)).collect::<Vec<_>>()))
            .collect();
        for o in 0..output.channels {
            let first = o / bundles.outputs * bundles.inputs;
            let weight = |position: usize, c: usize| {
                let point = filtering.point(position / size) * points + filtering.point(position % size);
                f64::from(operands[1][weights.index(o, [point, c])])
            };
            let products: Vec<f64> = (0..size * size)
                .map(|position| (0..bundles.inputs).map(|c| patches[first + c][position] * weight(position, c)).sum())
                .collect();
            for (k, value) in transform(&outcome, &products).into_iter().enumerate() {
                let (y, x) = (at[0] + k / m, at[1] + k % m);
                if y < output.height && x < output.width {
                    let to = blocked(*output, o, y, x);
                    let residual = if spec.conv.residual { operands[3][to] } else { 0.0 };
                    result[to] = activate(spec.conv.activation, value as f32 + operands[2][o] + residual);
                }
            }
        }
    }
}

/// By the definition, group by group of pixels.
fn pointwise_by_strassen(spec: &Strassen, operands: &[Vec<f32>], result: &mut [f32]) {
    let Strassen { conv: Conv { input, output, window, residual, activation, .. }, levels } = spec;
    let (parts, count) = (levels.parts(), levels.products());
    let part = [input.channels / parts, output.channels / parts];
    let weights = ProductWeights::strassen(spec);
    let pixels = output.height * output.width;
    let element = |c: usize, pixel: usize| {
        let (y, x) = (pixel / output.width * window.stride[0], pixel % output.width * window.stride[1]);
        if pixel < pixels { operands[0][blocked(*input, c, y, x)] } else { 0.0 }
    };
    let mut sums = vec![0.0f32; count];
    let mut values = vec![0.0f32; parts * parts];
    for (o, first) in (0..part[1]).flat_map(|o| (0..pixels).step_by(parts).map(move |first| (o, first))) {
        let mut products = vec![0.0f32; count];
        for c in 0..part[0] {
            let elements: Vec<f32> =
                (0..parts * parts).map(|i| element(i % parts * part[0] + c, first + i / parts)).collect();
            levels.data(&elements, &mut sums);
            for (k, product) in products.iter_mut().enumerate() {
                *product = operands[1][weights.index(o, [k, c])].mul_add(sums[k], *product);
            }
        }
        levels.results(&products, &mut values);
        for (k, value) in values.iter().enumerate() {
            let (channel, pixel) = (k % parts * part[1] + o, first + k / parts);
            if pixel < pixels {
                let to = blocked(*output, channel, pixel / output.width, pixel % output.width);
                let residual = if *residual { operands[3][to] } else { 0.0 };
                result[to] = activate(*activation, value + operands[2][channel] + residual);
            }
        }
    }
}

fn conv(spec: &Conv, operands: &[Vec<f32>], result: &mut [f32]) {
    let Conv { input, output, window, .. } = spec;
    let (weight_blocks, _) = weight_blocks(spec).expect("fits");
    let step = spec.source.channel_block();
    let source = |c: usize, y: usize, x: usize| match spec.source {
        Source::Blocked => operands[0][blocked(*input, c, y, x)],
        Source::Planar => operands[0][(c * input.height + y) * input.width + x],
    };
    for o in 0..blocks(output.channels) * BLOCK {
        for (y, x) in (0..output.height).flat_map(|y| (0..output.width).map(move |x| (y, x))) {
            let at = blocked(*output, o, y, x);
            if o >= output.channels {
                result[at] = f32::NAN;
                continue;
            }
            let block = &weight_blocks[o / BLOCK];
            let mut weight = block.offset + o % BLOCK;
            let mut sum = operands[2][o];
            let reads = lane_group(spec).map_or(block.channels.clone(), |n| o / n * n..o / n * n + n);
            for first in reads.clone().step_by(step) {
                for (ky, kx) in (0..window.kernel[0]).flat_map(|ky| (0..window.kernel[1]).map(move |kx| (ky, kx))) {
                    let place = tap(window, 0, y, ky, input.height).zip(tap(window, 1, x, kx, input.width));
                    for c in first..(first + step).min(reads.end) {
                        if let Some((sy, sx)) = place {
                            sum = operands[1][weight].mul_add(source(c, sy, sx), sum);
                        }
                        weight += BLOCK;
                    }
                }
            }
            if spec.residual {
                sum += operands[3][at];
            }
            result[at] = activate(spec.activation, sum);
        }
    }
}

fn gemm(spec: &Gemm, operands: &[Vec<f32>], result: &mut [f32]) {
    result.fill(f32::NAN);
    for (o, result) in result.iter_mut().enumerate().take(spec.out) {
        let weights = &operands[1][o / BLOCK * spec.features * BLOCK..];
        let product = |sum: f32, f: usize| weights[f * BLOCK + o % BLOCK].mul_add(operands[0][f], sum);
        *result = activate(spec.activation, (0..spec.features).fold(operands[2][o], product));
    }
}

fn pool(spec: &Pool, source: &[f32], result: &mut [f32]) {
    let Pool { kind, input, output: [height, width], window } = spec;
    let output = Extent { channels: input.channels, height: *height, width: *width };
    result.fill(f32::NAN);
    for (c, y, x) in
        (0..input.channels).flat_map(|c| (0..*height).flat_map(move |y| (0..*width).map(move |x| (c, y, x))))
    {
        let taps = (0..window.kernel[0]).flat_map(|ky| (0..window.kernel[1]).map(move |kx| (ky, kx)));
        let inside = taps.clone().filter_map(|(ky, kx)| {
            let (sy, sx) = tap(window, 0, y, ky, input.height).zip(tap(window, 1, x, kx, input.width))?;
            Some(source[blocked(*input, c, sy, sx)])
        });
        let count = inside.clone().count() as f32;
        result[blocked(output, c, y, x)] = match kind {
            PoolKind::Max => inside.fold(f32::NEG_INFINITY, f32::max),
            PoolKind::Average => inside.sum::<f32>() / count,
            PoolKind::AverageWithPadding { pad_end } => {
                let within = |a: usize, o: usize, t: usize, size: usize| {
                    o * window.stride[a] + t * window.dilation[a] < window.pad[a] + size + pad_end[a]
                };
                let padded = taps.filter(|(ky, kx)| within(0, y, *ky, input.height) && within(1, x, *kx, input.width));
                inside.sum::<f32>() / padded.count() as f32
            }
        };
    }
}

fn elementwise(spec: &Elementwise, operands: &[Vec<f32>], result: &mut [f32]) {
    for (i, result) in result.iter_mut().enumerate() {
        let channel = match spec.space {
            Space::Blocked { pixels, .. } => i / (pixels * BLOCK) * BLOCK + i % BLOCK,
            Space::Flat { .. } => 0,
        };
        let mut values: Vec<f32> = Vec::new();
        for instruction in &spec.program {
            let value = match *instruction {
                Instruction::Operand(o) => match spec.operands[o] {
                    Access::Full => operands[o][i],
                    Access::PerChannel | Access::PerChannelShared => operands[o][channel],
                },
                Instruction::Constant(value) => value.get(),
                Instruction::Unary(function, a) => unary(function, values[a]),
                Instruction::Select(condition, a, b) => {
                    if values[condition] == 0.0 {
                        values[b]
                    } else {
                        values[a]
                    }
                }
                Instruction::Binary(function, a, b) => binary(function, values[a], values[b]),
            };
            values.push(value);
        }
        *result = *values.last().expect("a program has instructions");
    }
}

fn unary(function: Unary, x: f32) -> f32 {
    match function {
        Unary::Relu => x.max(0.0),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Tanh => x.tanh(),
        Unary::Exp => x.exp(),
        Unary::Sqrt => x.sqrt(),
        Unary::Abs => x.abs(),
        Unary::Neg => -x,
        Unary::Reciprocal => 1.0 / x,
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Sign => f32::from(i8::from(x > 0.0) - i8::from(x < 0.0)),
        Unary::Log => x.ln(),
        Unary::Erf => libm::erff(x),
    }
}

#[allow(clippy::float_cmp, reason = "that is what Equal says")]
fn binary(function: Binary, a: f32, b: f32) -> f32 {
    match function {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Pow => a.powf(b),
        Binary::Equal => f32::from(u8::from(a == b)),
        Binary::Greater => f32::from(u8::from(a > b)),
        Binary::GreaterOrEqual => f32::from(u8::from(a >= b)),
    }
}

fn contract(spec: &Contract, [a, b]: [&[f32]; 2], result: &mut [f32]) {
    let mut index = vec![0; spec.result.len()];
    for element in result.iter_mut() {
        let at = |strides: &Strides| index.iter().zip(&strides.result).map(|(i, stride)| i * stride).sum::<usize>();
        let (from_a, from_b) = (at(&spec.a), at(&spec.b));
        *element = (0..spec.sum).map(|k| a[from_a + k * spec.a.sum] * b[from_b + k * spec.b.sum]).sum();
        for (i, size) in index.iter_mut().zip(&spec.result).rev() {
            *i += 1;
            if *i < *size {
                break;
            }
            *i = 0;
        }
    }
}

fn resample(spec: &Resample, source: &[f32], result: &mut [f32]) {
    let Resample { outer, len, inner, ref taps } = *spec;
    for ((o, j), i) in
        (0..outer).flat_map(|o| (0..taps.len()).map(move |j| (o, j))).flat_map(|at| (0..inner).map(move |i| (at, i)))
    {
        let product = |tap: &Tap| tap.weight.get() * source[(o * len + tap.source) * inner + i];
        result[(o * taps.len() + j) * inner + i] = taps[j].iter().map(product).sum();
    }
}

fn softmax(spec: &Softmax, source: &[f32], result: &mut [f32]) {
    for (outer, inner) in (0..spec.outer).flat_map(|o| (0..spec.inner).map(move |i| (o, i))) {
        let at = |l: usize| (outer * spec.len + l) * spec.inner + inner;
        let max = (0..spec.len).fold(f32::NEG_INFINITY, |max, l| max.max(source[at(l)]));
        let sum: f32 = (0..spec.len).map(|l| (source[at(l)] - max).exp()).sum();
        (0..spec.len).for_each(|l| result[at(l)] = (source[at(l)] - max).exp() / sum);
    }
}

fn copy(spec: &Copy, source: &[f32], result: &mut [f32]) {
    if let Some(value) = spec.fill {
        result.fill(value.get());
    }
    for each in &spec.boxes {
        for flat in 0..each.loops.iter().map(|l| l.count).product() {
            let (mut from, mut to, mut rest): (isize, isize, usize) =
                (each.source as isize, each.result as isize, flat);
            for l in each.loops.iter().rev() {
                let i = (rest % l.count) as isize;
                rest /= l.count;
                from += i * l.source;
                to += i * l.result;
            }
            result[to as usize] = source[from as usize];
        }
    }
}
