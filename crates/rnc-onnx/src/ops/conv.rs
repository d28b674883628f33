//! `Conv` and `BatchNormalization`.

use rnc_ir::Op;
use rnc_ir::op::BatchNorm;

use super::spatial::Convolution;
use super::window::{WindowAttributes, spatial};
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::{NodeCx, operand_subject};
use crate::state::Value;

/// `Conv`: weights are `[M, C/group, kH, kW]`, or with one or three spatial axes. <https://onnx.ai/onnx/operators/onnx__Conv.html>
pub(super) fn conv(cx: &mut NodeCx) -> Result<Value, Fault> {
    let attributes = WindowAttributes::read(cx, true)?;
    let groups = groups(cx)?;
    cx.at_most(3)?;
    let (x, weight, bias) = (cx.operand(0, "X")?, cx.operand(1, "W")?, cx.optional(2));
    let input = spatial(cx, x)?;
    let shape = cx.shape(weight)?;
    let kernel: Option<Vec<usize>> = shape.dims().iter().skip(2).map(|dim| dim.fixed()).collect();
    let Some(kernel) = kernel.filter(|_| shape.rank() == input.rank() && shape.fixed().is_some()) else {
        let found = format!("the shape {shape} for a value of {input}");
        return Err(Fault::new(
            operand_subject(1, "W"),
            found,
            "[M,C/group,…] of numbers, with a size for each spatial axis",
        ));
    };
    let windows = attributes.over_with_weights(&kernel, &input)?;
    let y = super::spatial::conv(cx, &Convolution { x, weight, bias, groups }, &windows)?;
    cx.finish(y)
}

/// The attribute `group`.
pub(super) fn groups(cx: &mut NodeCx) -> Result<usize, Fault> {
    let group = cx.attributes.int("group")?.unwrap_or(1);
    let groups = usize::try_from(group).ok().filter(|g| *g > 0);
    groups.ok_or_else(|| Fault::new(subject("group"), group.to_string(), "1 and more"))
}

/// `BatchNormalization` at inference. <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>
pub(super) fn batch_norm(cx: &mut NodeCx) -> Result<Value, Fault> {
    let epsilon = cx.attributes.float("epsilon")?.unwrap_or(1e-5);
    // Only training uses it.
    cx.attributes.ignore("momentum");
    // An attribute before opset 9 only, but some exporters write its default later too.
    if !cx.attributes.flag("spatial", true)? {
        return Err(Fault::new(subject("spatial"), "0", "1 (one mean and variance a channel)"));
    }
    if cx.opset() < 7 && !cx.attributes.flag("is_test", false)? {
        return Err(Fault::new(subject("is_test"), "0", "1: a model exported for inference"));
    }
    if cx.opset() >= 14 && cx.attributes.flag("training_mode", false)? {
        return Err(Fault::new(subject("training_mode"), "1", "0: a model exported for inference"));
    }
    cx.at_most(5)?;
    let roles = ["X", "scale", "B", "input_mean", "input_var"];
    let operands = roles.iter().enumerate().map(|(i, what)| cx.operand(i, what)).collect::<Result<Vec<_>, _>>()?;
    cx.emit(Op::BatchNorm(BatchNorm { epsilon }), &operands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, float, int, ints, op, string, ty, weights};
    use onnx_protobuf::AttributeProto;
    use rnc_ir::op::Window;

    fn conv_model(attributes: impl Into<Vec<AttributeProto>>) -> Model {
        let model = Model::new(13).batch_input("x", &[4, 9, 8]).init(weights("w", &[6, 2, 3, 2]));
        model.node("Conv", &["x", "w"], &["y"], attributes).output("y")
    }

    fn window(graph: &rnc_ir::Graph) -> Window {
        let Op::Conv2d(conv) = op(graph, "y") else { panic!("no convolution") };
        conv.window
    }

    #[test]
    fn reads_all_attributes_of_a_convolution() {
        let attributes = [
            int("group", 2),
            ints("kernel_shape", &[3, 2]),
            ints("strides", &[2, 1]),
            ints("pads", &[1, 2, 3, 4]),
            ints("dilations", &[1, 2]),
            string("auto_pad", "NOTSET"),
        ];
        let graph = conv_model(attributes).import();
        let Op::Conv2d(conv) = op(&graph, "y") else { panic!("no convolution") };
        assert_eq!((conv.groups, conv.bias), (2, false));
        let expected = Window { kernel: [3, 2], stride: [2, 1], pad_begin: [1, 2], pad_end: [3, 4], dilation: [1, 2] };
        assert_eq!(conv.window, expected);
        assert_eq!(ty(&graph, "y"), "f32[N,6,6,12]");
    }

    #[test]
    fn takes_the_kernel_from_the_weights_and_a_bias() {
        let model =
            Model::new(7).batch_input("x", &[2, 5, 5]).init(weights("w", &[3, 2, 3, 3])).init(weights("b", &[3]));
        let graph = model.node("Conv", &["x", "w", "b"], &["y"], []).output("y").import();
        let Op::Conv2d(conv) = op(&graph, "y") else { panic!("no convolution") };
        assert_eq!((conv.window, conv.bias), (Window::new([3, 3]), true));
    }

    #[test]
    fn works_out_automatic_padding() {
        let padded = |mode, strides: [i64; 2]| {
            let graph = conv_model([int("group", 2), string("auto_pad", mode), ints("strides", &strides)]).import();
            let w = window(&graph);
            (w.pad_begin, w.pad_end, ty(&graph, "y"))
        };
        assert_eq!(padded("SAME_UPPER", [1, 1]), ([1, 0], [1, 1], "f32[N,6,9,8]".into()));
        assert_eq!(padded("SAME_LOWER", [1, 1]), ([1, 1], [1, 0], "f32[N,6,9,8]".into()));
        assert_eq!(padded("SAME_UPPER", [2, 2]), ([1, 0], [1, 0], "f32[N,6,5,4]".into()));
        assert_eq!(padded("VALID", [1, 1]), ([0, 0], [0, 0], "f32[N,6,7,7]".into()));
    }

    #[test]
    fn refuses_attributes_that_do_not_fit() {
        let refused = |attribute: AttributeProto, subject: &str| {
            let problems = conv_model([int("spare", 0), attribute]).problems();
            assert!(problems[0].subject.contains(subject), "{}", problems[0]);
        };
        refused(int("group", 0), "group");
        refused(int("group", 3), "types");
        refused(ints("kernel_shape", &[3, 3]), "kernel_shape");
        refused(ints("strides", &[0, 1]), "strides");
        refused(ints("strides", &[1]), "strides");
        refused(ints("dilations", &[1, -1]), "dilations");
        refused(ints("pads", &[1, 1, -1, 1]), "pads");
        refused(string("auto_pad", "SAME"), "auto_pad");
        let both = conv_model([int("group", 2), ints("pads", &[1, 1, 1, 1]), string("auto_pad", "VALID")]).problems();
        assert!(both[0].found.contains("beside auto_pad"), "{}", both[0]);
    }

    #[test]
    fn one_spatial_axis_is_a_row_and_three_are_planes() {
        let model = Model::new(13).batch_input("x", &[4, 9]).init(weights("w", &[6, 4, 3]));
        let graph = model.node("Conv", &["x", "w"], &["y"], [ints("strides", &[2])]).output("y").import();
        assert_eq!(ty(&graph, "y"), "f32[N,6,4]");
        let model = Model::new(13).batch_input("x", &[4, 5, 9, 8]).init(weights("w", &[6, 4, 3, 2, 2]));
        let attributes = [ints("dilations", &[2, 1, 1]), ints("pads", &[1, 0, 0, 1, 0, 0])];
        let graph = model.node("Conv", &["x", "w"], &["y"], attributes).output("y").import();
        assert_eq!(ty(&graph, "y"), "f32[N,6,3,8,7]");
        let model = Model::new(13).batch_input("x", &[4]).init(weights("w", &[6, 4]));
        let problems = model.node("Conv", &["x", "w"], &["y"], []).output("y").problems();
        assert!(problems[0].supported.contains("one to three spatial"), "{}", problems[0]);
    }

    fn norm_model(opset: i64, attributes: impl Into<Vec<AttributeProto>>, outputs: &[&str]) -> Model {
        let model = Model::new(opset).batch_input("x", &[3, 4, 4]);
        let model = ["s", "b", "m", "v"].iter().fold(model, |model, name| model.init(weights(name, &[3])));
        model.node("BatchNormalization", &["x", "s", "b", "m", "v"], outputs, attributes).output("y")
    }

    #[test]
    fn reads_batch_normalization_of_every_opset() {
        let is = |model: Model, epsilon: f32| {
            let graph = model.import();
            assert_eq!(*op(&graph, "y"), Op::BatchNorm(BatchNorm { epsilon }));
        };
        is(norm_model(7, [int("spatial", 1), float("momentum", 0.9)], &["y"]), 1e-5);
        is(norm_model(9, [float("epsilon", 0.001)], &["y", "mean", "var"]), 0.001);
        is(norm_model(15, [int("training_mode", 0), float("epsilon", 0.5)], &["y"]), 0.5);
    }

    #[test]
    fn refuses_batch_normalization_in_training_or_per_element() {
        assert!(norm_model(7, [int("spatial", 0)], &["y"]).problems()[0].subject.contains("spatial"));
        assert!(norm_model(14, [int("training_mode", 1)], &["y"]).problems()[0].subject.contains("training_mode"));
        // Not an attribute before opset 14.
        assert!(norm_model(13, [int("training_mode", 0)], &["y"]).problems()[0].subject.contains("training_mode"));
        let used = norm_model(9, [], &["y", "mean"]).output("mean").problems();
        assert!(used[0].found.contains("`mean`"), "{}", used[0]);
    }
}
