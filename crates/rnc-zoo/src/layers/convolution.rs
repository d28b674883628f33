//! Convolutions.

use rnc_ir::op::{Activation, Conv2d, Reshape, Window};
use rnc_ir::{Dim, Op, Shape, Tensor};

use super::{Layers, Value, elements};
use crate::error::ZooError;
use crate::random::Random;

/// Attributes of a convolution. Its padding keeps the size at stride 1.
#[derive(Clone, Copy)]
pub(crate) struct Conv {
    /// Channels of the result.
    pub out: usize,
    /// Kernel height and width, odd.
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Groups.
    pub groups: usize,
    /// Distance between taps in both directions.
    pub dilation: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// Deviation of the result where no norm follows. `None` draws the weights He-normal by fan-out, as torchvision (He et
    /// al., 2015), whatever deviation that gives.
    pub gain: Option<f64>,
}

impl Conv {
    /// Stride 1, one group, dilation 1, no bias, a norm behind it.
    pub(crate) const fn new(out: usize, kernel: usize) -> Self {
        Self { out, kernel, stride: 1, groups: 1, dilation: 1, bias: false, gain: None }
    }

    /// The operator.
    pub(super) fn op(self) -> Op {
        let window = Window::new([self.kernel; 2]).stride(self.stride).pad(self.kernel / 2 * self.dilation);
        Op::Conv2d(Conv2d {
            window: Window { dilation: [self.dilation; 2], ..window },
            groups: self.groups,
            bias: self.bias,
            residual: false,
            activation: Activation::None,
        })
    }
}

/// The binomial filter of three taps in both directions.
const BLUR: [f32; 9] = [0.0625, 0.125, 0.0625, 0.125, 0.25, 0.125, 0.0625, 0.125, 0.0625];

impl Layers<'_> {
    /// A convolution. Each seeded filter has mean zero.
    pub(crate) fn conv(&mut self, name: &str, x: &Value, conv: Conv) -> Result<Value, ZooError> {
        let Conv { out, kernel, groups, .. } = conv;
        let dims = [out, x.channels() / groups, kernel, kernel];
        let inputs = dims[1..].iter().product::<usize>();
        let deviation = match conv.gain {
            None => (2.0 / (out * kernel * kernel) as f64).sqrt(),
            Some(gain) => gain / (inputs as f64 * x.moments.mean_variance()).sqrt(),
        };
        let (weight, tensor) =
            self.parameter(&format!("{name}.weight"), &dims, |random| random.filters(out, inputs, deviation));
        let moments = x.moments.convolved(elements(&tensor), out, groups);
        let mut operands = vec![x.id, weight];
        if conv.bias {
            let bias = |random: &mut Random| (0..out).map(|_| (0.1 * random.normal()) as f32).collect();
            operands.push(self.parameter(&format!("{name}.bias"), &[out], bias).0);
        }
        Ok(Value::new(self.node(name, conv.op(), &operands)?, moments))
    }

    /// A 3×3 binomial blur of each channel with a stride (Zhang, 2019). Its padding is zero; timm's reflects.
    pub(crate) fn blur(&mut self, name: &str, x: &Value, stride: usize) -> Result<Value, ZooError> {
        let channels = x.channels();
        // A constant of the network, not a parameter: state dicts do not have it.
        let filter = self.graph.add_constant(
            &format!("{}{name}.filt", self.prefix),
            Tensor::f32([channels, 1, 3, 3], BLUR.repeat(channels)),
        );
        let conv = Conv { stride, groups: channels, ..Conv::new(channels, 3) };
        let squares = BLUR.iter().map(|w| f64::from(w * w)).sum();
        Ok(Value::new(self.node(name, conv.op(), &[x.id, filter])?, x.moments.averaged(squares)))
    }

    /// A convolution along the channels of `[N,C,1,1]`, without bias: `Conv1d` of a state dict, with weights of `[1,1,kernel]`.
    pub(crate) fn conv_over_channels(&mut self, name: &str, x: &Value, kernel: usize) -> Result<Value, ZooError> {
        let deviation = 1.0 / (kernel as f64 * x.moments.mean_variance()).sqrt();
        let parameter = format!("{}{name}.weight", self.prefix);
        let weight = self.parameters.take(&parameter, &[1, 1, kernel], |random| random.filters(1, kernel, deviation));
        let weight = self.graph.add_constant(&parameter, weight.reshaped([1, 1, 1, kernel]));
        let [channels, batch] = [Dim::Fixed(x.channels()), self.batch(x)];
        let one = Dim::Fixed(1);
        let reshape = |dims| Op::Reshape(Reshape { shape: Shape::new(dims) });
        let window = Window { pad_begin: [0, kernel / 2], pad_end: [0, kernel / 2], ..Window::new([1, kernel]) };
        let conv = Op::Conv2d(Conv2d { window, groups: 1, bias: false, residual: false, activation: Activation::None });
        let row = self.node(&format!("{name}.row"), reshape([batch, one, one, channels]), &[x.id])?;
        let row = self.node(name, conv, &[row, weight])?;
        let id = self.node(&format!("{name}.column"), reshape([batch, channels, one, one]), &[row])?;
        Ok(Value::new(id, x.moments.clone()))
    }
}
