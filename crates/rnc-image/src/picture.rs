//! Images for people to look at.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use rnc_plan::images::Interpolation;

use crate::error::PrepareError;
use crate::resize::resize;

/// An image whose longer side is at most `side` pixels.
///
/// # Errors
/// If there are no pixels.
pub fn shrink(image: &RgbImage, side: u32) -> Result<RgbImage, PrepareError> {
    let (width, height) = image.dimensions();
    let longer = width.max(height);
    if longer <= side {
        return Ok(image.clone());
    }
    let scaled = |n: u32| ((u64::from(n) * u64::from(side) + u64::from(longer) / 2) / u64::from(longer)).max(1) as u32;
    scale(image, [scaled(width), scaled(height)])
}

/// An image of so many columns and rows, smooth between its pixels.
///
/// # Errors
/// If there are no pixels.
pub fn scale(image: &RgbImage, size: [u32; 2]) -> Result<RgbImage, PrepareError> {
    resize(image, size, Interpolation::Bicubic)
}

/// The bytes of a PNG file of an image.
///
/// # Errors
/// If there are no pixels.
pub fn png(image: &RgbImage) -> Result<Vec<u8>, PrepareError> {
    let mut bytes = Cursor::new(Vec::new());
    let written = image.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|error| PrepareError::Preprocess(format!("cannot make a PNG file: {error}")))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_picture_keeps_its_shape_and_survives_a_file() {
        let image = RgbImage::from_fn(400, 200, |x, _| image::Rgb([(x / 2) as u8, 0, 255]));
        let small = shrink(&image, 100).unwrap();
        assert_eq!(small.dimensions(), (100, 50));
        assert_eq!(shrink(&small, 100).unwrap(), small);
        assert_eq!(shrink(&RgbImage::new(900, 1), 100).unwrap().dimensions(), (100, 1));
        assert_eq!(crate::decode(&png(&small).unwrap()).unwrap(), small);
    }
}
