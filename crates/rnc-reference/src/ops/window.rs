//! Where the taps of a sliding window fall. Positions are counted from the start of the padding.

use std::ops::Range;

use rnc_ir::op::Window;

/// A window along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sliding {
    /// Elements of the axis, without padding.
    pub input: usize,
    /// Number of windows.
    pub output: usize,
    /// Taps of a window.
    pub kernel: usize,
    /// Elements from one window to the next.
    pub stride: usize,
    dilation: usize,
    pad_begin: usize,
    pad_end: usize,
}

impl Sliding {
    /// The windows along `axis` (0: height, 1: width) over `input` elements.
    ///
    /// ONNX: `output = floor((input + pads - (dilation * (kernel - 1) + 1)) / stride) + 1`, or `ceil` with `ceil_mode`;
    /// then a last window that starts beyond the input and its begin padding is dropped (the rule of `PyTorch` and ONNX
    /// Runtime). `None` where no window fits or an attribute is zero.
    pub fn new(window: &Window, axis: usize, input: usize, ceil_mode: bool) -> Option<Self> {
        let (kernel, stride, dilation) = (window.kernel[axis], window.stride[axis], window.dilation[axis]);
        let (pad_begin, pad_end) = (window.pad_begin[axis], window.pad_end[axis]);
        if stride == 0 || dilation == 0 {
            return None;
        }
        let extent = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let travel = input.checked_add(pad_begin)?.checked_add(pad_end)?.checked_sub(extent)?;
        let steps = if ceil_mode { travel.div_ceil(stride) } else { travel / stride };
        let mut output = steps + 1;
        if ceil_mode && steps.checked_mul(stride)? >= input + pad_begin {
            output -= 1;
        }
        Some(Self { input, output, kernel, stride, dilation, pad_begin, pad_end })
    }

    /// The input element under tap `k` of window `o`; `None` in the padding and beyond.
    pub fn element(self, o: usize, k: usize) -> Option<usize> {
        self.position(o, k).checked_sub(self.pad_begin).filter(|i| *i < self.input)
    }

    /// Whether tap `k` of window `o` lies on the input or its padding, not beyond (as the last one may by `ceil_mode`).
    pub fn is_padded_element(self, o: usize, k: usize) -> bool {
        self.position(o, k) < self.input + self.pad_begin + self.pad_end
    }

    /// The windows whose tap `k` lies on an input element; they are adjacent.
    pub fn windows_inside(self, k: usize) -> Range<usize> {
        let first_at_or_after = |position: usize| position.saturating_sub(k * self.dilation).div_ceil(self.stride);
        let begin = first_at_or_after(self.pad_begin).min(self.output);
        begin..first_at_or_after(self.pad_begin + self.input).clamp(begin, self.output)
    }

    fn position(self, o: usize, k: usize) -> usize {
        (o * self.stride).saturating_add(k * self.dilation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sliding(window: Window, input: usize, ceil_mode: bool) -> Sliding {
        Sliding::new(&window, 0, input, ceil_mode).expect("the window fits")
    }

    #[test]
    fn counts_the_windows_of_resnets_layers() {
        assert_eq!(sliding(Window::new([7, 7]).stride(2).pad(3), 224, false).output, 112);
        assert_eq!(sliding(Window::new([3, 3]).stride(2).pad(1), 112, false).output, 56);
        assert_eq!(sliding(Window::new([1, 1]).stride(2), 7, false).output, 4);
    }

    #[test]
    fn rounds_up_in_ceil_mode_but_drops_a_window_that_starts_in_the_end_padding() {
        assert_eq!(sliding(Window::new([2, 2]).stride(2), 5, false).output, 2);
        assert_eq!(sliding(Window::new([2, 2]).stride(2), 5, true).output, 3);
        // Windows would start at 0, 3 and 6; the input with its begin padding ends before 3.
        assert_eq!(sliding(Window::new([2, 2]).stride(3).pad(1), 3, true).output, 2);
        assert_eq!(sliding(Window::new([2, 2]).stride(3).pad(1), 2, true).output, 1);
    }

    #[test]
    fn finds_the_same_windows_by_range_as_by_element() {
        for (kernel, stride, dilation, begin, end) in
            [(3, 1, 1, 1, 1), (3, 2, 1, 0, 3), (2, 3, 2, 4, 0), (5, 1, 2, 4, 4), (1, 2, 1, 0, 0), (2, 1, 3, 2, 2)]
        {
            let window = Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                pad_begin: [begin; 2],
                pad_end: [end; 2],
                dilation: [dilation; 2],
            };
            for input in [4, 5, 9] {
                let s = sliding(window, input, false);
                for k in 0..kernel {
                    let inside: Vec<usize> = (0..s.output).filter(|o| s.element(*o, k).is_some()).collect();
                    assert_eq!(s.windows_inside(k).collect::<Vec<_>>(), inside, "{window:?}, input {input}, tap {k}");
                }
            }
        }
    }

    #[test]
    fn refuses_attributes_without_a_window() {
        let window = Window::new([3, 3]);
        assert!(Sliding::new(&window, 0, 2, false).is_none());
        assert!(Sliding::new(&Window { kernel: [0, 0], ..window }, 0, 5, false).is_none());
        assert!(Sliding::new(&Window { stride: [0, 0], ..window }, 0, 5, false).is_none());
        assert!(Sliding::new(&Window { dilation: [0, 0], ..window }, 0, 5, false).is_none());
        assert!(Sliding::new(&Window { dilation: [usize::MAX, 1], ..window }, 0, 5, false).is_none());
        assert!(Sliding::new(&Window { pad_begin: [usize::MAX, 1], ..window }, 0, 5, false).is_none());
    }
}
