//! Random programs: graphs of any operators that rnc has, with shapes, strides, groups, residual topologies and outputs by chance, and what it takes to
//! check that plans compute what they say.
//!
//! `rnc-passes` has random networks of its own, of the family's shape, for what passes look for; these have every operator anywhere.
//!
//! A program is made of a seed alone, so a seed is a whole report of a failure. `cargo run --release -p rnc-tests --example random_programs` runs as many as
//! one likes.

mod check;
mod images;
mod operators;

use fastrand::Rng;
use rnc_ir::op::{Op, Unary};
use rnc_ir::{Dim, Graph, GraphBuilder, NodeId, Shape, Tensor, TensorType};

pub use check::{Failure, Outcome, check};

/// Most elements of a sample of a value: the reference takes its time.
const MOST_ELEMENTS: usize = 20_000;

/// A graph, and what it is run with.
#[derive(Debug)]
pub struct Program {
    /// What it was made of.
    pub seed: u64,
    /// The graph.
    pub graph: Graph,
    /// Samples of the runs, if the graph leaves their number open.
    pub batch: usize,
}

/// What a graph knows of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leading {
    /// The symbol.
    Open,
    /// A number.
    Fixed(usize),
    /// Nothing: all dimensions are a sample's.
    None,
}

/// A graph that grows.
struct Generator {
    rng: Rng,
    builder: GraphBuilder,
    leading: Leading,
    /// Values that are computed, and inputs, oldest first.
    values: Vec<NodeId>,
    /// Those of them that are inputs, or have their elements: nothing is rounded, so functions that jump jump at the same place for everyone.
    exact: Vec<NodeId>,
}

/// The program of a seed.
pub fn program(seed: u64) -> Program {
    let mut rng = Rng::with_seed(seed);
    let leading = match rng.u32(..10) {
        0 => Leading::None,
        1 | 2 => Leading::Fixed(rng.usize(1..4)),
        _ => Leading::Open,
    };
    let batch = rng.usize(1..4);
    let builder = GraphBuilder::new("random");
    let mut generator = Generator { rng, builder, leading, values: Vec::new(), exact: Vec::new() };
    generator.inputs();
    let wanted = generator.values.len() + generator.rng.usize(1..14);
    for _ in 0..200 {
        if generator.values.len() >= wanted {
            break;
        }
        operators::add(&mut generator);
    }
    Program { seed, graph: generator.finish(), batch }
}

impl Generator {
    fn inputs(&mut self) {
        for i in 0..if self.chance(80) { 1 } else { 2 } {
            let sample = if self.chance(85) { images::extent(&mut self.rng).to_vec() } else { self.small_dims() };
            let name = format!("x{i}");
            let ty = TensorType::f32(self.shape(&sample).dims().iter().copied());
            let id = self.builder.input(&name, ty);
            self.values.push(id);
            self.exact.push(id);
        }
    }

    fn small_dims(&mut self) -> Vec<usize> {
        (0..self.rng.usize(1..4)).map(|_| self.rng.usize(1..20)).collect()
    }

    /// Outputs: the last value, and by chance some of the others.
    fn finish(mut self) -> Graph {
        let mut outputs = vec![self.values[self.values.len() - 1]];
        while self.chance(25) {
            outputs.push(self.values[self.rng.usize(..self.values.len())]);
        }
        outputs.dedup();
        for (i, id) in outputs.into_iter().enumerate() {
            self.builder.output(format!("y{i}"), id);
        }
        self.builder.finish().expect("every value has been checked")
    }

    /// Whether something happens that does so many times in a hundred.
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())]
    }

    /// One of the values, more likely a young one.
    fn value(&mut self) -> NodeId {
        let mut back = 0;
        while back + 1 < self.values.len() && self.chance(35) {
            back += 1;
        }
        self.values[self.values.len() - 1 - back]
    }

    /// One of the values for which something holds.
    fn value_where(&mut self, holds: impl Fn(&Self, NodeId) -> bool) -> Option<NodeId> {
        let fit: Vec<NodeId> = self.values.iter().copied().filter(|id| holds(self, *id)).collect();
        (!fit.is_empty()).then(|| self.pick(&fit))
    }

    /// Dimensions of a value without the batch.
    fn sample(&self, id: NodeId) -> Vec<usize> {
        let dims = self.builder.graph().ty(id).shape.dims();
        let skip = usize::from(self.leading != Leading::None);
        dims[skip..].iter().map(|dim| dim.fixed().unwrap_or(1)).collect()
    }

    /// The shape of a value whose sample has these dimensions.
    fn shape(&self, sample: &[usize]) -> Shape {
        let leading = match self.leading {
            Leading::Open => Some(Dim::Batch),
            Leading::Fixed(n) => Some(n.into()),
            Leading::None => None,
        };
        Shape::new(leading.into_iter().chain(sample.iter().map(|dim| Dim::from(*dim))))
    }

    /// How many axes come before a sample's.
    fn skipped(&self) -> usize {
        usize::from(self.leading != Leading::None)
    }

    /// Adds a node unless the operator does not take its operands, or the result is too large.
    fn node(&mut self, op: Op, operands: &[NodeId]) -> Option<NodeId> {
        let id = self.builder.op("v", op, operands).ok()?;
        let elements = self.sample(id).iter().product::<usize>();
        (0 < elements && elements <= MOST_ELEMENTS).then_some(id)
    }

    fn unary(&mut self, function: Unary, x: NodeId) -> Option<NodeId> {
        self.node(Op::Unary(function), &[x])
    }

    /// A constant with elements between two numbers; at times all of them are simple ones, which passes have an eye for.
    fn constant(&mut self, dims: &[usize], low: f32, high: f32) -> NodeId {
        let simple = self.chance(8);
        let (zero, one) = (low <= 0.0 && self.chance(50), high >= 1.0 && low <= 1.0);
        let len = dims.iter().product();
        let mut element = || match (simple, zero, one) {
            (true, true, _) => 0.0,
            (true, false, true) => 1.0,
            _ => low + (high - low) * self.rng.f32(),
        };
        let data: Vec<f32> = (0..len).map(|_| element()).collect();
        self.builder.constant("c", Tensor::f32(dims, data))
    }

    fn number(&mut self, low: f32, high: f32) -> NodeId {
        self.constant(&[], low, high)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rnc_ir::op::{Binary, ReduceKind};

    use super::*;

    #[test]
    fn a_seed_is_a_program() {
        for seed in 0..20 {
            let (one, two) = (program(seed), program(seed));
            assert!(one.graph.same(&two.graph) && one.batch == two.batch);
        }
    }

    /// The names of all operators. The matches are exhaustive for one reason: a new operator does not compile here before it has a place in the list, and in the generator.
    #[allow(clippy::match_same_arms, reason = "they are lists")]
    fn all_operators() -> BTreeSet<&'static str> {
        let known = |op: &Op| match op {
            Op::Input | Op::Constant(_) | Op::Conv2d(_) | Op::BatchNorm(_) | Op::Where | Op::MaxPool(_) => {}
            Op::AveragePool(_) | Op::GlobalAveragePool | Op::GlobalMaxPool | Op::Gemm(_) | Op::MatMul => {}
            Op::Softmax(_) | Op::Concat(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) | Op::Pad(_) => {}
            Op::Expand(_) | Op::Resize(_) | Op::Identity => {}
            Op::Reduce(reduce) => match reduce.kind {
                ReduceKind::Mean | ReduceKind::Sum | ReduceKind::Max => {}
            },
            Op::Unary(function) => match function {
                Unary::Relu | Unary::LeakyRelu { .. } | Unary::Clip { .. } | Unary::Sigmoid | Unary::Silu => {}
                Unary::HardSigmoid { .. } | Unary::HardSwish | Unary::Tanh | Unary::Exp | Unary::Sqrt => {}
                Unary::Abs | Unary::Neg | Unary::Reciprocal | Unary::Floor | Unary::Ceil | Unary::Round => {}
                Unary::Sign | Unary::Log | Unary::Erf => {}
            },
            Op::Binary(function) => match function {
                Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Max | Binary::Min | Binary::Pow => {}
                Binary::Equal | Binary::Greater | Binary::GreaterOrEqual => {}
            },
        };
        known(&Op::Input);
        "input constant conv2d batch_norm where max_pool average_pool global_average_pool global_max_pool gemm matmul softmax concat reshape \
         transpose slice pad expand resize reduce_mean reduce_sum reduce_max identity relu leaky_relu clip sigmoid hard_sigmoid hard_swish silu tanh exp \
         sqrt abs neg reciprocal floor ceil round sign log erf add sub mul div max min pow equal greater greater_or_equal"
            .split_whitespace()
            .collect()
    }

    #[test]
    fn every_operator_comes_up() {
        let mut seen = BTreeSet::new();
        for seed in 0..3000 {
            let graph = program(seed).graph;
            seen.extend(graph.ids().map(|id| graph.op(id).name()));
        }
        assert_eq!(seen, all_operators());
    }
}
