//! Whole models.

use rnc_ir::{Dim, Graph, TensorType};

use crate::backbone::backbone;
use crate::catalog::find;
use crate::error::ZooError;
use crate::head::head;
use crate::layers::Layers;
use crate::options::ZooOptions;
use crate::parameters::Parameters;
use crate::weights::Weights;

/// Builds a model of [`crate::names`] with seeded weights: `input` f32 `[batch,3,height,width]` to `logits` f32
/// `[batch,classes]`.
///
/// The names that end in `_features` and `_dilated8` have no classifier. Their outputs are the stages' results, `layer1` to
/// `layer4` f32 `[batch,256·2^i,height/2^(i+2),width/2^(i+2)]` (rounded up) for i from 0; with `_dilated8`, height and width of
/// the last two are those of `layer2`. `…_fpn` has the levels `0` to `3` and `pool`, f32 `[batch,256,…]`; `fcn_…` and `deeplabv3_…` have
/// `out`, f32 `[batch,classes,height,width]`.
///
/// # Errors
/// If there is no model of this name, an option is out of range, or a layer has no room in the image.
pub fn build(name: &str, options: &ZooOptions) -> Result<Graph, ZooError> {
    construct(name, options, Parameters::Seeded(options.seed))
}

/// Builds a model like [`build`], with weights from a safetensors file in the names of torchvision's or timm's state dict.
///
/// CIFAR networks have the names of `github.com/akamaster/pytorch_resnet_cifar10`. Entries `num_batches_tracked` are passed over,
/// and the classifier's where the model has none.
///
/// # Errors
/// As [`build`], if the bytes are no safetensors file, or if a tensor is missing, superfluous, of another shape or not F32: one
/// error names all of them.
pub fn build_with_weights(name: &str, options: &ZooOptions, safetensors: &[u8]) -> Result<Graph, ZooError> {
    construct(name, options, Parameters::Loaded(Weights::read(safetensors)?))
}

/// Builds a model like [`build`] and writes it as ONNX.
///
/// # Errors
/// As [`build`], or if the export fails.
pub fn build_onnx(name: &str, options: &ZooOptions) -> Result<Vec<u8>, ZooError> {
    Ok(rnc_onnx::export(&build(name, options)?)?)
}

fn construct(name: &str, options: &ZooOptions, parameters: Parameters<'_>) -> Result<Graph, ZooError> {
    let config = find(name)?;
    options.check()?;
    let mut layers = Layers::new(config.name, parameters);
    let [height, width] = options.height_and_width().map(Dim::Fixed);
    let x = layers.images("input", TensorType::f32([options.batch, Dim::Fixed(3), height, width]), 3);
    layers.enter(config.head.backbone_prefix());
    let stages = backbone(&mut layers, &x, config)?;
    layers.enter("");
    head(&mut layers, &stages, config, (options.classes, options.height_and_width()))?;
    layers.finish()
}
