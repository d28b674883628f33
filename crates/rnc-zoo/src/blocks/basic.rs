//! The block of `ResNet-18` and 34: two 3×3 convolutions.

use super::{BRANCH_GAIN, Place};
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// The residual branch, up to its last batch normalisation.
pub(super) fn branch(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let name = |part: &str| format!("{}.{part}", place.name);
    let conv = Conv { out: place.width, kernel: 3, stride: place.stride, groups: 1 };
    let x = layers.conv(&name("conv1"), x, conv)?;
    let x = layers.batch_norm(&name("bn1"), &x, 1.0)?;
    let x = layers.relu(&name("relu1"), &x)?;
    let x = layers.conv(&name("conv2"), &x, Conv { stride: 1, ..conv })?;
    layers.batch_norm(&name("bn2"), &x, BRANCH_GAIN)
}
