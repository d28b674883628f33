//! From an operator's name, operands and attributes to an [`Op`].

use super::attributes::Attributes;
use super::{Parse, ParseProblem, fail};
use crate::builder::kernel_of;
use crate::graph::{Graph, NodeId};
use crate::op::{
    AveragePool, Axis, BatchNorm, Binary, Conv2d, Gemm, Op, Pad, Pool, Reduce, ReduceKind, Reshape, Slice, Transpose,
    Unary,
};
use crate::resize::{Coordinates, Interpolation, Resize, Rounding};

/// An operand, with its label if it has one.
pub(super) struct Operand<'a> {
    pub(super) offset: usize,
    pub(super) label: Option<&'a str>,
    pub(super) value: NodeId,
}

/// The operator of that name, and its operands in order. Inference says whether they fit.
pub(super) fn operator(
    graph: &Graph,
    (offset, name): (usize, &str),
    operands: Vec<Operand>,
    mut attributes: Attributes,
) -> Parse<(Op, Vec<NodeId>)> {
    let labels: &[&str] = match name {
        "conv2d" => &["bias", "residual"],
        "gemm" => &["bias"],
        _ => &[],
    };
    let (operands, present) = arrange(name, operands, labels)?;
    let [bias, residual] = [present.contains(&"bias"), present.contains(&"residual")];
    let a = &mut attributes;
    let op = match name {
        "conv2d" => {
            let weights = operands.get(1).map_or([1, 1], |weight| kernel_of(graph.ty(*weight)));
            let kernel = a.pair("kernel")?.unwrap_or(weights);
            let (window, groups, activation) = (a.window(kernel)?, a.number_or("groups", 1)?, a.activation()?);
            Op::Conv2d(Conv2d { window, groups, bias, residual, activation })
        }
        "batch_norm" => Op::BatchNorm(BatchNorm { epsilon: a.float("epsilon")? }),
        "max_pool" => Op::MaxPool(pool(a)?),
        "average_pool" => {
            Op::AveragePool(AveragePool { pool: pool(a)?, count_include_pad: a.flag("count_include_pad")? })
        }
        "global_average_pool" => Op::GlobalAveragePool,
        "global_max_pool" => Op::GlobalMaxPool,
        "gemm" => Op::Gemm(Gemm {
            alpha: a.float_or("alpha", 1.0)?,
            beta: a.float_or("beta", 1.0)?,
            trans_a: a.flag("trans_a")?,
            trans_b: a.flag("trans_b")?,
            bias,
            activation: a.activation()?,
        }),
        "matmul" => Op::MatMul,
        "softmax" => Op::Softmax(Axis { axis: a.number("axis")? }),
        "concat" => Op::Concat(Axis { axis: a.number("axis")? }),
        "reshape" => Op::Reshape(Reshape { shape: a.shape("shape")? }),
        "expand" => Op::Expand(Reshape { shape: a.shape("shape")? }),
        "resize" => Op::Resize(resize(a)?),
        "transpose" => Op::Transpose(Transpose { perm: a.numbers("perm")? }),
        "slice" => Op::Slice(slice(a)?),
        "pad" => Op::Pad(Pad { begin: a.numbers("begin")?, end: a.numbers("end")?, value: a.float_or("value", 0.0)? }),
        "reduce_mean" => reduce(a, ReduceKind::Mean)?,
        "reduce_sum" => reduce(a, ReduceKind::Sum)?,
        "reduce_max" => reduce(a, ReduceKind::Max)?,
        "identity" => Op::Identity,
        _ => match elementwise(name, a)? {
            Some(op) => op,
            None => return fail(offset, ParseProblem::UnknownOperator { name: name.to_owned() }),
        },
    };
    attributes.finish()?;
    Ok((op, operands))
}

fn elementwise(name: &str, a: &mut Attributes) -> Parse<Option<Op>> {
    Ok(Some(match name {
        "relu" => Op::Unary(Unary::Relu),
        "leaky_relu" => Op::Unary(Unary::LeakyRelu { alpha: a.float("alpha")? }),
        "clip" => Op::Unary(Unary::Clip { min: a.float("min")?, max: a.float("max")? }),
        "sigmoid" => Op::Unary(Unary::Sigmoid),
        "hard_sigmoid" => Op::Unary(Unary::HardSigmoid { alpha: a.float("alpha")?, beta: a.float("beta")? }),
        "hard_swish" => Op::Unary(Unary::HardSwish),
        "silu" => Op::Unary(Unary::Silu),
        "tanh" => Op::Unary(Unary::Tanh),
        "exp" => Op::Unary(Unary::Exp),
        "sqrt" => Op::Unary(Unary::Sqrt),
        "abs" => Op::Unary(Unary::Abs),
        "neg" => Op::Unary(Unary::Neg),
        "reciprocal" => Op::Unary(Unary::Reciprocal),
        "floor" => Op::Unary(Unary::Floor),
        "ceil" => Op::Unary(Unary::Ceil),
        "round" => Op::Unary(Unary::Round),
        "sign" => Op::Unary(Unary::Sign),
        "log" => Op::Unary(Unary::Log),
        "erf" => Op::Unary(Unary::Erf),
        "add" => Op::Binary(Binary::Add),
        "sub" => Op::Binary(Binary::Sub),
        "mul" => Op::Binary(Binary::Mul),
        "div" => Op::Binary(Binary::Div),
        "max" => Op::Binary(Binary::Max),
        "min" => Op::Binary(Binary::Min),
        "where" => Op::Where,
        "pow" => Op::Binary(Binary::Pow),
        "equal" => Op::Binary(Binary::Equal),
        "greater" => Op::Binary(Binary::Greater),
        "greater_or_equal" => Op::Binary(Binary::GreaterOrEqual),
        _ => return Ok(None),
    }))
}

/// Operands in order, those with labels last; and the labels present.
fn arrange<'l>(op: &str, operands: Vec<Operand>, labels: &[&'l str]) -> Parse<(Vec<NodeId>, Vec<&'l str>)> {
    let mut plain = Vec::with_capacity(operands.len());
    let mut labelled = vec![None; labels.len()];
    for Operand { offset, label, value } in operands {
        let problem = match label {
            None if labelled.iter().all(Option::is_none) => {
                plain.push(value);
                continue;
            }
            None => "operands with a label come last".to_owned(),
            Some(label) => match labels.iter().position(|known| *known == label) {
                Some(i) if labelled[i].is_none() => {
                    labelled[i] = Some(value);
                    continue;
                }
                Some(_) => format!("operand {label} is there twice"),
                None if labels.is_empty() => {
                    format!("found operand {label}, but no operand of the operator has a label")
                }
                None => format!("there is no operand {label}; those with a label are {}", labels.join(", ")),
            },
        };
        return fail(offset, ParseProblem::Attribute { op: op.to_owned(), problem });
    }
    plain.extend(labelled.iter().flatten());
    let present = labels.iter().zip(&labelled).filter(|(_, value)| value.is_some()).map(|(label, _)| *label).collect();
    Ok((plain, present))
}

fn resize(a: &mut Attributes) -> Parse<Resize> {
    let (shape, scales) = (a.shape("shape")?, a.floats("scales")?);
    let rounding = Rounding::ALL.map(|rounding| (rounding.name(), rounding));
    let interpolation = match a.choice("mode", &[("nearest", 0), ("linear", 1), ("cubic", 2)])? {
        0 => Interpolation::Nearest(a.choice("rounding", &rounding)?),
        1 => Interpolation::Linear,
        _ => Interpolation::Cubic { a: a.float("a")? },
    };
    let coordinates =
        a.choice("coordinates", &Coordinates::ALL.map(|coordinates| (coordinates.name(), coordinates)))?;
    let (antialias, exclude_outside) = (a.flag("antialias")?, a.flag("exclude_outside")?);
    Ok(Resize { shape, scales, interpolation, coordinates, antialias, exclude_outside })
}

fn pool(a: &mut Attributes) -> Parse<Pool> {
    let kernel = a.kernel()?;
    Ok(Pool { window: a.window(kernel)?, ceil_mode: a.flag("ceil_mode")? })
}

fn slice(a: &mut Attributes) -> Parse<Slice> {
    let (starts, sizes) = (a.numbers::<usize>("starts")?, a.sizes("sizes")?);
    let steps = a.numbers_if("steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    Ok(Slice { starts, sizes, steps })
}

fn reduce(a: &mut Attributes, kind: ReduceKind) -> Parse<Op> {
    Ok(Op::Reduce(Reduce { kind, axes: a.numbers("axes")?, keep_dims: a.flag("keep_dims")? }))
}
