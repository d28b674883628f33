//! Which elementwise nodes are lowered as one program.
//!
//! A node joins its only user if that is elementwise too and has the same shape: trees of nodes become one step, named after the
//! last. Values that are smaller than the result (the gates of squeeze-excite blocks) stay steps of their own, so that they are not
//! computed once a pixel.

use std::collections::{HashMap, HashSet};

use rnc_ir::op::Unary;
use rnc_ir::{Graph, NodeId, Op};

/// Most instructions of a program, counting every operand of every node: bounds what a step needs in registers.
const MAX_INSTRUCTIONS: usize = 16;

/// Most values that a program reads.
const MAX_OPERANDS: usize = 6;

/// The fused nodes of a graph.
pub(crate) struct Groups {
    /// Members by last node, in topological order, the last node included.
    members: HashMap<NodeId, Vec<NodeId>>,
    absorbed: HashSet<NodeId>,
}

impl Groups {
    /// Groups the elementwise nodes of `order` that have a sample.
    pub(crate) fn of(graph: &Graph, order: &[NodeId], samples: &HashMap<NodeId, Vec<usize>>) -> Self {
        let mut groups = Self { members: HashMap::new(), absorbed: HashSet::new() };
        let mut costs: HashMap<NodeId, Cost> = HashMap::new();
        for node in order {
            let (Some(own), Some(dims)) = (instructions(graph.op(*node)), samples.get(node)) else { continue };
            let operands = graph.operands(*node);
            // A batch normalisation reads a factor and an offset that are computed from four constants.
            let (read, extra) =
                if matches!(graph.op(*node), Op::BatchNorm(_)) { (&operands[..1], 2) } else { (operands, 0) };
            let count = read.len() + extra;
            let mut cost = Cost { instructions: own + count, operands: count };
            let mut members = Vec::new();
            for operand in read {
                let joins = samples.get(operand) == Some(dims) && graph.sole_user(*operand) == Some(*node);
                let with = costs.get(operand).filter(|_| joins).and_then(|other| cost.joined(*other));
                if let Some((with, others)) = with.zip(groups.members.get(operand)) {
                    cost = with;
                    members.extend(others);
                    groups.absorbed.insert(*operand);
                    groups.members.remove(operand);
                }
            }
            members.push(*node);
            groups.members.insert(*node, members);
            costs.insert(*node, cost);
        }
        groups
    }

    /// Whether a node is computed by a later one's program.
    pub(crate) fn is_absorbed(&self, node: NodeId) -> bool {
        self.absorbed.contains(&node)
    }

    /// The nodes that are lowered with this one, itself included.
    pub(crate) fn members(&self, node: NodeId) -> Vec<NodeId> {
        self.members.get(&node).cloned().unwrap_or_else(|| vec![node])
    }
}

#[derive(Clone, Copy)]
struct Cost {
    instructions: usize,
    operands: usize,
}

impl Cost {
    /// With another program instead of an operand.
    fn joined(self, other: Self) -> Option<Self> {
        let sum = Self {
            instructions: self.instructions + other.instructions - 1,
            operands: self.operands + other.operands - 1,
        };
        (sum.instructions <= MAX_INSTRUCTIONS && sum.operands <= MAX_OPERANDS).then_some(sum)
    }
}

/// Instructions of an elementwise operator without its operands; `None` for the others.
fn instructions(op: &Op) -> Option<usize> {
    match op {
        Op::Binary(_) | Op::Where => Some(1),
        Op::BatchNorm(_) => Some(2),
        Op::Unary(unary) => Some(match unary {
            Unary::Relu
            | Unary::Sigmoid
            | Unary::Tanh
            | Unary::Exp
            | Unary::Sqrt
            | Unary::Abs
            | Unary::Neg
            | Unary::Reciprocal
            | Unary::Floor
            | Unary::Ceil
            | Unary::Log
            | Unary::Erf
            | Unary::Round
            | Unary::Sign => 1,
            Unary::Silu => 2,
            Unary::Clip { .. } => 4,
            Unary::LeakyRelu { .. } => 6,
            Unary::HardSigmoid { .. } => 7,
            Unary::HardSwish => 8,
        }),
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Softmax(_)
        | Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Resize(_)
        | Op::Reduce(_)
        | Op::Identity => None,
    }
}
