//! The block of `ResNet-50` and deeper: 1×1 down, 3×3 (with the groups), 1×1 up.

use super::Place;
use crate::error::ZooError;
use crate::layers::{Layers, Value};

/// The residual branch, up to its last batch normalisation.
pub(super) fn branch(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let [down, spatial, up] = place.bottleneck();
    let x = place.conv_norm_relu(layers, 1, x, down)?;
    let x = place.conv_norm_relu(layers, 2, &x, spatial)?;
    let x = place.conv(layers, "conv3", &x, up)?;
    layers.batch_norm(&place.path("bn3"), &x, place.branch_gain())
}
