//! Shortcuts of blocks whose result has another shape than their operand.

use super::Place;
use crate::config::Shortcut;
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// The block's operand in the shape of its result.
pub(super) fn reshape(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let stride = place.stride;
    match place.config.shortcut {
        Shortcut::Projection => project(layers, x, place, stride),
        Shortcut::AveragePool if stride == 1 => project(layers, x, place, stride),
        Shortcut::AveragePool => {
            let [pool, _, _] = place.config.projection_layers();
            let x = layers.average_pool(&path(place, pool), x, stride)?;
            project(layers, &x, place, 1)
        }
        Shortcut::ZeroPadding => {
            let x = layers.subsample(&path(place, "slice"), x, stride)?;
            layers.pad_channels(&path(place, "pad"), &x, place.out())
        }
    }
}

/// A 1×1 convolution, and a norm unless the next block begins with one.
fn project(layers: &mut Layers, x: &Value, place: &Place<'_>, stride: usize) -> Result<Value, ZooError> {
    let [_, conv, norm] = place.config.projection_layers().map(|part| path(place, part));
    let projection = Conv { stride, ..Conv::new(place.out(), 1) };
    if place.config.block.is_preactivation() {
        layers.conv(&conv, x, Conv { gain: Some(1.0), ..projection })
    } else {
        let x = layers.conv(&conv, x, projection)?;
        layers.batch_norm(&norm, &x, 1.0)
    }
}

fn path(place: &Place<'_>, part: &str) -> String {
    place.path(&format!("{}.{part}", place.config.shortcut_name()))
}
