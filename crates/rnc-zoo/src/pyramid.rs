//! Feature pyramids (Lin et al., "Feature Pyramid Networks for Object Detection", 2017), as torchvision's `BackboneWithFPN`.

use rnc_ir::resize::{Coordinates, Interpolation, Rounding};

use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// Channels of all levels.
const CHANNELS: usize = 256;

/// Adds the outputs `0`, `1`, … from the finest level to the coarsest, and `pool`, every second pixel of the last.
pub(crate) fn pyramid(layers: &mut Layers, stages: &[Value]) -> Result<(), ZooError> {
    let mut levels = Vec::with_capacity(stages.len());
    let mut above: Option<Value> = None;
    for (i, stage) in stages.iter().enumerate().rev() {
        let lateral = Conv { bias: true, gain: Some(1.0), ..Conv::new(CHANNELS, 1) };
        let mut inner = layers.conv(&format!("fpn.inner_blocks.{i}.0"), stage, lateral)?;
        if let Some(above) = &above {
            let nearest = (Interpolation::Nearest(Rounding::Floor), Coordinates::Asymmetric);
            let larger = layers.resized(&format!("fpn.upsample.{i}"), above, layers.pixels(&inner), nearest)?;
            inner = layers.residual_add(&format!("fpn.add.{i}"), &inner, &larger)?;
        }
        let smooth = Conv { bias: true, gain: Some(1.0), ..Conv::new(CHANNELS, 3) };
        levels.push(layers.conv(&format!("fpn.layer_blocks.{i}.0"), &inner, smooth)?);
        above = Some(inner);
    }
    for (i, level) in levels.iter().rev().enumerate() {
        layers.output(&i.to_string(), level);
    }
    if let Some(last) = levels.first() {
        let pool = layers.subsample("fpn.extra_blocks", last, 2)?;
        layers.output("pool", &pool);
    }
    Ok(())
}
