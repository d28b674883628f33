//! Tests that see every crate, and what they share.

pub mod fuzz;
pub mod random;
