//! How a convolution's weights are packed: which input channels a block of 16 output channels reads, and where its weights lie.
//!
//! The packed weights are the output blocks one after the other; a block is the list of 16-vectors (one lane an output channel) in the order
//! in which the kernel uses them: channel block, kernel row, kernel column, channel in the block. Without groups that is
//! `[O/16][I/16][kh][kw][16i][16o]`. With groups a block reads only the channels of the groups that its lanes belong to; a lane's
//! weights for channels of another group are zero. Groups of 1, 2 or 4 channels in and as many out have no such zeros ([`lane_group`]): a vector holds each lane's
//! weight for a channel of its own group, in the order `[C/16][kh][kw][channel of the group][16o]`.

mod products;

use std::ops::Range;

use crate::kernel::{BLOCK, Conv, Source, blocks};
pub use products::{ProductBlock, ProductWeights};

/// The weights of one block of 16 output channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightBlock {
    /// Input channels that the block reads; starts at a multiple of [`crate::kernel::Source::channel_block`].
    pub channels: Range<usize>,
    /// Vectors of weights for a tap: one for each of the channels, or for each channel of a group.
    pub depth: usize,
    /// First element in the packed weights.
    pub offset: usize,
}

/// Channels of a group if the groups are so small that several share a quarter of a block, and a lane reads nothing but its own group: output channel `c` then reads
/// the input channels `c / n * n ..` of its own block. The source is blocked.
pub fn lane_group(conv: &Conv) -> Option<usize> {
    let (inputs, outputs, groups) = (conv.input.channels, conv.output.channels, conv.groups);
    let square = groups > 1 && inputs == outputs && inputs.is_multiple_of(groups);
    (square && conv.source == Source::Blocked).then(|| inputs / groups).filter(|channels| matches!(channels, 1 | 2 | 4))
}

/// The fewest groups whose channels fill blocks, in and out: a convolution is as many convolutions side by side as it has bundles, if those are taken to have
/// weights of zero between their groups. Without groups there is one bundle, which need not fill blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundles {
    /// Bundles.
    pub count: usize,
    /// Input channels of each.
    pub inputs: usize,
    /// Output channels of each.
    pub outputs: usize,
}

impl Bundles {
    /// The bundles of a convolution. `None` if the groups do not divide the channels, or if their channels fill no blocks.
    pub fn of(conv: &Conv) -> Option<Self> {
        let (inputs, outputs, groups) = (conv.input.channels, conv.output.channels, conv.groups);
        if groups == 1 {
            return Some(Self { count: 1, inputs, outputs });
        }
        if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return None;
        }
        let fills = |count: usize| {
            let full = |channels: usize| channels > 0 && (channels / count).is_multiple_of(BLOCK);
            groups.is_multiple_of(count) && full(inputs) && full(outputs)
        };
        // Sixteen groups of any size fill blocks.
        let together = [1, 2, 4, 8, 16].into_iter().find(|n| groups.is_multiple_of(*n) && fills(groups / n))?;
        let count = groups / together;
        Some(Self { count, inputs: inputs / count, outputs: outputs / count })
    }
}

/// The blocks of a convolution's packed weights and their total number of elements. `None` if a size overflows, or if the groups do not
/// divide the channels.
pub fn weight_blocks(conv: &Conv) -> Option<(Vec<WeightBlock>, usize)> {
    let (inputs, outputs) = (conv.input.channels, conv.output.channels);
    if conv.groups == 0 || !inputs.is_multiple_of(conv.groups) || !outputs.is_multiple_of(conv.groups) {
        return None;
    }
    let (group_inputs, group_outputs) = (inputs / conv.groups, outputs / conv.groups);
    let taps = conv.window.kernel[0].checked_mul(conv.window.kernel[1])?;
    let lane_group = lane_group(conv);
    let step = conv.source.channel_block();
    let mut result = Vec::new();
    let mut offset = 0usize;
    for block in 0..blocks(outputs) {
        let lanes = block * BLOCK..(block * BLOCK + BLOCK).min(outputs);
        let first = lanes.start / group_outputs * group_inputs;
        let end = ((lanes.end - 1) / group_outputs + 1) * group_inputs;
        let channels = first / step * step..end;
        let depth = lane_group.unwrap_or(channels.len());
        let len = depth.checked_mul(taps)?.checked_mul(BLOCK)?;
        result.push(WeightBlock { channels, depth, offset });
        offset = offset.checked_add(len)?;
    }
    Some((result, offset))
}
