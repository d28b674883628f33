//! The residual blocks, one file a kind.

mod basic;
mod bottleneck;

use crate::catalog::{Block, Config};
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// Deviation of a block's last batch normalisation. Smaller than 1, so that the sum of many blocks stays in range.
const BRANCH_GAIN: f64 = 0.3;

/// Where a block stands in the network.
pub(crate) struct Place<'a> {
    /// The model.
    pub config: &'a Config,
    /// Name of the block, such as `layer1.0`.
    pub name: String,
    /// Base width of its stage: 64, 128, 256 or 512.
    pub width: usize,
    /// 2 in the first block of all stages but the first, else 1.
    pub stride: usize,
}

/// Adds a block.
pub(crate) fn block(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let branch = match place.config.block {
        Block::Basic => basic::branch(layers, x, place)?,
        Block::Bottleneck => bottleneck::branch(layers, x, place)?,
    };
    let shortcut = shortcut(layers, x, place)?;
    let sum = layers.residual_add(&format!("{}.add", place.name), &branch, &shortcut)?;
    layers.relu(&format!("{}.relu", place.name), &sum)
}

/// The block's input, projected by a 1×1 convolution where its shape differs from the result's ("option B" of the paper).
fn shortcut(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let out = place.width * place.config.block.expansion();
    if place.stride == 1 && x.channels() == out {
        return Ok(x.clone());
    }
    let name = format!("{}.downsample", place.name);
    let projected = layers.conv(&format!("{name}.0"), x, Conv { out, kernel: 1, stride: place.stride, groups: 1 })?;
    layers.batch_norm(&format!("{name}.1"), &projected, 1.0)
}
