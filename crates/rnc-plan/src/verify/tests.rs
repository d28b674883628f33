//! One refusal an invariant, each by one change to a valid plan.

use super::*;
use crate::footprint::SpecError;
use crate::kernel::{Access, Elementwise, Instruction, Space};
use crate::memory::MemoryError;
use crate::plan::{Buffer, Constant, Operand, Step};
use crate::sample;

fn refused(change: impl FnOnce(&mut Plan)) -> VerifyError {
    let mut plan = sample::everything();
    change(&mut plan);
    verify(&plan).expect_err("the plan should be refused")
}

/// Step, operand and problem of a refusal that is about an operand.
fn refused_operand(change: impl FnOnce(&mut Plan)) -> (usize, usize, OperandError) {
    let error = refused(change);
    let VerifyError::Step { index, problem, .. } = error else { panic!("{error}") };
    let StepError::Operand { position, problem, .. } = *problem else { panic!("{problem}") };
    (index, position, problem)
}

#[test]
fn accepts_the_sample_for_any_batch() {
    for batch in [Batch::Symbolic, Batch::Fixed(1), Batch::Fixed(MAX_BATCH)] {
        let plan = Plan { batch, ..sample::everything() };
        assert_eq!(verify(&plan).unwrap().name, "sample");
        assert_eq!(plan.verified().unwrap().as_verified().steps.len(), 10);
    }
}

#[test]
fn accepts_the_empty_plan() {
    let nothing = Plan {
        inputs: vec![],
        outputs: vec![],
        buffers: vec![],
        constants: vec![],
        steps: vec![],
        arena_bytes: 0,
        arena_lower_bound: 0,
        ..sample::everything()
    };
    assert!(verify(&nothing).is_ok());
}

#[test]
fn refuses_counts_above_the_limits() {
    let many =
        refused(|p| p.constants.resize(MAX_CONSTANTS + 1, Constant { name: String::new(), offset: 0, bytes: 0 }));
    assert_eq!(many, VerifyError::TooMany { what: "constants", found: MAX_CONSTANTS + 1, limit: MAX_CONSTANTS });
    let arena = refused(|p| p.arena_bytes = MAX_ARENA_BYTES + ALIGN);
    assert!(matches!(arena, VerifyError::TooMany { what: "bytes of the arena", .. }));
}

#[test]
fn refuses_batches_out_of_range() {
    assert_eq!(refused(|p| p.batch = Batch::Fixed(0)), VerifyError::Batch { found: 0 });
    assert_eq!(refused(|p| p.batch = Batch::Fixed(MAX_BATCH + 1)), VerifyError::Batch { found: MAX_BATCH + 1 });
}

#[test]
fn refuses_ports_that_are_ambiguous_or_have_no_elements() {
    let same = refused(|p| p.outputs[1].name = "y".into());
    assert!(matches!(same, VerifyError::Port { kind: "output", index: 1, problem: PortError::SameName, .. }));
    for dims in [vec![2, 0, 6], vec![usize::MAX, 2], vec![usize::MAX, usize::MAX, 0]] {
        let empty = refused(|p| p.inputs[0].dims = dims);
        assert!(matches!(empty, VerifyError::Port { kind: "input", problem: PortError::Elements { .. }, .. }));
    }
    let deep = refused(|p| p.inputs[0].dims.resize(MAX_RANK + 1, 1));
    assert!(matches!(deep, VerifyError::Port { problem: PortError::Rank { .. }, .. }));
}

#[test]
fn refuses_misaligned_and_empty_buffers_and_arenas() {
    for change in [(|p| p.buffers[2].offset += 4) as fn(&mut Plan), |p| p.buffers[2].bytes -= 4] {
        assert!(matches!(refused(change), VerifyError::Buffer { index: 2, problem: BufferError::Align { .. }, .. }));
    }
    let empty = refused(|p| p.buffers[2].bytes = 0);
    assert!(matches!(empty, VerifyError::Buffer { index: 2, problem: BufferError::Empty, .. }));
    assert_eq!(refused(|p| p.arena_bytes += 4), VerifyError::ArenaAlign { found: 2884 });
}

#[test]
fn refuses_constants_that_are_misaligned_or_outside_of_the_data() {
    let misaligned = refused(|p| p.constants[1].offset += 4);
    assert!(matches!(misaligned, VerifyError::Constant { index: 1, problem: ConstantError::Align { offset: 68 }, .. }));
    for change in [(|p| p.constants[2].bytes += 1) as fn(&mut Plan), |p| p.constants[2].bytes = usize::MAX] {
        assert!(matches!(
            refused(change),
            VerifyError::Constant { index: 2, problem: ConstantError::Outside { .. }, .. }
        ));
    }
}

#[test]
fn refuses_specifications_that_are_not_well_formed() {
    let error = refused(|p| {
        let KernelSpec::Conv(conv) = &mut p.steps[4].kernel else { panic!("not a convolution") };
        conv.groups = 2;
    });
    assert!(
        matches!(&error, VerifyError::Step { index: 4, problem, .. } if matches!(**problem, StepError::Spec(SpecError::Groups { .. })))
    );
    assert_eq!(
        error.to_string(),
        "step 4 `residual`: the kernel specification is not valid: 2 groups do not divide 5 input and 5 output channels"
    );
}

#[test]
fn refuses_a_wrong_number_of_operands() {
    for change in
        [(|p| p.steps[4].operands.truncate(4)) as fn(&mut Plan), |p| p.steps[4].operands.push(Operand::Buffer(1))]
    {
        let error = refused(change);
        let VerifyError::Step { index: 4, problem, .. } = error else { panic!("{error}") };
        assert!(matches!(*problem, StepError::Count { expected: 5, .. }));
    }
}

#[test]
fn refuses_operands_that_do_not_exist() {
    for (operand, count) in [(Operand::Buffer(6), 6), (Operand::Input(1), 1), (Operand::Constant(usize::MAX), 3)] {
        assert_eq!(refused_operand(|p| p.steps[5].operands[1] = operand), (5, 1, OperandError::Missing { count }));
    }
    let output = refused_operand(|p| p.steps[8].operands[0] = Operand::Output(2));
    assert_eq!(output, (8, 0, OperandError::Missing { count: 2 }));
}

#[test]
fn refuses_to_read_outputs() {
    assert_eq!(refused_operand(|p| p.steps[9].operands[1] = Operand::Output(1)), (9, 1, OperandError::OutputRead));
}

#[test]
fn refuses_to_write_constants_and_inputs() {
    for operand in [Operand::Constant(0), Operand::Input(0)] {
        assert_eq!(refused_operand(|p| p.steps[9].operands[0] = operand), (9, 0, OperandError::NotWritable));
    }
}

#[test]
fn refuses_weights_that_are_not_constants() {
    assert_eq!(refused_operand(|p| p.steps[4].operands[2] = Operand::Buffer(2)), (4, 2, OperandError::NotConstant));
    assert_eq!(refused_operand(|p| p.steps[4].operands[3] = Operand::Input(0)), (4, 3, OperandError::NotConstant));
}

#[test]
fn refuses_constants_where_each_sample_has_its_own() {
    assert_eq!(refused_operand(|p| p.steps[3].operands[1] = Operand::Constant(1)), (3, 1, OperandError::NotPerSample));
}

#[test]
fn refuses_footprints_outside_of_their_holders() {
    let buffer = refused_operand(|p| p.buffers[2].bytes -= ALIGN);
    assert_eq!(buffer, (3, 0, OperandError::Outside { needed: 576, available: 512 }));
    let constant = refused_operand(|p| p.constants[1].bytes = 1151);
    assert_eq!(constant, (0, 2, OperandError::Outside { needed: 1152, available: 1151 }));
}

#[test]
fn refuses_samples_further_apart_than_the_buffer_is_large() {
    let error = refused_operand(|p| {
        let KernelSpec::Copy(copy) = &mut p.steps[7].kernel else { panic!("not a copy") };
        copy.fill = None;
        copy.result_sample = 17;
    });
    assert_eq!(error, (7, 0, OperandError::Stride { found: 68, available: 64 }));
}

#[test]
fn refuses_ports_with_another_number_of_elements() {
    let input = refused_operand(|p| p.inputs[0].dims = vec![2, 6, 7]);
    assert_eq!(input, (0, 1, OperandError::PortStride { found: 72, expected: 84 }));
    let output = refused_operand(|p| p.outputs[0].dims = vec![2]);
    assert_eq!(output, (8, 0, OperandError::PortStride { found: 3, expected: 2 }));
}

#[test]
fn refuses_samples_read_at_another_distance_than_they_were_written_at() {
    let error = refused_operand(|p| {
        let KernelSpec::Copy(copy) = &mut p.steps[7].kernel else { panic!("not a copy") };
        copy.result_sample = 4;
    });
    assert_eq!(error, (8, 1, OperandError::WrittenStride { found: 3, expected: 4 }));
}

#[test]
fn refuses_results_over_operands_that_are_read_at_other_places() {
    assert_eq!(refused_operand(|p| p.steps[4].operands[1] = Operand::Buffer(1)), (4, 1, OperandError::InPlace));
    assert_eq!(refused_operand(|p| p.steps[3].operands[0] = Operand::Buffer(1)), (3, 1, OperandError::InPlace));
    let per_channel = refused_operand(|p| {
        let KernelSpec::Elementwise(Elementwise { operands, space, program }) = &mut p.steps[2].kernel else {
            panic!()
        };
        *space = Space::Blocked { blocks: 1, pixels: 1 };
        *operands = vec![Access::PerChannel, Access::PerChannelShared];
        program.push(Instruction::Operand(0));
        // Written with the same distance of samples, so that only the overlap is wrong.
        p.steps[1] = p.steps[5].clone();
        p.steps[1].operands = vec![Operand::Buffer(1), Operand::Buffer(0)];
        let KernelSpec::Conv(stem) = &mut p.steps[0].kernel else { panic!() };
        (stem.output.height, stem.output.width) = (3, 3);
    });
    assert_eq!(per_channel, (2, 1, OperandError::InPlace));
}

#[test]
fn refuses_buffers_read_before_they_are_written() {
    assert_eq!(refused_operand(|p| p.steps.swap(0, 1)), (0, 1, OperandError::ReadBeforeWritten));
    // A step does not make what it reads.
    assert_eq!(refused_operand(|p| p.steps[0] = p.steps[2].clone()), (0, 1, OperandError::ReadBeforeWritten));
}

#[test]
fn refuses_lifetimes_that_are_not_the_real_ones() {
    for change in
        [(|b| b.first_step = 2) as fn(&mut Buffer), |b| b.first_step = 0, |b| b.last_step = 4, |b| b.last_step = 6]
    {
        let error = refused(|p| change(&mut p.buffers[1]));
        let expected = matches!(
            error,
            VerifyError::Buffer { index: 1, problem: BufferError::Lifetime { expected: (1, 5), .. }, .. }
        );
        assert!(expected, "{error}");
    }
}

#[test]
fn refuses_buffers_that_no_step_uses() {
    let unused = refused(|p| p.buffers.push(p.buffers[0].clone()));
    assert!(matches!(unused, VerifyError::Buffer { index: 6, problem: BufferError::Unused, .. }));
}

#[test]
fn refuses_buffers_that_overlap_while_alive_or_leave_the_arena() {
    let overlap = refused(|p| p.buffers[1].offset = 2240);
    assert!(matches!(overlap, VerifyError::Memory(MemoryError::Overlap { step: 1, .. })));
    let outside = refused(|p| p.buffers[1].offset = 2368);
    assert!(matches!(outside, VerifyError::Memory(MemoryError::OutsideArena { .. })));
    let far = refused(|p| p.buffers[1].offset = usize::MAX - 63);
    assert!(matches!(far, VerifyError::Memory(MemoryError::OutsideArena { .. })));
}

#[test]
fn refuses_a_wrong_lower_bound() {
    assert_eq!(refused(|p| p.arena_lower_bound = 64), VerifyError::LowerBound { found: 64, expected: 2880 });
}

#[test]
fn refuses_outputs_that_no_step_writes() {
    let unwritten = refused(|p| {
        p.steps.pop();
    });
    assert!(matches!(unwritten, VerifyError::Port { kind: "output", index: 1, problem: PortError::Unwritten, .. }));
}

#[test]
fn limits_the_boxes_of_all_copies_together() {
    let error = refused(|p| {
        let KernelSpec::Copy(copy) = &mut p.steps[7].kernel else { panic!("not a copy") };
        let many = vec![copy.boxes[0].clone(); crate::limits::MAX_BOXES];
        copy.boxes = many;
        let step: Step = p.steps[7].clone();
        p.steps.extend(vec![step; MAX_PLAN_BOXES / crate::limits::MAX_BOXES]);
    });
    assert!(matches!(error, VerifyError::TooMany { what: "boxes of copies", .. }));
}
