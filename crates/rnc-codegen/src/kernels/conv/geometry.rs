//! Where pixels and taps lie in a convolution's source and result.

use rnc_plan::kernel::{Conv, Extent, Source, Window};

use crate::error::{CodegenError, near};
use crate::panels::BLOCK_BYTES;
use crate::taps::Tap;
use crate::tile::Pixel;
use crate::tiling::Place;

/// Offsets in bytes in a convolution's source and result.
pub(super) struct Geometry<'a> {
    conv: &'a Conv,
    /// From one pixel of the source to the next.
    pixel: i64,
    /// From one channel block of the source to the next.
    pub(super) block_stride: i64,
}

impl<'a> Geometry<'a> {
    pub(super) fn new(conv: &'a Conv) -> Result<Self, CodegenError> {
        let pixel = match conv.source {
            Source::Blocked => BLOCK_BYTES as i64,
            Source::Planar => 4,
        };
        let geometry = Self { conv, pixel, block_stride: (conv.input.height * conv.input.width) as i64 * pixel };
        near("a channel block", geometry.block_stride)?;
        Ok(geometry)
    }

    pub(super) fn channel_offset(&self, channel: usize) -> i64 {
        (channel / self.conv.source.channel_block()) as i64 * self.block_stride
    }

    /// From the start of a sample's panel to a pixel's first tap (which may lie on padding, before the source), and to the pixel of the result.
    pub(super) fn place(&self, [y, x]: Place) -> (i64, i64) {
        let Window { stride, pad, .. } = self.conv.window;
        let row = (y * stride[0]) as i64 - pad[0] as i64;
        let column = (x * stride[1]) as i64 - pad[1] as i64;
        let source = (row * self.conv.input.width as i64 + column) * self.pixel;
        (source, ((y * self.conv.output.width + x) * BLOCK_BYTES) as i64)
    }

    /// What the code of a tile depends on: its pixels relative to the first one, and the taps that fall inside of the source.
    pub(super) fn variant(&self, tile: &[Place]) -> Result<(Vec<Pixel>, Vec<Tap>), CodegenError> {
        let origin = self.place(tile[0]);
        let pixels: Vec<Pixel> = tile
            .iter()
            .map(|place| {
                let (x, out) = self.place(*place);
                Ok(Pixel { x: near("a tile's pixel", x - origin.0)?, out: near("a tile's result", out - origin.1)? })
            })
            .collect::<Result<_, CodegenError>>()?;
        let [rows, columns] = self.conv.window.kernel;
        let taps = (0..rows * columns).map(|index| self.tap(tile, index, [index / columns, index % columns]));
        let taps: Vec<Tap> = taps.collect::<Result<_, _>>()?;
        let taps: Vec<Tap> = taps.into_iter().filter(|tap| tap.inside.contains(&true)).collect();
        check_reach(&pixels, &taps)?;
        Ok((pixels, taps))
    }

    /// For each row or column of the result, a number that is the same for those whose windows lie on padding in the same way.
    fn classes(&self, axis: usize) -> Vec<usize> {
        let Window { kernel, stride, pad, dilation } = self.conv.window;
        let Extent { height, width, .. } = self.conv.input;
        let source = pad[axis]..pad[axis] + [height, width][axis];
        let mut known: Vec<Vec<bool>> = Vec::new();
        (0..[self.conv.output.height, self.conv.output.width][axis])
            .map(|at| {
                let taps = (0..kernel[axis]).map(|tap| source.contains(&(at * stride[axis] + tap * dilation[axis])));
                let taps: Vec<bool> = taps.collect();
                known.iter().position(|other| *other == taps).unwrap_or_else(|| {
                    known.push(taps);
                    known.len() - 1
                })
            })
            .collect()
    }

    fn tap(&self, tile: &[Place], index: usize, tap: [usize; 2]) -> Result<Tap, CodegenError> {
        let Window { stride, pad, dilation, .. } = self.conv.window;
        let [dy, dx] = [tap[0] * dilation[0], tap[1] * dilation[1]];
        let size = [self.conv.input.height, self.conv.input.width];
        let inside = |place: &Place| {
            [0, 1].into_iter().all(|axis| {
                let position = place[axis] * stride[axis] + [dy, dx][axis];
                position >= pad[axis] && position - pad[axis] < size[axis]
            })
        };
        let x = (dy * self.conv.input.width + dx) as i64 * self.pixel;
        Ok(Tap { x: near("a tap", x)?, index: index as i32, inside: tile.iter().map(inside).collect() })
    }
}

/// Finds tiles that have the same variant without making it.
pub(super) struct Keys([Vec<usize>; 2]);

impl Keys {
    pub(super) fn new(geometry: &Geometry<'_>) -> Self {
        Self([0, 1].map(|axis| geometry.classes(axis)))
    }

    /// Equal for tiles whose pixels lie alike, with windows that lie on padding alike.
    pub(super) fn of(&self, tile: &[Place]) -> Vec<[usize; 4]> {
        let [rows, columns] = &self.0;
        let [y0, x0] = tile[0];
        tile.iter().map(|[y, x]| [y - y0, x.wrapping_sub(x0), rows[*y], columns[*x]]).collect()
    }
}

/// A tap of a pixel is addressed by the sum of their distances, give or take what the tile has advanced its pointers by.
fn check_reach(pixels: &[Pixel], taps: &[Tap]) -> Result<(), CodegenError> {
    const ADVANCED: i64 = 1 << 20;
    for (tap, (pixel, _)) in taps.iter().flat_map(|tap| pixels.iter().zip(&tap.inside).map(move |pixel| (tap, pixel))) {
        let reach = i64::from(pixel.x) + i64::from(tap.x);
        near("a tile's tap", reach + ADVANCED)?;
        near("a tile's tap", reach - ADVANCED)?;
    }
    Ok(())
}
