//! Window arithmetic, and the operators that slide windows over NCHW.

use super::{Operands, TypeError};
use crate::op::{Conv2d, Pool, Window};
use crate::types::{Dim, Shape, TensorType};

/// Height and width of what a convolution or pool makes of an `input` of that height and width.
///
/// The size is `floor((input + padding - span) / stride) + 1` with `span = dilation * (kernel - 1) + 1`. With `ceil` it
/// is rounded up, but a last window that would start behind the input (in the end padding or beyond) is dropped, as in
/// `PyTorch` and ONNX Runtime.
///
/// `None` if the input, the kernel, the stride or the dilation is zero, if the padded input has no room for one window,
/// or if a number overflows.
pub fn window_output(input: [usize; 2], window: &Window, ceil: bool) -> Option<[usize; 2]> {
    Some([axis_output(input[0], window, 0, ceil)?, axis_output(input[1], window, 1, ceil)?])
}

fn axis_output(input: usize, window: &Window, axis: usize, ceil: bool) -> Option<usize> {
    let stride = window.stride[axis];
    if input == 0 || stride == 0 {
        return None;
    }
    let begin = input.checked_add(window.pad_begin[axis])?;
    let free = begin.checked_add(window.pad_end[axis])?.checked_sub(span(window, axis)?)?;
    let floor = free / stride;
    let hangs_over = ceil && free % stride != 0 && (floor + 1).checked_mul(stride)? < begin;
    floor.checked_add(1 + usize::from(hangs_over))
}

/// Extent of a dilated kernel; `None` if the kernel or the dilation is zero, or on overflow.
fn span(window: &Window, axis: usize) -> Option<usize> {
    if window.dilation[axis] == 0 {
        return None;
    }
    window.kernel[axis].checked_sub(1)?.checked_mul(window.dilation[axis])?.checked_add(1)
}

/// [`window_output`], with an error that says which attribute is to blame.
fn checked_output(cx: &Operands, input: [usize; 2], window: &Window, ceil: bool) -> Result<[usize; 2], TypeError> {
    for (attribute, value) in [("kernel", window.kernel), ("stride", window.stride), ("dilation", window.dilation)] {
        if value.contains(&0) {
            return Err(cx.attribute(attribute, format!("is {value:?}, expected at least 1 in both directions")));
        }
    }
    window_output(input, window, ceil).ok_or_else(|| {
        let Window { kernel, pad_begin, pad_end, dilation, .. } = window;
        let window = format!("a window of {kernel:?} with dilation {dilation:?}");
        let place = format!("an input of {input:?} with padding {pad_begin:?} before and {pad_end:?} after");
        cx.attribute("kernel", format!("{window} does not fit into {place}"))
    })
}

pub(super) fn conv2d(cx: &Operands, conv: &Conv2d) -> Result<TensorType, TypeError> {
    let Conv2d { window, groups, bias, residual, activation } = conv;
    let (n, [channels, h, w]) = cx.nchw(0, "x")?;
    let weight = match cx.f32(1, "weight")? {
        [Dim::Fixed(o), Dim::Fixed(i), Dim::Fixed(kh), Dim::Fixed(kw)] => [*o, *i, *kh, *kw],
        _ => return Err(cx.operand(1, "weight", "f32[o,i,kh,kw] of numbers")),
    };
    let [out, per_group, kh, kw] = weight;
    if *groups == 0 || channels % groups != 0 || out % groups != 0 {
        let problem = format!("is {groups}, expected a divisor of {channels} input and {out} output channels");
        return Err(cx.attribute("groups", problem));
    }
    if per_group != channels / groups {
        let expected = format!("f32[o,{},kh,kw] for {channels} channels in {groups} groups", channels / groups);
        return Err(cx.operand(1, "weight", expected));
    }
    if window.kernel != [kh, kw] {
        return Err(cx.attribute("kernel", format!("is {:?}, but the weights have {:?}", window.kernel, [kh, kw])));
    }
    let [oh, ow] = checked_output(cx, [h, w], window, false)?;
    let result = TensorType::f32([n, out.into(), oh.into(), ow.into()]);
    if *bias {
        cx.expect(2, "bias", &TensorType::f32([out]))?;
    }
    if *residual {
        cx.expect(2 + usize::from(*bias), "residual", &result)?;
    }
    cx.activation(activation)?;
    Ok(result)
}

pub(super) fn pool(cx: &Operands, pool: &Pool) -> Result<TensorType, TypeError> {
    let (n, [channels, h, w]) = cx.nchw(0, "x")?;
    let [oh, ow] = checked_output(cx, [h, w], &pool.window, pool.ceil_mode)?;
    for axis in 0..2 {
        let pad = pool.window.pad_begin[axis].max(pool.window.pad_end[axis]);
        // Else some window would see padding only, and there is no maximum or mean of nothing.
        if let Some(span) = span(&pool.window, axis).filter(|span| pad >= *span) {
            return Err(cx.attribute("pad", format!("is {pad}, expected less than the window's extent, {span}")));
        }
    }
    Ok(TensorType::f32([n, channels.into(), oh.into(), ow.into()]))
}

pub(super) fn global_pool(cx: &Operands) -> Result<TensorType, TypeError> {
    let (n, [channels, _, _]) = cx.nchw(0, "x")?;
    let shape = Shape::new([n, channels.into(), 1.into(), 1.into()]);
    Ok(TensorType { dtype: cx.types[0].dtype, shape })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::infer;
    use crate::op::{Activation, AveragePool, Op};
    use crate::types::DType;
    use proptest::prelude::*;

    fn conv(window: Window, groups: usize) -> Conv2d {
        Conv2d { window, groups, bias: false, residual: false, activation: Activation::None }
    }

    fn images(n: impl Into<Dim>, dims: [usize; 3]) -> TensorType {
        TensorType::f32([n.into(), dims[0].into(), dims[1].into(), dims[2].into()])
    }

    #[test]
    fn computes_the_stem_of_resnet() {
        let stem = Op::Conv2d(conv(Window::new([7, 7]).stride(2).pad(3), 1));
        let [x, w] = [images(Dim::Batch, [3, 224, 224]), TensorType::f32([64, 3, 7, 7])];
        let y = images(Dim::Batch, [64, 112, 112]);
        assert_eq!(infer(&stem, &[&x, &w]), Ok(y.clone()));
        let pool = Pool { window: Window::new([3, 3]).stride(2).pad(1), ceil_mode: false };
        assert_eq!(infer(&Op::MaxPool(pool), &[&y]), Ok(images(Dim::Batch, [64, 56, 56])));
        assert_eq!(infer(&Op::GlobalAveragePool, &[&y]), Ok(images(Dim::Batch, [64, 1, 1])));
    }

    #[test]
    fn takes_bias_and_residual_in_their_places() {
        let with = |bias, residual| Op::Conv2d(Conv2d { bias, residual, ..conv(Window::new([3, 3]).pad(1), 1) });
        let [x, w, b] = [images(1, [4, 8, 8]), TensorType::f32([4, 4, 3, 3]), TensorType::f32([4])];
        assert_eq!(infer(&with(true, true), &[&x, &w, &b, &x]).as_ref(), Ok(&x));
        assert_eq!(infer(&with(false, true), &[&x, &w, &x]).as_ref(), Ok(&x));
        assert!(matches!(
            infer(&with(true, true), &[&x, &w, &x, &b]),
            Err(TypeError::Operand { operand: 2, what: "bias", .. })
        ));
        assert!(matches!(
            infer(&with(false, true), &[&x, &w, &b]),
            Err(TypeError::Operand { operand: 2, what: "residual", .. })
        ));
        assert!(matches!(infer(&with(true, true), &[&x, &w, &b]), Err(TypeError::Arity { found: 3, .. })));
    }

    #[test]
    fn refuses_groups_that_do_not_divide_the_channels() {
        let infer = |groups, weight: [usize; 4]| {
            let op = Op::Conv2d(conv(Window::new([1, 1]), groups));
            infer(&op, &[&images(1, [6, 4, 4]), &TensorType::f32(weight)])
        };
        assert_eq!(infer(3, [9, 2, 1, 1]), Ok(images(1, [9, 4, 4])));
        assert_eq!(infer(6, [6, 1, 1, 1]), Ok(images(1, [6, 4, 4])));
        for (groups, weight) in [(0, [6, 6, 1, 1]), (4, [8, 1, 1, 1]), (3, [8, 2, 1, 1])] {
            assert!(matches!(infer(groups, weight), Err(TypeError::Attribute { attribute: "groups", .. })));
        }
        assert!(matches!(infer(3, [9, 3, 1, 1]), Err(TypeError::Operand { what: "weight", .. })));
    }

    #[test]
    fn refuses_images_without_known_height_and_of_other_ranks() {
        let op = Op::Conv2d(conv(Window::new([1, 1]), 1));
        let w = TensorType::f32([1, 1, 1, 1]);
        let batch_height = TensorType::f32([1.into(), 1.into(), Dim::Batch, 4.into()]);
        let ints = TensorType { dtype: DType::I64, ..images(1, [1, 4, 4]) };
        for x in [batch_height, ints, TensorType::f32([1, 4, 4]), TensorType::f32([1, 1, 4, 4, 4])] {
            assert!(matches!(infer(&op, &[&x, &w]), Err(TypeError::Operand { operand: 0, what: "x", .. })), "{x}");
        }
        let other_kernel = infer(&op, &[&images(1, [1, 4, 4]), &TensorType::f32([1, 1, 3, 3])]);
        assert!(matches!(other_kernel, Err(TypeError::Attribute { attribute: "kernel", .. })));
    }

    #[test]
    fn refuses_zeros_and_windows_larger_than_the_padded_input() {
        let infer = |window| infer(&Op::MaxPool(Pool { window, ceil_mode: false }), &[&images(1, [1, 4, 4])]);
        let base = Window::new([2, 2]);
        for (window, attribute) in [
            (Window { kernel: [0, 2], ..base }, "kernel"),
            (Window { stride: [1, 0], ..base }, "stride"),
            (Window { dilation: [0, 1], ..base }, "dilation"),
            (Window { kernel: [5, 5], ..base }, "kernel"),
            (Window { dilation: [4, 1], ..base }, "kernel"),
            (Window { kernel: [usize::MAX; 2], dilation: [3; 2], ..base }, "kernel"),
            (Window { pad_end: [usize::MAX; 2], ..base }, "kernel"),
            (Window { pad_end: [2, 0], ..base }, "pad"),
        ] {
            match infer(window) {
                Err(TypeError::Attribute { attribute: found, .. }) => assert_eq!(found, attribute, "{window:?}"),
                other => panic!("{window:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn drops_a_rounded_up_window_that_starts_behind_the_input() {
        let out = |input, kernel, stride, pad, ceil| {
            window_output([input; 2], &Window::new([kernel; 2]).stride(stride).pad(pad), ceil).map(|o| o[0])
        };
        assert_eq!(out(7, 2, 2, 0, false), Some(3));
        assert_eq!(out(7, 2, 2, 0, true), Some(4));
        // PyTorch: MaxPool2d(1, 2, ceil_mode=True) on 4 gives 2, not 3.
        assert_eq!(out(4, 1, 2, 0, true), Some(2));
        // Windows would start at -1, 2, 5; 5 is in the end padding.
        assert_eq!(out(5, 2, 3, 1, true), Some(2));
        assert_eq!(out(6, 2, 3, 1, true), Some(3));
        assert_eq!(out(112, 3, 2, 1, true), Some(57));
        let average = AveragePool {
            pool: Pool { window: Window::new([2, 2]).stride(2), ceil_mode: true },
            count_include_pad: false,
        };
        assert_eq!(infer(&Op::AveragePool(average), &[&images(1, [8, 7, 7])]), Ok(images(1, [8, 4, 4])));
    }

    proptest! {
        /// The formula against counting: windows at `start = i * stride - pad` are laid out one by one.
        #[test]
        fn agrees_with_laying_out_windows_one_by_one(
            input in 1usize..12, kernel in 1usize..5, stride in 1usize..5, begin in 0usize..4, end in 0usize..4,
            dilation in 1usize..4, ceil: bool,
        ) {
            let window = Window {
                kernel: [kernel; 2], stride: [stride; 2], pad_begin: [begin; 2], pad_end: [end; 2], dilation: [dilation; 2],
            };
            let (span, padded) = (dilation * (kernel - 1) + 1, input + begin + end);
            let mut count = 0;
            let mut start = 0;
            while start + span <= padded {
                (count, start) = (count + 1, start + stride);
            }
            // The window before ended short of the end, so one that hangs over begins here, if it begins in time.
            if ceil && count > 0 && start - stride + span < padded && start < input + begin {
                count += 1;
            }
            let expected = (count > 0).then_some([count; 2]);
            prop_assert_eq!(window_output([input; 2], &window, ceil), expected);
        }
    }
}
