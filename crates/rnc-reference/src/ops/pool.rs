//! Pooling over windows.

use ndarray::{Array4, ArrayD, Ix4};
use rnc_ir::op::{AveragePool, Pool};

use super::elementwise::maximum;
use super::internal;
use super::window::Sliding;
use crate::error::Fault;
use crate::value::Operands;

/// Maximum over each window; NaN if an element is. Padding never wins.
pub(super) fn max_pool(attrs: Pool, operands: Operands<'_>) -> Result<ArrayD<f32>, Fault> {
    pool(attrs, operands, |taps| taps.iter().filter_map(|tap| tap.element).fold(f32::NEG_INFINITY, maximum))
}

/// Mean over each window, summed in `f64`; 0 if no element counts.
pub(super) fn average_pool(attrs: AveragePool, operands: Operands<'_>) -> Result<ArrayD<f32>, Fault> {
    pool(attrs.pool, operands, |taps| {
        let sum: f64 = taps.iter().filter_map(|tap| tap.element).map(f64::from).sum();
        let counts = |tap: &&Tap| tap.element.is_some() || (attrs.count_include_pad && tap.is_padding);
        (sum / taps.iter().filter(counts).count().max(1) as f64) as f32
    })
}

/// What lies under one tap of a window.
struct Tap {
    /// The input element, if the tap is on one.
    element: Option<f32>,
    /// Whether the tap is on padding: not on an element, and not beyond the padding either.
    is_padding: bool,
}

/// Maps the taps of each window of NCHW to an element of the result.
fn pool(attrs: Pool, operands: Operands<'_>, combine: impl Fn(&[Tap]) -> f32) -> Result<ArrayD<f32>, Fault> {
    let x: Array4<f32> = operands.f32_of_rank::<Ix4>(0)?;
    let (batch, channels, height, width) = x.dim();
    let sliding = |axis, input| {
        Sliding::new(&attrs.window, axis, input, attrs.ceil_mode).ok_or_else(|| internal("no window fits"))
    };
    let (rows, columns) = (sliding(0, height)?, sliding(1, width)?);
    let mut taps = Vec::new();
    let result = Array4::from_shape_fn((batch, channels, rows.output, columns.output), |(n, c, oh, ow)| {
        taps.clear();
        for kh in 0..rows.kernel {
            for kw in 0..columns.kernel {
                let element = rows.element(oh, kh).zip(columns.element(ow, kw)).map(|(h, w)| x[[n, c, h, w]]);
                let is_padded = rows.is_padded_element(oh, kh) && columns.is_padded_element(ow, kw);
                taps.push(Tap { element, is_padding: is_padded && element.is_none() });
            }
        }
        combine(&taps)
    });
    Ok(result.into_dyn())
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rnc_ir::op::Window;

    use super::*;
    use crate::value::Value;

    fn image() -> Value {
        Value::from(array![[[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]])
    }

    fn max(window: Window, ceil_mode: bool, x: &Value) -> ArrayD<f32> {
        max_pool(Pool { window, ceil_mode }, Operands(&[x])).expect("a valid pool")
    }

    fn mean(window: Window, ceil_mode: bool, count_include_pad: bool) -> ArrayD<f32> {
        let attrs = AveragePool { pool: Pool { window, ceil_mode }, count_include_pad };
        average_pool(attrs, Operands(&[&image()])).expect("a valid pool")
    }

    #[test]
    fn takes_the_maximum_of_each_window() {
        let x = image();
        assert_eq!(max(Window::new([2, 2]), false, &x), array![[[[5.0, 6.0], [8.0, 9.0]]]].into_dyn());
        assert_eq!(max(Window::new([2, 2]).stride(2), false, &x), array![[[[5.0]]]].into_dyn());
        assert_eq!(max(Window::new([2, 2]).stride(2), true, &x), array![[[[5.0, 6.0], [8.0, 9.0]]]].into_dyn());
        assert_eq!(max(Window::new([3, 3]).stride(2).pad(1), false, &x), array![[[[5.0, 6.0], [8.0, 9.0]]]].into_dyn());
        let dilated = Window { dilation: [2, 1], ..Window::new([2, 2]) };
        assert_eq!(max(dilated, false, &x), array![[[[8.0, 9.0]]]].into_dyn());
    }

    #[test]
    fn padding_never_wins_the_maximum() {
        let x = Value::from(array![[[[-5.0f32, -7.0]]]]);
        assert_eq!(max(Window::new([3, 3]).pad(1), false, &x), array![[[[-5.0, -5.0]]]].into_dyn());
        let x = Value::from(array![[[[f32::NEG_INFINITY]]]]);
        assert_eq!(max(Window::new([3, 3]).pad(1), false, &x), array![[[[f32::NEG_INFINITY]]]].into_dyn());
    }

    #[test]
    fn the_maximum_propagates_nan() {
        let x = Value::from(array![[[[1.0f32, f32::NAN, 3.0, 4.0]]]]);
        let y = max(Window::new([1, 2]), false, &x);
        assert!(y[[0, 0, 0, 0]].is_nan() && y[[0, 0, 0, 1]].is_nan());
        assert_eq!(y.get([0, 0, 0, 2]), Some(&4.0));
    }

    #[test]
    fn takes_the_mean_with_and_without_padding_in_the_divisor() {
        let window = Window::new([2, 2]).stride(2).pad(1);
        let without = array![[[[1.0, 2.5], [5.5, 7.0]]]];
        assert_eq!(mean(window, false, false), without.into_dyn());
        let with = array![[[[0.25, 1.25], [2.75, 7.0]]]];
        assert_eq!(mean(window, false, true), with.into_dyn());
    }

    #[test]
    fn elements_beyond_the_padding_never_count() {
        // Windows start at 0 and 2; the second hangs over the end by one, where there is no padding.
        let expected = array![[[[3.0, 4.5], [7.5, 9.0]]]].into_dyn();
        assert_eq!(mean(Window::new([2, 2]).stride(2), true, true), expected);
        assert_eq!(mean(Window::new([2, 2]).stride(2), true, false), expected);
    }

    #[test]
    fn a_mean_counts_end_padding_but_not_the_overhang_behind_it() {
        // Along W: 5 elements and 1 of end padding; windows of 4 at 0 and 3: the second has 2 elements, 1 of padding, 1 beyond.
        let x = Value::from(array![[[[1.0f32, 2.0, 3.0, 4.0, 5.0]]]]);
        let window = Window { stride: [1, 3], pad_end: [0, 1], ..Window::new([1, 4]) };
        let run = |count_include_pad| {
            let attrs = AveragePool { pool: Pool { window, ceil_mode: true }, count_include_pad };
            average_pool(attrs, Operands(&[&x])).expect("a valid pool")
        };
        assert_eq!(run(true), array![[[[2.5, 3.0]]]].into_dyn());
        assert_eq!(run(false), array![[[[2.5, 4.5]]]].into_dyn());
    }

    #[test]
    fn a_window_between_the_elements_gives_the_least_maximum_and_a_mean_of_zero() {
        // Taps at -1 and 1 along both axes.
        let x = Value::from(array![[[[5.0f32]]]]);
        let window = Window { dilation: [2, 2], ..Window::new([2, 2]).pad(1) };
        assert_eq!(max(window, false, &x), array![[[[f32::NEG_INFINITY]]]].into_dyn());
        for count_include_pad in [false, true] {
            let attrs = AveragePool { pool: Pool { window, ceil_mode: false }, count_include_pad };
            assert_eq!(average_pool(attrs, Operands(&[&x])), Ok(array![[[[0.0]]]].into_dyn()));
        }
    }
}
