//! Elementwise programs.

use rnc_ir::NodeId;
use rnc_plan::Operand;
use rnc_plan::kernel::{Access, BLOCK, Elementwise, KernelSpec, Space, blocks};

use crate::context::{Context, ValueId};
use crate::error::Reason;
use crate::layout::{Layout, extent, len};
use crate::movement::expanded;
use crate::program::{self, Program, Source};

/// Lowers the fused nodes `members`, whose last is `node`, to one step.
pub(crate) fn lower(cx: &mut Context<'_>, node: NodeId, members: &[NodeId]) -> Result<(), Reason> {
    let dims = cx.sample(node);
    let Program { instructions, sources } = program::build(cx, members, node, dims.len())?;
    let inputs = sources.into_iter().map(|source| input(cx, source)).collect::<Result<Vec<_>, _>>()?;
    let form = Form::choose(cx, &inputs, &dims);
    let operands = inputs.iter().map(|i| form.operand(cx, node, i, &dims)).collect::<Result<Vec<_>, _>>()?;
    let in_place = in_place(cx, members, &operands);
    let result = match form {
        Form::Flat => cx.result(node, Layout::Planar, in_place)?,
        Form::Channels | Form::Elements => cx.result(node, Layout::Blocked, in_place)?,
        Form::Vector => match in_place {
            Some(place) => place,
            None => cx.buffer(cx.name(node), &[form.space(&dims)?.1], Layout::Blocked)?,
        },
    };
    let kernel = Elementwise {
        space: form.space(&dims)?.0,
        operands: operands.iter().map(|o| o.access).collect(),
        program: instructions,
    };
    let places = std::iter::once(result).chain(operands.iter().map(|o| o.place)).collect();
    cx.emit(cx.name(node), KernelSpec::Elementwise(kernel), places)?;
    match form {
        Form::Flat => cx.define(node, Layout::Planar, result),
        Form::Channels | Form::Elements => cx.define(node, Layout::Blocked, result),
        Form::Vector => {
            let vector = cx.temporary(cx.name(node), vec![form.space(&dims)?.1], Layout::Blocked, result);
            cx.define_alias(node, vector)?
        }
    };
    Ok(())
}

/// An operand of the program before it is placed.
enum Input {
    Value(ValueId),
    Constant { name: String, dims: Vec<usize>, data: Vec<f32> },
}

fn input(cx: &mut Context<'_>, source: Source) -> Result<Input, Reason> {
    Ok(match source {
        Source::Value(node) => Input::Value(cx.value(node)?),
        Source::Constant { name, dims, data } => Input::Constant { name, dims, data },
    })
}

/// A placed operand.
struct Placed {
    access: Access,
    place: Operand,
    /// The value, if it is one.
    value: Option<ValueId>,
}

/// How a step runs over its sample.
#[derive(Clone, Copy)]
enum Form {
    /// Planar; no constants but numbers.
    Flat,
    /// Blocked; constants and small values are per channel.
    Channels,
    /// Blocked, each pixel's block taken as channels of its own, so that a constant can differ from pixel to pixel.
    Elements,
    /// The row-major sample as one long vector of channels, for constants where there is no blocked layout.
    Vector,
}

impl Form {
    fn choose(cx: &Context<'_>, inputs: &[Input], dims: &[usize]) -> Self {
        let constants =
            || inputs.iter().filter_map(|i| if let Input::Constant { dims, .. } = i { Some(dims) } else { None });
        let planar = |i: &Input| match i {
            Input::Value(v) => cx.dims(*v) == dims && !cx.has(*v, Layout::Blocked),
            Input::Constant { .. } => false,
        };
        let blocked = extent(dims).is_some();
        if constants().count() == 0 && (!blocked || inputs.iter().all(planar)) {
            Self::Flat
        } else if !blocked {
            Self::Vector
        } else if constants().all(|c| is_per_channel(c, dims)) {
            Self::Channels
        } else {
            Self::Elements
        }
    }

    /// The iteration space, and the elements of the sample.
    fn space(self, dims: &[usize]) -> Result<(Space, usize), Reason> {
        let too_large = || Reason::new(format!("a sample of {dims:?} overflows"), "smaller samples");
        let len = |layout| len(dims, layout).ok_or_else(too_large);
        Ok(match self {
            Self::Flat => (Space::Flat { len: len(Layout::Planar)? }, len(Layout::Planar)?),
            Self::Channels => {
                let pixels = dims[1..].iter().product();
                (Space::Blocked { blocks: blocks(dims[0]), pixels }, len(Layout::Blocked)?)
            }
            Self::Elements => {
                let len = len(Layout::Blocked)?;
                (Space::Blocked { blocks: len / BLOCK, pixels: 1 }, len)
            }
            Self::Vector => {
                let len = len(Layout::Planar)?;
                (Space::Blocked { blocks: blocks(len), pixels: 1 }, len)
            }
        })
    }

    fn operand(self, cx: &mut Context<'_>, node: NodeId, input: &Input, dims: &[usize]) -> Result<Placed, Reason> {
        match input {
            Input::Value(value) => self.value(cx, node, *value, dims),
            Input::Constant { name, dims: from, data } => {
                let mut lanes = match self {
                    Self::Channels => data.clone(),
                    Self::Elements => spread(data, from, dims, Layout::Blocked)?,
                    Self::Flat | Self::Vector => spread(data, from, dims, Layout::Planar)?,
                };
                lanes.resize(lanes.len().next_multiple_of(BLOCK), 0.0);
                let place = Operand::Constant(cx.packer.vector(name, lanes));
                Ok(Placed { access: Access::PerChannelShared, place, value: None })
            }
        }
    }

    fn value(self, cx: &mut Context<'_>, node: NodeId, value: ValueId, dims: &[usize]) -> Result<Placed, Reason> {
        let name = || format!("{}.expanded", cx.name(node));
        let (layout, per_channel) = match self {
            Self::Flat | Self::Vector => (Layout::Planar, false),
            Self::Channels => (Layout::Blocked, dims.len() == 3),
            Self::Elements => (Layout::Blocked, false),
        };
        let from = cx.dims(value);
        let channel = if per_channel { [dims[0], 1, 1] } else { [0; 3] };
        let (access, value) = if from == dims {
            (Access::Full, value)
        } else if per_channel && from == channel {
            (Access::PerChannel, value)
        } else if per_channel && from.iter().all(|dim| *dim == 1) {
            let name = name();
            (Access::PerChannel, expanded(cx, value, &name, &channel, Layout::Blocked)?)
        } else {
            let name = name();
            (Access::Full, expanded(cx, value, &name, dims, layout)?)
        };
        let (value, layout) = match self {
            Self::Flat | Self::Channels | Self::Elements => (value, layout),
            Self::Vector => (cx.alias(value, vec![self.space(dims)?.1])?, Layout::Blocked),
        };
        Ok(Placed { access, place: cx.place(value, layout)?, value: Some(value) })
    }
}

/// A buffer that the result may take: that of an operand which is read element by element and not needed afterwards. No other operand
/// reads it in another way: values that share a buffer have as many elements, and those read per channel have fewer.
fn in_place(cx: &Context<'_>, members: &[NodeId], operands: &[Placed]) -> Option<Operand> {
    let free = |o: &&Placed| {
        let dies = |value| cx.dies_after(value, members);
        matches!(o.place, Operand::Buffer(_)) && o.access == Access::Full && o.value.is_some_and(dies)
    };
    operands.iter().find(free).map(|o| o.place)
}

fn is_per_channel(constant: &[usize], dims: &[usize]) -> bool {
    constant[0] == dims[0] && constant[1..].iter().all(|dim| *dim == 1)
}

/// Broadcasts a constant to the dimensions `to`, in a layout.
fn spread(data: &[f32], from: &[usize], to: &[usize], layout: Layout) -> Result<Vec<f32>, Reason> {
    let total = len(to, layout).ok_or_else(|| Reason::new("a constant overflows", "smaller constants"))?;
    let mut result = vec![0.0; total];
    let mut index = vec![0; to.len()];
    let pixels: usize = to[1..].iter().product();
    for flat in 0..to.iter().product::<usize>() {
        let source = index.iter().zip(from).fold(0, |at, (i, dim)| at * dim + if *dim == 1 { 0 } else { *i });
        let at = match layout {
            Layout::Planar => flat,
            Layout::Blocked => {
                let (channel, pixel) = (flat / pixels, flat % pixels);
                (channel / BLOCK * pixels + pixel) * BLOCK + channel % BLOCK
            }
        };
        result[at] = data[source];
        for (i, dim) in index.iter_mut().zip(to).rev() {
            *i += 1;
            if *i < *dim {
                break;
            }
            *i = 0;
        }
    }
    Ok(result)
}
