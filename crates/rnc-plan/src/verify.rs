//! The verifier of plans. Its list of invariants is the specification of [`Plan`], and what the runtime's memory safety rests on.
//!
//! **Sizes.** Every count and size is at most what [`crate::limits`] says.
//!
//! 1. A fixed batch is from 1 to [`MAX_BATCH`].
//! 2. Inputs have different names, and so have outputs. Their dimensions and number of elements are from 1 up.
//! 3. Offset and size of a buffer are multiples of [`ALIGN`], and so is the arena's size; a buffer is not empty and lies in the arena.
//! 4. A constant starts at a multiple of [`ALIGN`] and lies in the constant data.
//!
//! **Steps.** A step's [footprints](crate::footprint) are recomputed from its kernel specification.
//!
//! 5. The specification is well-formed, and the step has as many operands as it asks for; each names something that exists.
//! 6. The result is a buffer or an output. Nothing else is an output: outputs are never read.
//! 7. What all samples share (weights, biases, shared per-channel operands) is a constant. What each sample has its own of is a
//!    buffer or an input.
//! 8. The footprint lies in its holder, for any batch: in a constant the elements; in a buffer the elements *and* the distance of samples
//!    are at most its size a sample; in an input or output the distance of samples is exactly its number of elements.
//! 9. The result's buffer is no other operand of the step, but where the kernel reads each element before it writes the same one (a
//!    convolution's residual, an elementwise `Full` operand).
//!
//! **Time.**
//!
//! 10. A buffer is written by an earlier step than any that reads it, and read with the distance of samples that it was last
//!     written with. (A step may write a part of it, as copies do for a concatenation; that all parts are written is not checked. The
//!     runtime initialises the arena, so reading the rest gives stale numbers of the same plan and nothing worse.)
//! 11. The recorded first and last step of a buffer are the first and last that use it; every buffer is used.
//! 12. Buffers alive at the same step do not overlap in memory ([`crate::memory::check`]).
//! 13. The recorded lower bound is [`crate::memory::lower_bound`].
//! 14. Every output is written by some step.
//!
//! What the numbers *mean* is not checked: a plan from outside may compute nonsense, but only in its own memory. That inputs and outputs
//! handed in by callers have the sizes that the ports say is the runtime's part, and that code stays in its footprints is the code
//! generator's.

mod error;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::Deref;

pub use error::{BufferError, ConstantError, OperandError, PortError, StepError, VerifyError};

use crate::kernel::KernelSpec;
use crate::limits::{
    MAX_ARENA_BYTES, MAX_BATCH, MAX_BUFFERS, MAX_CONSTANTS, MAX_ELEMENTS, MAX_PLAN_BOXES, MAX_PORTS, MAX_RANK,
    MAX_STEPS,
};
use crate::memory;
use crate::plan::{ALIGN, Batch, Plan, Port};

/// A plan that keeps all invariants. Only [`verify`] and [`VerifiedPlan::as_verified`] make one.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a Plan);

impl Deref for Verified<'_> {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        self.0
    }
}

/// A [`Verified`] that owns its plan: what can be run.
#[derive(Clone, Debug)]
pub struct VerifiedPlan(Plan);

impl VerifiedPlan {
    /// The same, borrowed.
    pub fn as_verified(&self) -> Verified<'_> {
        Verified(&self.0)
    }

    /// The plan, free to be changed.
    pub fn into_inner(self) -> Plan {
        self.0
    }
}

impl Deref for VerifiedPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.0
    }
}

impl Plan {
    /// Verifies the plan and keeps it as verified.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn verified(self) -> Result<VerifiedPlan, VerifyError> {
        verify(&self)?;
        Ok(VerifiedPlan(self))
    }
}

/// Checks all invariants of a plan.
///
/// # Errors
/// The first invariant that does not hold.
pub fn verify(plan: &Plan) -> Result<Verified<'_>, VerifyError> {
    check(plan, plan.data.bytes().len())?;
    Ok(Verified(plan))
}

/// Checks a plan whose constant data has `data_bytes` bytes, wherever they are.
pub(crate) fn check(plan: &Plan, data_bytes: usize) -> Result<(), VerifyError> {
    counts(plan)?;
    ports("input", &plan.inputs)?;
    ports("output", &plan.outputs)?;
    buffers(plan)?;
    constants(plan, data_bytes)?;
    steps::check(plan)?;
    memory::check(&plan.buffers, plan.arena_bytes)?;
    let expected = memory::lower_bound(&plan.buffers);
    if plan.arena_lower_bound != expected {
        return Err(VerifyError::LowerBound { found: plan.arena_lower_bound, expected });
    }
    Ok(())
}

fn counts(plan: &Plan) -> Result<(), VerifyError> {
    let boxes =
        plan.steps.iter().map(|step| if let KernelSpec::Copy(copy) = &step.kernel { copy.boxes.len() } else { 0 });
    for (what, found, limit) in [
        ("inputs", plan.inputs.len(), MAX_PORTS),
        ("outputs", plan.outputs.len(), MAX_PORTS),
        ("buffers", plan.buffers.len(), MAX_BUFFERS),
        ("constants", plan.constants.len(), MAX_CONSTANTS),
        ("steps", plan.steps.len(), MAX_STEPS),
        ("boxes of copies", boxes.sum(), MAX_PLAN_BOXES),
        ("bytes of the arena", plan.arena_bytes, MAX_ARENA_BYTES),
    ] {
        if found > limit {
            return Err(VerifyError::TooMany { what, found, limit });
        }
    }
    if !plan.arena_bytes.is_multiple_of(ALIGN) {
        return Err(VerifyError::ArenaAlign { found: plan.arena_bytes });
    }
    match plan.batch {
        Batch::Fixed(found) if found == 0 || found > MAX_BATCH => Err(VerifyError::Batch { found }),
        Batch::Fixed(_) | Batch::Symbolic | Batch::Single => Ok(()),
    }
}

fn ports(kind: &'static str, ports: &[Port]) -> Result<(), VerifyError> {
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let problem = if port.dims.len() > MAX_RANK {
            Some(PortError::Rank { found: port.dims.len() })
        } else if !names.insert(port.name.as_str()) {
            Some(PortError::SameName)
        } else if port.dims.contains(&0) || port.sample_len().is_none_or(|len| len > MAX_ELEMENTS) {
            Some(PortError::Elements { dims: port.dims.clone() })
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(VerifyError::Port { kind, index, name: port.name.clone(), problem });
        }
    }
    Ok(())
}

fn buffers(plan: &Plan) -> Result<(), VerifyError> {
    for (index, buffer) in plan.buffers.iter().enumerate() {
        let problem = if !buffer.offset.is_multiple_of(ALIGN) || !buffer.bytes.is_multiple_of(ALIGN) {
            BufferError::Align { offset: buffer.offset, bytes: buffer.bytes }
        } else if buffer.bytes == 0 {
            BufferError::Empty
        } else {
            continue;
        };
        return Err(VerifyError::Buffer { index, name: buffer.name.clone(), problem });
    }
    Ok(())
}

fn constants(plan: &Plan, data_bytes: usize) -> Result<(), VerifyError> {
    for (index, constant) in plan.constants.iter().enumerate() {
        let end = constant.offset as u128 + constant.bytes as u128;
        let problem = if !constant.offset.is_multiple_of(ALIGN) {
            ConstantError::Align { offset: constant.offset }
        } else if end > data_bytes as u128 {
            ConstantError::Outside { end, data_bytes }
        } else {
            continue;
        };
        return Err(VerifyError::Constant { index, name: constant.name.clone(), problem });
    }
    Ok(())
}
