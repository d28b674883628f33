//! Shape arithmetic: what exporters write as operators on small integer tensors, computed at import.
//!
//! PyTorch exports `x.view(x.size(0), -1)` as `Shape → Gather → Unsqueeze → Concat → Reshape`. In rnc's graphs the shape
//! of a `Reshape` is an attribute, so the importer computes such chains: on numbers, and on the batch size as a symbol.
//! Elements are of type [`Scalar`]; what has no form there is unknown, and reported only if an attribute needs it.
//! The nodes of these chains never enter the graph.

mod array;
mod evaluate;
mod nodes;
mod scalar;

pub(crate) use array::{Array, Elem, MAX_ELEMENTS, Scalar, fixed_dims};
pub(crate) use evaluate::{evaluate, evaluates};
pub(crate) use nodes::{
    as_floats, cast, cast_like, compare, constant_of_shape, dim, gather, logic_not, modulo, range, reduce, shape, size,
    where_,
};
pub(crate) use scalar::Comparison;
