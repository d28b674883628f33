//! The block of `ResNetV2`: norm and activation before each convolution, and nothing behind the addition.

use super::{Place, attention, shortcut};
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// The whole block. Its shortcut takes the first activation where it projects, else the operand itself.
pub(super) fn block(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let [down, spatial, up] = place.bottleneck();
    let active = norm_relu(layers, 1, x, place)?;
    let shortcut = if place.keeps_shape(x) { x.clone() } else { shortcut::reshape(layers, &active, place)? };
    let x = place.conv(layers, "conv1", &active, down)?;
    let x = norm_relu(layers, 2, &x, place)?;
    let x = place.blur(layers, x, down.stride)?;
    let x = place.conv(layers, "conv2", &x, spatial)?;
    let x = norm_relu(layers, 3, &x, place)?;
    let x = place.blur(layers, x, spatial.stride)?;
    let branch = place.conv(layers, "conv3", &x, Conv { gain: Some(place.branch_gain()), ..up })?;
    let branch = attention::attend(layers, &branch, place)?;
    layers.residual_add(&place.path("add"), &branch, &shortcut)
}

fn norm_relu(layers: &mut Layers, i: usize, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let name = place.path(&format!("norm{i}"));
    let x = layers.batch_norm(&name, x, 1.0)?;
    layers.relu(&format!("{name}.act"), &x)
}
