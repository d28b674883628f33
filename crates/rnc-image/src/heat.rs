//! Maps of numbers as colours over an image.

use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

/// Paints a map of `height` rows and `width` columns over an image: from blue for a little to red for the largest number, and the less of it the smaller
/// the number is. What is not above 0, or no number, leaves the image as it is. Between the map's places colours change smoothly.
///
/// # Panics
/// If there are not `height · width` numbers.
pub fn overlay(image: &RgbImage, map: &[f32], [height, width]: [usize; 2], opacity: f32) -> RgbImage {
    assert_eq!(map.len(), height * width, "numbers of the map");
    let largest = map.iter().copied().filter(|x| x.is_finite()).fold(0.0, f32::max);
    if largest <= 0.0 {
        return image.clone();
    }
    // Negative numbers must not pull positive neighbours down where they meet.
    let evidence: Vec<f32> = map.iter().map(|x| if x.is_finite() { x.max(0.0) / largest } else { 0.0 }).collect();
    let evidence =
        ImageBuffer::<Luma<f32>, _>::from_raw(width as u32, height as u32, evidence).expect("the numbers were counted");
    let evidence = resize(&evidence, image.width(), image.height(), FilterType::Triangle);
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let Luma([share]) = *evidence.get_pixel(x, y);
        let colour = colorous::TURBO.eval_continuous(f64::from(share)).into_array();
        let Rgb(pixel) = *image.get_pixel(x, y);
        let cover = opacity * share.clamp(0.0, 1.0);
        Rgb([0, 1, 2].map(|c| (f32::from(pixel[c]) * (1.0 - cover) + f32::from(colour[c]) * cover).round() as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_where_the_map_is_above_zero_and_strongest_where_it_is_largest() {
        let grey = RgbImage::from_pixel(40, 20, Rgb([128; 3]));
        let painted = overlay(&grey, &[-5.0, 0.0, 1.0, f32::NAN, -1.0, 2.0, 0.0, 0.0], [2, 4], 1.0);
        assert_eq!(painted.get_pixel(0, 0), &Rgb([128; 3]));
        let Rgb([red, green, _]) = *painted.get_pixel(15, 19);
        assert!(red > 100 && green < 60, "{red} {green}");
        assert_ne!(painted.get_pixel(25, 0), &Rgb([128; 3]));
    }

    #[test]
    fn a_map_without_evidence_leaves_the_image() {
        let grey = RgbImage::from_pixel(4, 4, Rgb([128; 3]));
        assert_eq!(overlay(&grey, &[0.0, -1.0], [1, 2], 0.6), grey);
        assert_eq!(overlay(&grey, &[f32::NAN, f32::NAN], [1, 2], 0.6), grey);
    }
}
