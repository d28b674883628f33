//! `Resize`, and `Upsample`, which came before it.

use rnc_ir::resize::{Coordinates, Interpolation, Resize, Rounding};
use rnc_ir::{Dim, Op, Shape};

use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, axes_in_order, operand_subject};
use crate::state::Value;

/// `Resize`. <https://onnx.ai/onnx/operators/onnx__Resize.html>
pub(super) fn resize(cx: &mut NodeCx) -> Result<Value, Fault> {
    let (x, shape) = operand(cx)?;
    if cx.opset() < 11 {
        cx.at_most(2)?;
        let scales = floats(cx, 1, "scales")?;
        let interpolation = interpolation(cx, Rounding::Floor)?;
        return emit(cx, x, &shape, &Request { interpolation, ..Request::asymmetric(scaled(&shape, &scales)?) });
    }
    cx.at_most(4)?;
    let coordinates = named(cx, "coordinate_transformation_mode", &Coordinates::ALL.map(|c| (c.name(), c)))?;
    let rounding = named(cx, "nearest_mode", &Rounding::ALL.map(|r| (r.name(), r)))?;
    let interpolation = interpolation(cx, rounding.unwrap_or(Rounding::PreferFloor))?;
    let exclude_outside = cx.attributes.flag("exclude_outside", false)?;
    // It fills what lies outside by one of the coordinate modes, which is refused.
    cx.attributes.ignore("extrapolation_value");
    let (antialias, axes) = if cx.opset() >= 18 {
        (cx.attributes.flag("antialias", false)?, cx.attributes.ints("axes")?.map(<[i64]>::to_vec))
    } else {
        (false, None)
    };
    let axes = match axes {
        Some(axes) => axes_in_order(&axes, shape.rank())?,
        None => (0..shape.rank()).collect(),
    };
    let given = |cx: &NodeCx, position| cx.optional(position).map(|value| cx.shape(value)).transpose();
    // Exporters leave one of the two out by giving no elements.
    let has = |shape: Option<Shape>| shape.is_some_and(|shape| shape.dims() != [Dim::Fixed(0)]);
    let sizes = match (has(given(cx, 2)?), has(given(cx, 3)?)) {
        (true, false) => {
            let scales = floats(cx, 2, "scales")?;
            scaled(&shape, &by_axis(&shape, &axes, &scales)?)?
        }
        (false, true) => sized(cx, &shape, &axes)?,
        _ => return Err(Fault::new("operands", "scales and sizes, or neither", "one of the two")),
    };
    let coordinates = coordinates.unwrap_or(Coordinates::HalfPixel);
    emit(cx, x, &shape, &Request { sizes, interpolation, coordinates, antialias, exclude_outside })
}

/// `Upsample`: by whole coordinates, the first of two elements. Scales are an attribute before opset 9.
pub(super) fn upsample(cx: &mut NodeCx) -> Result<Value, Fault> {
    let (x, shape) = operand(cx)?;
    let scales = if cx.opset() < 9 {
        cx.at_most(1)?;
        let scales = cx.attributes.floats("scales")?;
        scales.ok_or_else(|| Fault::new(subject("scales"), "nothing", "a number for each axis"))?.to_vec()
    } else {
        cx.at_most(2)?;
        floats(cx, 1, "scales")?
    };
    let interpolation = interpolation(cx, Rounding::Floor)?;
    emit(cx, x, &shape, &Request { interpolation, ..Request::asymmetric(scaled(&shape, &scales)?) })
}

/// What is asked for, with sizes and scales worked out.
struct Request {
    sizes: Vec<(Dim, f32)>,
    interpolation: Interpolation,
    coordinates: Coordinates,
    antialias: bool,
    exclude_outside: bool,
}

impl Request {
    fn asymmetric(sizes: Vec<(Dim, f32)>) -> Self {
        let interpolation = Interpolation::Linear;
        Self { sizes, interpolation, coordinates: Coordinates::Asymmetric, antialias: false, exclude_outside: false }
    }
}

fn emit(cx: &mut NodeCx, x: Value, from: &Shape, request: &Request) -> Result<Value, Fault> {
    let Request { ref sizes, interpolation, coordinates, antialias, exclude_outside } = *request;
    for (axis, (from, (to, _))) in from.dims().iter().zip(sizes).enumerate() {
        if from != to && (*from == Dim::Batch || *to == Dim::Batch) {
            return Err(Fault::new("axes", format!("axis {axis}, the batch"), "axes that are not the batch"));
        }
    }
    let shape = Shape::new(sizes.iter().map(|(dim, _)| *dim));
    let scales = sizes.iter().map(|(_, scale)| *scale).collect();
    cx.emit(Op::Resize(Resize { shape, scales, interpolation, coordinates, antialias, exclude_outside }), &[x])
}

fn operand(cx: &NodeCx) -> Result<(Value, Shape), Fault> {
    let x = cx.operand(0, "X")?;
    Ok((x, cx.shape(x)?))
}

/// An attribute that is one of some words.
fn named<T: Copy>(cx: &mut NodeCx, name: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, Fault> {
    let Some(found) = cx.attributes.string(name)? else { return Ok(None) };
    let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    let choice = choices.iter().find(|(word, _)| *word == found);
    choice.map(|(_, choice)| Some(*choice)).ok_or_else(|| Fault::new(subject(name), format!("`{found}`"), words()))
}

fn interpolation(cx: &mut NodeCx, rounding: Rounding) -> Result<Interpolation, Fault> {
    let a = cx.attributes.float("cubic_coeff_a")?.unwrap_or(-0.75);
    let modes = [
        ("nearest", Interpolation::Nearest(rounding)),
        ("linear", Interpolation::Linear),
        ("bilinear", Interpolation::Linear),
        ("cubic", Interpolation::Cubic { a }),
    ];
    Ok(named(cx, "mode", &modes)?.unwrap_or(Interpolation::Nearest(rounding)))
}

fn floats(cx: &NodeCx, position: usize, what: &str) -> Result<Vec<f32>, Fault> {
    let array = cx.array(position, what)?;
    let numbers: Option<Vec<f32>> = array.data.iter().map(|s| Some(s.as_float()? as f32)).collect();
    let fault = || Fault::new(operand_subject(position, what), array.to_string(), "a list of numbers");
    numbers.filter(|_| array.dims.len() == 1 && array.elem.is_float()).ok_or_else(fault)
}

/// A scale for each axis, of those that some of them have.
fn by_axis(shape: &Shape, axes: &[usize], given: &[f32]) -> Result<Vec<f32>, Fault> {
    if given.len() != axes.len() {
        let found = format!("{} scales for {} axes", given.len(), axes.len());
        return Err(Fault::new(operand_subject(2, "scales"), found, "one for each axis"));
    }
    let mut all = vec![1.0; shape.rank()];
    axes.iter().zip(given).for_each(|(axis, scale)| all[*axis] = *scale);
    Ok(all)
}

/// `floor(size · scale)` elements along each axis.
fn scaled(shape: &Shape, scales: &[f32]) -> Result<Vec<(Dim, f32)>, Fault> {
    let fault =
        || Fault::new("scales", format!("{scales:?} for {shape}"), "a positive number for each axis, 1 for the batch");
    if scales.len() != shape.rank() {
        return Err(fault());
    }
    let size = |(dim, scale): (&Dim, &f32)| match dim {
        Dim::Batch => (scale.to_bits() == 1.0f32.to_bits()).then_some((*dim, *scale)),
        Dim::Fixed(size) => {
            let scaled = (*size as f64 * f64::from(*scale)).floor();
            (1.0..f64::from(u32::MAX)).contains(&scaled).then_some((Dim::Fixed(scaled as usize), *scale))
        }
    };
    shape.dims().iter().zip(scales).map(size).collect::<Option<_>>().ok_or_else(fault)
}

/// The sizes of operand 3, or the largest or smallest of the same proportions.
fn sized(cx: &mut NodeCx, shape: &Shape, axes: &[usize]) -> Result<Vec<(Dim, f32)>, Fault> {
    let policies =
        [("stretch", None), ("not_larger", Some(f64::min as fn(f64, f64) -> f64)), ("not_smaller", Some(f64::max))];
    let policy = if cx.opset() >= 18 { named(cx, "keep_aspect_ratio_policy", &policies)?.flatten() } else { None };
    let given = cx.scalars(3, "sizes")?;
    let dims: Option<Vec<Dim>> = given.iter().map(|size| crate::shape_arithmetic::dim(*size)).collect();
    let fault = || {
        let found = crate::shape_arithmetic::Array::vector(given.clone()).to_string();
        Fault::new(operand_subject(3, "sizes"), found, "sizes from 1, and the batch as it is")
    };
    let dims = dims.filter(|dims| !dims.contains(&Dim::Fixed(0))).ok_or_else(fault)?;
    if dims.len() != axes.len() {
        return Err(fault());
    }
    let scale = |axis: usize, to: Dim| match (shape.dims()[axis], to) {
        (Dim::Fixed(from), Dim::Fixed(to)) => Some(to as f64 / from as f64),
        (from, to) => (from == to).then_some(1.0),
    };
    let scales: Option<Vec<f64>> = axes.iter().zip(&dims).map(|(axis, to)| scale(*axis, *to)).collect();
    let scales = scales.ok_or_else(fault)?;
    let common = policy.and_then(|choose| scales.iter().copied().reduce(choose));
    let mut all: Vec<(Dim, f32)> = shape.dims().iter().map(|dim| (*dim, 1.0)).collect();
    for ((axis, to), scale) in axes.iter().zip(&dims).zip(scales) {
        all[*axis] = match (common, shape.dims()[*axis]) {
            (Some(common), Dim::Fixed(from)) => {
                (Dim::Fixed((common * from as f64 + 0.5).floor().max(1.0) as usize), common as f32)
            }
            _ => (*to, scale as f32),
        };
    }
    Ok(all)
}
