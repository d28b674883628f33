//! Names of modules, so that weights load by name.

use crate::config::{Config, Shortcut, Stem};

/// Whose names a network has.
#[derive(Clone, Copy)]
enum Naming {
    /// torchvision's `resnet`; timm's is the same, with more modules.
    Torchvision,
    /// timm's `resnetv2`.
    TimmV2,
    /// Those of `github.com/akamaster/pytorch_resnet_cifar10`, from which trained CIFAR networks come: torchvision has none.
    Cifar,
}

impl Config {
    const fn naming(&self) -> Naming {
        match (self.block.is_preactivation(), self.stem) {
            (true, _) => Naming::TimmV2,
            (false, Stem::Cifar) => Naming::Cifar,
            (false, Stem::SevenBySeven | Stem::Deep) => Naming::Torchvision,
        }
    }

    /// Name of a block; stage and index count from 0.
    pub(crate) fn block_path(&self, stage: usize, index: usize) -> String {
        match self.naming() {
            Naming::Torchvision | Naming::Cifar => format!("layer{}.{index}", stage + 1),
            Naming::TimmV2 => format!("stages.{stage}.blocks.{index}"),
        }
    }

    /// Names of the stem's convolutions and of the norms behind them. With preactivation, the last norm is not there.
    pub(crate) const fn stem_layers(&self) -> &'static [[&'static str; 2]] {
        match (self.stem, self.naming()) {
            (Stem::SevenBySeven | Stem::Cifar, Naming::Torchvision | Naming::Cifar) => &[["conv1", "bn1"]],
            (Stem::SevenBySeven | Stem::Cifar, Naming::TimmV2) => &[["stem.conv", "stem.norm"]],
            (Stem::Deep, Naming::Torchvision | Naming::Cifar) => {
                &[["conv1.0", "conv1.1"], ["conv1.3", "conv1.4"], ["conv1.6", "bn1"]]
            }
            (Stem::Deep, Naming::TimmV2) => {
                &[["stem.conv1", "stem.norm1"], ["stem.conv2", "stem.norm2"], ["stem.conv3", "stem.norm3"]]
            }
        }
    }

    /// Name of the stem's maximum.
    pub(crate) const fn stem_pool(&self) -> &'static str {
        match self.naming() {
            Naming::Torchvision | Naming::Cifar => "maxpool",
            Naming::TimmV2 => "stem.pool",
        }
    }

    /// Name, inside of a block, of a shortcut that changes the shape.
    pub(crate) const fn shortcut_name(&self) -> &'static str {
        match self.naming() {
            Naming::Torchvision | Naming::TimmV2 => "downsample",
            Naming::Cifar => "shortcut",
        }
    }

    /// Names, inside of a shortcut, of its mean, convolution and norm.
    pub(crate) const fn projection_layers(&self) -> [&'static str; 3] {
        match (self.naming(), self.shortcut) {
            (Naming::TimmV2, _) => ["pool", "conv", "norm"],
            (Naming::Torchvision | Naming::Cifar, Shortcut::AveragePool) => ["0", "1", "2"],
            (Naming::Torchvision | Naming::Cifar, Shortcut::Projection | Shortcut::ZeroPadding) => ["pool", "0", "1"],
        }
    }

    /// Name of the classifier.
    pub(crate) const fn classifier(&self) -> &'static str {
        match self.naming() {
            Naming::Torchvision => "fc",
            Naming::TimmV2 => "head.fc",
            Naming::Cifar => "linear",
        }
    }
}
