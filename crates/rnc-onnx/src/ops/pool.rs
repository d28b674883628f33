//! Pooling.

use rnc_ir::Op;
use rnc_ir::op::{AveragePool, Pool};

use super::window::{WindowAttributes, images};
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::NodeCx;
use crate::state::Value;

/// `MaxPool`. <https://onnx.ai/onnx/operators/onnx__MaxPool.html>
pub(super) fn max_pool(cx: &mut NodeCx) -> Result<Value, Fault> {
    // The order of the indices, which are not supported.
    cx.attributes.ignore("storage_order");
    let has_dilations = cx.opset() >= 10;
    let (pool, x) = pool(cx, has_dilations)?;
    cx.emit(Op::MaxPool(pool), &[x])
}

/// `AveragePool`. <https://onnx.ai/onnx/operators/onnx__AveragePool.html>
pub(super) fn average_pool(cx: &mut NodeCx) -> Result<Value, Fault> {
    let count_include_pad = cx.attributes.flag("count_include_pad", false)?;
    let has_dilations = cx.opset() >= 19;
    let (pool, x) = pool(cx, has_dilations)?;
    cx.emit(Op::AveragePool(AveragePool { pool, count_include_pad }), &[x])
}

/// `GlobalAveragePool`, `GlobalMaxPool`.
pub(super) fn global(cx: &mut NodeCx, op: Op) -> Result<Value, Fault> {
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    images(cx, x)?;
    cx.emit(op, &[x])
}

fn pool(cx: &mut NodeCx, has_dilations: bool) -> Result<(Pool, Value), Fault> {
    let attributes = WindowAttributes::read(cx, has_dilations)?;
    let ceil_mode = cx.opset() >= 10 && cx.attributes.flag("ceil_mode", false)?;
    let kernel = attributes.kernel.ok_or_else(|| Fault::new(subject("kernel_shape"), "nothing", "two integers"))?;
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    let window = attributes.over(kernel, &images(cx, x)?)?;
    Ok((Pool { window, ceil_mode }, x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Model, int, ints, op, string, ty};
    use onnx_protobuf::AttributeProto;
    use rnc_ir::op::Window;

    fn model(opset: i64, operator: &str, attributes: &[AttributeProto], outputs: &[&str]) -> Model {
        let attributes = [attributes, &[ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2])]].concat();
        Model::new(opset).batch_input("x", &[2, 8, 8]).node(operator, &["x"], outputs, attributes).output("y")
    }

    #[test]
    fn reads_max_pool_of_every_opset() {
        let graph = model(7, "MaxPool", &[ints("pads", &[1, 1, 1, 1])], &["y"]).import();
        let window = Window::new([3, 3]).stride(2).pad(1);
        assert_eq!(*op(&graph, "y"), Op::MaxPool(Pool { window, ceil_mode: false }));
        let attributes = [int("ceil_mode", 1), ints("dilations", &[2, 1]), int("storage_order", 1)];
        let graph = model(12, "MaxPool", &attributes, &["y", ""]).import();
        let window = Window { dilation: [2, 1], ..Window::new([3, 3]).stride(2) };
        assert_eq!(*op(&graph, "y"), Op::MaxPool(Pool { window, ceil_mode: true }));
        assert_eq!(ty(&graph, "y"), "f32[N,2,3,4]");
    }

    #[test]
    fn reads_average_pool_of_every_opset() {
        let graph =
            model(7, "AveragePool", &[int("count_include_pad", 1), string("auto_pad", "SAME_UPPER")], &["y"]).import();
        let Op::AveragePool(average) = op(&graph, "y") else { panic!("no average pool") };
        assert!(average.count_include_pad && !average.pool.ceil_mode);
        assert_eq!((average.pool.window.pad_begin, average.pool.window.pad_end), ([0, 0], [1, 1]));
        let graph = model(19, "AveragePool", &[int("ceil_mode", 1), ints("dilations", &[2, 2])], &["y"]).import();
        let Op::AveragePool(average) = op(&graph, "y") else { panic!("no average pool") };
        assert!(average.pool.ceil_mode && !average.count_include_pad);
        assert_eq!(average.pool.window.dilation, [2, 2]);
    }

    #[test]
    fn refuses_attributes_that_the_opset_does_not_have() {
        for (opset, operator, attribute) in [
            (9, "MaxPool", ints("dilations", &[2, 2])),
            (9, "MaxPool", int("ceil_mode", 1)),
            (18, "AveragePool", ints("dilations", &[2, 2])),
            (18, "MaxPool", int("count_include_pad", 1)),
        ] {
            let name = attribute.name.clone();
            let problems = model(opset, operator, &[attribute], &["y"]).problems();
            assert!(problems[0].subject.contains(&name), "{}", problems[0]);
        }
    }

    #[test]
    fn refuses_indices_of_max_pool_only_when_they_are_used() {
        assert!(model(12, "MaxPool", &[], &["y", "indices"]).try_import().is_ok());
        let problems = model(12, "MaxPool", &[], &["y", "indices"]).output("indices").problems();
        assert_eq!(problems[0].subject, "output 1");
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn imports_global_pools_of_images_only() {
        for (operator, expected) in [("GlobalAveragePool", Op::GlobalAveragePool), ("GlobalMaxPool", Op::GlobalMaxPool)]
        {
            let graph =
                Model::new(17).batch_input("x", &[2, 8, 8]).node(operator, &["x"], &["y"], []).output("y").import();
            assert_eq!(*op(&graph, "y"), expected);
            let sequence = Model::new(17).batch_input("x", &[2, 8]).node(operator, &["x"], &["y"], []).output("y");
            assert!(sequence.problems()[0].supported.contains("two spatial"));
        }
    }
}
