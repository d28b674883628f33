//! Panels: the output channels that one tile computes, and where their weights, bias and results lie.

use rnc_plan::kernel::BLOCK;
use rnc_plan::weights::WeightBlock;

use crate::error::{CodegenError, near};
use crate::tile::Column;

/// Bytes of a block of 16 channels of one pixel.
pub const BLOCK_BYTES: usize = BLOCK * 4;

/// One panel. Offsets are in bytes.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Input channels that it reads, as a range of channel numbers.
    pub channels: std::ops::Range<usize>,
    /// Vectors of weights for a tap and 16 output channels.
    pub depth: usize,
    /// First weight.
    pub w: usize,
    /// First bias.
    pub bias: usize,
    /// First channel of the result's first pixel.
    pub out: usize,
    /// Its vectors.
    pub columns: Vec<Column>,
}

/// How panels are cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Vectors in a panel.
    pub columns: usize,
    /// `f32`s in a vector.
    pub lanes: usize,
    /// Bytes of one channel block of the result.
    pub plane: usize,
}

/// Cuts the blocks of output channels into panels. Blocks share a panel only if they read the same input channels.
///
/// # Errors
/// If two vectors of a panel are too far apart to be reached from one pointer.
pub fn cut(blocks: &[WeightBlock], cut: Cut) -> Result<Vec<Panel>, CodegenError> {
    // Every vector of every block, as (block, part of the block).
    let parts = BLOCK / cut.lanes;
    let vectors: Vec<(usize, usize)> = (0..blocks.len()).flat_map(|b| (0..parts).map(move |part| (b, part))).collect();
    vectors
        .chunk_by(|a, b| blocks[a.0].channels == blocks[b.0].channels)
        .flat_map(|run| run.chunks(cut.columns))
        .map(|vectors| panel(blocks, vectors, cut))
        .collect()
}

fn panel(blocks: &[WeightBlock], vectors: &[(usize, usize)], cut: Cut) -> Result<Panel, CodegenError> {
    let place = |(block, part): (usize, usize)| {
        let lane = part * cut.lanes * 4;
        (blocks[block].offset * 4 + lane, block * BLOCK_BYTES + lane, block * cut.plane + lane)
    };
    let (w, bias, out) = place(vectors[0]);
    let columns = vectors
        .iter()
        .map(|vector| {
            let (column_w, column_bias, column_out) = place(*vector);
            Ok(Column {
                w: near("a panel's weight", column_w - w)?,
                bias: near("a panel's bias", column_bias - bias)?,
                out: near("a panel's result", column_out - out)?,
            })
        })
        .collect::<Result<_, CodegenError>>()?;
    let WeightBlock { channels, depth, .. } = &blocks[vectors[0].0];
    Ok(Panel { channels: channels.clone(), depth: *depth, w, bias, out, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks that read these channels, first and one past the last.
    fn blocks(ranges: &[(usize, usize)]) -> Vec<WeightBlock> {
        let block = |(i, (first, end)): (usize, &(usize, usize))| WeightBlock {
            channels: *first..*end,
            depth: end - first,
            offset: i * 1000,
        };
        ranges.iter().enumerate().map(block).collect()
    }

    #[test]
    fn pairs_blocks_that_read_the_same_channels_and_leaves_a_last_one_alone() {
        let panels = cut(&blocks(&[(0, 64), (0, 64), (0, 64)]), Cut { columns: 2, lanes: 16, plane: 640 }).unwrap();
        assert_eq!(panels.len(), 2);
        assert_eq!(panels[0].columns[1], Column { w: 4000, bias: 64, out: 640 });
        assert_eq!((panels[1].w, panels[1].bias, panels[1].out, panels[1].columns.len()), (8000, 128, 1280, 1));
    }

    #[test]
    fn separates_blocks_of_different_groups() {
        let panels = cut(&blocks(&[(0, 16), (16, 32)]), Cut { columns: 2, lanes: 16, plane: 640 }).unwrap();
        assert_eq!(panels.len(), 2);
    }

    #[test]
    fn halves_a_block_for_narrow_vectors() {
        let panels = cut(&blocks(&[(0, 16)]), Cut { columns: 2, lanes: 4, plane: 640 }).unwrap();
        assert_eq!(panels.len(), 2);
        assert_eq!((panels[1].w, panels[1].bias, panels[1].out), (32, 32, 32));
    }
}
