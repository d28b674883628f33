//! Tests that see every crate, and what they share.

pub mod fuzz;
pub mod random;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// For tests that look at the whole process or must have the pool: there is one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
