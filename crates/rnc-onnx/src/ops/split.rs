//! `Split`.

use rnc_ir::{Dim, Op};

use super::slice::whole;
use super::window::shortened;
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, normal_axis};
use crate::state::Value;

/// `Split` into one slice an output. Sizes are an attribute before opset 13, then an operand; without them the parts
/// are equal, the last one smaller if need be (opset 18, which also has `num_outputs`).
pub(super) fn split(cx: &mut NodeCx) -> Result<Vec<Value>, Fault> {
    let axis = cx.attributes.int("axis")?.unwrap_or(0);
    let outputs = cx.node.output.len();
    if cx.opset() >= 18
        && let Some(count) = cx.attributes.int("num_outputs")?
        && usize::try_from(count) != Ok(outputs)
    {
        return Err(Fault::new(subject("num_outputs"), count.to_string(), format!("{outputs}, as the node has")));
    }
    let sizes = if cx.opset() < 13 {
        cx.at_most(1)?;
        cx.attributes.ints("split")?.map(<[i64]>::to_vec)
    } else {
        cx.at_most(2)?;
        cx.optional(1).map(|_| cx.integers(1, "split")).transpose()?
    };
    let x = cx.operand(0, "input")?;
    let shape = cx.shape(x)?;
    let axis = normal_axis(axis, shape.rank())?;
    let Dim::Fixed(n) = shape.dims()[axis] else {
        return Err(Fault::new(
            subject("axis"),
            format!("{axis}, the batch of {shape}"),
            "an axis that is not the batch",
        ));
    };
    let sizes = match sizes {
        Some(sizes) => given_sizes(&sizes, outputs, n)?,
        None => equal_sizes(outputs, n, cx.opset() >= 18)?,
    };
    let mut start = 0;
    let mut values = Vec::with_capacity(outputs);
    for (i, size) in sizes.into_iter().enumerate() {
        let mut op = whole(&shape);
        if size != n {
            op.starts[axis] = start;
            op.sizes[axis] = Some(size);
        }
        start += size;
        let name = &cx.node.output[i];
        // An unused part is left out: Unknown, which nobody asks for.
        let unused = name.is_empty() || !cx.state.used.contains(name);
        values.push(if unused { Value::Unknown } else { cx.state.emit(name, Op::Slice(op), &[x])? });
    }
    Ok(values)
}

fn given_sizes(sizes: &[i64], outputs: usize, n: usize) -> Result<Vec<usize>, Fault> {
    let valid: Option<Vec<usize>> = sizes.iter().map(|s| usize::try_from(*s).ok()).collect();
    let total = |sizes: &Vec<usize>| sizes.iter().try_fold(0usize, |sum, s| sum.checked_add(*s));
    let fault = || Fault::new("split", shortened(sizes), format!("{outputs} sizes that add up to {n}"));
    valid.filter(|sizes| sizes.len() == outputs && total(sizes) == Some(n)).ok_or_else(fault)
}

fn equal_sizes(outputs: usize, n: usize, last_may_be_smaller: bool) -> Result<Vec<usize>, Fault> {
    let fault = || Fault::new("split", format!("an axis of {n} for {outputs} outputs"), "parts of equal size");
    if outputs == 0 || (!n.is_multiple_of(outputs) && !last_may_be_smaller) {
        return Err(fault());
    }
    let size = n.div_ceil(outputs);
    let before = size.checked_mul(outputs - 1).filter(|before| *before <= n).ok_or_else(fault)?;
    let mut sizes = vec![size; outputs];
    sizes[outputs - 1] = n - before;
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Model, int, int_tensor, ints, ty};

    fn list(name: &str, values: &[i64]) -> onnx_protobuf::TensorProto {
        int_tensor(name, &[values.len() as i64], values)
    }

    #[test]
    fn splits_into_one_slice_an_output() {
        let types = |graph: &rnc_ir::Graph| (ty(graph, "a"), ty(graph, "b"));
        let split = |opset, attributes: &[onnx_protobuf::AttributeProto], sizes: Option<&[i64]>| {
            let model = Model::new(opset).batch_input("x", &[5]);
            let inputs = if sizes.is_some() { &["x", "sizes"][..] } else { &["x"] };
            let model = sizes.into_iter().fold(model, |model, sizes| model.init(list("sizes", sizes)));
            model.node("Split", inputs, &["a", "b"], [&[int("axis", 1)], attributes].concat()).output("a").output("b")
        };
        let expected = ("f32[N,2]".to_owned(), "f32[N,3]".to_owned());
        assert_eq!(types(&split(11, &[ints("split", &[2, 3])], None).import()), expected);
        assert_eq!(types(&split(13, &[], Some(&[2, 3])).import()), expected);
        let uneven = ("f32[N,3]".to_owned(), "f32[N,2]".to_owned());
        assert_eq!(types(&split(18, &[int("num_outputs", 2)], None).import()), uneven);
        assert_eq!(split(13, &[], None).problems()[0].supported, "parts of equal size");
        assert_eq!(split(18, &[int("num_outputs", 3)], None).problems()[0].subject, "attribute `num_outputs`");
        for sizes in [&[2i64, 2][..], &[5], &[-1, 6], &[i64::MAX, i64::MAX]] {
            assert_eq!(split(13, &[], Some(sizes)).problems()[0].subject, "split");
        }
        let batch = Model::new(13).batch_input("x", &[4]).node("Split", &["x"], &["a", "b"], [int("axis", 0)]);
        assert!(batch.output("a").problems()[0].found.contains("batch"));
    }

    #[test]
    fn leaves_out_parts_of_a_split_that_nobody_uses() {
        let model = Model::new(11).batch_input("x", &[4]).node("Split", &["x"], &["a", "b"], [int("axis", 1)]);
        let graph = model.output("b").import();
        assert_eq!(graph.len(), 2);
        assert_eq!(ty(&graph, "b"), "f32[N,2]");
    }
}
