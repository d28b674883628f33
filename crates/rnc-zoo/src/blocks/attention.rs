//! Channel attention: each channel of a branch times a gate from 0 to 1 that is made of all channels' means.

use super::Place;
use crate::config::Attention;
use crate::error::ZooError;
use crate::layers::{Conv, Layers, Value};

/// The branch with its channels weighed.
pub(super) fn attend(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let path = |part: &str| place.path(&format!("se.{part}"));
    let weigh = match place.config.attention {
        Attention::None => return Ok(x.clone()),
        Attention::SqueezeExcite => squeeze_excite,
        Attention::EfficientChannel => efficient_channel,
    };
    let gates = weigh(layers, x, place)?;
    let gates = layers.sigmoid(&path("gate"), &gates)?;
    layers.gated(&path("mul"), x, &gates)
}

/// Two 1×1 convolutions of the means, with fewer channels between them.
fn squeeze_excite(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let path = |part: &str| place.path(&format!("se.{part}"));
    let conv = |out| Conv { bias: true, gain: Some(1.0), ..Conv::new(out, 1) };
    let means = layers.mean(&path("mean"), x)?;
    let hidden = layers.conv(&path("fc1"), &means, conv(squeezed_channels(x.channels())))?;
    let hidden = layers.relu(&path("act"), &hidden)?;
    layers.conv(&path("fc2"), &hidden, conv(x.channels()))
}

/// A sixteenth, rounded to a multiple of eight, as timm's.
fn squeezed_channels(channels: usize) -> usize {
    ((channels / 16 + 4) / 8 * 8).max(8)
}

/// A convolution along the channels.
fn efficient_channel(layers: &mut Layers, x: &Value, place: &Place<'_>) -> Result<Value, ZooError> {
    let means = layers.mean(&place.path("se.mean"), x)?;
    layers.conv_over_channels(&place.path("se.conv"), &means, channel_kernel(x.channels()))
}

/// The odd number next to (log2(channels) + 1) / 2, at least 3: equation 12 of the paper, rounded as its authors do.
fn channel_kernel(channels: usize) -> usize {
    let half = (channels.max(1).ilog2() as usize).div_ceil(2);
    (half | 1).max(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squeezes_to_a_sixteenth() {
        assert_eq!([64, 256, 512, 1024, 2048].map(squeezed_channels), [8, 16, 32, 64, 128]);
    }

    #[test]
    fn kernels_over_channels_grow_with_their_logarithm() {
        // timm's EcaModule: t = int(abs(log2(channels) + 1) / 2), t if it is odd, else t + 1.
        assert_eq!([16, 64, 256, 512, 1024, 2048].map(channel_kernel), [3, 3, 5, 5, 5, 7]);
    }
}
