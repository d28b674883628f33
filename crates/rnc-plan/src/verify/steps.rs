//! Invariants 5 to 11 and 14: one walk over the steps.

use super::error::{BufferError, OperandError, PortError, StepError, VerifyError};
use crate::footprint::{self, Direction, Footprint};
use crate::plan::{Operand, Plan, Step};

/// Bytes of an element.
const ELEMENT: usize = 4;

pub(super) fn check(plan: &Plan) -> Result<(), VerifyError> {
    let mut walk = Walk { plan, buffers: vec![None; plan.buffers.len()], outputs: vec![false; plan.outputs.len()] };
    for (index, step) in plan.steps.iter().enumerate() {
        walk.step(index, step).map_err(|problem| VerifyError::Step {
            index,
            name: step.name.clone(),
            problem: Box::new(problem),
        })?;
    }
    walk.finish()
}

/// What the steps so far did with a buffer.
#[derive(Clone)]
struct Use {
    first: usize,
    last: usize,
    /// Elements from sample to sample at the last write.
    stride: usize,
}

struct Walk<'a> {
    plan: &'a Plan,
    buffers: Vec<Option<Use>>,
    outputs: Vec<bool>,
}

impl Walk<'_> {
    fn step(&mut self, index: usize, step: &Step) -> Result<(), StepError> {
        let footprints = footprint::operands(&step.kernel)?;
        if footprints.len() != step.operands.len() {
            return Err(StepError::Count { found: step.operands.len(), expected: footprints.len() });
        }
        // Reads first: a step that reads only what it writes itself reads nothing that was written before.
        for (position, (operand, footprint)) in step.operands.iter().zip(&footprints).enumerate().rev() {
            self.operand(index, *operand, footprint)
                .and_then(|()| not_overwritten(step, position, footprint))
                .map_err(|problem| StepError::Operand {
                    position,
                    role: footprint.role,
                    operand: describe(self.plan, *operand),
                    problem,
                })?;
        }
        Ok(())
    }

    /// Checks one operand by itself, and records its use.
    fn operand(&mut self, step: usize, operand: Operand, footprint: &Footprint) -> Result<(), OperandError> {
        let plan = self.plan;
        match operand {
            Operand::Buffer(i) => {
                let buffer = plan.buffers.get(i).ok_or(OperandError::Missing { count: plan.buffers.len() })?;
                per_sample(footprint)?;
                inside(footprint, buffer.bytes)?;
                self.use_buffer(step, i, footprint)
            }
            Operand::Constant(i) => {
                let constant = plan.constants.get(i).ok_or(OperandError::Missing { count: plan.constants.len() })?;
                match footprint.direction {
                    Direction::Write => Err(OperandError::NotWritable),
                    Direction::Read if !footprint.shared => Err(OperandError::NotPerSample),
                    Direction::Read => inside(footprint, constant.bytes),
                }
            }
            Operand::Input(i) => {
                let port = plan.inputs.get(i).ok_or(OperandError::Missing { count: plan.inputs.len() })?;
                match footprint.direction {
                    Direction::Write => Err(OperandError::NotWritable),
                    Direction::Read => per_sample(footprint).and_then(|()| exact(footprint, port.sample_len())),
                }
            }
            Operand::Output(i) => {
                let port = plan.outputs.get(i).ok_or(OperandError::Missing { count: plan.outputs.len() })?;
                match footprint.direction {
                    Direction::Read => return Err(OperandError::OutputRead),
                    Direction::Write => exact(footprint, port.sample_len())?,
                }
                self.outputs[i] = true;
                Ok(())
            }
        }
    }

    fn use_buffer(&mut self, step: usize, index: usize, footprint: &Footprint) -> Result<(), OperandError> {
        let found = footprint.sample_stride;
        match (footprint.direction, &mut self.buffers[index]) {
            (Direction::Read, None) => Err(OperandError::ReadBeforeWritten),
            (Direction::Read, Some(known)) if known.stride != found => {
                Err(OperandError::WrittenStride { found, expected: known.stride })
            }
            (Direction::Read, Some(known)) => {
                known.last = step;
                Ok(())
            }
            (Direction::Write, known) => {
                let first = known.as_ref().map_or(step, |known| known.first);
                *known = Some(Use { first, last: step, stride: found });
                Ok(())
            }
        }
    }

    /// Checks what only the whole list of steps shows: lifetimes, and that every output is written.
    fn finish(self) -> Result<(), VerifyError> {
        for (index, (buffer, used)) in self.plan.buffers.iter().zip(self.buffers).enumerate() {
            let found = (buffer.first_step, buffer.last_step);
            let problem = match used {
                None => BufferError::Unused,
                Some(Use { first, last, .. }) if found == (first, last) => continue,
                Some(Use { first, last, .. }) => BufferError::Lifetime { found, expected: (first, last) },
            };
            return Err(VerifyError::Buffer { index, name: buffer.name.clone(), problem });
        }
        match self.outputs.iter().position(|written| !written) {
            Some(index) => {
                let name = self.plan.outputs[index].name.clone();
                Err(VerifyError::Port { kind: "output", index, name, problem: PortError::Unwritten })
            }
            None => Ok(()),
        }
    }
}

fn per_sample(footprint: &Footprint) -> Result<(), OperandError> {
    if footprint.shared { Err(OperandError::NotConstant) } else { Ok(()) }
}

/// The footprint and, if there is one, the distance of samples within a size in bytes. Sample `i` of `n` then ends at most at
/// `i * stride + elements <= (i + 1) * bytes <= n * bytes`. Limits on elements keep the products from overflowing.
fn inside(footprint: &Footprint, available: usize) -> Result<(), OperandError> {
    let (needed, stride) = (footprint.elements_per_sample * ELEMENT, footprint.sample_stride * ELEMENT);
    if needed > available {
        return Err(OperandError::Outside { needed, available });
    }
    if stride > available {
        return Err(OperandError::Stride { found: stride, available });
    }
    Ok(())
}

/// The distance of samples is that of a dense tensor. A footprint's elements never exceed it.
fn exact(footprint: &Footprint, sample_len: Option<usize>) -> Result<(), OperandError> {
    match sample_len {
        Some(expected) if expected == footprint.sample_stride => Ok(()),
        found => {
            Err(OperandError::PortStride { found: footprint.sample_stride, expected: found.unwrap_or(usize::MAX) })
        }
    }
}

/// Different buffers of one step do not overlap because both are alive then (invariant 12), so only the same one can be meant.
fn not_overwritten(step: &Step, position: usize, footprint: &Footprint) -> Result<(), OperandError> {
    let same = matches!(step.operands[0], Operand::Buffer(_)) && step.operands[0] == step.operands[position];
    if position > 0 && same && !footprint.in_place { Err(OperandError::InPlace) } else { Ok(()) }
}

fn describe(plan: &Plan, operand: Operand) -> String {
    let (kind, index, name) = match operand {
        Operand::Buffer(i) => ("buffer", i, plan.buffers.get(i).map(|b| &b.name)),
        Operand::Constant(i) => ("constant", i, plan.constants.get(i).map(|c| &c.name)),
        Operand::Input(i) => ("input", i, plan.inputs.get(i).map(|p| &p.name)),
        Operand::Output(i) => ("output", i, plan.outputs.get(i).map(|p| &p.name)),
    };
    name.map_or_else(|| format!("{kind} {index}"), |name| format!("{kind} {index} `{name}`"))
}
