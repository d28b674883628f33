//! Convolutions and pools: windows over height and width.

use super::{Footprint, SpecError, at_most, elements};
use crate::kernel::{BLOCK, Conv, Extent, Pool, PoolKind, Source, Strassen, Window, Winograd, blocks};
use crate::limits::{MAX_CHANNELS, MAX_CONV_TAPS, MAX_EXTENT, MAX_PAD, MAX_POOL_TAPS};
use crate::weights::{ProductWeights, weight_blocks};

/// A window may lie wholly on padding, before the source or behind it: the result is the bias there.
pub(super) fn conv(conv: &Conv) -> Result<Vec<Footprint>, SpecError> {
    let Extent { channels, height, width } = conv.output;
    extent(conv.input, ["input.channels", "input.height", "input.width"])?;
    extent(conv.output, ["output.channels", "output.height", "output.width"])?;
    taps(&conv.window, MAX_CONV_TAPS)?;
    for axis in Axis::both(&conv.window, conv.input, [height, width]) {
        axis.check(MAX_PAD)?;
    }
    let Extent { channels: inputs, height: rows, width: columns } = conv.input;
    let source = match conv.source {
        Source::Blocked => elements("x", &[blocks(inputs), BLOCK, rows, columns])?,
        Source::Planar => elements("x", &[inputs, rows, columns])?,
    };
    let result = elements("result", &[blocks(channels), BLOCK, height, width])?;
    let (_, weights) =
        weight_blocks(conv).ok_or(SpecError::Groups { groups: conv.groups, inputs, outputs: channels })?;
    let mut footprints = vec![
        Footprint::result(result),
        Footprint::read("x", source),
        Footprint::shared("weights", elements("weights", &[weights])?),
        Footprint::shared("bias", blocks(channels) * BLOCK),
    ];
    if conv.residual {
        footprints.push(Footprint::read("residual", result).or_in_place());
    }
    Ok(footprints)
}

fn product_elements(weights: ProductWeights) -> Result<usize, SpecError> {
    let ProductWeights { bundles, blocks, products, channels } = weights;
    elements("weights", &[bundles, blocks, products, channels, BLOCK])
}

/// As the convolution, but for the weights.
pub(super) fn winograd(spec: &Winograd) -> Result<Vec<Footprint>, SpecError> {
    let Conv { source, window, .. } = spec.conv;
    let needs = [
        (source == Source::Blocked, "a planar source"),
        (window.kernel == [3, 3], "another kernel"),
        (matches!(window.stride, [1, 1] | [2, 2]), "another stride"),
        (window.dilation == [1, 1], "another dilation"),
        (spec.filtering().is_some(), "another tile"),
    ];
    if let Some((_, found)) = needs.into_iter().find(|(met, _)| !met) {
        return Err(SpecError::NotWinograd { found });
    }
    let mut footprints = conv(&spec.conv)?;
    let weights =
        ProductWeights::winograd(spec).ok_or(SpecError::NotWinograd { found: "groups that fill no blocks" })?;
    footprints[2] = Footprint::shared("weights", product_elements(weights)?);
    Ok(footprints)
}

/// As the convolution, but for the weights.
pub(super) fn strassen(spec: &Strassen) -> Result<Vec<Footprint>, SpecError> {
    let Conv { input, source, output, groups, window, .. } = spec.conv;
    let parts = spec.levels.parts();
    let mut footprints = conv(&spec.conv)?;
    let inside = |axis: usize, input: usize, output: usize| (output - 1) * window.stride[axis] < input;
    let needs = [
        (source == Source::Blocked, "a planar source"),
        (window.kernel == [1, 1], "another kernel"),
        (window.pad == [0, 0], "padding"),
        (inside(0, input.height, output.height) && inside(1, input.width, output.width), "a window outside"),
        (groups == 1, "groups"),
        (input.channels.is_multiple_of(parts * BLOCK), "other input channels"),
        (output.channels.is_multiple_of(parts * BLOCK), "other output channels"),
    ];
    if let Some((_, found)) = needs.into_iter().find(|(met, _)| !met) {
        return Err(SpecError::NotStrassen { found });
    }
    footprints[2] = Footprint::shared("weights", product_elements(ProductWeights::strassen(spec))?);
    Ok(footprints)
}

/// Every window starts in `-pad .. input` and holds at least one element of the source.
pub(super) fn pool(pool: &Pool) -> Result<Vec<Footprint>, SpecError> {
    let [height, width] = pool.output;
    extent(pool.input, ["input.channels", "input.height", "input.width"])?;
    extent(Extent { channels: 1, height, width }, ["output.channels", "output.height", "output.width"])?;
    match pool.kind {
        PoolKind::Max | PoolKind::Average => {}
        PoolKind::AverageWithPadding { pad_end } => pad_end.into_iter().try_for_each(|pad| padding("pad_end", pad))?,
    }
    taps(&pool.window, MAX_POOL_TAPS)?;
    for axis in Axis::both(&pool.window, pool.input, pool.output) {
        axis.check(0)?;
        axis.check_filled()?;
    }
    let blocks = blocks(pool.input.channels);
    Ok(vec![
        Footprint::result(elements("result", &[blocks, BLOCK, height, width])?),
        Footprint::read("x", elements("x", &[blocks, BLOCK, pool.input.height, pool.input.width])?),
    ])
}

fn extent(extent: Extent, names: [&'static str; 3]) -> Result<(), SpecError> {
    at_most(names[0], extent.channels, MAX_CHANNELS)?;
    at_most(names[1], extent.height, MAX_EXTENT)?;
    at_most(names[2], extent.width, MAX_EXTENT)
}

fn padding(what: &'static str, pad: usize) -> Result<(), SpecError> {
    if pad > MAX_PAD {
        return Err(SpecError::TooLarge { what, found: pad as u128, limit: MAX_PAD });
    }
    Ok(())
}

fn taps(window: &Window, limit: usize) -> Result<(), SpecError> {
    let [kh, kw] = window.kernel;
    at_most("kernel height", kh, limit)?;
    at_most("kernel width", kw, limit)?;
    let found = kh as u128 * kw as u128;
    if found > limit as u128 {
        return Err(SpecError::TooLarge { what: "taps of the window", found, limit });
    }
    Ok(())
}

/// One of the two axes of a window.
struct Axis {
    name: &'static str,
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    dilation: usize,
}

impl Axis {
    fn both(window: &Window, input: Extent, output: [usize; 2]) -> [Self; 2] {
        let axis = |i: usize, name, input| Self {
            name,
            input,
            output: output[i],
            kernel: window.kernel[i],
            stride: window.stride[i],
            pad: window.pad[i],
            dilation: window.dilation[i],
        };
        [axis(0, "height", input.height), axis(1, "width", input.width)]
    }

    /// Checks the sizes (kernel, input and output are checked already), and that the last window starts less than `behind` elements behind
    /// the source's last.
    fn check(&self, behind: usize) -> Result<(), SpecError> {
        at_most("stride", self.stride, MAX_EXTENT)?;
        at_most("dilation", self.dilation, MAX_EXTENT)?;
        padding("pad", self.pad)?;
        let reach = (self.kernel - 1) as u128 * self.dilation as u128;
        if reach > MAX_EXTENT as u128 {
            return Err(SpecError::TooLarge { what: "distance of the taps", found: reach, limit: MAX_EXTENT });
        }
        let index = self.output - 1;
        match (index as u128 * self.stride as u128).checked_sub(self.pad as u128) {
            Some(start) if start >= (self.input + behind) as u128 => {
                Err(SpecError::WindowBehind { axis: self.name, index, start, input: self.input })
            }
            _ => Ok(()),
        }
    }

    /// Checks that each window holds an element of the source. Windows that start in the source do by their first tap.
    fn check_filled(&self) -> Result<(), SpecError> {
        for index in 0..self.output.min(self.pad.div_ceil(self.stride)) {
            let before = self.pad - index * self.stride;
            let first = before.div_ceil(self.dilation);
            if first >= self.kernel || first * self.dilation - before >= self.input {
                return Err(SpecError::WindowEmpty { axis: self.name, index });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::operands;
    use super::*;
    use crate::kernel::{Activation, KernelSpec};

    fn stem() -> Conv {
        Conv {
            input: Extent { channels: 3, height: 224, width: 224 },
            source: Source::Planar,
            output: Extent { channels: 64, height: 112, width: 112 },
            groups: 1,
            window: Window { kernel: [7, 7], stride: [2, 2], pad: [3, 3], dilation: [1, 1] },
            residual: true,
            activation: Activation::Relu,
        }
    }

    fn max_pool() -> Pool {
        Pool {
            kind: PoolKind::Max,
            input: Extent { channels: 20, height: 7, width: 7 },
            output: [4, 4],
            window: Window { kernel: [3, 3], stride: [2, 2], pad: [1, 1], dilation: [1, 1] },
        }
    }

    fn conv_error(change: impl FnOnce(&mut Conv)) -> SpecError {
        let mut spec = stem();
        change(&mut spec);
        operands(&KernelSpec::Conv(spec)).unwrap_err()
    }

    fn pool_error(change: impl FnOnce(&mut Pool)) -> SpecError {
        let mut spec = max_pool();
        change(&mut spec);
        operands(&KernelSpec::Pool(spec)).unwrap_err()
    }

    #[test]
    fn measures_the_stem_of_resnet() {
        let footprints = conv(&stem()).unwrap();
        let lens: Vec<_> = footprints.iter().map(|f| f.elements_per_sample).collect();
        assert_eq!(lens, [64 * 112 * 112, 3 * 224 * 224, 64 * 3 * 49, 64, 64 * 112 * 112]);
        assert!(footprints[2].shared && footprints[3].shared && footprints[4].in_place && !footprints[1].in_place);
    }

    #[test]
    fn measures_a_pool_in_whole_channel_blocks() {
        let footprints = pool(&max_pool()).unwrap();
        assert_eq!([footprints[0].elements_per_sample, footprints[1].elements_per_sample], [32 * 16, 32 * 49]);
    }

    #[test]
    fn refuses_sizes_of_zero() {
        for (what, change) in [
            ("input.channels", (|c| c.input.channels = 0) as fn(&mut Conv)),
            ("output.width", |c| c.output.width = 0),
            ("kernel height", |c| c.window.kernel[0] = 0),
            ("stride", |c| c.window.stride[1] = 0),
            ("dilation", |c| c.window.dilation[0] = 0),
        ] {
            assert_eq!(conv_error(change), SpecError::Zero { what });
        }
    }

    #[test]
    fn refuses_sizes_above_the_limits() {
        for (wanted, change) in [
            ("pad", (|c| c.window.pad = [usize::MAX; 2]) as fn(&mut Conv)),
            ("kernel height", |c| c.window.kernel = [usize::MAX; 2]),
            ("taps of the window", |c| c.window.kernel = [65, 64]),
            ("distance of the taps", |c| c.window.dilation = [MAX_EXTENT; 2]),
            ("output.channels", |c| c.output.channels = usize::MAX),
            ("x", |c| c.input = Extent { channels: MAX_CHANNELS, height: MAX_EXTENT, width: MAX_EXTENT }),
        ] {
            assert!(matches!(conv_error(change), SpecError::TooLarge { what, .. } if what == wanted), "{wanted}");
        }
        let end = pool_error(|p| p.kind = PoolKind::AverageWithPadding { pad_end: [0, MAX_PAD + 1] });
        assert!(matches!(end, SpecError::TooLarge { what: "pad_end", .. }));
    }

    #[test]
    fn refuses_groups_that_do_not_divide() {
        for groups in [0, 2, 3, 64] {
            assert!(matches!(conv_error(|c| c.groups = groups), SpecError::Groups { .. }), "{groups}");
        }
    }

    #[test]
    fn refuses_windows_that_start_far_behind_the_source() {
        let found = conv_error(|c| c.output.height = 2163);
        assert_eq!(found, SpecError::WindowBehind { axis: "height", index: 2162, start: 4321, input: 224 });
        assert_eq!(conv(&Conv { output: Extent { height: 2162, ..stem().output }, ..stem() }).map(|f| f.len()), Ok(5));
    }

    #[test]
    fn refuses_pool_windows_of_nothing_but_padding() {
        assert_eq!(pool_error(|p| p.window.pad[1] = 3), SpecError::WindowEmpty { axis: "width", index: 0 });
        // Taps at -2 and 2, but the source is only 0..2.
        let sparse = pool_error(|p| {
            p.input.height = 2;
            p.output[0] = 1;
            p.window = Window { kernel: [2, 3], stride: [2, 2], pad: [2, 1], dilation: [4, 1] };
        });
        assert_eq!(sparse, SpecError::WindowEmpty { axis: "height", index: 0 });
    }
}
