//! Folds arithmetic with per-channel constants into the convolution or `Gemm` before it.
//!
//! ```text
//! before  %c = conv2d(%x, @w) : f32[N,64,56,56]
//!         %m = mul(%c, @s) : f32[N,64,56,56]                 where @s is f32[64,1,1]
//!         %a = add(%m, @t) : f32[N,64,56,56]                 where @t is f32[1,64,1,1]
//! after   %a = conv2d(%x, @w, bias=@t) : f32[N,64,56,56]     with new contents of @w and @t
//! ```
//!
//! A constant that differs along the channel axis alone makes `+ - · /` an affine function of each channel: `x + c`, `x - c`, `c - x`,
//! `x · c` and `x / c` are `1·x + c`, `1·x - c`, `-1·x + c`, `c·x` and `(1/c)·x`. So exporters write biases (also of a
//! `MatMul`, which is a `Gemm` by now) and batch norms (Caffe's `Scale`, TensorFlow's).

use rnc_ir::op::Binary;
use rnc_ir::{Graph, NodeId, Op};

use crate::affine::{self, Affine, Fold};
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Folds every such operator behind a convolution or a `Gemm` that only it reads.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, affine::apply)
}

fn find(graph: &Graph, id: NodeId) -> Match<Fold> {
    let Op::Binary(binary) = graph.op(id) else { return Err(Miss::NoMatch) };
    let operands = graph.operands(id);
    if !operands.iter().any(|operand| matches!(graph.op(*operand), Op::Conv2d(_) | Op::Gemm(_))) {
        return Err(Miss::NoMatch);
    }
    let (producer, affine) = affine_of_constant(graph, id, *binary)?.ok_or(Miss::NoMatch)?;
    let constant = operands.iter().find(|operand| **operand != producer).ok_or(Miss::NoMatch)?;
    affine::plan(graph, producer, &affine, graph.node(*constant).name())
}

/// The other operand of a node, and what the node does to its channels, if the node joins it with a constant by an affine operator.
pub(crate) fn affine_of_constant(graph: &Graph, id: NodeId, binary: Binary) -> Match<Option<(NodeId, Affine)>> {
    let &[a, b] = graph.operands(id) else { return Err(Miss::NoMatch) };
    let is_constant = |id| graph.node(id).constant().is_some();
    let (value, constant, constant_first) = match (is_constant(a), is_constant(b)) {
        (false, true) => (a, b, false),
        (true, false) => (b, a, true),
        _ => return Ok(None),
    };
    let affine = per_channel(graph, constant, value, id).and_then(|values| affine_of(binary, &values, constant_first));
    match affine {
        Ok(affine) => Ok(Some((value, affine))),
        Err(Miss::NoMatch) => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// A constant's elements, one a channel of `value`, if it broadcasts over `value` without making it larger.
fn per_channel(graph: &Graph, constant: NodeId, value: NodeId, result: NodeId) -> Match<Vec<f64>> {
    let shape = &graph.ty(value).shape;
    let tensor = graph.node(constant).constant().ok_or(Miss::NoMatch)?;
    let elements = tensor.as_f32().ok_or(Miss::NoMatch)?;
    if graph.ty(value) != graph.ty(result) {
        return refuse(format!("{} makes the result larger", shown(graph, constant)));
    }
    let channels = shape.dims().get(1).and_then(|dim| dim.fixed()).ok_or(Miss::NoMatch)?;
    // NumPy aligns shapes at their ends: axis 1 of the value is this axis of the constant, if it has it.
    let aligned = (tensor.dims().len() + 1).checked_sub(shape.rank());
    let others_are_one = tensor.dims().iter().enumerate().all(|(axis, dim)| *dim == 1 || Some(axis) == aligned);
    if !others_are_one {
        let what = graph.ty(constant);
        return refuse(format!("{}, {what}, differs along more than the channels", shown(graph, constant)));
    }
    match elements {
        [one] => Ok(vec![f64::from(*one); channels]),
        many => Ok(many.iter().map(|x| f64::from(*x)).collect()),
    }
}

fn affine_of(binary: Binary, values: &[f64], constant_first: bool) -> Match<Affine> {
    let scaled = |scale: Vec<f64>| Affine { scale: Some(scale), shift: None };
    Ok(match (binary, constant_first) {
        (Binary::Add, _) => Affine { scale: None, shift: Some(values.to_vec()) },
        (Binary::Sub, false) => Affine { scale: None, shift: Some(values.iter().map(|v| -v).collect()) },
        (Binary::Sub, true) => Affine { scale: Some(vec![-1.0; values.len()]), shift: Some(values.to_vec()) },
        (Binary::Mul, _) => scaled(values.to_vec()),
        (Binary::Div, false) if values.contains(&0.0) => return refuse("the divisor has a zero"),
        (Binary::Div, false) => scaled(values.iter().map(|v| v.recip()).collect()),
        // c / x, max and min are not linear in x.
        (Binary::Div, true)
        | (Binary::Max | Binary::Min | Binary::Pow | Binary::Equal | Binary::Greater | Binary::GreaterOrEqual, _) => {
            return Err(Miss::NoMatch);
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{ops, refusal, rewritten};

    fn conv_then(constant: &str, then: &str) -> String {
        format!(
            "graph @g(%x: f32[N,3,5,5]) -> (%r) {{
               @w = random(1) : f32[4,3,3,3]
               @k = {constant}
               %c = conv2d(%x, @w) {{pad=1}} : f32[N,4,5,5]
               %r = {then} : f32[N,4,5,5]
             }}"
        )
    }

    #[test]
    fn folds_every_affine_operator_on_either_side() {
        for then in
            ["add(%c, @k)", "add(@k, %c)", "sub(%c, @k)", "sub(@k, %c)", "mul(%c, @k)", "mul(@k, %c)", "div(%c, @k)"]
        {
            for shape in ["1,4,1,1", "4,1,1", "", "1", "1,1,1,1"] {
                let text = conv_then(&format!("random(2, 0.5, 1.5) : f32[{shape}]"), then);
                assert_eq!(ops(&rewritten(super::run, &text).0), ["conv2d"], "{then} {shape}");
            }
        }
    }

    #[test]
    fn makes_a_bias_of_an_addend_behind_a_gemm() {
        for (constant, expected) in
            [("f32[4]", vec!["gemm"]), ("f32[1,4]", vec!["gemm"]), ("f32[3,4]", vec!["gemm", "add"])]
        {
            let text = format!(
                "graph @g(%x: f32[3,5]) -> (%r) {{
                   @w = random(1) : f32[4,5]
                   @k = random(2) : {constant}
                   %c = gemm(%x, @w) {{trans_b=true}} : f32[3,4]
                   %r = add(%c, @k) : f32[3,4]
                 }}"
            );
            assert_eq!(ops(&rewritten(super::run, &text).0), expected, "{constant}");
        }
    }

    #[test]
    fn adds_to_a_convolution_whose_weights_are_not_constant_but_does_not_scale_it() {
        let text = |op: &str| {
            format!(
                "graph @g(%x: f32[N,3,5,5], %w: f32[4,3,1,1]) -> (%r) {{
                   @k = random(2) : f32[4,1,1]
                   %c = conv2d(%x, %w) : f32[N,4,5,5]
                   %r = {op}(%c, @k) : f32[N,4,5,5]
                 }}"
            )
        };
        assert_eq!(ops(&rewritten(super::run, &text("add")).0), ["conv2d"]);
        assert!(refusal(super::run, &text("mul")).unwrap().contains("not constant"));
    }

    #[test]
    fn refuses_constants_that_differ_over_the_image() {
        let text = conv_then("random(2) : f32[4,5,1]", "add(%c, @k)");
        assert!(refusal(super::run, &text).unwrap().contains("f32[4,5,1]"));
        let text = conv_then("random(2) : f32[5]", "mul(%c, @k)");
        assert!(refusal(super::run, &text).unwrap().contains("differs along"));
    }

    #[test]
    fn refuses_to_divide_by_zero_and_to_make_the_result_larger() {
        let text = conv_then("constant [1.0, 2.0, 0.0, 1.0] : f32[4,1,1]", "div(%c, @k)");
        assert!(refusal(super::run, &text).unwrap().contains("zero"));
        let text = "graph @g(%x: f32[1,3,5,5]) -> (%r) {
               @w = random(1) : f32[4,3,1,1]
               @k = random(2) : f32[2,1,1,1]
               %c = conv2d(%x, @w) : f32[1,4,5,5]
               %r = add(%c, @k) : f32[2,4,5,5]
             }";
        assert!(refusal(super::run, text).unwrap().contains("larger"));
    }

    #[test]
    fn leaves_what_is_not_linear_alone() {
        for then in ["max(%c, @k)", "div(@k, %c)", "add(%c, %c)"] {
            let text = conv_then("random(2, 0.5, 1.5) : f32[4,1,1]", then);
            let (graph, log) = rewritten(super::run, &text);
            assert_eq!(ops(&graph).len(), 2);
            assert!(log.entries().is_empty());
        }
    }
}
