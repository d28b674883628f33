//! The family as data: a model is a row of numbers.

use crate::error::ZooError;

/// Names of the models, smallest first.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOG.iter().map(|config| config.name)
}

/// Kind of residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3, 1×1 with four times the channels at its end; the stride is in the 3×3 ("v1.5").
    Bottleneck,
}

impl Block {
    /// Channels of a block's result as a multiple of its stage's base width.
    pub(crate) const fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// What tells one model of the family from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// torchvision's name.
    pub name: &'static str,
    /// Kind of block.
    pub block: Block,
    /// Blocks in each of the four stages.
    pub layers: [usize; 4],
    /// Groups of the bottleneck's 3×3 convolution (the cardinality of `ResNeXt`).
    pub groups: usize,
    /// Channels of one group in the first stage's 3×3; 64 is the plain network, 128 the wide one.
    pub width_per_group: usize,
}

impl Config {
    const fn plain(name: &'static str, block: Block, layers: [usize; 4]) -> Self {
        Self { name, block, layers, groups: 1, width_per_group: 64 }
    }
}

/// He et al., "Deep Residual Learning for Image Recognition" (2015), table 1; `ResNeXt`: Xie et al. (2016); wide:
/// Zagoruyko and Komodakis (2016), as torchvision builds them.
const CATALOG: &[Config] = &[
    Config::plain("resnet18", Block::Basic, [2, 2, 2, 2]),
    Config::plain("resnet34", Block::Basic, [3, 4, 6, 3]),
    Config { groups: 32, width_per_group: 4, ..Config::plain("resnext50_32x4d", Block::Bottleneck, [3, 4, 6, 3]) },
    Config::plain("resnet50", Block::Bottleneck, [3, 4, 6, 3]),
    Config::plain("resnet101", Block::Bottleneck, [3, 4, 23, 3]),
    Config::plain("resnet152", Block::Bottleneck, [3, 8, 36, 3]),
    Config { width_per_group: 128, ..Config::plain("wide_resnet50_2", Block::Bottleneck, [3, 4, 6, 3]) },
];

/// The row of a name.
pub(crate) fn find(name: &str) -> Result<&'static Config, ZooError> {
    CATALOG
        .iter()
        .find(|config| config.name == name)
        .ok_or_else(|| ZooError::UnknownModel { name: name.to_owned(), known: names().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_models_exist_when_a_name_is_unknown() {
        let message = find("resnet51").unwrap_err().to_string();
        assert!(message.contains("resnet51") && message.contains("resnet18, resnet34"), "{message}");
    }

    #[test]
    fn every_name_finds_its_own_row() {
        for name in names() {
            assert_eq!(find(name).unwrap().name, name);
        }
    }
}
