//! The ONNX form of each operator.

use onnx_protobuf::AttributeProto;
use onnx_protobuf::tensor_proto::DataType;
use rnc_ir::op::{Activation, Binary, Conv2d, Gemm, Pad, Pool, Reduce, ReduceKind, Slice, Unary, Window};
use rnc_ir::resize::{Interpolation, Resize};
use rnc_ir::{Dim, NodeId, Op, Shape, Tensor};

use super::Exporter;
use crate::error::ExportError;
use crate::proto::{float, int, ints, string};

/// Writes a node that is neither an input nor a constant.
pub(super) fn write(exporter: &mut Exporter, id: NodeId) -> Result<(), ExportError> {
    let graph = exporter.graph;
    let x: Vec<String> = graph.operands(id).iter().map(|o| exporter.name(*o).to_owned()).collect();
    let x: Vec<&str> = x.iter().map(String::as_str).collect();
    let y = &exporter.name(id).to_owned();
    match graph.op(id) {
        // Written before anything else.
        Op::Input | Op::Constant(_) => {}
        Op::Conv2d(op) => conv(exporter, op, &x, y),
        Op::BatchNorm(op) => exporter.push("BatchNormalization", &x, y, [float("epsilon", op.epsilon)]),
        Op::Unary(op) => unary(exporter, *op, x[0], y),
        Op::Binary(op) => binary(exporter, *op, &x, y),
        Op::Where => {
            let holds = exporter.fresh(&format!("{y}.holds"));
            exporter.push("Cast", &x[..1], &holds, [int("to", i64::from(DataType::BOOL as i32))]);
            exporter.push("Where", &[&holds, x[1], x[2]], y, []);
        }
        Op::MaxPool(op) => {
            let dilations = ints("dilations", &signed(op.window.dilation));
            exporter.push("MaxPool", &x, y, pool(op).into_iter().chain([dilations]).collect::<Vec<_>>());
        }
        Op::AveragePool(op) => {
            let mut attributes = pool(&op.pool);
            attributes.push(int("count_include_pad", op.count_include_pad.into()));
            if op.pool.window.dilation != [1, 1] {
                attributes.push(ints("dilations", &signed(op.pool.window.dilation)));
            }
            exporter.push("AveragePool", &x, y, attributes);
        }
        Op::GlobalAveragePool => exporter.push("GlobalAveragePool", &x, y, []),
        Op::GlobalMaxPool => exporter.push("GlobalMaxPool", &x, y, []),
        Op::Gemm(op) => gemm(exporter, op, &x, y),
        Op::MatMul => exporter.push("MatMul", &x, y, []),
        Op::Softmax(op) => exporter.push("Softmax", &x, y, [int("axis", op.axis as i64)]),
        Op::Concat(op) => exporter.push("Concat", &x, y, [int("axis", op.axis as i64)]),
        Op::Reshape(op) => return reshape(exporter, id, &op.shape, x[0], y),
        Op::Resize(op) => resize(exporter, id, op, x[0], y),
        Op::Transpose(op) => {
            let perm: Vec<i64> = op.perm.iter().map(|axis| *axis as i64).collect();
            exporter.push("Transpose", &x, y, [ints("perm", &perm)]);
        }
        Op::Slice(op) => slice(exporter, op, x[0], y),
        Op::Pad(op) => pad(exporter, op, x[0], y),
        Op::Expand(op) => return expand(exporter, id, &op.shape, x[0], y),
        Op::Reduce(op) => reduce(exporter, op, x[0], y),
        Op::Identity => exporter.push("Identity", &x, y, []),
    }
    Ok(())
}

/// The convolution; a residual and an activation follow as nodes of their own.
fn conv(exporter: &mut Exporter, op: &Conv2d, x: &[&str], y: &str) {
    let mut attributes = window(&op.window);
    attributes.push(ints("dilations", &signed(op.window.dilation)));
    attributes.push(int("group", op.groups as i64));
    let (operands, residual) = if op.residual { x.split_at(x.len() - 1) } else { (x, &[][..]) };
    let (sum, result) = activated(exporter, op.activation, y);
    match residual {
        [residual] => {
            let product = exporter.fresh(&format!("{y}.conv"));
            exporter.push("Conv", operands, &product, attributes);
            exporter.push("Add", &[&product, residual], &sum, []);
        }
        _ => exporter.push("Conv", operands, &sum, attributes),
    }
    result.write(exporter, &sum, y);
}

fn gemm(exporter: &mut Exporter, op: &Gemm, x: &[&str], y: &str) {
    let attributes = [
        float("alpha", op.alpha),
        float("beta", op.beta),
        int("transA", op.trans_a.into()),
        int("transB", op.trans_b.into()),
    ];
    let (sum, result) = activated(exporter, op.activation, y);
    exporter.push("Gemm", x, &sum, attributes);
    result.write(exporter, &sum, y);
}

/// The activation that turns a helper value into a result.
struct Activated(Option<Unary>);

/// The name for what goes into the activation (the result's own, if there is none), and the activation.
fn activated(exporter: &mut Exporter, activation: Activation, y: &str) -> (String, Activated) {
    let unary = match activation {
        Activation::None => return (y.to_owned(), Activated(None)),
        Activation::Relu => Unary::Relu,
        Activation::Clip { min, max } => Unary::Clip { min, max },
    };
    (exporter.fresh(&format!("{y}.sum")), Activated(Some(unary)))
}

impl Activated {
    fn write(self, exporter: &mut Exporter, x: &str, y: &str) {
        if let Some(unary) = self.0 {
            self::unary(exporter, unary, x, y);
        }
    }
}

fn unary(exporter: &mut Exporter, op: Unary, x: &str, y: &str) {
    let (name, attributes) = match op {
        Unary::Clip { min, max } => {
            let [min, max] =
                [("min", min), ("max", max)].map(|(suffix, v)| exporter.helper(y, suffix, &Tensor::f32([], vec![v])));
            return exporter.push("Clip", &[x, &min, &max], y, []);
        }
        Unary::Silu => {
            let sigmoid = exporter.fresh(&format!("{y}.sigmoid"));
            exporter.push("Sigmoid", &[x], &sigmoid, []);
            return exporter.push("Mul", &[x, &sigmoid], y, []);
        }
        Unary::LeakyRelu { alpha } => ("LeakyRelu", vec![float("alpha", alpha)]),
        Unary::HardSigmoid { alpha, beta } => ("HardSigmoid", vec![float("alpha", alpha), float("beta", beta)]),
        Unary::Relu => ("Relu", vec![]),
        Unary::Sigmoid => ("Sigmoid", vec![]),
        Unary::HardSwish => ("HardSwish", vec![]),
        Unary::Tanh => ("Tanh", vec![]),
        Unary::Exp => ("Exp", vec![]),
        Unary::Sqrt => ("Sqrt", vec![]),
        Unary::Abs => ("Abs", vec![]),
        Unary::Neg => ("Neg", vec![]),
        Unary::Reciprocal => ("Reciprocal", vec![]),
        Unary::Floor => ("Floor", vec![]),
        Unary::Ceil => ("Ceil", vec![]),
        Unary::Round => ("Round", vec![]),
        Unary::Sign => ("Sign", vec![]),
        Unary::Log => ("Log", vec![]),
        Unary::Erf => ("Erf", vec![]),
    };
    exporter.push(name, &[x], y, attributes);
}

fn binary(exporter: &mut Exporter, function: Binary, x: &[&str], y: &str) {
    let name = match function {
        Binary::Add => "Add",
        Binary::Sub => "Sub",
        Binary::Mul => "Mul",
        Binary::Div => "Div",
        Binary::Max => "Max",
        Binary::Min => "Min",
        Binary::Pow => "Pow",
        Binary::Equal => return comparison(exporter, "Equal", x, y),
        Binary::Greater => return comparison(exporter, "Greater", x, y),
        Binary::GreaterOrEqual => return comparison(exporter, "GreaterOrEqual", x, y),
    };
    exporter.push(name, x, y, []);
}

/// A comparison, whose truth values become 1 and 0.
fn comparison(exporter: &mut Exporter, name: &str, x: &[&str], y: &str) {
    let holds = exporter.fresh(&format!("{y}.holds"));
    exporter.push(name, x, &holds, []);
    exporter.push("Cast", &[&holds], y, [int("to", i64::from(DataType::FLOAT as i32))]);
}

fn signed<const COUNT: usize>(sizes: [usize; COUNT]) -> [i64; COUNT] {
    sizes.map(|n| n as i64)
}

fn window(window: &Window) -> Vec<AttributeProto> {
    let ([top, left], [bottom, right]) = (window.pad_begin, window.pad_end);
    vec![
        ints("kernel_shape", &signed(window.kernel)),
        ints("strides", &signed(window.stride)),
        ints("pads", &signed([top, left, bottom, right])),
    ]
}

/// The attributes that both pools have.
fn pool(op: &Pool) -> Vec<AttributeProto> {
    let mut attributes = window(&op.window);
    attributes.push(int("ceil_mode", op.ceil_mode.into()));
    attributes
}

fn reshape(exporter: &mut Exporter, id: NodeId, shape: &Shape, x: &str, y: &str) -> Result<(), ExportError> {
    let has_zero = shape.dims().contains(&Dim::Fixed(0));
    if has_zero && shape.dims().contains(&Dim::Batch) {
        let node = exporter.graph.node(id);
        let reason = format!("a shape with both a 0 and the batch, {shape}");
        return Err(ExportError::Node { node: node.name().into(), op: node.op().name(), reason });
    }
    // The batch occurs once at most: it is what is left by the numbers.
    let target = shape.dims().iter().map(|d| d.fixed().map_or(-1, |n| n as i64)).collect();
    let target = exporter.integers(y, "shape", target);
    let attributes = if has_zero { vec![int("allowzero", 1)] } else { vec![] };
    exporter.push("Reshape", &[x, &target], y, attributes);
    Ok(())
}

/// Where the operand does not have the batch itself, its size is taken from an input.
fn expand(exporter: &mut Exporter, id: NodeId, shape: &Shape, x: &str, y: &str) -> Result<(), ExportError> {
    let graph = exporter.graph;
    let from = &graph.ty(graph.operands(id)[0]).shape;
    let batch_of = |shape: &Shape| shape.dims().iter().position(|d| *d == Dim::Batch);
    // Counted from the last axis, as broadcasting does. A 1 leaves the operand's dimension as it is.
    let own = batch_of(from).map(|axis| from.rank() - axis);
    let target: Vec<i64> = shape.dims().iter().map(|d| d.fixed().map_or(1, |n| n as i64)).collect();
    let axis = match batch_of(shape) {
        Some(axis) if own != Some(shape.rank() - axis) => axis,
        Some(_) | None => {
            let target = exporter.integers(y, "shape", target);
            exporter.push("Expand", &[x, &target], y, []);
            return Ok(());
        }
    };
    let source =
        graph.inputs().iter().find_map(|input| batch_of(&graph.ty(*input).shape).map(|axis| (*input, axis as i64)));
    let Some((input, batch)) = source else {
        let node = graph.node(id);
        let reason = "no input has the batch dimension".to_owned();
        return Err(ExportError::Node { node: node.name().into(), op: node.op().name(), reason });
    };
    let size = exporter.fresh(&format!("{y}.batch"));
    let input = exporter.name(input).to_owned();
    exporter.push("Shape", &[&input], &size, [int("start", batch), int("end", batch + 1)]);
    let before = exporter.integers(y, "before", target[..axis].to_vec());
    let after = exporter.integers(y, "after", target[axis + 1..].to_vec());
    let joined = exporter.fresh(&format!("{y}.shape"));
    exporter.push("Concat", &[&before, &size, &after], &joined, [int("axis", 0)]);
    exporter.push("Expand", &[x, &joined], y, []);
    Ok(())
}

/// By the scales, which say where elements lie; by the sizes where scales are quotients that rounding keeps from giving them.
fn resize(exporter: &mut Exporter, id: NodeId, op: &Resize, x: &str, y: &str) {
    let from = exporter.graph.ty(exporter.graph.operands(id)[0]).shape.clone();
    let mut attributes = vec![
        string("coordinate_transformation_mode", op.coordinates.name()),
        int("antialias", op.antialias.into()),
        int("exclude_outside", op.exclude_outside.into()),
    ];
    match op.interpolation {
        Interpolation::Nearest(rounding) => {
            attributes.push(string("mode", "nearest"));
            attributes.push(string("nearest_mode", rounding.name()));
        }
        Interpolation::Linear => attributes.push(string("mode", "linear")),
        Interpolation::Cubic { a } => {
            attributes.push(string("mode", "cubic"));
            attributes.push(float("cubic_coeff_a", a));
        }
    }
    // The batch, and other axes that stay, are not named.
    let changed =
        |axis: &usize| from.dims()[*axis] != op.shape.dims()[*axis] || op.scales[*axis].to_bits() != 1.0f32.to_bits();
    let axes: Vec<usize> = (0..from.rank()).filter(changed).collect();
    if axes.is_empty() {
        exporter.push("Identity", &[x], y, []);
        return;
    }
    let size = |shape: &Shape, axis: usize| shape.dims()[axis].fixed().unwrap_or(0);
    let by_scales = axes.iter().all(|axis| {
        (size(&from, *axis) as f64 * f64::from(op.scales[*axis])).floor() as usize == size(&op.shape, *axis)
    });
    attributes.push(ints("axes", &axes.iter().map(|axis| *axis as i64).collect::<Vec<_>>()));
    if by_scales {
        let scales: Vec<f32> = axes.iter().map(|axis| op.scales[*axis]).collect();
        let scales = exporter.helper(y, "scales", &Tensor::f32([scales.len()], scales));
        exporter.push("Resize", &[x, "", &scales], y, attributes);
    } else {
        let sizes = axes.iter().map(|axis| size(&op.shape, *axis) as i64).collect();
        let sizes = exporter.integers(y, "sizes", sizes);
        exporter.push("Resize", &[x, "", "", &sizes], y, attributes);
    }
}

fn slice(exporter: &mut Exporter, op: &Slice, x: &str, y: &str) {
    let [mut starts, mut ends, mut axes, mut steps] = [const { Vec::new() }; 4];
    for (axis, ((start, size), step)) in op.starts.iter().zip(&op.sizes).zip(&op.steps).enumerate() {
        let Some(size) = size else { continue };
        let (start, size, step) = (*start as i64, *size as i64, *step as i64);
        // One behind the last element, in the direction of the step. A negative end would count from the back, so
        // the one before element 0 is written as a number before all axes.
        let end = if size == 0 { start } else { start + (size - 1) * step + step.signum() };
        starts.push(start);
        ends.push(if end < 0 { -i64::from(i32::MAX) } else { end });
        axes.push(axis as i64);
        steps.push(step);
    }
    if axes.is_empty() {
        if op.starts.is_empty() {
            // A scalar has no axis to slice.
            return exporter.push("Identity", &[x], y, []);
        }
        (starts, ends, axes, steps) = (vec![0], vec![i64::MAX], vec![0], vec![1]);
    }
    let bounds = [("starts", starts), ("ends", ends), ("axes", axes), ("steps", steps)];
    let [starts, ends, axes, steps] = bounds.map(|(suffix, values)| exporter.integers(y, suffix, values));
    exporter.push("Slice", &[x, &starts, &ends, &axes, &steps], y, []);
}

fn pad(exporter: &mut Exporter, op: &Pad, x: &str, y: &str) {
    let amounts = op.begin.iter().chain(&op.end).map(|n| *n as i64).collect();
    let amounts = exporter.integers(y, "pads", amounts);
    let value = exporter.helper(y, "value", &Tensor::f32([], vec![op.value]));
    exporter.push("Pad", &[x, &amounts, &value], y, []);
}

fn reduce(exporter: &mut Exporter, op: &Reduce, x: &str, y: &str) {
    let (name, axes_operand_since) = match op.kind {
        ReduceKind::Mean => ("ReduceMean", 18),
        ReduceKind::Sum => ("ReduceSum", 13),
        ReduceKind::Max => ("ReduceMax", 18),
    };
    let axes: Vec<i64> = op.axes.iter().map(|axis| *axis as i64).collect();
    let keep_dims = int("keepdims", op.keep_dims.into());
    if exporter.opset >= axes_operand_since {
        let axes = exporter.integers(y, "axes", axes);
        exporter.push(name, &[x, &axes], y, [keep_dims]);
    } else {
        exporter.push(name, &[x], y, [ints("axes", &axes), keep_dims]);
    }
}
