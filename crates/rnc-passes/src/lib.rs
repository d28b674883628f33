//! The optimizer: graph to graph rewrites, one file a pass, one visible list.
//!
//! [`PASSES`] is the list, in the order in which [`optimize`] runs it; the graph is verified before the first pass and
//! after every one. A pass edits the graph in place and keeps the id of the node that survives, because
//! [`rnc_ir::Graph::topological_order`] breaks ties by id and lowering follows that order. The surviving value takes the
//! *last* name of a fused chain (`conv → bn → relu` ends as one node called `relu`), so that results keep names that
//! the model's author knows.
//!
//! What a pass did, and what it nearly did, is in the [`Log`]: a matcher answers that a node has nothing to do with it,
//! or that it matches, or that it *would* match but for a stated reason. `rnc compile --explain` prints those.
//!
//! Numbers: folding computes in `f64` and rounds once. No pass changes a result by more than rounding, and none
//! lowers precision.

mod affine;
mod edit;
mod history;
mod log;
mod matching;
mod pipeline;

pub mod batchnorm_to_scale_shift;
pub mod canonicalize_linear;
pub mod canonicalize_pool;
pub mod compose_moves;
pub mod decompose_gemm;
pub mod eliminate_dead;
pub mod eliminate_identity;
pub mod fold_batchnorm;
pub mod fold_constants;
pub mod fold_into_next;
pub mod fold_pad;
pub mod fold_scale_shift;
pub mod fuse_activation;
pub mod fuse_hard_swish;
pub mod fuse_residual_add;
pub mod fuse_silu;
pub mod merge_identical;
pub mod move_transposes;

pub use history::{History, Origin};
pub use log::{Entry, Event, Log, Stats};
pub use matching::PassError;
pub use pipeline::{
    Error, Observer, PASSES, Pass, PassReport, Report, named, optimize, run, run_limited, run_named, until,
};

#[cfg(test)]
mod random_graphs;
#[cfg(test)]
mod resnet50;
#[cfg(test)]
mod testing;
