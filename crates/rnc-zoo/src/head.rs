//! What stands behind the stages. A head takes the stages' results and makes the graph's outputs.

use crate::config::{Config, Head};
use crate::error::ZooError;
use crate::layers::{Layers, Value};
use crate::pyramid::pyramid;
use crate::segmentation::segmentation;

/// Adds the model's head to the results of its stages. Images have this size.
pub(crate) fn head(
    layers: &mut Layers,
    stages: &[Value],
    config: &Config,
    (classes, size): (usize, [usize; 2]),
) -> Result<(), ZooError> {
    match config.head {
        Head::Pyramid => {
            layers.pass_over(&format!("{}{}", config.head.backbone_prefix(), config.classifier()));
            pyramid(layers, stages)?;
        }
        Head::Segmentation(kind) => {
            // torchvision trains with a second head on the third stage.
            layers.pass_over("aux_classifier");
            if let Some(x) = stages.last() {
                segmentation(layers, x, kind, (classes, size))?;
            }
        }
        Head::Classifier => {
            if let Some(x) = stages.last() {
                let logits = classifier(layers, x, config, classes)?;
                layers.output("logits", &logits);
            }
        }
        Head::Features => {
            // Backbones take their weights from classifiers.
            layers.pass_over(config.classifier());
            for (i, x) in stages.iter().enumerate() {
                layers.output(&format!("layer{}", i + 1), x);
            }
        }
    }
    Ok(())
}

/// With preactivation, the last sum is normalised first, and the linear layer is a 1×1 convolution, as in timm.
fn classifier(layers: &mut Layers, x: &Value, config: &Config, classes: usize) -> Result<Value, ZooError> {
    let name = config.classifier();
    if config.block.is_preactivation() {
        let x = layers.batch_norm("norm", x, 1.0)?;
        let x = layers.relu("norm.act", &x)?;
        let x = layers.global_average_pool("head.global_pool", &x)?;
        let x = layers.pointwise_classifier(name, &x, classes)?;
        layers.flatten("head.flatten", &x)
    } else {
        let x = layers.global_average_pool("avgpool", x)?;
        let x = layers.flatten("flatten", &x)?;
        layers.classifier(name, &x, classes)
    }
}
