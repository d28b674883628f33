//! The kernels' specifications once more, as plain loops over the packed layouts, with the documented order of operations: results must
//! agree bit by bit.

use rnc_plan::chain;
use rnc_plan::kernel::{Activation, BLOCK, Conv, Gemm, Pool, PoolKind, Source, Strassen, Winograd, blocks};
use rnc_plan::weights::{Bundles, lane_group, weight_blocks};

pub fn activate(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Relu => {
            if 0.0 > x {
                0.0
            } else {
                x
            }
        }
        Activation::Clip { min, max } => {
            let x = if min.get() > x { min.get() } else { x };
            if max.get() < x { max.get() } else { x }
        }
    }
}

/// Index of a channel and pixel in a blocked sample.
fn blocked(channel: usize, pixels: usize, pixel: usize) -> usize {
    (channel / BLOCK * pixels + pixel) * BLOCK + channel % BLOCK
}

pub fn conv(spec: &Conv, batch: usize, inputs: &[Vec<f32>]) -> Vec<f32> {
    let [x, w, bias] = [&inputs[0], &inputs[1], &inputs[2]];
    let (parts, _) = weight_blocks(spec).expect("sound groups");
    let in_pixels = spec.input.height * spec.input.width;
    let out_pixels = spec.output.height * spec.output.width;
    let out_sample = blocks(spec.output.channels) * BLOCK * out_pixels;
    let in_sample = x.len() / batch;
    // Nothing is changed by a negative zero.
    let residual = |place: usize| if spec.residual { inputs[3][place] } else { -0.0 };
    let mut result = vec![0.0; batch * out_sample];
    for n in 0..batch {
        for channel in 0..blocks(spec.output.channels) * BLOCK {
            for pixel in 0..out_pixels {
                let place = n * out_sample + blocked(channel, out_pixels, pixel);
                let part = &parts[channel / BLOCK];
                let (mut total, mut sum) = (None, bias[channel]);
                let mut weight = part.offset + channel % BLOCK;
                let step = spec.source.channel_block();
                let chain = chain::plain(step, spec.window.taps());
                let own = |n: usize| channel / n * n..channel / n * n + n;
                let reads = lane_group(spec).map_or(part.channels.clone(), own);
                for (block, first) in reads.clone().step_by(step).enumerate() {
                    if block > 0 && block.is_multiple_of(chain) {
                        total = Some(total.map_or(sum + residual(place), |total| sum + total));
                        sum = 0.0;
                    }
                    let channels = first..(first + step).min(reads.end);
                    for tap in 0..spec.window.taps() {
                        let source = position(spec, pixel, tap);
                        for c in channels.clone() {
                            if let Some(source) = source {
                                let index = match spec.source {
                                    Source::Blocked => blocked(c, in_pixels, source),
                                    Source::Planar => c * in_pixels + source,
                                };
                                sum = x[n * in_sample + index].mul_add(w[weight], sum);
                            }
                            weight += BLOCK;
                        }
                    }
                }
                let total = total.map_or(sum + residual(place), |total: f32| sum + total);
                result[place] = activate(spec.activation, total);
            }
        }
    }
    result
}

/// The source's pixel under a tap, if it is not on padding.
fn position(spec: &Conv, pixel: usize, tap: usize) -> Option<usize> {
    let window = spec.window;
    let at = [pixel / spec.output.width, pixel % spec.output.width];
    let tap = [tap / window.kernel[1], tap % window.kernel[1]];
    let size = [spec.input.height, spec.input.width];
    let mut place = [0; 2];
    for axis in 0..2 {
        place[axis] =
            (at[axis] * window.stride[axis] + tap[axis] * window.dilation[axis]).checked_sub(window.pad[axis])?;
        if place[axis] >= size[axis] {
            return None;
        }
    }
    Some(place[0] * spec.input.width + place[1])
}

/// One product of a fast algorithm.
fn product(channels: impl Iterator<Item = (f32, f32)>) -> f32 {
    let mut product = chain::Product::default();
    channels.for_each(|(x, weight)| product.multiply_add(x, weight));
    product.sum()
}

/// Index of a weight in `[pair of blocks][product][block of the pair][channels][16]`; the last of an odd number of blocks is alone.
fn paired(blocks: usize, [products, channels]: [usize; 2], output: usize, [product, channel]: [usize; 2]) -> usize {
    let (pair, block) = (output / BLOCK / 2, output / BLOCK % 2);
    let in_pair = if blocks % 2 == 1 && pair == blocks / 2 { 1 } else { 2 };
    let vector = pair * 2 * products * channels + (product * in_pair + block) * channels + channel;
    vector * BLOCK + output % BLOCK
}

pub fn winograd(spec: &Winograd, batch: usize, inputs: &[Vec<f32>]) -> Vec<f32> {
    let Winograd { conv, tile: m } = spec;
    let filtering = spec.filtering().expect("a tile and a stride that there are");
    let (m, size, points, extent) = (*m, filtering.positions(), filtering.points(), conv.output);
    let in_pixels = conv.input.height * conv.input.width;
    let out_pixels = extent.height * extent.width;
    let (in_sample, out_sample) = (inputs[0].len() / batch, blocks(extent.channels) * BLOCK * out_pixels);
    let stride = filtering.stride();
    let bundles = Bundles::of(conv).expect("groups that fill blocks");
    let outputs = blocks(bundles.outputs);
    let mut result = vec![0.0; batch * out_sample];
    for n in 0..batch {
        for tile in 0..extent.height.div_ceil(m) * extent.width.div_ceil(m) {
            let at = [tile / extent.width.div_ceil(m) * m, tile % extent.width.div_ceil(m) * m];
            let pixel = |c: usize, y: usize, x: usize| {
                let (y, x) = (
                    (at[0] * stride + y).wrapping_sub(conv.window.pad[0]),
                    (at[1] * stride + x).wrapping_sub(conv.window.pad[1]),
                );
                let inside = y < conv.input.height && x < conv.input.width;
                if inside { inputs[0][n * in_sample + blocked(c, in_pixels, y * conv.input.width + x)] } else { 0.0 }
            };
            let data: Vec<Vec<f32>> = (0..conv.input.channels)
                .map(|c| {
                    let patch: Vec<f32> = (0..size * size).map(|i| pixel(c, i / size, i % size)).collect();
                    filtering.positions_of(&patch)
                })
                .collect();
            for o in 0..blocks(extent.channels) * BLOCK {
                // Lanes behind the last channel belong to the last bundle.
                let first = o.min(extent.channels - 1) / bundles.outputs * bundles.inputs;
                let weight = |p: usize, c: usize| {
                    let point = filtering.point(p / size) * points + filtering.point(p % size);
                    let (bundle, o) = (o / (outputs * BLOCK), o % (outputs * BLOCK));
                    let before = bundle * outputs * points * points * bundles.inputs * BLOCK;
                    inputs[1][before + paired(outputs, [points * points, bundles.inputs], o, [point, c])]
                };
                let products: Vec<f32> = (0..size * size)
                    .map(|p| product((0..bundles.inputs).map(|c| (data[first + c][p], weight(p, c)))))
                    .collect();
                let results = filtering.results_of(&products);
                for (i, value) in results.into_iter().enumerate() {
                    let (y, x) = (at[0] + i / m, at[1] + i % m);
                    if y < extent.height && x < extent.width {
                        let place = n * out_sample + blocked(o, out_pixels, y * extent.width + x);
                        let mut sum = value + inputs[2][o];
                        if conv.residual {
                            sum += inputs[3][place];
                        }
                        result[place] = activate(conv.activation, sum);
                    }
                }
            }
        }
    }
    result
}

pub fn pointwise_by_strassen(spec: &Strassen, batch: usize, inputs: &[Vec<f32>]) -> Vec<f32> {
    let Strassen { conv: Conv { input, output, window, .. }, levels } = spec;
    let (parts, count) = (levels.parts(), levels.products());
    let (in_pixels, out_pixels) = (input.height * input.width, output.height * output.width);
    let (in_sample, out_sample) = (input.channels * in_pixels, output.channels * out_pixels);
    let part = [input.channels / parts, output.channels / parts];
    let mut result = vec![0.0; batch * out_sample];
    for n in 0..batch {
        let element = |c: usize, pixel: usize| {
            let (y, x) = (pixel / output.width * window.stride[0], pixel % output.width * window.stride[1]);
            if pixel < out_pixels { inputs[0][n * in_sample + blocked(c, in_pixels, y * input.width + x)] } else { 0.0 }
        };
        for first in (0..out_pixels).step_by(parts) {
            let sums_of = |c: usize| {
                let elements = (0..parts * parts).map(|i| element(i % parts * part[0] + c, first + i / parts));
                let mut sums = vec![0.0; count];
                levels.data(&elements.collect::<Vec<_>>(), &mut sums);
                sums
            };
            let sums: Vec<_> = (0..part[0]).map(sums_of).collect();
            for o in 0..part[1] {
                let weight = |k: usize, c: usize| paired(part[1] / BLOCK, [count, part[0]], o, [k, c]);
                let products: Vec<f32> =
                    (0..count).map(|k| product((0..part[0]).map(|c| (sums[c][k], inputs[1][weight(k, c)])))).collect();
                let mut values = vec![0.0; parts * parts];
                levels.results(&products, &mut values);
                for (k, value) in values.into_iter().enumerate() {
                    let (channel, pixel) = (k % parts * part[1] + o, first + k / parts);
                    if pixel < out_pixels {
                        let place = n * out_sample + blocked(channel, out_pixels, pixel);
                        let mut sum = value + inputs[2][channel];
                        if spec.conv.residual {
                            sum += inputs[3][place];
                        }
                        result[place] = activate(spec.conv.activation, sum);
                    }
                }
            }
        }
    }
    result
}

pub fn gemm(spec: &Gemm, batch: usize, inputs: &[Vec<f32>]) -> Vec<f32> {
    let (x_sample, out_sample) = (blocks(spec.features) * BLOCK, blocks(spec.out) * BLOCK);
    let mut result = vec![0.0; batch * out_sample];
    for n in 0..batch {
        for o in 0..out_sample {
            let (mut sum, chain) = (0.0, chain::plain(BLOCK, 1) * BLOCK);
            for first in (0..spec.features).step_by(chain) {
                let start = if first == 0 { inputs[2][o] } else { 0.0 };
                sum += (first..spec.features.min(first + chain)).fold(start, |sum, k| {
                    let weight = inputs[1][(o / BLOCK * spec.features + k) * BLOCK + o % BLOCK];
                    inputs[0][n * x_sample + k].mul_add(weight, sum)
                });
            }
            result[n * out_sample + o] = activate(spec.activation, sum);
        }
    }
    result
}

pub fn pool(spec: &Pool, batch: usize, x: &[f32]) -> Vec<f32> {
    let (in_pixels, out_pixels) = (spec.input.height * spec.input.width, spec.output[0] * spec.output[1]);
    let channels = blocks(spec.input.channels) * BLOCK;
    let mut result = vec![0.0; batch * channels * out_pixels];
    for plane in 0..batch * channels {
        for pixel in 0..out_pixels {
            let mut sum = if spec.kind == PoolKind::Max { f32::NEG_INFINITY } else { 0.0 };
            let (mut inside, mut counted) = (0, 0);
            for ky in 0..spec.window.kernel[0] {
                for kx in 0..spec.window.kernel[1] {
                    let y = (pixel / spec.output[1] * spec.window.stride[0] + ky * spec.window.dilation[0]) as isize
                        - spec.window.pad[0] as isize;
                    let x_at = (pixel % spec.output[1] * spec.window.stride[1] + kx * spec.window.dilation[1]) as isize
                        - spec.window.pad[1] as isize;
                    let (h, w) = (spec.input.height as isize, spec.input.width as isize);
                    if let PoolKind::AverageWithPadding { pad_end } = spec.kind {
                        let [below, right] = pad_end.map(|pad| pad as isize);
                        counted += usize::from(y < h + below && x_at < w + right);
                    }
                    if y < 0 || x_at < 0 || y >= h || x_at >= w {
                        continue;
                    }
                    inside += 1;
                    let n = plane / channels;
                    let index = blocked(plane % channels, in_pixels, (y * w + x_at) as usize);
                    let value = x[n * channels * in_pixels + index];
                    sum = match spec.kind {
                        PoolKind::Max => {
                            if sum.is_nan() || sum > value {
                                sum
                            } else {
                                value
                            }
                        }
                        PoolKind::Average | PoolKind::AverageWithPadding { .. } => sum + value,
                    };
                }
            }
            let value = match spec.kind {
                PoolKind::Max => sum,
                PoolKind::Average => sum * (1.0 / inside as f32),
                PoolKind::AverageWithPadding { .. } => sum * (1.0 / counted as f32),
            };
            let n = plane / channels;
            result[n * channels * out_pixels + blocked(plane % channels, out_pixels, pixel)] = value;
        }
    }
    result
}
