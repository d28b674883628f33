//! How a batch goes through the steps: the first of them sample by sample, the rest with all samples at once.
//!
//! Early layers have large images and few weights: taken one by one, a sample's images stay in the cache, and every sample uses the same memory.
//! Late layers have few pixels and many weights, which are read once for all samples. So a batch of `n` needs an arena of one
//! sample for the first part, `n` samples for the second, and `n` samples of the buffers that cross from the one to the other; those
//! lie before the arena, since every sample passes through all of the first part after the sample before has left its result there.

use rnc_plan::footprint;
use rnc_plan::kernel::KernelSpec;
use rnc_plan::verify::VerifiedPlan;
use rnc_plan::{Operand, Plan, Step};

/// A division of the steps. Offsets and sizes are in bytes a sample.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Steps before this one run sample by sample.
    pub(crate) split: usize,
    /// By buffer: where it lies among the crossing ones, if it is one.
    crossing: Vec<Option<usize>>,
    crossing_bytes: usize,
    /// The arena's part that the steps from `split` on use.
    rest_bytes: usize,
}

impl Schedule {
    /// All samples at once from the first step on: the plan's own layout.
    pub(crate) fn together(plan: &VerifiedPlan) -> Self {
        Self::new(plan, 0)
    }

    /// The division that is estimated to move the fewest bytes.
    pub(crate) fn divided(plan: &VerifiedPlan) -> Self {
        if !keeps_strides(plan) {
            return Self::together(plan);
        }
        // A step that takes the batch at once spares its weights' traffic for all samples but one, and brings images from further away.
        let mut gain = 0;
        let mut best = (0, plan.steps.len());
        for (index, step) in plan.steps.iter().enumerate().rev() {
            let (weights, images) = traffic(step);
            gain += weights - 2 * images;
            if gain > best.0 {
                best = (gain, index);
            }
        }
        Self::new(plan, best.1)
    }

    fn new(plan: &Plan, split: usize) -> Self {
        let mut crossing_bytes = 0;
        let mut rest_bytes = 0;
        let crossing = plan.buffers.iter().map(|buffer| {
            let crosses = buffer.first_step < split && split <= buffer.last_step;
            if !crosses && split <= buffer.last_step {
                rest_bytes = rest_bytes.max(buffer.offset + buffer.bytes);
            }
            crosses.then(|| {
                crossing_bytes += buffer.bytes;
                crossing_bytes - buffer.bytes
            })
        });
        let crossing = crossing.collect();
        Self { split, crossing, crossing_bytes, rest_bytes }
    }

    /// Bytes of memory for a batch. `None` on overflow.
    pub(crate) fn bytes(&self, plan: &Plan, batch: usize) -> Option<usize> {
        let first = if self.split > 0 { plan.arena_bytes } else { 0 };
        let arena = self.rest_bytes.checked_mul(batch)?.max(first);
        self.crossing_bytes.checked_mul(batch)?.checked_add(arena)
    }

    /// Where a buffer of a step starts in the memory for a batch, and whether it has a place for every sample there.
    pub(crate) fn place(&self, plan: &Plan, step: usize, buffer: usize, batch: usize) -> (usize, bool) {
        let arena = self.crossing_bytes * batch;
        let offset = plan.buffers[buffer].offset;
        match self.crossing[buffer] {
            Some(offset) => (offset * batch, true),
            None if step < self.split => (arena + offset, false),
            None => (arena + offset * batch, true),
        }
    }
}

/// Whether all steps that write a buffer have its samples at the same distance. If not, one sample's first step could write over what
/// another sample's later step has left.
fn keeps_strides(plan: &Plan) -> bool {
    let mut strides = vec![None; plan.buffers.len()];
    plan.steps.iter().all(|step| {
        let Operand::Buffer(buffer) = step.operands[0] else { return true };
        let footprints = footprint::operands(&step.kernel).unwrap_or_default();
        footprints
            .first()
            .is_some_and(|result| *strides[buffer].get_or_insert(result.sample_stride) == result.sample_stride)
    })
}

/// Bytes that a step reads for all samples in common, and those that it reads and writes for each.
fn traffic(step: &Step) -> (isize, isize) {
    let footprints = footprint::operands(&step.kernel).unwrap_or_default();
    let (mut weights, mut images) = (0, 0);
    for (footprint, operand) in footprints.iter().zip(&step.operands) {
        let bytes = footprint.elements_per_sample as isize * 4;
        match operand {
            Operand::Constant(_) => weights += bytes,
            Operand::Buffer(_) | Operand::Input(_) | Operand::Output(_) => images += bytes,
        }
    }
    // These kernels go through their weights once a sample in any case.
    let once_a_sample = matches!(step.kernel, KernelSpec::Winograd(_) | KernelSpec::Strassen(_));
    (if once_a_sample { 0 } else { weights }, images)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_plan::images::Images;
    use rnc_plan::kernel::{Access, Activation, Elementwise, Gemm, Instruction, Space, Unary};
    use rnc_plan::{Batch, Buffer, Constant, ConstantData, Listing, Port, Tuning};

    /// Two functions of a large image, a GEMM with many weights, and a function of its result.
    fn plan() -> VerifiedPlan {
        let relu = |blocks: usize| {
            KernelSpec::Elementwise(Elementwise {
                space: Space::Blocked { blocks, pixels: 1 },
                operands: vec![Access::Full],
                program: vec![Instruction::Operand(0), Instruction::Unary(Unary::Relu, 0)],
            })
        };
        let gemm = KernelSpec::Gemm(Gemm { features: 1024, out: 1024, activation: Activation::None });
        let step = |name: &str, kernel, operands| Step::new(name, kernel, operands);
        let buffer = |name: &str, offset, first_step, last_step| Buffer {
            name: name.into(),
            offset,
            bytes: 4096,
            first_step,
            last_step,
        };
        let constant = |name: &str, offset, bytes| Constant { name: name.into(), offset, bytes };
        let (a, b, c) = (Operand::Buffer(0), Operand::Buffer(1), Operand::Buffer(2));
        let plan = Plan {
            name: "p".into(),
            producer: "test".into(),
            batch: Batch::Symbolic,
            inputs: vec![Port { name: "x".into(), dims: vec![1024] }],
            outputs: vec![Port { name: "y".into(), dims: vec![1024] }],
            buffers: vec![buffer("a", 0, 0, 1), buffer("b", 4096, 1, 2), buffer("c", 0, 2, 3)],
            constants: vec![constant("w", 0, 4 << 20), constant("bias", 4 << 20, 4096)],
            steps: vec![
                step("a", relu(64), vec![a, Operand::Input(0)]),
                step("b", relu(64), vec![b, a]),
                step("c", gemm, vec![c, b, Operand::Constant(0), Operand::Constant(1)]),
                step("y", relu(64), vec![Operand::Output(0), c]),
            ],
            arena_bytes: 8192,
            arena_lower_bound: 8192,
            listing: Listing::default(),
            images: Images::default(),
            tuning: Tuning::default(),
            data: ConstantData::build((4 << 20) + 4096, |_| {}).unwrap(),
        };
        plan.verified().unwrap()
    }

    #[test]
    fn divides_before_the_steps_whose_weights_outweigh_their_images() {
        let plan = plan();
        let schedule = Schedule::divided(&plan);
        assert_eq!(schedule.split, 2);
        // `b` crosses; `a` uses one sample's arena, `c` every sample's.
        assert_eq!(schedule.place(&plan, 0, 0, 3), (3 * 4096, false));
        assert_eq!(schedule.place(&plan, 1, 1, 3), (0, true));
        assert_eq!(schedule.place(&plan, 2, 2, 3), (3 * 4096, true));
        assert_eq!(schedule.bytes(&plan, 3), Some(3 * 4096 + 3 * 4096));
        assert_eq!(schedule.bytes(&plan, 1), Some(4096 + 8192));
        assert_eq!(schedule.bytes(&plan, usize::MAX), None);
    }

    #[test]
    fn goes_together_where_a_buffer_is_written_at_different_distances() {
        let mut plan = plan().into_inner();
        let KernelSpec::Elementwise(relu) = &mut plan.steps[0].kernel else { panic!("not elementwise") };
        relu.space = Space::Blocked { blocks: 32, pixels: 1 };
        plan.steps[0].operands = vec![Operand::Buffer(1), Operand::Buffer(0)];
        assert!(!keeps_strides(&plan));
    }

    #[test]
    fn keeps_the_plans_layout_when_all_go_together() {
        let plan = plan();
        let schedule = Schedule::together(&plan);
        assert_eq!(schedule.place(&plan, 1, 1, 3), (3 * 4096, true));
        assert_eq!(schedule.bytes(&plan, 3), Some(3 * 8192));
    }
}
