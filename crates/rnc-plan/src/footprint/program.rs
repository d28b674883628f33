//! Elementwise programs.

use super::{Footprint, SpecError, at_most, elements};
use crate::kernel::{Access, BLOCK, Elementwise, Instruction, Space};
use crate::limits::{MAX_ELEMENTS, MAX_INSTRUCTIONS, MAX_PROGRAM_OPERANDS};

pub(super) fn elementwise(spec: &Elementwise) -> Result<Vec<Footprint>, SpecError> {
    check_program(spec)?;
    let (len, channels) = match spec.space {
        Space::Blocked { blocks, pixels } => {
            at_most("blocks", blocks, MAX_ELEMENTS)?;
            at_most("pixels", pixels, MAX_ELEMENTS)?;
            (elements("result", &[blocks, BLOCK, pixels])?, Some(elements("channels", &[blocks, BLOCK])?))
        }
        Space::Flat { len } => (elements("result", &[len])?, None),
    };
    let mut footprints = vec![Footprint::result(len)];
    for (operand, access) in spec.operands.iter().enumerate() {
        let channels = channels.ok_or(SpecError::PerChannelInFlat { operand });
        footprints.push(match access {
            Access::Full => Footprint::read("operand", len).or_in_place(),
            Access::PerChannel => Footprint::read("per-channel operand", channels?),
            Access::PerChannelShared => Footprint::shared("shared per-channel operand", channels?),
        });
    }
    Ok(footprints)
}

fn check_program(spec: &Elementwise) -> Result<(), SpecError> {
    let count = spec.operands.len();
    at_most("number of instructions", spec.program.len(), MAX_INSTRUCTIONS)?;
    if count > MAX_PROGRAM_OPERANDS {
        return Err(SpecError::TooLarge {
            what: "number of operands",
            found: count as u128,
            limit: MAX_PROGRAM_OPERANDS,
        });
    }
    for (instruction, code) in spec.program.iter().enumerate() {
        let earlier = |uses: usize| {
            if uses < instruction { Ok(()) } else { Err(SpecError::Forward { instruction, uses }) }
        };
        match *code {
            Instruction::Operand(operand) if operand >= count => {
                return Err(SpecError::NoOperand { instruction, operand, count });
            }
            Instruction::Operand(_) | Instruction::Constant(_) => {}
            Instruction::Unary(_, a) => earlier(a)?,
            Instruction::Binary(_, a, b) => earlier(a).and_then(|()| earlier(b))?,
            Instruction::Select(condition, a, b) => [condition, a, b].into_iter().try_for_each(earlier)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::operands;
    use super::*;
    use crate::kernel::{Binary, F32, KernelSpec, Unary};

    fn scale() -> Elementwise {
        Elementwise {
            space: Space::Blocked { blocks: 2, pixels: 49 },
            operands: vec![Access::Full, Access::PerChannel, Access::PerChannelShared],
            program: vec![
                Instruction::Operand(0),
                Instruction::Operand(1),
                Instruction::Binary(Binary::Mul, 0, 1),
                Instruction::Operand(2),
                Instruction::Binary(Binary::Add, 2, 3),
                Instruction::Unary(Unary::Relu, 4),
            ],
        }
    }

    fn refused(change: impl FnOnce(&mut Elementwise)) -> SpecError {
        let mut spec = scale();
        change(&mut spec);
        operands(&KernelSpec::Elementwise(spec)).unwrap_err()
    }

    #[test]
    fn measures_full_and_per_channel_operands() {
        let found: Vec<_> = elementwise(&scale())
            .unwrap()
            .iter()
            .map(|f| (f.elements_per_sample, f.sample_stride, f.shared, f.in_place))
            .collect();
        let full = 2 * 16 * 49;
        assert_eq!(
            found,
            [(full, full, false, false), (full, full, false, true), (32, 32, false, false), (32, 0, true, false)]
        );
    }

    #[test]
    fn refuses_programs_that_name_what_is_not_there() {
        assert_eq!(
            refused(|s| s.program[1] = Instruction::Operand(3)),
            SpecError::NoOperand { instruction: 1, operand: 3, count: 3 }
        );
        let itself = SpecError::Forward { instruction: 5, uses: 5 };
        assert_eq!(refused(|s| s.program[5] = Instruction::Unary(Unary::Abs, 5)), itself);
        assert_eq!(refused(|s| s.program[5] = Instruction::Binary(Binary::Add, 0, 5)), itself);
        assert_eq!(refused(|s| s.program[5] = Instruction::Binary(Binary::Add, 5, 0)), itself);
        for selects in [[5, 0, 0], [0, 5, 0], [0, 0, 5]] {
            let [condition, a, b] = selects;
            assert_eq!(refused(|s| s.program[5] = Instruction::Select(condition, a, b)), itself);
        }
    }

    #[test]
    fn refuses_empty_and_long_programs() {
        assert_eq!(refused(|s| s.program.clear()), SpecError::Zero { what: "number of instructions" });
        let long = refused(|s| s.program.resize(MAX_INSTRUCTIONS + 1, Instruction::Constant(F32::from(0.0))));
        assert!(matches!(long, SpecError::TooLarge { what: "number of instructions", .. }));
        let many = refused(|s| s.operands.resize(MAX_PROGRAM_OPERANDS + 1, Access::Full));
        assert!(matches!(many, SpecError::TooLarge { what: "number of operands", .. }));
    }

    #[test]
    fn refuses_spaces_that_do_not_fit() {
        assert_eq!(refused(|s| s.space = Space::Flat { len: 8 }), SpecError::PerChannelInFlat { operand: 1 });
        assert_eq!(refused(|s| s.space = Space::Flat { len: 0 }), SpecError::Zero { what: "result" });
        assert_eq!(refused(|s| s.space = Space::Blocked { blocks: 0, pixels: 1 }), SpecError::Zero { what: "blocks" });
        let large = refused(|s| s.space = Space::Blocked { blocks: MAX_ELEMENTS, pixels: MAX_ELEMENTS });
        assert!(matches!(large, SpecError::TooLarge { what: "result", .. }));
    }
}
