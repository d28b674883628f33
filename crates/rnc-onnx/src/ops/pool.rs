//! Pooling.

use rnc_ir::Op;
use rnc_ir::op::{Binary, ReduceKind, Unary};

use super::spatial::{self, Kind, Pooling};
use super::window::{WindowAttributes, Windows, spatial};
use crate::attributes::subject;
use crate::error::Fault;
use crate::node::NodeCx;
use crate::state::Value;

/// `MaxPool`. <https://onnx.ai/onnx/operators/onnx__MaxPool.html>
pub(super) fn max_pool(cx: &mut NodeCx) -> Result<Value, Fault> {
    // The order of the indices, which are not supported.
    cx.attributes.ignore("storage_order");
    let has_dilations = cx.opset() >= 10;
    let (windows, ceil_mode, x) = pool(cx, has_dilations)?;
    let y = spatial::pool(cx, x, &windows, Pooling { kind: Kind::Max, ceil_mode })?;
    cx.finish(y)
}

/// `AveragePool`. <https://onnx.ai/onnx/operators/onnx__AveragePool.html>
pub(super) fn average_pool(cx: &mut NodeCx) -> Result<Value, Fault> {
    let count_include_pad = cx.opset() >= 7 && cx.attributes.flag("count_include_pad", false)?;
    let has_dilations = cx.opset() >= 19;
    let (windows, ceil_mode, x) = pool(cx, has_dilations)?;
    let y = spatial::pool(cx, x, &windows, Pooling { kind: Kind::Average { count_include_pad }, ceil_mode })?;
    cx.finish(y)
}

/// `LpPool`: the p-th root of the sum of p-th powers, as a mean times the number of elements. Elements of the padding are zeros.
pub(super) fn lp_pool(cx: &mut NodeCx) -> Result<Value, Fault> {
    let p = norm_order(cx)?;
    let has_dilations = cx.opset() >= 18;
    let (windows, ceil_mode, x) = pool(cx, has_dilations)?;
    if ceil_mode {
        return Err(Fault::new(subject("ceil_mode"), "1", "0: windows that lie within the padded value"));
    }
    let power = lp_power(cx, x, p)?;
    let kind = Kind::Average { count_include_pad: true };
    let mean = spatial::pool(cx, power, &windows, Pooling { kind, ceil_mode })?;
    let count: f32 = windows.kernel.iter().map(|size| *size as f32).product();
    let sum = cx.with_number(Binary::Mul, mean, count)?;
    let y = lp_root(cx, sum, p)?;
    cx.finish(y)
}

/// The attribute `p`.
fn norm_order(cx: &mut NodeCx) -> Result<u16, Fault> {
    let found = cx.attributes.int("p")?.unwrap_or(2);
    let p = u16::try_from(found).ok().filter(|p| *p > 0);
    p.ok_or_else(|| Fault::new(subject("p"), found.to_string(), "1 to 65535"))
}

fn lp_power(cx: &mut NodeCx, x: Value, p: u16) -> Result<Value, Fault> {
    if p == 2 {
        return cx.binary(Binary::Mul, x, x);
    }
    let magnitude = cx.unary(Unary::Abs, x)?;
    if p == 1 { Ok(magnitude) } else { cx.with_number(Binary::Pow, magnitude, f32::from(p)) }
}

fn lp_root(cx: &mut NodeCx, sum: Value, p: u16) -> Result<Value, Fault> {
    match p {
        1 => Ok(sum),
        2 => cx.unary(Unary::Sqrt, sum),
        _ => cx.with_number(Binary::Pow, sum, f32::from(p).recip()),
    }
}

/// `GlobalLpPool`.
pub(super) fn global_lp(cx: &mut NodeCx) -> Result<Value, Fault> {
    let p = norm_order(cx)?;
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    let axes: Vec<usize> = (2..spatial(cx, x)?.rank()).collect();
    let power = lp_power(cx, x, p)?;
    let sum = cx.reduced(ReduceKind::Sum, power, &axes)?;
    let y = lp_root(cx, sum, p)?;
    cx.finish(y)
}

/// `GlobalAveragePool`, `GlobalMaxPool`: of images as the operator of that name, else as a reduction.
pub(super) fn global(cx: &mut NodeCx, op: Op, kind: ReduceKind) -> Result<Value, Fault> {
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    let rank = spatial(cx, x)?.rank();
    if rank == 4 {
        return cx.emit(op, &[x]);
    }
    let y = cx.reduced(kind, x, &(2..rank).collect::<Vec<_>>())?;
    cx.finish(y)
}

/// Windows, `ceil_mode` and the operand.
fn pool(cx: &mut NodeCx, has_dilations: bool) -> Result<(Windows, bool, Value), Fault> {
    let attributes = WindowAttributes::read(cx, has_dilations)?;
    let ceil_mode = cx.opset() >= 10 && cx.attributes.flag("ceil_mode", false)?;
    let kernel = attributes.kernel.as_ref();
    let kernel = kernel.ok_or_else(|| Fault::new(subject("kernel_shape"), "nothing", "a list of integers"))?;
    cx.at_most(1)?;
    let x = cx.operand(0, "X")?;
    let windows = attributes.over(kernel, &spatial(cx, x)?)?;
    Ok((windows, ceil_mode, x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_ir::op::Pool;

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
    fn imports_global_pools_of_images_and_reductions_of_others() {
        for (operator, expected) in [("GlobalAveragePool", Op::GlobalAveragePool), ("GlobalMaxPool", Op::GlobalMaxPool)]
        {
            let graph =
                Model::new(17).batch_input("x", &[2, 8, 8]).node(operator, &["x"], &["y"], []).output("y").import();
            assert_eq!(*op(&graph, "y"), expected);
            let row = Model::new(17).batch_input("x", &[2, 8]).node(operator, &["x"], &["y"], []).output("y");
            assert!(matches!(op(&row.import(), "y"), Op::Reduce(_)));
            let vector = Model::new(17).batch_input("x", &[2]).node(operator, &["x"], &["y"], []).output("y");
            assert!(vector.problems()[0].supported.contains("one to three spatial"));
        }
    }
}
