//! Packs constants: each once, in the order in which its kernel reads it, straight into the plan's data.
//!
//! A packing is one request; equal requests share one constant. Nothing is packed before [`Packer::finish`], which knows the size
//! of everything.

mod fast;

use std::collections::HashMap;
use std::ops::Range;

use rnc_ir::NodeId;
use rnc_plan::kernel::{BLOCK, Conv, Source, Strassen, Winograd, blocks};
use rnc_plan::strassen::Levels;
use rnc_plan::weights::{ProductWeights, WeightBlock, weight_blocks};
use rnc_plan::winograd::Filtering;
use rnc_plan::{ALIGN, Constant, ConstantData};

use crate::error::LowerError;
use fast::{Filters, pack_strassen, pack_winograd};

/// Bytes of a vector of one block's lanes.
const VECTOR: usize = BLOCK * size_of::<f32>();

/// Collects constants.
#[derive(Default)]
pub(crate) struct Packer<'g> {
    requests: Vec<Request<'g>>,
    known: HashMap<Key, usize>,
}

/// Weights of a [`rnc_plan::kernel::Gemm`]: a constant matrix times a factor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GemmWeights {
    /// Length of the source vector.
    pub features: usize,
    /// Length of the result vector.
    pub out: usize,
    /// Whether the matrix is stored `[out][features]`, else `[features][out]`.
    pub transposed: bool,
    /// Multiplied with every element.
    pub factor: f32,
}

enum Request<'g> {
    Conv { name: String, data: &'g [f32], blocks: Vec<WeightBlock>, elements: usize, shape: ConvShape },
    Winograd { name: String, filters: Filters<'g>, filtering: Filtering, weights: ProductWeights },
    Strassen { name: String, data: &'g [f32], channels: [usize; 2], levels: Levels, weights: ProductWeights },
    Gemm { name: String, data: &'g [f32], weights: GemmWeights },
    Vector { name: String, data: Vec<f32> },
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Conv(NodeId, ConvShape),
    Winograd(NodeId, Filtering),
    Strassen(NodeId, Levels),
    Gemm { node: NodeId, transposed: bool, factor: u32 },
    Vector(Vec<u32>),
}

/// What the packing of a convolution's weights depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ConvShape {
    groups: usize,
    inputs: usize,
    outputs: usize,
    taps: usize,
    source: Source,
}

impl<'g> Packer<'g> {
    /// The weights of a convolution, from the OIHW constant `node`. `None` if the packed size overflows.
    pub(crate) fn conv(&mut self, node: NodeId, name: &str, data: &'g [f32], conv: &Conv) -> Option<usize> {
        let (blocks, elements) = weight_blocks(conv)?;
        let shape = ConvShape {
            groups: conv.groups,
            inputs: conv.input.channels,
            outputs: conv.output.channels,
            taps: conv.window.taps(),
            source: conv.source,
        };
        elements.checked_mul(size_of::<f32>())?;
        let name = name.to_owned();
        Some(self.insert(Key::Conv(node, shape), || Request::Conv { name, data, blocks, elements, shape }))
    }

    /// The transformed weights of a convolution, from the OIHW constant `node`. `None` if the packed size overflows.
    pub(crate) fn winograd(&mut self, node: NodeId, name: &str, data: &'g [f32], winograd: &Winograd) -> Option<usize> {
        let (filters, filtering) = (Filters::of(&winograd.conv, data)?, winograd.filtering()?);
        let weights = ProductWeights::winograd(winograd)?;
        product_bytes(weights)?;
        let name = name.to_owned();
        Some(self.insert(Key::Winograd(node, filtering), || Request::Winograd { name, filters, filtering, weights }))
    }

    /// The summed weights of a pointwise convolution whose channels are cut into parts of full blocks, from the OIHW constant `node`. `None` if the
    /// packed size overflows.
    pub(crate) fn strassen(&mut self, node: NodeId, name: &str, data: &'g [f32], strassen: &Strassen) -> Option<usize> {
        let Strassen { conv: Conv { input, output, .. }, levels } = *strassen;
        let weights = ProductWeights::strassen(strassen);
        product_bytes(weights)?;
        let (name, channels) = (name.to_owned(), [input.channels, output.channels]);
        Some(self.insert(Key::Strassen(node, levels), || Request::Strassen { name, data, channels, levels, weights }))
    }

    /// The weights of a GEMM, from the constant matrix `node`. `None` if the packed size overflows.
    pub(crate) fn gemm(&mut self, node: NodeId, name: &str, data: &'g [f32], weights: GemmWeights) -> Option<usize> {
        weights.features.checked_mul(blocks(weights.out) * VECTOR)?;
        let key = Key::Gemm { node, transposed: weights.transposed, factor: weights.factor.to_bits() };
        Some(self.insert(key, || Request::Gemm { name: name.to_owned(), data, weights }))
    }

    /// Elements in the order in which they are read.
    pub(crate) fn vector(&mut self, name: &str, data: Vec<f32>) -> usize {
        let key = Key::Vector(data.iter().map(|x| x.to_bits()).collect());
        self.insert(key, || Request::Vector { name: name.to_owned(), data })
    }

    fn insert(&mut self, key: Key, request: impl FnOnce() -> Request<'g>) -> usize {
        let requests = &mut self.requests;
        *self.known.entry(key).or_insert_with(|| {
            requests.push(request());
            requests.len() - 1
        })
    }

    /// Packs everything.
    ///
    /// # Errors
    /// If the constants do not fit into the address space or the memory.
    pub(crate) fn finish(self, graph: &str) -> Result<(Vec<Constant>, ConstantData), LowerError> {
        let mut constants = Vec::with_capacity(self.requests.len());
        let mut end = Some(0usize);
        for request in &self.requests {
            let too_large = || LowerError::TooLarge { what: "packed constants", graph: graph.to_owned() };
            let offset = end.and_then(|end| end.checked_next_multiple_of(ALIGN)).ok_or_else(too_large)?;
            let bytes = request.bytes();
            constants.push(Constant { name: request.name().to_owned(), offset, bytes });
            end = offset.checked_add(bytes);
        }
        let bytes = end.filter(|end| isize::try_from(*end).is_ok());
        let bytes = bytes.ok_or_else(|| LowerError::TooLarge { what: "packed constants", graph: graph.to_owned() })?;
        let fill = |data: &mut [u8]| {
            for (request, constant) in self.requests.iter().zip(&constants) {
                request.pack(&mut data[constant.offset..constant.offset + constant.bytes]);
            }
        };
        let data = ConstantData::build(bytes, fill).map_err(|source| LowerError::Constants { bytes, source })?;
        Ok((constants, data))
    }
}

impl Request<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Conv { name, .. }
            | Self::Winograd { name, .. }
            | Self::Strassen { name, .. }
            | Self::Gemm { name, .. }
            | Self::Vector { name, .. } => name,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Conv { elements, .. } => elements * size_of::<f32>(),
            Self::Winograd { weights, .. } | Self::Strassen { weights, .. } => {
                product_bytes(*weights).expect("the packer checked the size")
            }
            Self::Gemm { weights, .. } => blocks(weights.out) * weights.features * VECTOR,
            Self::Vector { data, .. } => size_of_val(data.as_slice()),
        }
    }

    fn pack(&self, out: &mut [u8]) {
        match self {
            Self::Conv { data, blocks, shape, .. } => {
                for (index, block) in blocks.iter().enumerate() {
                    let start = block.offset * size_of::<f32>();
                    let out = &mut out[start..start + block.depth * shape.taps * VECTOR];
                    if block.depth < block.channels.len() {
                        pack_grouped_block(data, shape.taps, (index, block), out);
                    } else {
                        pack_conv_block(data, *shape, (index, block), out);
                    }
                }
            }
            Self::Winograd { filters, filtering, weights, .. } => pack_winograd(filters, (*filtering, *weights), out),
            Self::Strassen { data, channels, levels, weights, .. } => {
                pack_strassen(data, *channels, (*levels, *weights), out);
            }
            Self::Gemm { data, weights, .. } => pack_gemm(data, *weights, out),
            Self::Vector { data, .. } => write(data, out),
        }
    }
}

/// Bytes of the weights of products. `None` on overflow.
fn product_bytes(weights: ProductWeights) -> Option<usize> {
    weights.elements()?.checked_mul(size_of::<f32>())
}

/// Packs the weights of one block of output channels: transposes, for each block of input channels, 16 rows of `channels × taps`
/// elements to `taps × channels` vectors.
fn pack_conv_block(data: &[f32], shape: ConvShape, (index, block): (usize, &WeightBlock), mut out: &mut [u8]) {
    let taps = shape.taps;
    let step = shape.source.channel_block();
    // Rows of one input block; lanes past the last channel, and weights for other groups, stay zero.
    let mut scratch = vec![0.0f32; BLOCK * step * taps];
    for first in block.channels.clone().step_by(step) {
        let channels = first..(first + step).min(block.channels.end);
        let len = channels.len() * taps;
        let mut rows: [&[f32]; BLOCK] = [&[]; BLOCK];
        if shape.groups > 1 {
            scratch.fill(0.0);
        }
        for ((lane, row), scratch) in rows.iter_mut().enumerate().zip(scratch.chunks_exact_mut(step * taps)) {
            let (weights, at) = lane_weights(data, shape, index * BLOCK + lane, &channels);
            *row = if weights.len() == len {
                weights
            } else {
                scratch[at..at + weights.len()].copy_from_slice(weights);
                &scratch[..len]
            };
        }
        let (now, later) = out.split_at_mut(len * VECTOR);
        interleave(rows, taps, now);
        out = later;
    }
}

/// Packs the weights of one block whose lanes read nothing but their own group: a lane's row is what the model has for it.
fn pack_grouped_block(data: &[f32], taps: usize, (index, block): (usize, &WeightBlock), out: &mut [u8]) {
    let len = block.depth * taps;
    let zeros = vec![0.0; len];
    let row = |lane| (index * BLOCK + lane) * len..(index * BLOCK + lane + 1) * len;
    let rows = std::array::from_fn(|lane| data.get(row(lane)).unwrap_or(&zeros));
    interleave(rows, taps, out);
}

/// The weights that an output channel has for some of the input channels, and how many taps of other groups' channels stand before.
fn lane_weights<'d>(data: &'d [f32], shape: ConvShape, output: usize, channels: &Range<usize>) -> (&'d [f32], usize) {
    let ConvShape { groups, inputs, outputs, taps, .. } = shape;
    let (group_inputs, group_outputs) = (inputs / groups, outputs / groups);
    let group_first = output / group_outputs * group_inputs;
    let (begin, end) = (channels.start.max(group_first), channels.end.min(group_first + group_inputs));
    if output >= outputs || begin >= end {
        return (&[], 0);
    }
    let start = (output * group_inputs + begin - group_first) * taps;
    (&data[start..start + (end - begin) * taps], (begin - channels.start) * taps)
}

/// Writes element `channel * taps + tap` of each row as one vector, for all taps and then for all channels of a tap.
fn interleave(rows: [&[f32]; BLOCK], taps: usize, out: &mut [u8]) {
    let len = out.len() / VECTOR;
    let rows = rows.map(|row| &row[..len]);
    let channels = len / taps;
    for (tap, vectors) in out.chunks_exact_mut(channels * VECTOR).enumerate() {
        for (channel, vector) in vectors.chunks_exact_mut(VECTOR).enumerate() {
            let at = channel * taps + tap;
            write(&rows.map(|row| row[at]), vector);
        }
    }
}

fn pack_gemm(data: &[f32], weights: GemmWeights, out: &mut [u8]) {
    let GemmWeights { features, out: outputs, transposed, factor } = weights;
    let zeros = vec![0.0f32; if transposed && !outputs.is_multiple_of(BLOCK) { features } else { 0 }];
    for (block, out) in out.chunks_exact_mut(features * VECTOR).enumerate() {
        let lanes = block * BLOCK..(block * BLOCK + BLOCK).min(outputs);
        if transposed {
            let row = |lane| match block * BLOCK + lane {
                output if output < outputs => &data[output * features..(output + 1) * features],
                _ => zeros.as_slice(),
            };
            let rows: [&[f32]; BLOCK] = std::array::from_fn(row);
            for (feature, vector) in out.chunks_exact_mut(VECTOR).enumerate() {
                write(&rows.map(|row| row[feature] * factor), vector);
            }
        } else {
            for (row, vector) in data.chunks_exact(outputs).zip(out.chunks_exact_mut(VECTOR)) {
                let mut values = [0.0; BLOCK];
                for (value, weight) in values.iter_mut().zip(&row[lanes.clone()]) {
                    *value = weight * factor;
                }
                write(&values, vector);
            }
        }
    }
}

/// Plans are little-endian.
fn write(values: &[f32], out: &mut [u8]) {
    for (value, bytes) in values.iter().zip(out.chunks_exact_mut(size_of::<f32>())) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rnc_ir::{Graph, Tensor};
    use rnc_plan::kernel::{Activation, Extent, Window};
    use rnc_plan::weights::lane_group;

    fn conv(groups: usize, inputs: usize, outputs: usize, kernel: [usize; 2], source: Source) -> Conv {
        let extent = |channels| Extent { channels, height: 9, width: 9 };
        let window = Window { kernel, stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
        let (input, output) = (extent(inputs), extent(outputs));
        Conv { input, source, output, groups, window, residual: false, activation: Activation::None }
    }

    fn node() -> NodeId {
        Graph::new("g").add_constant("w", Tensor::f32([1], vec![0.0]))
    }

    fn floats(data: &ConstantData) -> Vec<f32> {
        data.bytes().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    fn packed<'g>(fill: impl FnOnce(&mut Packer<'g>)) -> (Vec<Constant>, Vec<f32>) {
        let mut packer = Packer::default();
        fill(&mut packer);
        let (constants, data) = packer.finish("g").expect("packs");
        (constants, floats(&data))
    }

    /// The documented order, element by element.
    fn naive(conv: &Conv, weights: &[f32]) -> Vec<f32> {
        let (group_inputs, group_outputs) = (conv.input.channels / conv.groups, conv.output.channels / conv.groups);
        let taps = conv.window.taps();
        let mut result = Vec::new();
        for (b, block) in weight_blocks(conv).expect("fits").0.iter().enumerate() {
            assert_eq!(result.len(), block.offset);
            if let Some(channels) = lane_group(conv) {
                for (tap, i, o) in
                    (0..taps).flat_map(|tap| (0..channels * 16).map(move |k| (tap, k / 16, b * 16 + k % 16)))
                {
                    result.push(if o < conv.output.channels { weights[(o * channels + i) * taps + tap] } else { 0.0 });
                }
                continue;
            }
            for first in block.channels.clone().step_by(conv.source.channel_block()) {
                for tap in 0..taps {
                    for c in first..(first + conv.source.channel_block()).min(block.channels.end) {
                        for o in b * 16..b * 16 + 16 {
                            let own = o < conv.output.channels && o / group_outputs == c / group_inputs;
                            let at = (o * group_inputs + c % group_inputs) * taps + tap;
                            result.push(if own { weights[at] } else { 0.0 });
                        }
                    }
                }
            }
        }
        result
    }

    fn check(conv: &Conv) {
        let taps = conv.window.taps();
        let len = conv.output.channels * conv.input.channels / conv.groups * taps;
        let weights: Vec<f32> = (1..=len).map(|i| i as f32).collect();
        let (_, data) = packed(|p| assert!(p.conv(node(), "w", &weights, conv).is_some()));
        assert_eq!(data, naive(conv, &weights), "{conv:?}");
    }

    #[test]
    fn packs_the_convolutions_of_the_family() {
        check(&conv(1, 64, 64, [3, 3], Source::Blocked));
        check(&conv(1, 3, 64, [7, 7], Source::Planar));
        check(&conv(1, 3, 64, [7, 7], Source::Blocked));
        check(&conv(1, 20, 24, [1, 3], Source::Blocked));
        check(&conv(32, 32, 32, [3, 3], Source::Blocked));
        check(&conv(32, 128, 128, [3, 3], Source::Blocked));
        check(&conv(10, 40, 40, [3, 3], Source::Blocked));
        check(&conv(32, 256, 256, [3, 3], Source::Blocked));
        check(&conv(2, 48, 48, [3, 3], Source::Blocked));
    }

    proptest! {
        #[test]
        fn packs_any_grouping(
            groups in 1usize..20, i in 1usize..30, o in 1usize..30, kernel in [1usize..4, 1usize..4], planar: bool,
        ) {
            let source = if planar && groups == 1 { Source::Planar } else { Source::Blocked };
            check(&conv(groups, groups * i, groups * o, kernel, source));
        }

        #[test]
        fn packs_matrices_stored_either_way(features in 1usize..40, out in 1usize..40, factor in 1u8..3) {
            let factor = f32::from(factor);
            let weight = |o: usize, f: usize| (o * 100 + f) as f32;
            let rows: Vec<f32> = (0..out).flat_map(|o| (0..features).map(move |f| weight(o, f))).collect();
            let columns: Vec<f32> = (0..features).flat_map(|f| (0..out).map(move |o| weight(o, f))).collect();
            let expected: Vec<f32> = (0..blocks(out)).flat_map(|b| (0..features).flat_map(move |f| (0..16).map(move |l| {
                if b * 16 + l < out { weight(b * 16 + l, f) * factor } else { 0.0 }
            }))).collect();
            for (data, transposed) in [(&rows, true), (&columns, false)] {
                let weights = GemmWeights { features, out, transposed, factor };
                let (_, data) = packed(|p| assert!(p.gemm(node(), "w", data, weights).is_some()));
                prop_assert_eq!(&data, &expected);
            }
        }
    }

    #[test]
    fn equal_requests_share_a_constant_and_all_are_aligned() {
        let weights = vec![1.0; 16 * 16];
        let spec = conv(1, 16, 16, [1, 1], Source::Blocked);
        let (constants, data) = packed(|p| {
            assert_eq!(p.vector("a", vec![1.0, 2.0]), 0);
            assert_eq!(p.conv(node(), "w", &weights, &spec), Some(1));
            assert_eq!(p.vector("b", vec![1.0, 2.0]), 0);
            assert_eq!(p.vector("c", vec![1.0, -2.0]), 2);
            assert_eq!(p.conv(node(), "w", &weights, &Conv { residual: true, ..spec.clone() }), Some(1));
        });
        assert_eq!(constants.iter().map(|c| (c.offset, c.bytes)).collect::<Vec<_>>(), [(0, 8), (64, 1024), (1088, 8)]);
        assert_eq!(data[272..], [1.0, -2.0]);
    }
}
