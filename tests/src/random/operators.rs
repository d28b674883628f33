//! One more operator on a graph.

use rnc_ir::NodeId;
use rnc_ir::op::{Axis, Binary, Gemm, Op, Pad, Reduce, ReduceKind, Reshape, Slice, Transpose, Unary};

use super::{Generator, Leading, images};

/// Adds something to a graph, if there are operands for it.
type Way = fn(&mut Generator) -> Option<NodeId>;

/// Tries to add an operator, or a few that belong together; nothing happens if the one that chance takes finds no operands.
pub(super) fn add(g: &mut Generator) {
    let ways: [(u32, Way); 19] = [
        (20, images::conv),
        (6, images::batch_norm),
        (14, smooth),
        (4, guarded),
        (3, jump),
        (12, pair),
        (6, with_constant),
        (3, choice),
        (7, images::pool),
        (5, images::resize),
        (6, reshape),
        (6, transpose),
        (5, slice),
        (4, pad),
        (3, expand),
        (5, reduce),
        (3, softmax),
        (5, concat),
        (6, product),
    ];
    let mut at = g.rng.u32(..ways.iter().map(|(weight, _)| weight).sum::<u32>());
    for (weight, way) in ways {
        if at < weight {
            if let Some(id) = way(g) {
                g.values.push(id);
            }
            return;
        }
        at -= weight;
    }
}

/// Functions without jumps and without steep places.
fn smooth(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let function = g.pick(&[
        Unary::Relu,
        Unary::Relu,
        Unary::LeakyRelu { alpha: 0.1 },
        Unary::Clip { min: -0.75, max: 0.5 },
        Unary::Clip { min: 0.0, max: 6.0 },
        Unary::Sigmoid,
        Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Unary::HardSwish,
        Unary::Silu,
        Unary::Tanh,
        Unary::Abs,
        Unary::Neg,
        Unary::Erf,
    ]);
    if g.chance(5) { g.node(Op::Identity, &[x]) } else { g.unary(function, x) }
}

/// Functions that are kept away from their steep places.
fn guarded(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    if g.chance(25) {
        let clipped = g.unary(Unary::Clip { min: -4.0, max: 4.0 }, x)?;
        return g.unary(Unary::Exp, clipped);
    }
    let size = g.unary(Unary::Abs, x)?;
    let gap = g.number(0.3, 1.0);
    let positive = g.node(Op::Binary(Binary::Add), &[size, gap])?;
    match g.rng.u32(..4) {
        0 => g.unary(Unary::Sqrt, positive),
        1 => g.unary(Unary::Log, positive),
        2 => g.unary(Unary::Reciprocal, positive),
        _ => {
            let exponent = g.number(-2.0, 2.5);
            g.node(Op::Binary(Binary::Pow), &[positive, exponent])
        }
    }
}

/// Functions with jumps, of values that nothing has rounded.
fn jump(g: &mut Generator) -> Option<NodeId> {
    let x = g.pick(&g.exact.clone());
    let function = g.pick(&[Unary::Floor, Unary::Ceil, Unary::Round, Unary::Sign]);
    let id = g.unary(function, x)?;
    g.exact.push(id);
    Some(id)
}

/// A function of two values.
fn pair(g: &mut Generator) -> Option<NodeId> {
    let a = g.value();
    let dims = g.sample(a);
    let broadcasts = g.chance(30);
    let b = g.value_where(|g, id| {
        let other = g.sample(id);
        let like = |(a, b): (&usize, &usize)| a == b || broadcasts && (*a == 1 || *b == 1);
        other.len() == dims.len() && dims.iter().zip(&other).all(like)
    })?;
    let function = g.pick(&[Binary::Add, Binary::Add, Binary::Add, Binary::Sub, Binary::Mul, Binary::Max, Binary::Min]);
    if g.chance(8) {
        let size = g.unary(Unary::Abs, b)?;
        let gap = g.number(0.5, 1.0);
        let positive = g.node(Op::Binary(Binary::Add), &[size, gap])?;
        return g.node(Op::Binary(Binary::Div), &[a, positive]);
    }
    let operands = if g.chance(50) { [a, b] } else { [b, a] };
    g.node(Op::Binary(function), &operands)
}

/// A constant that broadcasts to a value: some of its last axes, some of these of size 1.
fn constant_for(g: &mut Generator, x: NodeId, low: f32, high: f32) -> NodeId {
    let dims = g.sample(x);
    let first = g.rng.usize(..=dims.len());
    let dims: Vec<usize> = dims[first..].iter().map(|dim| if g.chance(40) { 1 } else { *dim }).collect();
    g.constant(&dims, low, high)
}

fn with_constant(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let c = constant_for(g, x, -1.0, 1.0);
    let function = g.pick(&[Binary::Add, Binary::Sub, Binary::Mul, Binary::Max, Binary::Min]);
    if g.chance(15) {
        let divisor = constant_for(g, x, 0.5, 2.0);
        return g.node(Op::Binary(Binary::Div), &[x, divisor]);
    }
    let operands = if g.chance(70) { [x, c] } else { [c, x] };
    g.node(Op::Binary(function), &operands)
}

/// A choice between two values by a comparison of a third.
fn choice(g: &mut Generator) -> Option<NodeId> {
    let by = g.pick(&g.exact.clone());
    let threshold = g.number(-0.5, 0.5);
    let compare = g.pick(&[Binary::Greater, Binary::GreaterOrEqual, Binary::Equal]);
    let mask = g.node(Op::Binary(compare), &[by, threshold])?;
    let dims = g.sample(mask);
    let a = g.value_where(|g, id| g.sample(id) == dims)?;
    let b = constant_for(g, a, -1.0, 1.0);
    g.node(Op::Where, &[mask, a, b])
}

fn reshape(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let mut dims = g.sample(x);
    match g.rng.u32(..4) {
        // Flat.
        0 => dims = vec![dims.iter().product()],
        // Two neighbours as one.
        1 if dims.len() > 1 => {
            let at = g.rng.usize(..dims.len() - 1);
            let next = dims.remove(at + 1);
            dims[at] *= next;
        }
        // One as two.
        2 if !dims.is_empty() && dims.len() < 5 => {
            let at = g.rng.usize(..dims.len());
            let size = dims[at];
            let divisors: Vec<usize> = (1..=size).filter(|n| size.is_multiple_of(*n)).collect();
            let first = g.pick(&divisors);
            dims.splice(at..=at, [first, size / first]);
        }
        _ if dims.len() < 5 => dims.insert(g.rng.usize(..=dims.len()), 1),
        _ => return None,
    }
    let shape = g.shape(&dims);
    g.node(Op::Reshape(Reshape { shape }), &[x])
}

fn transpose(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let skipped = g.skipped();
    let rank = g.sample(x).len() + skipped;
    let mut perm: Vec<usize> = (0..rank).collect();
    g.rng.shuffle(&mut perm[skipped..]);
    // Channels to the end and back, as NHWC models have it.
    if rank == 4 && skipped == 1 && g.chance(50) {
        perm = g.pick(&[[0, 2, 3, 1], [0, 3, 1, 2]]).to_vec();
    }
    g.node(Op::Transpose(Transpose { perm }), &[x])
}

fn slice(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let skipped = g.skipped();
    let mut slice = Slice { starts: vec![0; skipped], sizes: vec![None; skipped], steps: vec![1; skipped] };
    for size in g.sample(x) {
        if g.chance(50) {
            slice.starts.push(0);
            slice.sizes.push(Some(size));
            slice.steps.push(1);
            continue;
        }
        let step = g.pick(&[1isize, 1, 1, 2, 3, -1, -2]);
        let start = g.rng.usize(..size);
        let left = if step > 0 { size - start } else { start + 1 };
        let most = left.div_ceil(step.unsigned_abs());
        slice.starts.push(start);
        slice.sizes.push(Some(g.rng.usize(1..=most)));
        slice.steps.push(step);
    }
    g.node(Op::Slice(slice), &[x])
}

fn pad(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let skipped = g.skipped();
    let dims = g.sample(x);
    let channels = g.chance(15);
    let mut amounts = || -> Vec<usize> {
        let amount = |axis: usize, g: &mut Generator| match axis {
            0 if dims.len() == 3 && !channels => 0,
            _ => g.rng.usize(..3),
        };
        std::iter::repeat_n(0, skipped).chain((0..dims.len()).map(|axis| amount(axis, g))).collect()
    };
    let (begin, end) = (amounts(), amounts());
    let value = g.pick(&[0.0, 0.0, 0.5, -1.0]);
    g.node(Op::Pad(Pad { begin, end, value }), &[x])
}

fn expand(g: &mut Generator) -> Option<NodeId> {
    let x = g.value_where(|g, id| g.sample(id).contains(&1))?;
    let dims: Vec<usize> = g.sample(x).into_iter().map(|dim| if dim == 1 { g.rng.usize(1..6) } else { dim }).collect();
    let shape = g.shape(&dims);
    g.node(Op::Expand(Reshape { shape }), &[x])
}

fn reduce(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let skipped = g.skipped();
    let axes: Vec<usize> = (skipped..skipped + g.sample(x).len()).filter(|_| g.chance(50)).collect();
    let kind = g.pick(&[ReduceKind::Mean, ReduceKind::Mean, ReduceKind::Max, ReduceKind::Sum]);
    let keep_dims = g.chance(60);
    if axes.is_empty() {
        return None;
    }
    g.node(Op::Reduce(Reduce { kind, axes, keep_dims }), &[x])
}

fn softmax(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let rank = g.sample(x).len();
    if rank == 0 {
        return None;
    }
    let axis = g.skipped() + g.rng.usize(..rank);
    g.node(Op::Softmax(Axis { axis }), &[x])
}

fn concat(g: &mut Generator) -> Option<NodeId> {
    let first = g.value();
    let dims = g.sample(first);
    if dims.is_empty() {
        return None;
    }
    let axis = g.rng.usize(..dims.len());
    let mut operands = vec![first];
    while operands.len() < 2 || operands.len() < 4 && g.chance(40) {
        operands.push(g.value_where(|g, id| {
            let other = g.sample(id);
            other.len() == dims.len() && (0..dims.len()).all(|i| i == axis || other[i] == dims[i])
        })?);
    }
    let axis = axis + g.skipped();
    g.node(Op::Concat(Axis { axis }), &operands)
}

/// Products of matrices: layers with constant weights, and two values that are computed.
fn product(g: &mut Generator) -> Option<NodeId> {
    let x = g.value();
    let dims = g.sample(x);
    let inner = dims.last().copied()?;
    let outputs = g.pick(&[1, 7, 10, 16, 20, 33, 64]);
    let reach = (3.0 / inner as f32).sqrt();
    if dims.len() == 1 && g.leading != Leading::None && g.chance(70) {
        let trans_b = g.chance(60);
        let shape = if trans_b { [outputs, inner] } else { [inner, outputs] };
        let mut operands = vec![x, g.constant(&shape, -reach, reach)];
        let bias = g.chance(60);
        if bias {
            let shapes = [vec![outputs], vec![1, outputs], vec![1]];
            let shape = &shapes[g.rng.usize(..shapes.len())];
            operands.push(g.constant(shape, -0.5, 0.5));
        }
        let [alpha, beta] = [g.pick(&[1.0, 1.0, 0.5]), g.pick(&[1.0, 1.0, -2.0])];
        let gemm = Gemm { alpha, beta, trans_a: false, trans_b, bias, activation: rnc_ir::op::Activation::None };
        return g.node(Op::Gemm(gemm), &operands);
    }
    let computed = g.value_where(|g, id| {
        let other = g.sample(id);
        other.len() == dims.len() && other.len() >= 2 && other[other.len() - 2] == inner
    });
    let Some(other) = computed.filter(|_| g.chance(60)) else {
        let weights = g.constant(&[inner, outputs], -reach, reach);
        return g.node(Op::MatMul, &[x, weights]);
    };
    let scaled = g.node(Op::MatMul, &[x, other])?;
    let factor = g.number(0.1, 0.3);
    g.node(Op::Binary(Binary::Mul), &[scaled, factor])
}
