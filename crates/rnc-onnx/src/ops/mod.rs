//! The import of each operator: one function an operator, and the table ([`OPERATORS`]) that finds it.

mod activation;
mod conv;
mod conv_transpose;
mod elementwise;
mod linear;
mod logic;
mod normalize;
mod pad;
mod pool;
mod rearrange;
mod reduce;
mod resize;
mod shape;
mod slice;
mod spatial;
mod split;
mod table;
mod window;

use rnc_ir::{Dim, Shape, Tensor};

use table::Import;
pub use table::{OPERATORS, Operator};

use crate::error::Fault;
use crate::node::NodeCx;
use crate::shape_arithmetic::{Array, Elem, Scalar};
use crate::state::Value;
use crate::tensors::{self, Known};

/// Imports one node: the values of its outputs, in order. Outputs beyond those cannot be used.
pub(crate) fn import(cx: &mut NodeCx) -> Result<Vec<Value>, Fault> {
    if !matches!(cx.node.domain.as_str(), "" | "ai.onnx") {
        return Err(unsupported_operator());
    }
    let operator = OPERATORS.iter().find(|operator| operator.name == cx.node.op_type);
    match operator.ok_or_else(unsupported_operator)?.import {
        Import::One(import) => import(cx).map(|value| vec![value]),
        Import::Several(import) => import(cx),
    }
}

fn unsupported_operator() -> Fault {
    Fault::new(
        "operator",
        "an operator that rnc does not know",
        "the operators of ResNet-like networks (see the documentation)",
    )
}

/// `Constant`, in each of the forms that hold numbers.
fn constant(cx: &mut NodeCx) -> Result<Value, Fault> {
    cx.at_most(0)?;
    let vector = |elem, data: Vec<Scalar>, scalar: bool| {
        let dims = if scalar { vec![] } else { vec![data.len()] };
        Known::Array(Array { elem, dims, data })
    };
    let known = if let Some(proto) = cx.attributes.tensor("value")? {
        tensors::load(proto, cx.state.base_dir.as_deref())?
    } else if let Some(value) = cx.attributes.float("value_float")? {
        Known::Tensor(Tensor::f32([], vec![value]))
    } else if let Some(values) = cx.attributes.floats("value_floats")? {
        Known::Tensor(Tensor::f32([values.len()], values.to_vec()))
    } else if let Some(value) = cx.attributes.int("value_int")? {
        vector(Elem::I64, vec![Scalar::Int(value)], true)
    } else if let Some(values) = cx.attributes.ints("value_ints")? {
        vector(Elem::I64, values.iter().map(|v| Scalar::Int(*v)).collect(), false)
    } else {
        return Err(Fault::new("attributes", "no value of a known kind", "value, value_float(s), value_int(s)"));
    };
    let name = cx.output_name().to_owned();
    Ok(cx.state.add_constant(&name, known))
}

/// NumPy broadcasting of two shapes. The batch goes with itself and with 1.
pub(crate) fn broadcast(a: &Shape, b: &Shape) -> Option<Shape> {
    let rank = a.rank().max(b.rank());
    let one = Dim::Fixed(1);
    let dim =
        |shape: &Shape, axis: usize| (axis + shape.rank()).checked_sub(rank).map_or(one, |axis| shape.dims()[axis]);
    let dims = (0..rank).map(|axis| match (dim(a, axis), dim(b, axis)) {
        (x, y) if x == y || y == one => Some(x),
        (x, y) if x == one => Some(y),
        _ => None,
    });
    dims.collect::<Option<Vec<Dim>>>().map(Shape::new)
}

/// The product of dimensions, if it is a number or the batch itself.
fn product(dims: &[Dim]) -> Option<Dim> {
    match Shape::new(dims.iter().copied()).elements()? {
        (n, false) => Some(Dim::Fixed(n)),
        (1, true) => Some(Dim::Batch),
        (_, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, float, float_tensor, floats, int, int_tensor, ints, op, string, tensor, ty};
    use onnx_protobuf::AttributeProto;
    use rnc_ir::Op;

    #[test]
    fn reads_float_constants_of_every_form() {
        for (attribute, dims) in [
            (tensor("value", float_tensor("", &[2], &[1.0, 2.0])), vec![2]),
            (floats("value_floats", &[1.0, 2.0]), vec![2]),
            (float("value_float", 1.0), vec![]),
        ] {
            let model = Model::new(13).batch_input("x", &[2]).node("Constant", &[], &["c"], [attribute]);
            let graph = model.node("Mul", &["x", "c"], &["y"], []).output("y").import();
            let data: Vec<f32> = if dims.is_empty() { vec![1.0] } else { vec![1.0, 2.0] };
            assert_eq!(*op(&graph, "c"), Op::Constant(Tensor::f32(dims, data)));
        }
    }

    #[test]
    fn reads_integer_constants_of_every_form() {
        for attribute in [tensor("value", int_tensor("", &[2], &[0, -1])), ints("value_ints", &[0, -1])] {
            let model = Model::new(13).batch_input("x", &[2, 3]).node("Constant", &[], &["c"], [attribute]);
            assert_eq!(ty(&model.node("Reshape", &["x", "c"], &["y"], []).output("y").import(), "y"), "f32[N,6]");
        }
        let model = Model::new(13).batch_input("x", &[2, 3]).node("Constant", &[], &["c"], [int("value_int", 1)]);
        assert_eq!(ty(&model.node("Unsqueeze", &["x", "c"], &["y"], []).output("y").import(), "y"), "f32[N,1,2,3]");
    }

    #[test]
    fn refuses_constants_of_other_forms() {
        let problems = |attributes: Vec<AttributeProto>| {
            Model::new(13).node("Constant", &[], &["c"], attributes).output("c").problems()
        };
        assert_eq!(problems(vec![])[0].subject, "attributes");
        assert_eq!(problems(vec![string("value_string", "x")])[0].subject, "attributes");
        assert_eq!(problems(vec![float("value_float", 1.0), int("value_int", 1)])[0].subject, "attribute `value_int`");
        assert_eq!(problems(vec![tensor("value", float_tensor("", &[3], &[1.0]))])[0].subject, "data");
    }

    #[test]
    fn names_operators_that_it_does_not_know() {
        let mut model = Model::new(13).batch_input("x", &[2]).node("Relu", &["x"], &["y"], []).output("y");
        model.0.graph.mut_or_insert_default().node[0].domain = "com.example".into();
        let problems = model.problems();
        assert!(
            problems[0].to_string().contains("node `y` (com.example::Relu, opset 13): operator"),
            "{}",
            problems[0]
        );
        for operator in ["NonZero", "If", "relu", ""] {
            let model = Model::new(13).batch_input("x", &[2]).node(operator, &["x"], &["y"], []).output("y");
            assert_eq!(model.problems()[0].subject, "operator");
        }
    }
}
