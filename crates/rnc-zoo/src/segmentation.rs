//! Heads that give every pixel a class, as torchvision's segmentation models have them.

use rnc_ir::resize::{Coordinates, Interpolation};

use crate::config::Segmentation;
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// Dilations of `DeepLabV3`'s 3×3 convolutions for a stride of 8.
const RATES: [usize; 3] = [12, 24, 36];
/// Channels of each of its branches.
const BRANCH: usize = 256;

/// Adds the output `out`, `[N,classes,height,width]` of the image's size.
pub(crate) fn segmentation(
    layers: &mut Layers,
    x: &Value,
    kind: Segmentation,
    (classes, size): (usize, [usize; 2]),
) -> Result<(), ZooError> {
    let (features, name) = match kind {
        Segmentation::Fcn => {
            let inner = Conv::new(x.channels() / 4, 3);
            (normed(layers, ["classifier.0", "classifier.1", "classifier.2"], x, inner)?, "classifier.4")
        }
        Segmentation::DeepLab => {
            let pyramid = spatial_pyramid(layers, x)?;
            let names = ["classifier.1", "classifier.2", "classifier.3"];
            (normed(layers, names, &pyramid, Conv::new(BRANCH, 3))?, "classifier.4")
        }
    };
    let logits = layers.conv(name, &features, Conv { bias: true, gain: Some(1.0), ..Conv::new(classes, 1) })?;
    let out = layers.resized("upsample", &logits, size, (Interpolation::Linear, Coordinates::HalfPixel))?;
    layers.output("out", &out);
    Ok(())
}

/// Atrous spatial pyramid pooling (Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017).
fn spatial_pyramid(layers: &mut Layers, x: &Value) -> Result<Value, ZooError> {
    let branch = |layers: &mut Layers, i: usize, x: &Value, conv: Conv| {
        let name = |part: &str| format!("classifier.0.convs.{i}.{part}");
        normed(layers, [&name("0"), &name("1"), &name("2")], x, conv)
    };
    let mut branches = vec![branch(layers, 0, x, Conv::new(BRANCH, 1))?];
    for (i, dilation) in RATES.into_iter().enumerate() {
        branches.push(branch(layers, i + 1, x, Conv { dilation, ..Conv::new(BRANCH, 3) })?);
    }
    let pooled = layers.global_average_pool("classifier.0.convs.4.0", x)?;
    let names = ["classifier.0.convs.4.1", "classifier.0.convs.4.2", "classifier.0.convs.4.3"];
    let pooled = normed(layers, names, &pooled, Conv::new(BRANCH, 1))?;
    let linear = (Interpolation::Linear, Coordinates::HalfPixel);
    branches.push(layers.resized("classifier.0.convs.4.upsample", &pooled, layers.pixels(x), linear)?);
    let joined = layers.concat("classifier.0.concat", &branches)?;
    let names = ["classifier.0.project.0", "classifier.0.project.1", "classifier.0.project.2"];
    normed(layers, names, &joined, Conv::new(BRANCH, 1))
}

/// A convolution, its norm, and its activation.
fn normed(layers: &mut Layers, [name, norm, relu]: [&str; 3], x: &Value, conv: Conv) -> Result<Value, ZooError> {
    let x = layers.conv(name, x, conv)?;
    let x = layers.batch_norm(norm, &x, 1.0)?;
    layers.relu(relu, &x)
}
