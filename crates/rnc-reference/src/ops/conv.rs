//! Convolution.

use ndarray::{Array1, Array2, Array4, ArrayD, Ix1, Ix4, s};
use rnc_ir::op::Conv2d;

use super::elementwise::activate;
use super::internal;
use super::window::Sliding;
use crate::error::Fault;
use crate::value::Operands;

/// `activation(conv(x, weight) + bias + residual)`: products, bias and residual summed in `f64`, rounded, activated.
pub(super) fn conv2d(attrs: &Conv2d, operands: Operands<'_>) -> Result<ArrayD<f32>, Fault> {
    let x: Array4<f32> = operands.f32_of_rank::<Ix4>(0)?;
    let weight: Array4<f32> = operands.f32_of_rank::<Ix4>(1)?;
    let bias: Option<Array1<f32>> = attrs.bias.then(|| operands.f32_of_rank::<Ix1>(2)).transpose()?;
    let residual: Option<Array4<f32>> =
        attrs.residual.then(|| operands.f32_of_rank::<Ix4>(2 + usize::from(attrs.bias))).transpose()?;
    let (batch, channels, height, width) = x.dim();
    let (out_channels, group_channels, kernel_h, kernel_w) = weight.dim();
    if attrs.window.kernel != [kernel_h, kernel_w]
        || group_channels.checked_mul(attrs.groups) != Some(channels)
        || !out_channels.is_multiple_of(attrs.groups.max(1))
    {
        return Err(internal(format!(
            "x {:?}, weight {:?} and attributes {attrs:?} do not fit",
            x.shape(),
            weight.shape()
        )));
    }
    let rows = Sliding::new(&attrs.window, 0, height, false).ok_or_else(|| internal("no window fits"))?;
    let columns = Sliding::new(&attrs.window, 1, width, false).ok_or_else(|| internal("no window fits"))?;

    let mut result = Array4::<f32>::zeros((batch, out_channels, rows.output, columns.output));
    if bias.as_ref().is_some_and(|b| b.len() != out_channels)
        || residual.as_ref().is_some_and(|r| r.dim() != result.dim())
    {
        return Err(internal("bias or residual does not have the result's shape"));
    }
    for n in 0..batch {
        for o in 0..out_channels {
            let first = o / (out_channels / attrs.groups) * group_channels;
            let image = x.slice(s![n, first..first + group_channels, .., ..]);
            let mut sum = Array2::<f64>::zeros((rows.output, columns.output));
            for ((channel, kh, kw), &w) in weight.slice(s![o, .., .., ..]).indexed_iter() {
                let plane = image.slice(s![channel, .., ..]);
                let plane = plane.as_slice().ok_or_else(|| internal("x is not row-major"))?;
                add_tap(&mut sum, plane, f64::from(w), (rows, kh), (columns, kw));
            }
            let bias = bias.as_ref().map_or(0.0, |b| f64::from(b[o]));
            for ((h, w), sum) in sum.indexed_iter() {
                let residual = residual.as_ref().map_or(0.0, |r| f64::from(r[[n, o, h, w]]));
                result[[n, o, h, w]] = activate(attrs.activation, (sum + bias + residual) as f32);
            }
        }
    }
    Ok(result.into_dyn())
}

/// Adds one tap's product to every output element of a channel whose tap lies on the input plane.
fn add_tap(
    sum: &mut Array2<f64>,
    plane: &[f32],
    weight: f64,
    (rows, kh): (Sliding, usize),
    (columns, kw): (Sliding, usize),
) {
    let inside = columns.windows_inside(kw);
    let Some(left) = columns.element(inside.start, kw).filter(|_| !inside.is_empty()) else { return };
    for (oh, mut sum_row) in sum.rows_mut().into_iter().enumerate() {
        let Some(ih) = rows.element(oh, kh) else { continue };
        let sums = &mut sum_row.as_slice_mut().expect("rows of a fresh array are contiguous")[inside.clone()];
        let xs = &plane[ih * columns.input..][..columns.input][left..];
        // The same loop twice: only with a step known to be 1 does the compiler make it fast.
        if columns.stride == 1 {
            sums.iter_mut().zip(xs).for_each(|(sum, x)| *sum += weight * f64::from(*x));
        } else {
            sums.iter_mut().zip(xs.iter().step_by(columns.stride)).for_each(|(sum, x)| *sum += weight * f64::from(*x));
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rnc_ir::op::{Activation, Window};

    use super::*;
    use crate::value::Value;

    fn conv(window: Window, groups: usize) -> Conv2d {
        Conv2d { window, groups, bias: false, residual: false, activation: Activation::None }
    }

    fn run(attrs: &Conv2d, operands: &[&Value]) -> ArrayD<f32> {
        conv2d(attrs, Operands(operands)).expect("a valid convolution")
    }

    /// Small whole numbers, so that every sum is exact in `f32` too.
    fn numbers(dims: [usize; 4], seed: usize) -> Array4<f32> {
        let mut state = seed;
        Array4::from_shape_simple_fn(dims, || {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            (state >> 16) as f32 % 7.0 - 3.0
        })
    }

    /// The definition, as one sum an output element over all elements of a zero-padded input.
    fn by_definition(x: &Array4<f32>, weight: &Array4<f32>, attrs: &Conv2d) -> ArrayD<f32> {
        let w = attrs.window;
        let (batch, channels, height, width) = x.dim();
        let (out, per_group, kh, kw) = weight.dim();
        let mut padded = Array4::<f32>::zeros((
            batch,
            channels,
            height + w.pad_begin[0] + w.pad_end[0],
            width + w.pad_begin[1] + w.pad_end[1],
        ));
        padded
            .slice_mut(s![.., .., w.pad_begin[0]..w.pad_begin[0] + height, w.pad_begin[1]..w.pad_begin[1] + width])
            .assign(x);
        let size =
            |i: usize| (padded.shape()[2 + i] - w.dilation[i] * (weight.shape()[2 + i] - 1) - 1) / w.stride[i] + 1;
        Array4::from_shape_fn((batch, out, size(0), size(1)), |(n, o, h, v)| {
            let group = o * attrs.groups / out;
            let mut sum = 0.0;
            for i in 0..kh {
                for j in 0..kw {
                    for c in 0..per_group {
                        let (y, z) = (h * w.stride[0] + i * w.dilation[0], v * w.stride[1] + j * w.dilation[1]);
                        sum += padded[[n, group * per_group + c, y, z]] * weight[[o, c, i, j]];
                    }
                }
            }
            sum
        })
        .into_dyn()
    }

    #[test]
    fn correlates_without_flipping_the_kernel() {
        let x = Value::from(array![[[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]]);
        let weight = Value::from(array![[[[1.0f32, 10.0], [100.0, 1000.0]]]]);
        let y = run(&conv(Window::new([2, 2]), 1), &[&x, &weight]);
        assert_eq!(y, array![[[[5421.0, 6532.0], [8754.0, 9865.0]]]].into_dyn());
        let y = run(&conv(Window::new([2, 2]).stride(2).pad(1), 1), &[&x, &weight]);
        assert_eq!(y, array![[[[1000.0, 3200.0], [7040.0, 9865.0]]]].into_dyn());
    }

    #[test]
    fn agrees_with_the_definition_for_strides_pads_dilations_and_groups() {
        let windows = [
            Window::new([1, 1]),
            Window::new([1, 1]).stride(2),
            Window::new([3, 3]).pad(1),
            Window::new([3, 2]).stride(3).pad(1),
            Window { stride: [2, 1], pad_begin: [0, 4], pad_end: [3, 1], dilation: [2, 3], ..Window::new([2, 3]) },
            Window { stride: [1, 3], pad_begin: [5, 0], dilation: [1, 2], ..Window::new([3, 3]) },
        ];
        for window in windows {
            for groups in [1, 2, 6] {
                let attrs = conv(window, groups);
                let x = numbers([2, 6, 8, 9], 1);
                let weight = numbers([12, 6 / groups, window.kernel[0], window.kernel[1]], 2);
                let expected = by_definition(&x, &weight, &attrs);
                assert!(expected.iter().any(|v| *v != 0.0));
                assert_eq!(run(&attrs, &[&x.into(), &weight.into()]), expected, "{attrs:?}");
            }
        }
    }

    #[test]
    fn adds_bias_and_residual_before_the_activation() {
        let x = Value::from(array![[[[1.0f32, -2.0]]]]);
        let weight = Value::from(array![[[[1.0f32]]], [[[2.0]]]]);
        let bias = Value::from(array![0.5f32, -1.0]);
        let residual = Value::from(array![[[[10.0f32, 1.0]], [[-4.0, 7.0]]]]);
        let mut attrs =
            Conv2d { bias: true, residual: true, activation: Activation::Relu, ..conv(Window::new([1, 1]), 1) };
        let operands = [&x, &weight, &bias, &residual];
        assert_eq!(run(&attrs, &operands), array![[[[11.5, 0.0]], [[0.0, 2.0]]]].into_dyn());
        attrs.activation = Activation::Clip { min: -1.0, max: 6.0 };
        assert_eq!(run(&attrs, &operands), array![[[[6.0, -0.5]], [[-1.0, 2.0]]]].into_dyn());
        attrs = Conv2d { bias: false, activation: Activation::None, ..attrs };
        assert_eq!(run(&attrs, &[&x, &weight, &residual]), array![[[[11.0, -1.0]], [[-2.0, 3.0]]]].into_dyn());
    }

    #[test]
    fn rounds_once_after_bias_and_residual() {
        // In f32, 2^24 + 1 is 2^24, and the ones would get lost one by one.
        let x = Value::from(Array4::from_elem((1, 3, 1, 1), 1.0f32));
        let weight = Value::from(array![[[[16_777_216.0f32]], [[1.0]], [[1.0]]]]);
        let bias = Value::from(array![1.0f32]);
        let residual = Value::from(array![[[[-16_777_216.0f32]]]]);
        let attrs = Conv2d { bias: true, residual: true, ..conv(Window::new([1, 1]), 1) };
        assert_eq!(run(&attrs, &[&x, &weight, &bias, &residual]), array![[[[3.0]]]].into_dyn());
    }

    #[test]
    fn takes_operands_in_any_memory_order() {
        let x = numbers([1, 2, 3, 3], 5);
        let weight = numbers([1, 2, 2, 2], 6);
        let attrs = conv(Window::new([2, 2]), 1);
        let expected = by_definition(&x, &weight, &attrs);
        let column_major = {
            let mut a = Array4::zeros(ndarray::ShapeBuilder::f((1, 2, 3, 3)));
            a.assign(&x);
            a
        };
        assert!(!column_major.is_standard_layout());
        assert_eq!(run(&attrs, &[&column_major.into(), &weight.into()]), expected);
    }

    #[test]
    fn refuses_operands_that_do_not_fit_instead_of_panicking() {
        let x = Value::from(numbers([1, 4, 3, 3], 1));
        let weight = Value::from(numbers([4, 4, 2, 2], 1));
        for attrs in [conv(Window::new([2, 2]), 2), conv(Window::new([2, 2]), 0), conv(Window::new([3, 3]), 1)] {
            assert!(matches!(conv2d(&attrs, Operands(&[&x, &weight])), Err(Fault::Internal(_))), "{attrs:?}");
        }
        let attrs = Conv2d { bias: true, ..conv(Window::new([2, 2]), 1) };
        assert!(conv2d(&attrs, Operands(&[&x, &weight])).is_err());
        let bias = Value::from(array![1.0f32]);
        assert!(conv2d(&attrs, Operands(&[&x, &weight, &bias])).is_err());
    }
}
