//! The convolutions of ResNet-50, as `rnc-lower` chooses them on the default machine.

use rnc_plan::footprint;
use rnc_plan::kernel::{Activation, Conv, Extent, KernelSpec, Source, Strassen, Window, Winograd};
use rnc_plan::strassen::Levels;

/// Channels in and out, kernel, stride, size of the result, how often the network has it.
pub const LAYERS: [[usize; 6]; 23] = [
    [3, 64, 7, 2, 112, 1],
    [64, 64, 1, 1, 56, 1],
    [256, 64, 1, 1, 56, 2],
    [64, 64, 3, 1, 56, 3],
    [64, 256, 1, 1, 56, 4],
    [256, 128, 1, 1, 56, 1],
    [128, 128, 3, 2, 28, 1],
    [512, 128, 1, 1, 28, 3],
    [128, 128, 3, 1, 28, 3],
    [128, 512, 1, 1, 28, 4],
    [256, 512, 1, 2, 28, 1],
    [512, 256, 1, 1, 28, 1],
    [256, 256, 3, 2, 14, 1],
    [1024, 256, 1, 1, 14, 5],
    [256, 256, 3, 1, 14, 5],
    [256, 1024, 1, 1, 14, 6],
    [512, 1024, 1, 2, 14, 1],
    [1024, 512, 1, 1, 14, 1],
    [512, 512, 3, 2, 7, 1],
    [2048, 512, 1, 1, 7, 2],
    [512, 512, 3, 1, 7, 2],
    [512, 2048, 1, 1, 7, 3],
    [1024, 2048, 1, 2, 7, 1],
];

/// The kernel of a layer; `exact` for the direct one.
pub fn spec([inputs, outputs, kernel, stride, size, _]: [usize; 6], exact: bool) -> KernelSpec {
    let input = size * stride;
    let conv = Conv {
        input: Extent { channels: inputs, height: input, width: input },
        source: if inputs == 3 { Source::Planar } else { Source::Blocked },
        output: Extent { channels: outputs, height: size, width: size },
        groups: 1,
        window: Window { kernel: [kernel; 2], stride: [stride; 2], pad: [kernel / 2; 2], dilation: [1; 2] },
        residual: false,
        activation: Activation::Relu,
    };
    // As `rnc-lower` chooses.
    let tile = match (kernel, stride, size) {
        (3, 1, 14..) | (3, 2, 28..) => Some(4),
        (3, 1, _) | (3, 2, 14..) => Some(2),
        _ => None,
    };
    let levels = if size > 7 { Levels::Two } else { Levels::One };
    let strassen = KernelSpec::Strassen(Strassen { conv: conv.clone(), levels });
    if inputs >= 128 && footprint::operands(&strassen).is_ok() && !exact {
        strassen
    } else if let Some(tile) = tile.filter(|_| !exact) {
        KernelSpec::Winograd(Winograd { conv, tile })
    } else {
        KernelSpec::Conv(conv)
    }
}
