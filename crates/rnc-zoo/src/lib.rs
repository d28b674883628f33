//! The `ResNet` family ([`names`]) as graphs and ONNX models with seeded weights, or weights from a safetensors file.
//!
//! [`build`] makes a model as an [`rnc_ir::Graph`] of unfused operators, as a training framework would export it:
//! convolutions without bias, batch normalisations, `ReLUs`, additions. [`build_onnx`] writes the same as ONNX bytes. Constants
//! carry the names of torchvision's or timm's state dict and stand in its order (but in a preactivation block that projects, the
//! first norm stands before the projection). Weights and batch-norm statistics are drawn from
//! a seed, the same on every machine, and are consistent with each other: activations neither explode nor vanish, and the
//! logits depend on the image. These networks are not trained; they are for tests and timing. [`build_with_weights`] takes
//! trained weights instead.
//!
//! | file | is |
//! |---|---|
//! | `catalog.rs` | the family: one row a model |
//! | `config.rs` | what a row says |
//! | `options.rs` | what can be chosen about a model |
//! | `model.rs` | whole models: input, backbone, head |
//! | `backbone.rs` | stem and stages; gives the stages' results, on which heads are put |
//! | `head.rs` | what stands behind the stages |
//! | `blocks/` | the residual blocks, one file a kind, their shortcuts and attention |
//! | `names.rs` | names of modules |
//! | `layers/` | single layers: node, constants and the statistics of the result |
//! | `moments.rs` | what a layer does to the mean and variance of its channels |
//! | `parameters.rs` | where parameters come from: a seed or a file |
//! | `random.rs` | the generator of all seeded weights |
//! | `weights.rs` | weights from a safetensors file |

mod backbone;
mod blocks;
mod catalog;
mod config;
mod error;
mod head;
mod layers;
mod model;
mod moments;
mod names;
mod options;
mod parameters;
mod pyramid;
mod random;
mod segmentation;
mod weights;

pub use catalog::names;
pub use error::{WeightProblem, ZooError};
pub use model::{build, build_onnx, build_with_weights};
pub use options::{MAX_CLASSES, ZooOptions};
