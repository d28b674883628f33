//! Names of modules, so that weights load by name: torchvision's, and timm's `resnetv2` for networks with preactivation.

use crate::config::{Block, Config, Shortcut, Stem};

impl Block {
    /// Name of a block; stage and index count from 0.
    pub(crate) fn path(self, stage: usize, index: usize) -> String {
        if self.is_preactivation() {
            format!("stages.{stage}.blocks.{index}")
        } else {
            format!("layer{}.{index}", stage + 1)
        }
    }
}

impl Config {
    /// Names of the stem's convolutions and of the norms behind them. With preactivation, the last norm is not there.
    pub(crate) const fn stem_layers(&self) -> &'static [[&'static str; 2]] {
        match (self.stem, self.block.is_preactivation()) {
            (Stem::SevenBySeven | Stem::Cifar, false) => &[["conv1", "bn1"]],
            (Stem::SevenBySeven | Stem::Cifar, true) => &[["stem.conv", "stem.norm"]],
            (Stem::Deep, false) => &[["conv1.0", "conv1.1"], ["conv1.3", "conv1.4"], ["conv1.6", "bn1"]],
            (Stem::Deep, true) => {
                &[["stem.conv1", "stem.norm1"], ["stem.conv2", "stem.norm2"], ["stem.conv3", "stem.norm3"]]
            }
        }
    }

    /// Name of the stem's maximum.
    pub(crate) const fn stem_pool(&self) -> &'static str {
        if self.block.is_preactivation() { "stem.pool" } else { "maxpool" }
    }

    /// Names, inside of a block, of a projecting shortcut's convolution and norm.
    pub(crate) const fn projection(&self) -> [&'static str; 2] {
        match (self.block.is_preactivation(), self.shortcut) {
            (true, _) => ["downsample.conv", "downsample.norm"],
            // Module 0 is the mean.
            (false, Shortcut::AveragePool) => ["downsample.1", "downsample.2"],
            (false, Shortcut::Projection | Shortcut::ZeroPadding) => ["downsample.0", "downsample.1"],
        }
    }

    /// Name of the classifier.
    pub(crate) const fn classifier(&self) -> &'static str {
        if self.block.is_preactivation() { "head.fc" } else { "fc" }
    }
}
