//! The residual blocks, one file a kind.

mod attention;
mod basic;
mod bottleneck;
mod preactivation;
mod shortcut;

use crate::config::{Attention, Block, Config, Downsampling, StrideIn};
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// Where a block stands in the network.
pub(crate) struct Place<'a> {
    /// The model.
    pub config: &'a Config,
    /// Name of the block, such as `layer1.0`.
    pub name: String,
    /// Base width of its stage, such as 64, 128, 256 or 512.
    pub width: usize,
    /// The factor by which the block makes height and width smaller.
    pub stride: usize,
    /// Distance between the taps of its 3×3 convolutions.
    pub dilation: usize,
}

/// Adds a block.
pub(crate) fn block(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let branch = match place.config.block {
        Block::Basic => basic::branch(layers, x, place)?,
        Block::Bottleneck => bottleneck::branch(layers, x, place)?,
        Block::PreactivationBottleneck => return preactivation::block(layers, x, place),
    };
    let branch = attention::attend(layers, &branch, place)?;
    let shortcut = if place.keeps_shape(x) { x.clone() } else { shortcut::reshape(layers, x, place)? };
    let sum = layers.residual_add(&place.path("add"), &branch, &shortcut)?;
    layers.relu(&place.path("relu"), &sum)
}

impl Place<'_> {
    /// Name of a part of the block.
    fn path(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    /// Channels of the block's result.
    fn out(&self) -> usize {
        self.width * self.config.block.expansion()
    }

    /// Whether the block's result has the shape of its operand.
    fn keeps_shape(&self, x: &Value) -> bool {
        self.stride == 1 && x.channels() == self.out()
    }

    /// Deviation of the branch before attention. Smaller than 1, so that the sum of many blocks stays in range.
    fn branch_gain(&self) -> f64 {
        match self.config.attention {
            Attention::None => 0.3,
            // Gates are a half on average.
            Attention::SqueezeExcite | Attention::EfficientChannel => 0.6,
        }
    }

    /// A bottleneck's convolutions, with the strides that their results shall have.
    fn bottleneck(&self) -> [Conv; 3] {
        let config = self.config;
        let inner = self.width * config.width_per_group / 64 * config.groups;
        let [first, spatial] = match config.stride_in {
            StrideIn::FirstPointwise => [self.stride, 1],
            StrideIn::Spatial => [1, self.stride],
        };
        [
            Conv { stride: first, ..Conv::new(inner, 1) },
            Conv { stride: spatial, groups: config.groups, dilation: self.dilation, ..Conv::new(inner, 3) },
            Conv::new(self.out(), 1),
        ]
    }

    /// Adds a convolution, with a stride only if a blur does not follow.
    fn conv(&self, layers: &mut Layers, part: &str, x: &Value, conv: Conv) -> Result<Value, ZooError> {
        let stride = match self.config.downsampling {
            Downsampling::Strided => conv.stride,
            Downsampling::Blur => 1,
        };
        layers.conv(&self.path(part), x, Conv { stride, ..conv })
    }

    /// Adds the blur behind the activation of a convolution's result, if it is to have the convolution's stride.
    fn blur(&self, layers: &mut Layers, x: Value, stride: usize) -> Result<Value, ZooError> {
        match self.config.downsampling {
            Downsampling::Blur if stride > 1 => layers.blur(&self.path("aa"), &x, stride),
            Downsampling::Blur | Downsampling::Strided => Ok(x),
        }
    }

    /// Adds the `i`th convolution of a branch, its norm and its activation.
    fn conv_norm_relu(&self, layers: &mut Layers, i: usize, x: &Value, conv: Conv) -> Result<Value, ZooError> {
        let x = self.conv(layers, &format!("conv{i}"), x, conv)?;
        let x = layers.batch_norm(&self.path(&format!("bn{i}")), &x, 1.0)?;
        let x = layers.relu(&self.path(&format!("relu{i}")), &x)?;
        self.blur(layers, x, conv.stride)
    }
}
