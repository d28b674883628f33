//! What tells one model of the family from another, as data.

/// A model: its blocks, how many, how wide, and what stands before and behind them.
///
/// Every combination of the fields can be built; those that have a name stand in the catalog. Basic blocks have no use for
/// `groups`, `width_per_group` and `stride_in`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// torchvision's or timm's name, where they have the model.
    pub name: &'static str,
    /// Kind of block.
    pub block: Block,
    /// Blocks in each stage.
    pub depths: &'static [usize],
    /// Base width of the first stage, and channels of the stem; each further stage has twice the width.
    pub width: usize,
    /// What stands before the blocks.
    pub stem: Stem,
    /// Groups of a bottleneck's 3×3 convolution (the cardinality of `ResNeXt`).
    pub groups: usize,
    /// Channels of one group in the first stage's 3×3; 64 is the plain network, 128 the wide one.
    pub width_per_group: usize,
    /// Which of a bottleneck's convolutions has the stride.
    pub stride_in: StrideIn,
    /// How a stride is made.
    pub downsampling: Downsampling,
    /// What the shortcut does where the block changes the shape.
    pub shortcut: Shortcut,
    /// What weighs the channels of a block's branch.
    pub attention: Attention,
    /// torchvision's option of this name: whether the second, third and fourth stage dilate instead of striding
    /// (Yu and Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", 2016).
    pub replace_stride_with_dilation: [bool; 3],
    /// What stands behind the blocks.
    pub head: Head,
}

/// Kind of residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Two 3×3 convolutions (He et al., 2015).
    Basic,
    /// 1×1, 3×3, 1×1 with four times the channels at its end (He et al., 2015).
    Bottleneck,
    /// A bottleneck with norm and activation before each convolution, not behind it (He et al., "Identity Mappings in Deep
    /// Residual Networks", 2016).
    PreactivationBottleneck,
}

impl Block {
    /// Channels of a block's result as a multiple of its stage's base width.
    pub(crate) const fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck | Self::PreactivationBottleneck => 4,
        }
    }

    /// Whether norm and activation stand before the convolutions.
    pub(crate) const fn is_preactivation(self) -> bool {
        match self {
            Self::Basic | Self::Bottleneck => false,
            Self::PreactivationBottleneck => true,
        }
    }
}

/// What stands before the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stem {
    /// A 7×7 convolution with stride 2 and a maximum with stride 2.
    SevenBySeven,
    /// Three 3×3 convolutions, the first with stride 2, and the same maximum (He et al., "Bag of Tricks for Image
    /// Classification with Convolutional Neural Networks", 2018).
    Deep,
    /// A 3×3 convolution with stride 1 and no maximum: for the 32×32 images of CIFAR (He et al., 2015, section 4.2).
    Cifar,
}

/// Which of a bottleneck's convolutions has the stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StrideIn {
    /// The first 1×1, as in the paper ("v1").
    FirstPointwise,
    /// The 3×3, as in torchvision ("v1.5").
    Spatial,
}

/// How a stride is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Downsampling {
    /// The convolution or maximum has it.
    Strided,
    /// A blur behind the activation or maximum has it (Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019).
    /// As in timm's `resnetblur50`, the stem's convolution and the shortcut's keep theirs; the blur's padding is zero, timm's
    /// reflects.
    Blur,
}

/// What the shortcut does where the block changes the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortcut {
    /// A strided 1×1 convolution ("option B" of He et al., 2015).
    Projection,
    /// A 2×2 mean with stride 2 and a 1×1 convolution ("ResNet-D" of He et al., 2018).
    AveragePool,
    /// Every second row and column, and channels of zeros around ("option A" of He et al., 2015).
    ZeroPadding,
}

/// What weighs the channels of a block's branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// Nothing.
    None,
    /// Hu et al., "Squeeze-and-Excitation Networks", 2018.
    SqueezeExcite,
    /// Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks", 2020.
    EfficientChannel,
}

/// What stands behind the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The mean over height and width and a linear layer: one output, `logits`.
    Classifier,
    /// Nothing: each stage's result is an output, `layer1` and so on, as detection and segmentation heads take them.
    Features,
    /// A feature pyramid: outputs `0` to `3` and `pool`, as torchvision's detectors take them.
    Pyramid,
    /// A class for every pixel: the output `out`.
    Segmentation(Segmentation),
}

/// What gives every pixel a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segmentation {
    /// A 3×3 convolution and a 1×1 (Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015).
    Fcn,
    /// Dilated convolutions side by side (Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017).
    DeepLab,
}

impl Head {
    /// What stands before the names of the backbone's parameters in a state dict.
    pub(crate) const fn backbone_prefix(self) -> &'static str {
        match self {
            Self::Classifier | Self::Features => "",
            Self::Pyramid => "body.",
            Self::Segmentation(_) => "backbone.",
        }
    }

    /// Classes of the data that such networks are usually trained on.
    pub(crate) const fn default_classes(self) -> usize {
        match self {
            Self::Classifier | Self::Features | Self::Pyramid => 1000,
            // Pascal VOC's 20, and none of them.
            Self::Segmentation(_) => 21,
        }
    }
}
