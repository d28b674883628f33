//! The family: one row a model.

use crate::config::{Attention, Block, Config, Downsampling, Head, Segmentation, Shortcut, Stem, StrideIn};
use crate::error::ZooError;

/// Names of the models, by family.
///
/// They are torchvision's or timm's where these have the model.
///
/// | name | is | from |
/// |---|---|---|
/// | `resnet18` to `resnet152` | stride in a bottleneck's 3×3 ("v1.5") | He et al., "Deep Residual Learning for Image Recognition" (2015), as in torchvision |
/// | `…_v1` | stride in a bottleneck's first 1×1 | the same, as in the paper |
/// | `resnext…` | groups in the 3×3 | Xie et al., "Aggregated Residual Transformations for Deep Neural Networks" (2017) |
/// | `wide_…` | twice the channels in the 3×3 | Zagoruyko and Komodakis, "Wide Residual Networks" (2016) |
/// | `resnetv2_…` | norm and activation before each convolution | He et al., "Identity Mappings in Deep Residual Networks" (2016) |
/// | `…50d` | three 3×3 in the stem, means in the shortcuts | He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks" (2018) |
/// | `seresnet50` | squeeze-excite | Hu et al., "Squeeze-and-Excitation Networks" (2018) |
/// | `ecaresnet50…` | attention by a convolution along the channels | Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks" (2020) |
/// | `resnet50_blur` | blurs before pixels are dropped | Zhang, "Making Convolutional Networks Shift-Invariant Again" (2019); timm's `resnetblur50` with zero padding |
/// | `…_cifar` | three stages for images of 32×32, shortcuts without parameters ("option A") | He et al. (2015), section 4.2 |
/// | `…_cifar_b` | the same with projections ("option B") | the same |
/// | `resnet50_features` | the four stages' results as outputs | torchvision's `IntermediateLayerGetter` |
/// | `resnet50_fpn` | a feature pyramid on the four stages | Lin et al., "Feature Pyramid Networks for Object Detection" (2017), torchvision's `BackboneWithFPN` |
/// | `fcn_resnet50` | a class for every pixel, on the dilated backbone | Long et al., "Fully Convolutional Networks for Semantic Segmentation" (2015) |
/// | `deeplabv3_resnet50` | the same with dilated convolutions side by side | Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation" (2017) |
/// | `resnet50_dilated8` | the same with dilation for stride in the last two stages | torchvision's backbone of `fcn_resnet50` and `deeplabv3_resnet50` |
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOG.iter().map(|config| config.name)
}

/// The row of a name.
pub(crate) fn find(name: &str) -> Result<&'static Config, ZooError> {
    CATALOG
        .iter()
        .find(|config| config.name == name)
        .ok_or_else(|| ZooError::UnknownModel { name: name.to_owned(), known: names().collect() })
}

const fn basic(name: &'static str, depths: &'static [usize]) -> Config {
    Config {
        name,
        block: Block::Basic,
        depths,
        width: 64,
        stem: Stem::SevenBySeven,
        groups: 1,
        width_per_group: 64,
        stride_in: StrideIn::Spatial,
        downsampling: Downsampling::Strided,
        shortcut: Shortcut::Projection,
        attention: Attention::None,
        replace_stride_with_dilation: [false; 3],
        head: Head::Classifier,
    }
}

const fn bottleneck(name: &'static str, depths: &'static [usize]) -> Config {
    Config { block: Block::Bottleneck, ..basic(name, depths) }
}

const fn v1(name: &'static str, depths: &'static [usize]) -> Config {
    Config { stride_in: StrideIn::FirstPointwise, ..bottleneck(name, depths) }
}

const fn grouped(name: &'static str, depths: &'static [usize], [groups, width_per_group]: [usize; 2]) -> Config {
    Config { groups, width_per_group, ..bottleneck(name, depths) }
}

const fn v2(name: &'static str, depths: &'static [usize]) -> Config {
    Config { block: Block::PreactivationBottleneck, ..basic(name, depths) }
}

/// With the stem and the shortcuts of "`ResNet-D`".
const fn d(config: Config) -> Config {
    Config { stem: Stem::Deep, shortcut: Shortcut::AveragePool, ..config }
}

const fn with_attention(attention: Attention, config: Config) -> Config {
    Config { attention, ..config }
}

const fn cifar(name: &'static str, depths: &'static [usize], shortcut: Shortcut) -> Config {
    Config { width: 16, stem: Stem::Cifar, shortcut, ..basic(name, depths) }
}

/// A head on a backbone whose last two stages dilate instead of striding.
const fn dilated8(head: Head, name: &'static str) -> Config {
    Config { head, replace_stride_with_dilation: [false, true, true], ..bottleneck(name, D50) }
}

const D50: &[usize] = &[3, 4, 6, 3];
const D101: &[usize] = &[3, 4, 23, 3];
const D152: &[usize] = &[3, 8, 36, 3];

/// Where they come from stands at [`names`].
const CATALOG: &[Config] = &[
    basic("resnet18", &[2, 2, 2, 2]),
    basic("resnet34", D50),
    bottleneck("resnet50", D50),
    bottleneck("resnet101", D101),
    bottleneck("resnet152", D152),
    v1("resnet50_v1", D50),
    v1("resnet101_v1", D101),
    v1("resnet152_v1", D152),
    grouped("resnext50_32x4d", D50, [32, 4]),
    grouped("resnext101_32x8d", D101, [32, 8]),
    grouped("wide_resnet50_2", D50, [1, 128]),
    grouped("wide_resnet101_2", D101, [1, 128]),
    v2("resnetv2_50", D50),
    v2("resnetv2_101", D101),
    d(v2("resnetv2_50d", D50)),
    d(bottleneck("resnet50d", D50)),
    with_attention(Attention::SqueezeExcite, bottleneck("seresnet50", D50)),
    with_attention(Attention::EfficientChannel, bottleneck("ecaresnet50", D50)),
    with_attention(Attention::EfficientChannel, d(bottleneck("ecaresnet50d", D50))),
    Config { downsampling: Downsampling::Blur, ..bottleneck("resnet50_blur", D50) },
    cifar("resnet20_cifar", &[3; 3], Shortcut::ZeroPadding),
    cifar("resnet32_cifar", &[5; 3], Shortcut::ZeroPadding),
    cifar("resnet44_cifar", &[7; 3], Shortcut::ZeroPadding),
    cifar("resnet56_cifar", &[9; 3], Shortcut::ZeroPadding),
    cifar("resnet110_cifar", &[18; 3], Shortcut::ZeroPadding),
    cifar("resnet20_cifar_b", &[3; 3], Shortcut::Projection),
    cifar("resnet32_cifar_b", &[5; 3], Shortcut::Projection),
    cifar("resnet44_cifar_b", &[7; 3], Shortcut::Projection),
    cifar("resnet56_cifar_b", &[9; 3], Shortcut::Projection),
    cifar("resnet110_cifar_b", &[18; 3], Shortcut::Projection),
    Config { head: Head::Features, ..bottleneck("resnet50_features", D50) },
    dilated8(Head::Features, "resnet50_dilated8"),
    Config { head: Head::Pyramid, ..bottleneck("resnet50_fpn", D50) },
    dilated8(Head::Segmentation(Segmentation::Fcn), "fcn_resnet50"),
    dilated8(Head::Segmentation(Segmentation::DeepLab), "deeplabv3_resnet50"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        assert_eq!(names().collect::<BTreeSet<_>>().len(), CATALOG.len(), "two rows of one name");
    }
}
