//! Attributes of operators with windows: `kernel_shape`, `strides`, `pads`, `dilations`, `auto_pad`.

use rnc_ir::op::Window;
use rnc_ir::{Dim, Shape};

use crate::attributes::subject;
use crate::error::Fault;
use crate::node::NodeCx;
use crate::state::Value;

/// Window attributes as the model gives them.
pub(super) struct WindowAttributes {
    pub kernel: Option<[usize; 2]>,
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
}

enum Padding {
    /// Top, left, bottom, right.
    Explicit([usize; 4]),
    /// As much as makes the result `ceil(input / stride)`; an odd element goes to the end, or to the beginning.
    Same { odd_at_end: bool },
}

impl WindowAttributes {
    /// Reads the attributes; `dilations` only where the operator has them in this opset.
    pub(super) fn read(cx: &mut NodeCx, has_dilations: bool) -> Result<Self, Fault> {
        let kernel = pair(cx, "kernel_shape")?;
        let stride = pair(cx, "strides")?.unwrap_or([1, 1]);
        let dilation = if has_dilations { pair(cx, "dilations")?.unwrap_or([1, 1]) } else { [1, 1] };
        let pads = match cx.attributes.ints("pads")? {
            None => None,
            Some(pads) => Some(sizes::<4>("pads", pads, 0)?),
        };
        let padding = match (cx.attributes.string("auto_pad")?.unwrap_or("NOTSET"), pads) {
            ("NOTSET", pads) => Padding::Explicit(pads.unwrap_or([0; 4])),
            ("VALID", None | Some([0, 0, 0, 0])) => Padding::Explicit([0; 4]),
            ("SAME_UPPER", None | Some([0, 0, 0, 0])) => Padding::Same { odd_at_end: true },
            ("SAME_LOWER", None | Some([0, 0, 0, 0])) => Padding::Same { odd_at_end: false },
            ("VALID" | "SAME_UPPER" | "SAME_LOWER", Some(pads)) => {
                return Err(Fault::new(subject("pads"), format!("{pads:?} beside auto_pad"), "one of the two"));
            }
            (other, _) => {
                return Err(Fault::new(
                    subject("auto_pad"),
                    format!("`{other}`"),
                    "NOTSET, VALID, SAME_UPPER, SAME_LOWER",
                ));
            }
        };
        Ok(Self { kernel, stride, dilation, padding })
    }

    /// The window over an operand, with its padding worked out.
    pub(super) fn over(&self, kernel: [usize; 2], input: &Shape) -> Result<Window, Fault> {
        let mut window =
            Window { kernel, stride: self.stride, pad_begin: [0; 2], pad_end: [0; 2], dilation: self.dilation };
        match self.padding {
            Padding::Explicit([top, left, bottom, right]) => {
                window.pad_begin = [top, left];
                window.pad_end = [bottom, right];
            }
            Padding::Same { odd_at_end } => {
                let [_, _, Dim::Fixed(h), Dim::Fixed(w)] = *input.dims() else {
                    return Err(images_fault(input));
                };
                for (axis, size) in [h, w].into_iter().enumerate() {
                    let total = same_padding(size, &window, axis).ok_or_else(|| {
                        Fault::new(
                            subject("auto_pad"),
                            format!("a window of {kernel:?} over {input}"),
                            "sizes that fit into memory",
                        )
                    })?;
                    let (small, large) = (total / 2, total - total / 2);
                    (window.pad_begin[axis], window.pad_end[axis]) =
                        if odd_at_end { (small, large) } else { (large, small) };
                }
            }
        }
        Ok(window)
    }
}

/// Elements to add so that the result has `ceil(size / stride)`. `None` on overflow.
fn same_padding(size: usize, window: &Window, axis: usize) -> Option<usize> {
    let steps = size.div_ceil(window.stride[axis]).saturating_sub(1);
    let span = window.kernel[axis].checked_sub(1)?.checked_mul(window.dilation[axis])?.checked_add(1)?;
    Some(steps.checked_mul(window.stride[axis])?.checked_add(span)?.saturating_sub(size))
}

/// Checks that an operand is NCHW, the only layout with windows here, before anything is said of its windows.
pub(super) fn images(cx: &NodeCx, value: Value) -> Result<Shape, Fault> {
    let shape = cx.shape(value)?;
    if shape.rank() == 4 { Ok(shape) } else { Err(images_fault(&shape)) }
}

fn images_fault(shape: &Shape) -> Fault {
    Fault::new(
        "operand 0 (X)",
        format!("the shape {shape}"),
        "two spatial dimensions: [N,C,H,W] with numbers for H and W",
    )
}

fn pair(cx: &mut NodeCx, name: &'static str) -> Result<Option<[usize; 2]>, Fault> {
    match cx.attributes.ints(name)? {
        None => Ok(None),
        Some(values) => sizes(name, values, 1).map(Some),
    }
}

fn sizes<const COUNT: usize>(name: &str, values: &[i64], least: i64) -> Result<[usize; COUNT], Fault> {
    let fault = || Fault::new(subject(name), shortened(values), format!("{COUNT} integers from {least}"));
    let sizes: Option<Vec<usize>> = values.iter().map(|v| usize::try_from(*v).ok().filter(|_| *v >= least)).collect();
    sizes.and_then(|sizes| sizes.try_into().ok()).ok_or_else(fault)
}

/// A list for a message, of which a hostile file may have a great many entries.
pub(super) fn shortened(values: &[i64]) -> String {
    if values.len() > 16 {
        format!("{:?} and {} more", &values[..16], values.len() - 16)
    } else {
        format!("{values:?}")
    }
}
