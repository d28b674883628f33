//! The `ResNet` family as graphs and ONNX models with seeded weights.
//!
//! [`build`] makes a model as an [`rnc_ir::Graph`] of unfused operators, as a training framework would export it:
//! convolutions without bias, batch normalisations, `ReLUs`, additions. [`build_onnx`] writes the same as ONNX bytes. Constants
//! carry the names of torchvision's state dict and stand in its order. Weights and batch-norm statistics are drawn from a
//! seed, the same on every machine, and are consistent with each other: activations neither explode nor vanish, and the
//! logits depend on the image. The networks are not trained; they are for tests and timing.
//!
//! | file | is |
//! |---|---|
//! | `catalog.rs` | the family as data: one row a model |
//! | `model.rs` | options, stem, stages, head |
//! | `blocks/` | the residual blocks, one file a kind |
//! | `layers.rs` | single layers: node, constants and the statistics of the result |
//! | `moments.rs` | what a layer does to the mean and variance of its channels |
//! | `random.rs` | the generator of all weights |

mod blocks;
mod catalog;
mod error;
mod layers;
mod model;
mod moments;
mod random;

pub use catalog::names;
pub use error::ZooError;
pub use model::{MAX_CLASSES, ZooOptions, build, build_onnx};
