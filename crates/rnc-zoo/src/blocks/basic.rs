//! The block of `ResNet-18` and 34: two 3×3 convolutions.

use super::Place;
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// The residual branch, up to its last batch normalisation.
pub(super) fn branch(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let conv = Conv { dilation: place.dilation, ..Conv::new(place.width, 3) };
    let x = place.conv_norm_relu(layers, 1, x, Conv { stride: place.stride, ..conv })?;
    let x = place.conv(layers, "conv2", &x, conv)?;
    layers.batch_norm(&place.path("bn2"), &x, place.branch_gain())
}
