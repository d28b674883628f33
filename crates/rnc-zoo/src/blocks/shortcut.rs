//! Shortcuts of blocks whose result has another shape than their operand.

use super::Place;
use crate::config::Shortcut;
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// The block's operand in the shape of its result.
pub(super) fn reshape(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    match place.config.shortcut {
        Shortcut::Projection => project(layers, x, place, place.stride),
        Shortcut::AveragePool if place.stride == 1 => project(layers, x, place, 1),
        Shortcut::AveragePool => {
            let x = layers.average_pool(&place.path("downsample.0"), x, place.stride)?;
            project(layers, &x, place, 1)
        }
        Shortcut::ZeroPadding => {
            let x = layers.subsample(&place.path("downsample.slice"), x, place.stride)?;
            layers.pad_channels(&place.path("downsample.pad"), &x, place.out())
        }
    }
}

/// With preactivation, no norm follows.
fn project(layers: &mut Layers, x: &Value, place: &Place<'_>, stride: usize) -> Result<Value, ZooError> {
    let [conv, norm] = place.config.projection().map(|part| place.path(part));
    let projection = Conv { stride, ..Conv::new(place.out(), 1) };
    if place.config.block.is_preactivation() {
        layers.conv(&conv, x, Conv { gain: Some(1.0), ..projection })
    } else {
        let x = layers.conv(&conv, x, projection)?;
        layers.batch_norm(&norm, &x, 1.0)
    }
}
