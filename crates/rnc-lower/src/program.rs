//! Builds the program of fused elementwise nodes.

use rnc_ir::op::{self, BatchNorm};
use rnc_ir::{NodeId, Op};
use rnc_plan::kernel::{Binary, Instruction, Unary};

use crate::batch;
use crate::context::Context;
use crate::error::Reason;

/// What an operand of a program is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// The value of a node.
    Value(NodeId),
    /// Constant elements that broadcast to the result's sample.
    Constant {
        /// Name.
        name: String,
        /// Dimensions, as many as the sample has.
        dims: Vec<usize>,
        /// Elements, row-major.
        data: Vec<f32>,
    },
}

/// Instructions, and the operands that they name.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub instructions: Vec<Instruction>,
    pub sources: Vec<Source>,
}

/// The program of the nodes `members`, whose last node is `node`; their samples have `rank` dimensions.
pub(crate) fn build(cx: &Context<'_>, members: &[NodeId], node: NodeId, rank: usize) -> Result<Program, Reason> {
    let mut program = Program::default();
    let last = Builder { cx, members, rank, program: &mut program }.node(node)?;
    // The last instruction's value is the result. If an equal earlier one serves for it, nothing behind that one is needed.
    program.instructions.truncate(last + 1);
    Ok(program)
}

struct Builder<'a, 'g> {
    cx: &'a Context<'g>,
    members: &'a [NodeId],
    rank: usize,
    program: &'a mut Program,
}

impl Builder<'_, '_> {
    /// The instruction that computes a value.
    fn value(&mut self, id: NodeId) -> Result<usize, Reason> {
        if self.members.contains(&id) {
            return self.node(id);
        }
        if let Some(tensor) = self.cx.graph.node(id).constant() {
            let data = self.cx.constant(id, "the elements")?;
            return self.constant(self.cx.name(id), tensor.dims(), data);
        }
        Ok(self.source(Source::Value(id)))
    }

    fn node(&mut self, id: NodeId) -> Result<usize, Reason> {
        let operands = self.cx.graph.operands(id);
        match self.cx.graph.op(id) {
            Op::Unary(function) => {
                let x = self.value(operands[0])?;
                Ok(self.unary(*function, x))
            }
            Op::Binary(function) => {
                let (a, b) = (self.value(operands[0])?, self.value(operands[1])?);
                Ok(self.push(Instruction::Binary(binary(*function), a, b)))
            }
            Op::Where => {
                let [condition, a, b] = [operands[0], operands[1], operands[2]].map(|id| self.value(id));
                Ok(self.push(Instruction::Select(condition?, a?, b?)))
            }
            Op::BatchNorm(norm) => self.batch_norm(operands, *norm),
            other => Err(Reason::new(
                format!("`{}` is part of an elementwise program", other.name()),
                "elementwise operators",
            )),
        }
    }

    /// `x · a + b` with `a = scale / sqrt(var + epsilon)` and `b = bias - mean · a`, computed in f64 and rounded once.
    fn batch_norm(&mut self, operands: &[NodeId], norm: BatchNorm) -> Result<usize, Reason> {
        let x = self.value(operands[0])?;
        let parameter = |id: &NodeId| self.cx.constant(*id, "the parameters");
        let [scale, bias, mean, var] = [&operands[1], &operands[2], &operands[3], &operands[4]].map(parameter);
        let (scale, bias, mean, var) = (scale?, bias?, mean?, var?);
        let factor = |c: usize| f64::from(scale[c]) / (f64::from(var[c]) + f64::from(norm.epsilon)).sqrt();
        let factors: Vec<f32> = (0..scale.len()).map(|c| factor(c) as f32).collect();
        let offset = |c: usize| (f64::from(bias[c]) - f64::from(mean[c]) * factor(c)) as f32;
        let offsets: Vec<f32> = (0..scale.len()).map(offset).collect();
        let mut dims = vec![1; self.rank];
        dims[self.cx.sample_axis(1)?] = scale.len();
        let factor = self.constant(self.cx.name(operands[1]), &dims, &factors)?;
        let scaled = self.push(Instruction::Binary(Binary::Mul, x, factor));
        let offset = self.constant(self.cx.name(operands[2]), &dims, &offsets)?;
        Ok(self.push(Instruction::Binary(Binary::Add, scaled, offset)))
    }

    fn unary(&mut self, function: op::Unary, x: usize) -> usize {
        let simple = match function {
            op::Unary::Relu => Unary::Relu,
            op::Unary::Sigmoid => Unary::Sigmoid,
            op::Unary::Tanh => Unary::Tanh,
            op::Unary::Exp => Unary::Exp,
            op::Unary::Sqrt => Unary::Sqrt,
            op::Unary::Abs => Unary::Abs,
            op::Unary::Neg => Unary::Neg,
            op::Unary::Reciprocal => Unary::Reciprocal,
            op::Unary::Floor => Unary::Floor,
            op::Unary::Ceil => Unary::Ceil,
            op::Unary::Round => Unary::Round,
            op::Unary::Sign => Unary::Sign,
            op::Unary::Log => Unary::Log,
            op::Unary::Erf => Unary::Erf,
            op::Unary::LeakyRelu { alpha } => {
                let (zero, alpha) = (self.number(0.0), self.number(alpha));
                let below = self.push(Instruction::Binary(Binary::Min, x, zero));
                let below = self.push(Instruction::Binary(Binary::Mul, below, alpha));
                let above = self.push(Instruction::Unary(Unary::Relu, x));
                return self.push(Instruction::Binary(Binary::Add, above, below));
            }
            op::Unary::Clip { min, max } => return self.clip(x, min, max),
            op::Unary::HardSigmoid { alpha, beta } => return self.hard_sigmoid(x, alpha, beta),
            op::Unary::HardSwish => {
                let gate = self.hard_sigmoid(x, 1.0 / 6.0, 0.5);
                return self.push(Instruction::Binary(Binary::Mul, x, gate));
            }
            op::Unary::Silu => {
                let gate = self.push(Instruction::Unary(Unary::Sigmoid, x));
                return self.push(Instruction::Binary(Binary::Mul, x, gate));
            }
        };
        self.push(Instruction::Unary(simple, x))
    }

    /// Bounds that bound nothing are left out.
    fn clip(&mut self, x: usize, min: f32, max: f32) -> usize {
        let mut x = x;
        if min > f32::NEG_INFINITY {
            let min = self.number(min);
            x = self.push(Instruction::Binary(Binary::Max, x, min));
        }
        if max < f32::INFINITY {
            let max = self.number(max);
            x = self.push(Instruction::Binary(Binary::Min, x, max));
        }
        x
    }

    fn hard_sigmoid(&mut self, x: usize, alpha: f32, beta: f32) -> usize {
        let alpha = self.number(alpha);
        let scaled = self.push(Instruction::Binary(Binary::Mul, x, alpha));
        let beta = self.number(beta);
        let moved = self.push(Instruction::Binary(Binary::Add, scaled, beta));
        let one = self.number(1.0);
        let below = self.push(Instruction::Binary(Binary::Min, moved, one));
        self.push(Instruction::Unary(Unary::Relu, below))
    }

    /// Constant elements: a number if all are the same, else an operand.
    fn constant(&mut self, name: &str, dims: &[usize], data: &[f32]) -> Result<usize, Reason> {
        let (dims, data) = batch::constant_sample(dims, data, self.rank + 1)?;
        match data {
            [first, rest @ ..] if rest.iter().all(|x| x.to_bits() == first.to_bits()) => Ok(self.number(*first)),
            _ => Ok(self.source(Source::Constant { name: name.to_owned(), dims, data: data.to_vec() })),
        }
    }

    fn number(&mut self, value: f32) -> usize {
        self.push(Instruction::Constant(value.into()))
    }

    fn source(&mut self, source: Source) -> usize {
        let known = self.program.sources.iter().position(|other| *other == source);
        let index = known.unwrap_or_else(|| {
            self.program.sources.push(source);
            self.program.sources.len() - 1
        });
        self.push(Instruction::Operand(index))
    }

    /// The index of an instruction; an equal earlier one serves.
    fn push(&mut self, instruction: Instruction) -> usize {
        let instructions = &mut self.program.instructions;
        instructions.iter().position(|other| *other == instruction).unwrap_or_else(|| {
            instructions.push(instruction);
            instructions.len() - 1
        })
    }
}

const fn binary(function: op::Binary) -> Binary {
    match function {
        op::Binary::Add => Binary::Add,
        op::Binary::Sub => Binary::Sub,
        op::Binary::Mul => Binary::Mul,
        op::Binary::Div => Binary::Div,
        op::Binary::Max => Binary::Max,
        op::Binary::Min => Binary::Min,
        op::Binary::Pow => Binary::Pow,
        op::Binary::Equal => Binary::Equal,
        op::Binary::Greater => Binary::Greater,
        op::Binary::GreaterOrEqual => Binary::GreaterOrEqual,
    }
}
