//! The block of `ResNet-50` and deeper: 1×1 down, 3×3 (with the stride, as in "v1.5", and the groups), 1×1 up.

use super::{BRANCH_GAIN, Place};
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// The residual branch, up to its last batch normalisation.
pub(super) fn branch(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let name = |part: &str| format!("{}.{part}", place.name);
    let config = place.config;
    let inner = place.width * config.width_per_group / 64 * config.groups;
    let pointwise = |out| Conv { out, kernel: 1, stride: 1, groups: 1 };
    let x = layers.conv(&name("conv1"), x, pointwise(inner))?;
    let x = layers.batch_norm(&name("bn1"), &x, 1.0)?;
    let x = layers.relu(&name("relu1"), &x)?;
    let spatial = Conv { out: inner, kernel: 3, stride: place.stride, groups: config.groups };
    let x = layers.conv(&name("conv2"), &x, spatial)?;
    let x = layers.batch_norm(&name("bn2"), &x, 1.0)?;
    let x = layers.relu(&name("relu2"), &x)?;
    let x = layers.conv(&name("conv3"), &x, pointwise(place.width * config.block.expansion()))?;
    layers.batch_norm(&name("bn3"), &x, BRANCH_GAIN)
}
