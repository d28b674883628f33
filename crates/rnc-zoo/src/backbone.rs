//! Stem and stages: all of a network but its head.

use crate::blocks::{Place, block};
use crate::config::{Config, Downsampling, Stem};
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// Adds stem and stages; returns each stage's result, the last one last.
///
/// With preactivation, these are sums that have not been normalised yet.
pub(crate) fn backbone(layers: &mut Layers, x: &Value, config: &Config) -> Result<Vec<Value>, ZooError> {
    let mut x = stem(layers, x, config)?;
    let mut results = Vec::with_capacity(config.depths.len());
    for stage in stages(config) {
        for place in stage {
            x = block(layers, &x, &place)?;
        }
        results.push(x.clone());
    }
    Ok(results)
}

fn stem(layers: &mut Layers, x: &Value, config: &Config) -> Result<Value, ZooError> {
    let (kernel, stride) = match config.stem {
        Stem::SevenBySeven => (7, 2),
        Stem::Deep => (3, 2),
        Stem::Cifar => (3, 1),
    };
    let mut x = x.clone();
    let convolutions = config.stem_layers();
    for (i, [name, norm]) in convolutions.iter().enumerate() {
        let last = i + 1 == convolutions.len();
        let out = if last { config.width } else { config.width / 2 };
        let conv = Conv { stride: if i == 0 { stride } else { 1 }, ..Conv::new(out, kernel) };
        if last && config.block.is_preactivation() {
            x = layers.conv(name, &x, Conv { gain: Some(1.0), ..conv })?;
        } else {
            x = layers.conv(name, &x, conv)?;
            x = layers.batch_norm(norm, &x, 1.0)?;
            x = layers.relu(&if last { "relu".to_owned() } else { format!("{norm}.relu") }, &x)?;
        }
    }
    match config.stem {
        Stem::SevenBySeven | Stem::Deep => pool(layers, &x, config),
        Stem::Cifar => Ok(x),
    }
}

fn pool(layers: &mut Layers, x: &Value, config: &Config) -> Result<Value, ZooError> {
    let name = config.stem_pool();
    match config.downsampling {
        Downsampling::Strided => layers.max_pool(name, x, 2),
        Downsampling::Blur => {
            let x = layers.max_pool(&format!("{name}.0"), x, 1)?;
            layers.blur(&format!("{name}.1"), &x, 2)
        }
    }
}

/// The places of all blocks, stage by stage.
///
/// A stage that dilates instead of striding does so from its second block on, as torchvision's: the first block's 3×3 still sees
/// what it would have seen.
fn stages(config: &Config) -> Vec<Vec<Place<'_>>> {
    let mut dilation = 1;
    let mut stages = Vec::with_capacity(config.depths.len());
    for (stage, depth) in config.depths.iter().enumerate() {
        let (before, mut stride) = (dilation, if stage == 0 { 1 } else { 2 });
        if stage > 0 && config.replace_stride_with_dilation.get(stage - 1) == Some(&true) {
            dilation *= stride;
            stride = 1;
        }
        let place = |index| Place {
            config,
            name: config.block_path(stage, index),
            width: config.width << stage,
            stride: if index == 0 { stride } else { 1 },
            dilation: if index == 0 { before } else { dilation },
        };
        stages.push((0..*depth).map(place).collect());
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::find;

    /// Stride and dilation of the first two blocks of each stage.
    fn geometry(name: &str) -> Vec<[[usize; 2]; 2]> {
        let stages = stages(find(name).unwrap());
        stages.iter().map(|blocks| [0, 1].map(|i| [blocks[i].stride, blocks[i].dilation])).collect()
    }

    #[test]
    fn each_stage_but_the_first_begins_with_a_stride() {
        assert_eq!(geometry("resnet50"), [[[1, 1], [1, 1]], [[2, 1], [1, 1]], [[2, 1], [1, 1]], [[2, 1], [1, 1]]]);
    }

    #[test]
    fn a_dilated_stage_begins_with_the_dilation_of_the_one_before() {
        // torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True]).
        let expected = [[[1, 1], [1, 1]], [[2, 1], [1, 1]], [[1, 1], [1, 2]], [[1, 2], [1, 4]]];
        assert_eq!(geometry("resnet50_dilated8"), expected);
    }
}
