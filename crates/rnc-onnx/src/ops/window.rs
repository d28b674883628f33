//! Attributes of operators with windows: `kernel_shape`, `strides`, `pads`, `dilations`, `auto_pad`.

use rnc_ir::op::Window;
use rnc_ir::{Dim, Shape};

use crate::attributes::subject;
use crate::error::Fault;
use crate::node::NodeCx;
use crate::state::Value;

/// The largest kernel, stride, dilation or padding: far beyond what can be run, so that sums and products of a few of them and a size do not overflow.
pub(super) const LARGEST: i64 = 1 << 24;

/// The largest spatial size.
const LARGEST_SIZE: usize = 1 << 31;

/// Window attributes as the model gives them.
pub(super) struct WindowAttributes {
    pub kernel: Option<Vec<usize>>,
    stride: Option<Vec<usize>>,
    dilation: Option<Vec<usize>>,
    padding: Padding,
}

pub(super) enum Padding {
    /// Before each spatial axis, then behind each.
    Explicit(Option<Vec<usize>>),
    /// As much as makes the result `ceil(input / stride)`; an odd element goes to the end, or to the beginning.
    Same { odd_at_end: bool },
}

/// Windows over one spatial axis or more; every list has one entry for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    pub pad_begin: Vec<usize>,
    pub pad_end: Vec<usize>,
}

impl Windows {
    /// The windows over one axis, as those over the columns of one row.
    pub fn of_row(&self, axis: usize) -> Window {
        let pair = |list: &[usize], other: usize| [other, list[axis]];
        self.with(pair, 1, 0)
    }

    /// The windows over one axis, as those over the rows of columns.
    pub fn of_column(&self, axis: usize) -> Window {
        let pair = |list: &[usize], other: usize| [list[axis], other];
        self.with(pair, 1, 0)
    }

    /// The windows over two axes that follow each other.
    pub fn of_image(&self, axis: usize) -> Window {
        let pair = |list: &[usize], _: usize| [list[axis], list[axis + 1]];
        self.with(pair, 1, 0)
    }

    fn with(&self, pair: impl Fn(&[usize], usize) -> [usize; 2], one: usize, zero: usize) -> Window {
        Window {
            kernel: pair(&self.kernel, one),
            stride: pair(&self.stride, one),
            dilation: pair(&self.dilation, one),
            pad_begin: pair(&self.pad_begin, zero),
            pad_end: pair(&self.pad_end, zero),
        }
    }
}

impl WindowAttributes {
    /// Reads the attributes; `dilations` only where the operator has them in this opset.
    pub(super) fn read(cx: &mut NodeCx, has_dilations: bool) -> Result<Self, Fault> {
        let kernel = list(cx, "kernel_shape", 1)?;
        let stride = list(cx, "strides", 1)?;
        let dilation = if has_dilations { list(cx, "dilations", 1)? } else { None };
        let pads = list(cx, "pads", 0)?;
        let none = pads.as_ref().is_none_or(|pads| pads.iter().all(|pad| *pad == 0));
        let padding = match (cx.attributes.string("auto_pad")?.unwrap_or("NOTSET"), none) {
            ("NOTSET", _) => Padding::Explicit(pads),
            ("VALID", true) => Padding::Explicit(None),
            ("SAME_UPPER", true) => Padding::Same { odd_at_end: true },
            ("SAME_LOWER", true) => Padding::Same { odd_at_end: false },
            ("VALID" | "SAME_UPPER" | "SAME_LOWER", false) => {
                let found = format!("{:?} beside auto_pad", pads.unwrap_or_default());
                return Err(Fault::new(subject("pads"), found, "one of the two"));
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

    /// [`WindowAttributes::over`] with the kernel that the weights have; the attribute must not say another.
    pub(super) fn over_with_weights(&self, kernel: &[usize], input: &Shape) -> Result<Windows, Fault> {
        if let Some(given) = self.kernel.as_ref().filter(|given| **given != kernel) {
            let supported = format!("{kernel:?}, as the weights have");
            return Err(Fault::new(subject("kernel_shape"), format!("{given:?}"), supported));
        }
        self.over(kernel, input)
    }

    /// The windows over an operand of `[N,C,…]`, with their padding worked out.
    pub(super) fn over(&self, kernel: &[usize], input: &Shape) -> Result<Windows, Fault> {
        let axes = input.rank() - 2;
        let list = |name: &str, list: &Option<Vec<usize>>, entries: usize, default: usize| match list {
            None => Ok(vec![default; entries]),
            Some(list) if list.len() == entries => Ok(list.clone()),
            Some(list) => Err(Fault::new(
                subject(name),
                format!("{list:?}"),
                format!("{entries} integers for a value of {input}"),
            )),
        };
        if let Some(size) = kernel.iter().find(|size| **size > LARGEST as usize) {
            return Err(Fault::new(subject("kernel_shape"), size.to_string(), format!("at most {LARGEST}")));
        }
        let mut windows = Windows {
            kernel: list("kernel_shape", &Some(kernel.to_vec()), axes, 1)?,
            stride: list("strides", &self.stride, axes, 1)?,
            dilation: list("dilations", &self.dilation, axes, 1)?,
            pad_begin: Vec::new(),
            pad_end: Vec::new(),
        };
        match &self.padding {
            Padding::Explicit(pads) => {
                windows.pad_begin = list("pads", pads, 2 * axes, 0)?;
                windows.pad_end = windows.pad_begin.split_off(axes);
            }
            Padding::Same { odd_at_end } => {
                for axis in 0..axes {
                    let total = input.dims()[axis + 2].fixed().and_then(|size| same_padding(size, &windows, axis));
                    let total = total.ok_or_else(|| {
                        let found = format!("a window of {kernel:?} over {input}");
                        Fault::new(subject("auto_pad"), found, "sizes that fit into memory")
                    })?;
                    let (small, large) = (total / 2, total - total / 2);
                    let (begin, end) = if *odd_at_end { (small, large) } else { (large, small) };
                    windows.pad_begin.push(begin);
                    windows.pad_end.push(end);
                }
            }
        }
        Ok(windows)
    }

    /// How padding is given.
    pub(super) fn padding(&self) -> &Padding {
        &self.padding
    }
}

/// Elements to add so that the result has `ceil(size / stride)`. `None` on overflow.
fn same_padding(size: usize, windows: &Windows, axis: usize) -> Option<usize> {
    let steps = size.div_ceil(windows.stride[axis]).saturating_sub(1);
    let span = windows.kernel[axis].checked_sub(1)?.checked_mul(windows.dilation[axis])?.checked_add(1)?;
    Some(steps.checked_mul(windows.stride[axis])?.checked_add(span)?.saturating_sub(size))
}

/// Checks that an operand has channels and one to three spatial axes, the only layout with windows here, before anything is said of its windows.
pub(super) fn spatial(cx: &NodeCx, value: Value) -> Result<Shape, Fault> {
    let shape = cx.shape(value)?;
    let fixed = shape.dims().iter().skip(1).all(|dim| matches!(dim, Dim::Fixed(size) if *size <= LARGEST_SIZE));
    if (3..=5).contains(&shape.rank()) && fixed {
        return Ok(shape);
    }
    let supported =
        "one to three spatial dimensions: [N,C,W], [N,C,H,W], [N,C,D,H,W], with numbers up to 2^31 behind N";
    Err(Fault::new("operand 0 (X)", format!("the shape {shape}"), supported))
}

fn list(cx: &mut NodeCx, name: &'static str, least: i64) -> Result<Option<Vec<usize>>, Fault> {
    let Some(values) = cx.attributes.ints(name)? else { return Ok(None) };
    let fault = || Fault::new(subject(name), shortened(values), format!("integers from {least} to {LARGEST}"));
    let sizes: Option<Vec<usize>> =
        values.iter().map(|v| usize::try_from(*v).ok().filter(|_| (least..=LARGEST).contains(v))).collect();
    sizes.map(Some).ok_or_else(fault)
}

/// A list for a message, of which a hostile file may have a great many entries.
pub(super) fn shortened(values: &[i64]) -> String {
    if values.len() > 16 {
        format!("{:?} and {} more", &values[..16], values.len() - 16)
    } else {
        format!("{values:?}")
    }
}
