//! Operators of images: convolutions, pools, resizes.

use fastrand::Rng;
use rnc_ir::op::{Activation, AveragePool, BatchNorm, Conv2d, Op, Pool, Window};
use rnc_ir::resize::{Coordinates, Interpolation, Resize, Rounding};
use rnc_ir::{NodeId, Shape};

use super::Generator;

/// Channels, height and width of an image. Most are small, and no multiple of anything; some are large enough for the fast algorithms.
pub(super) fn extent(rng: &mut Rng) -> [usize; 3] {
    let channels = [1, 2, 3, 3, 4, 5, 8, 15, 16, 16, 17, 24, 32, 32, 33, 48, 64, 128];
    let channels = channels[rng.usize(..channels.len())];
    let most = if channels > 32 { 9 } else { 17 };
    [channels, rng.usize(1..most), rng.usize(1..most)]
}

fn image(g: &mut Generator) -> Option<NodeId> {
    g.value_where(|g, id| g.skipped() == 1 && g.sample(id).len() == 3)
}

fn window(g: &mut Generator, most: usize) -> Window {
    let same = g.chance(60);
    let two = |g: &mut Generator, range: std::ops::Range<usize>| {
        let first = g.rng.usize(range.clone());
        [first, if same { first } else { g.rng.usize(range) }]
    };
    let kernel = if g.chance(35) { [3, 3] } else { two(g, 1..most + 1) };
    let stride = if g.chance(60) { [1, 1] } else { two(g, 1..4) };
    let dilation = if g.chance(80) { [1, 1] } else { two(g, 1..4) };
    let pad_begin = if kernel == [3, 3] && g.chance(60) { [1, 1] } else { two(g, 0..kernel[0].max(kernel[1])) };
    let pad_end = if g.chance(70) { pad_begin } else { two(g, 0..kernel[0].max(kernel[1])) };
    Window { kernel, stride, pad_begin, pad_end, dilation }
}

fn activation(g: &mut Generator) -> Activation {
    match g.rng.u32(..5) {
        0 => Activation::Relu,
        1 => Activation::Clip { min: -0.5, max: 0.75 },
        _ => Activation::None,
    }
}

pub(super) fn conv(g: &mut Generator) -> Option<NodeId> {
    let x = image(g)?;
    let inputs = g.sample(x)[0];
    let outputs = g.pick(&[1, 3, 8, 15, 16, 16, 17, 32, 32, 40, 64, 128, inputs, inputs, inputs]);
    let common: Vec<usize> = (1..=inputs).filter(|n| inputs.is_multiple_of(*n) && outputs.is_multiple_of(*n)).collect();
    let groups = if g.chance(70) { 1 } else { g.pick(&common) };
    let window = if g.chance(30) { Window::new([1, 1]) } else { window(g, 5) };
    let [kh, kw] = window.kernel;
    let fan_in = (inputs / groups * kh * kw) as f32;
    let reach = (3.0 / fan_in).sqrt();
    let w = g.constant(&[outputs, inputs / groups, kh, kw], -reach, reach);
    let mut operands = vec![x, w];
    let bias = g.chance(50);
    if bias {
        operands.push(g.constant(&[outputs], -0.5, 0.5));
    }
    let conv = Conv2d { window, groups, bias, residual: false, activation: activation(g) };
    let plain = g.node(Op::Conv2d(conv.clone()), &operands)?;
    // A fused residual, as passes write it.
    let ty = g.builder.graph().ty(plain).clone();
    let same = g.value_where(|g, id| *g.builder.graph().ty(id) == ty);
    match same.filter(|_| g.chance(20)) {
        Some(residual) => {
            operands.push(residual);
            g.node(Op::Conv2d(Conv2d { residual: true, ..conv }), &operands)
        }
        None => Some(plain),
    }
}

pub(super) fn batch_norm(g: &mut Generator) -> Option<NodeId> {
    let x = g.value_where(|g, id| g.skipped() == 1 && !g.sample(id).is_empty())?;
    let channels = g.sample(x)[0];
    let parts = [(-1.5, 1.5), (-0.5, 0.5), (-0.5, 0.5), (0.2, 2.0)];
    let parts = parts.map(|(low, high)| g.constant(&[channels], low, high));
    g.node(Op::BatchNorm(BatchNorm { epsilon: 1e-5 }), &[[x].as_slice(), parts.as_slice()].concat())
}

pub(super) fn pool(g: &mut Generator) -> Option<NodeId> {
    let x = image(g)?;
    let op = match g.rng.u32(..6) {
        0 => Op::GlobalAveragePool,
        1 => Op::GlobalMaxPool,
        kind => {
            let pool = Pool { window: window(g, 4), ceil_mode: g.chance(25) };
            let average = AveragePool { pool, count_include_pad: g.chance(50) };
            if kind < 4 { Op::MaxPool(pool) } else { Op::AveragePool(average) }
        }
    };
    g.node(op, &[x])
}

pub(super) fn resize(g: &mut Generator) -> Option<NodeId> {
    let x = if g.chance(80) { image(g)? } else { g.value() };
    let dims = g.builder.graph().ty(x).shape.dims().to_vec();
    let skipped = g.skipped();
    let mut sizes = Vec::new();
    let mut scales = Vec::new();
    for (axis, dim) in dims.iter().enumerate() {
        let behind_channels = axis >= skipped + usize::from(dims.len() == 4);
        let (mut to, mut scale) = (*dim, 1.0);
        if let Some(size) = dim.fixed().filter(|_| axis >= skipped && behind_channels && g.chance(80)) {
            let resized = g.rng.usize(1..2 * size + 3).min(24);
            (to, scale) = (resized.into(), resized as f32 / size as f32);
        }
        sizes.push(to);
        scales.push(scale);
    }
    let rounding = g.pick(&Rounding::ALL);
    let interpolation =
        g.pick(&[Interpolation::Nearest(rounding), Interpolation::Linear, Interpolation::Cubic { a: -0.75 }]);
    let coordinates = g.pick(&[
        Coordinates::HalfPixel,
        Coordinates::HalfPixelSymmetric,
        Coordinates::PytorchHalfPixel,
        Coordinates::AlignCorners,
        Coordinates::Asymmetric,
    ]);
    let nearest = matches!(interpolation, Interpolation::Nearest(_));
    let resize = Resize {
        shape: Shape::new(sizes),
        scales,
        interpolation,
        coordinates,
        antialias: !nearest && g.chance(20),
        exclude_outside: matches!(interpolation, Interpolation::Cubic { .. }) && g.chance(20),
    };
    g.node(Op::Resize(resize), &[x])
}
