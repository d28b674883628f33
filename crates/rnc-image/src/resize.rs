//! Changing the size of images exactly as Pillow does.
//!
//! Models are trained and evaluated with Pillow's resampling; what other libraries do differently (the order of the two directions, the precision of weights, the
//! taps at the ends of a filter) changes pixels by up to a fifth of their range, and sometimes labels. This is the arithmetic of Pillow's `Resample.c`: rows
//! first, then columns, each with weights of 22 fractional bits, and a byte between the two. (Pillow 13 takes the columns of some images first, among them those
//! that are more than twice as high as wide; models that exist today were trained before.)

use image::RgbImage;
use rnc_plan::images::Interpolation;

use crate::error::PrepareError;

/// Fractional bits of a weight: 32 less 8 for the pixel and 2 for sums of weights that overshoot.
const PRECISION: u32 = 32 - 8 - 2;

/// Most pixels between the two directions: more than any photograph has.
const MOST_PIXELS: u64 = 1 << 28;

/// An image of another size. Filters widen where the image shrinks.
pub(crate) fn resize(image: &RgbImage, size: [u32; 2], interpolation: Interpolation) -> Result<RgbImage, PrepareError> {
    let [width, height] = size;
    let (old_width, old_height) = image.dimensions();
    if [old_width, old_height].contains(&0) || size.contains(&0) {
        return Err(PrepareError::Shape { width: old_width, height: old_height });
    }
    // Between the two directions there is an image of the new width and the old height.
    if u64::from(width) * u64::from(old_height) > MOST_PIXELS {
        return Err(PrepareError::Shape { width: old_width, height: old_height });
    }
    let Some(filter) = Filter::of(interpolation) else { return Ok(nearest(image, size)) };
    let rows = if width == old_width { image.clone() } else { horizontal(image, &taps(old_width, width, filter)) };
    Ok(if height == old_height { rows } else { vertical(&rows, &taps(old_height, height, filter)) })
}

/// The pixel that lies at the middle of each new one, found as Pillow does: by adding steps up, roundings included.
fn nearest(image: &RgbImage, [width, height]: [u32; 2]) -> RgbImage {
    let places = |old: u32, new: u32| -> Vec<u32> {
        let scale = f64::from(old) / f64::from(new);
        let middles = std::iter::successors(Some(scale * 0.5), |at| Some(at + scale));
        middles.take(new as usize).map(|at| (at as u32).min(old - 1)).collect()
    };
    let (columns, rows) = (places(image.width(), width), places(image.height(), height));
    RgbImage::from_fn(width, height, |x, y| *image.get_pixel(columns[x as usize], rows[y as usize]))
}

/// What weights pixels have at a distance, in pixels of the smaller image.
#[derive(Clone, Copy)]
struct Filter {
    /// Distance from which on weights are 0.
    support: f64,
    weight: fn(f64) -> f64,
}

impl Filter {
    fn of(interpolation: Interpolation) -> Option<Self> {
        match interpolation {
            Interpolation::Nearest => None,
            Interpolation::Bilinear => Some(Self { support: 1.0, weight: triangle }),
            Interpolation::Bicubic => Some(Self { support: 2.0, weight: cubic }),
            Interpolation::Lanczos => Some(Self { support: 3.0, weight: lanczos }),
        }
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Keys's kernel (*Cubic Convolution Interpolation for Digital Image Processing*, 1981) with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// The old pixels that a new one is made of.
struct Taps {
    first: usize,
    /// Fixed-point, one for each pixel from the first on.
    weights: Vec<i32>,
}

/// By new pixel along one direction: its taps.
fn taps(old: u32, new: u32, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(old) / f64::from(new);
    let wide = scale.max(1.0);
    let support = filter.support * wide;
    let of_pixel = |i: u32| {
        let centre = (f64::from(i) + 0.5) * scale;
        // Numbers below 0 become 0.
        let first = (centre - support + 0.5) as u32;
        let end = ((centre + support + 0.5) as u32).min(old);
        let weights: Vec<f64> =
            (first..end).map(|x| (filter.weight)((f64::from(x) - centre + 0.5) * (1.0 / wide))).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let weight = if sum == 0.0 { *weight } else { weight / sum } * f64::from(1u32 << PRECISION);
            (weight + if weight < 0.0 { -0.5 } else { 0.5 }) as i32
        };
        Taps { first: first as usize, weights: weights.iter().map(fixed).collect() }
    };
    (0..new).map(of_pixel).collect()
}

/// The byte of a sum of products.
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// A sum with one product more. Magnitudes of weights have a sum below 2, so nothing wraps; a check for it would keep the loops from vectors.
fn plus(sum: i32, value: u8, weight: i32) -> i32 {
    sum.wrapping_add(i32::from(value).wrapping_mul(weight))
}

/// Half a unit: sums are rounded.
const HALF: i32 = 1 << (PRECISION - 1);

fn horizontal(image: &RgbImage, taps: &[Taps]) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height());
    let mut result = Vec::with_capacity(taps.len() * height as usize * 3);
    for row in image.as_raw().chunks_exact(width * 3) {
        for Taps { first, weights } in taps {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[first * 3..].as_chunks::<3>().0.iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum = plus(*sum, *value, *weight);
                }
            }
            result.extend(sums.map(byte));
        }
    }
    RgbImage::from_raw(taps.len() as u32, height, result).expect("as many bytes as pixels have")
}

fn vertical(image: &RgbImage, taps: &[Taps]) -> RgbImage {
    let width = image.width() as usize * 3;
    let mut result = Vec::with_capacity(taps.len() * width);
    let mut sums = vec![0; width];
    for Taps { first, weights } in taps {
        sums.fill(HALF);
        for (row, weight) in image.as_raw()[first * width..].chunks_exact(width).zip(weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum = plus(*sum, *value, *weight);
            }
        }
        result.extend(sums.iter().copied().map(byte));
    }
    RgbImage::from_raw(image.width(), taps.len() as u32, result).expect("as many bytes as pixels have")
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Red rises from left to right, green from top to bottom, blue flickers.
    fn picture() -> RgbImage {
        RgbImage::from_fn(7, 5, |x, y| Rgb([(x * 40) as u8, (y * 60) as u8, if (x + y) % 2 == 0 { 255 } else { 0 }]))
    }

    #[test]
    fn pixels_are_pillows() {
        // numpy.asarray(Image.fromarray(picture).resize((3, 2), filter))[y, x] of Pillow 12.
        let expected: [(Interpolation, [[u8; 3]; 6]); 4] = [
            (
                Interpolation::Nearest,
                [[40, 60, 255], [120, 60, 255], [200, 60, 255], [40, 180, 255], [120, 180, 255], [200, 180, 255]],
            ),
            (
                Interpolation::Bilinear,
                [[34, 60, 129], [120, 60, 127], [206, 60, 129], [34, 180, 129], [120, 180, 127], [206, 180, 129]],
            ),
            (
                Interpolation::Bicubic,
                [[29, 51, 129], [120, 51, 127], [211, 51, 129], [29, 189, 129], [120, 189, 127], [211, 189, 129]],
            ),
            (
                Interpolation::Lanczos,
                [[26, 48, 129], [120, 48, 127], [214, 48, 129], [26, 192, 129], [120, 192, 127], [214, 192, 129]],
            ),
        ];
        for (interpolation, pixels) in expected {
            let small = resize(&picture(), [3, 2], interpolation).unwrap();
            let found: Vec<[u8; 3]> = small.pixels().map(|pixel| pixel.0).collect();
            assert_eq!(found, pixels, "{interpolation:?}");
        }
    }

    #[test]
    fn nearest_pixels_are_those_that_pillow_takes_where_rounding_decides() {
        // numpy.asarray(Image.fromarray(row).resize((224, 1), Image.NEAREST))[0, :8] of a row that counts, and how many differ from (i + 0.5) · 256 / 224.
        let row = RgbImage::from_fn(256, 1, |x, _| Rgb([x as u8; 3]));
        let found: Vec<u8> =
            resize(&row, [224, 1], Interpolation::Nearest).unwrap().pixels().map(|pixel| pixel.0[0]).collect();
        assert_eq!(found[..8], [0, 1, 2, 3, 5, 6, 7, 8]);
    }

    #[test]
    fn a_column_of_pixels_is_not_made_a_wall_of_them() {
        let column = RgbImage::new(1, 2_000_000);
        assert!(resize(&column, [256, 256], Interpolation::Bilinear).is_err());
    }

    #[test]
    fn what_has_the_size_stays_and_what_has_none_is_refused() {
        assert_eq!(resize(&picture(), [7, 5], Interpolation::Lanczos).unwrap(), picture());
        assert!(resize(&picture(), [0, 5], Interpolation::Bilinear).is_err());
        assert!(resize(&RgbImage::new(0, 3), [2, 2], Interpolation::Nearest).is_err());
    }

    #[test]
    fn one_colour_stays_whatever_the_sizes() {
        for interpolation in
            [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Lanczos]
        {
            for (old, new) in [([1, 1], [9, 4]), ([13, 2], [1, 1]), ([300, 7], [11, 64])] {
                let image = RgbImage::from_pixel(old[0], old[1], Rgb([255, 0, 77]));
                let resized = resize(&image, new, interpolation).unwrap();
                assert!(resized.pixels().all(|pixel| pixel.0 == [255, 0, 77]), "{interpolation:?} {old:?} {new:?}");
            }
        }
    }
}
