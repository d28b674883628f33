//! Changing the size of images as Pillow does.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use rnc_plan::images::Interpolation;

use crate::error::PrepareError;

/// An image of another size. Filters widen where the image shrinks, as Pillow's do; values differ from Pillow's by 1 of 255 at the most.
pub(crate) fn resize(
    image: &RgbImage,
    [width, height]: [u32; 2],
    interpolation: Interpolation,
) -> Result<RgbImage, PrepareError> {
    if image.dimensions() == (width, height) {
        return Ok(image.clone());
    }
    let fail = |problem: &dyn std::fmt::Display| PrepareError::Preprocess(format!("cannot resize: {problem}"));
    let algorithm = match interpolation {
        Interpolation::Nearest => ResizeAlg::Nearest,
        Interpolation::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Interpolation::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Interpolation::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
    };
    let source = ImageRef::new(image.width(), image.height(), image.as_raw(), PixelType::U8x3).map_err(|e| fail(&e))?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(algorithm);
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| fail(&e))?;
    RgbImage::from_raw(width, height, target.into_vec()).ok_or_else(|| fail(&"the result is too short"))
}
