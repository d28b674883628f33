//! What stands behind the stages. A head takes the stages' results and makes the graph's outputs.

use crate::config::{Config, Head};
use crate::error::ZooError;
use crate::layers::{Layers, Value};

/// Adds the model's head to the results of its stages.
pub(crate) fn head(layers: &mut Layers, stages: &[Value], config: &Config, classes: usize) -> Result<(), ZooError> {
    match config.head {
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
