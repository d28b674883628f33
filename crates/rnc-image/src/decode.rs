//! Pixels of the bytes of an image file.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat};

use crate::error::DecodeError;

/// Most pixels of an image: files of a few bytes may claim any number of them.
pub(crate) const MAX_PIXELS: usize = 200_000_000;
/// Bytes that a decoder may take for [`MAX_PIXELS`], at 16 bits in four channels.
const MAX_BYTES: u64 = MAX_PIXELS as u64 * 8;
/// Scans of a progressive JPEG file; encoders write some ten, and each takes the time of a decoding.
const MAX_SCANS: usize = 100;

/// Decodes a JPEG, PNG, WebP or BMP file, turned upright as its metadata says. Grey becomes colour, and transparency is dropped, as Pillow's
/// `convert("RGB")` does.
///
/// # Errors
/// If the bytes are no image, damaged, cut off, or too large.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => decode_jpeg(bytes),
        Ok(format @ (ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp)) => decode_other(bytes, format),
        _ => Err(DecodeError::Format { start: bytes[..bytes.len().min(8)].escape_ascii().to_string() }),
    }
}

fn decode_jpeg(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let broken = |error: libjpeg_turbo_rs::JpegError| DecodeError::Broken(error.to_string());
    let limits = DecodeLimits { max_scans: MAX_SCANS, max_memory: Some(MAX_BYTES), ..DecodeLimits::default() };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(broken)?;
    let header = decoder.header();
    check_size(usize::from(header.width), usize::from(header.height))?;
    decoder.set_output_format(PixelFormat::Rgb);
    let decoded = decoder.decode_image().map_err(broken)?;
    let orientation = decoded.exif_data.as_deref().and_then(Orientation::from_exif_chunk);
    let (width, height) = (decoded.width as u32, decoded.height as u32);
    let pixels = RgbImage::from_raw(width, height, decoded.data)
        .ok_or_else(|| DecodeError::Broken("fewer pixels than its size says".to_owned()))?;
    Ok(upright(DynamicImage::ImageRgb8(pixels), orientation))
}

fn decode_other(bytes: &[u8], format: ImageFormat) -> Result<RgbImage, DecodeError> {
    let broken = |error: image::ImageError| DecodeError::Broken(error.to_string());
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(width as usize, height as usize)?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    decoder.set_limits(limits).map_err(broken)?;
    let orientation = decoder.orientation().ok();
    Ok(upright(DynamicImage::from_decoder(decoder).map_err(broken)?, orientation))
}

fn upright(mut image: DynamicImage, orientation: Option<Orientation>) -> RgbImage {
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    image.into_rgb8()
}

fn check_size(width: usize, height: usize) -> Result<(), DecodeError> {
    let pixels = width.checked_mul(height).filter(|pixels| *pixels <= MAX_PIXELS);
    pixels.map(|_| ()).ok_or(DecodeError::TooLarge { width, height })
}

#[cfg(test)]
mod tests {
    use image::{Rgb, Rgba, RgbaImage};

    use super::*;

    /// A gradient with some texture.
    fn picture() -> RgbImage {
        RgbImage::from_fn(37, 21, |x, y| Rgb([(x * 6) as u8, (y * 11) as u8, ((x * y) % 251) as u8]))
    }

    fn jpeg() -> Vec<u8> {
        let image = picture();
        let (width, height) = (image.width() as usize, image.height() as usize);
        libjpeg_turbo_rs::compress(
            image.as_raw(),
            width,
            height,
            PixelFormat::Rgb,
            90,
            libjpeg_turbo_rs::Subsampling::S420,
        )
        .unwrap()
    }

    fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    /// The JPEG with an EXIF segment of one entry: the orientation.
    fn turned(orientation: u8) -> Vec<u8> {
        let exif =
            [b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0], &[0; 4]]
                .concat();
        let jpeg = jpeg();
        [&jpeg[..2], &[0xff, 0xe1], &(exif.len() as u16 + 2).to_be_bytes(), &exif, &jpeg[2..]].concat()
    }

    #[test]
    fn formats_without_loss_come_back_as_they_were() {
        let image = DynamicImage::ImageRgb8(picture());
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
            assert_eq!(decode(&encode(&image, format)).unwrap(), picture(), "{format:?}");
        }
    }

    #[test]
    fn a_photograph_comes_back_near_to_what_it_was() {
        let back = decode(&jpeg()).unwrap();
        let sum: u64 = back.as_raw().iter().zip(picture().as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(sum / (back.as_raw().len() as u64) < 12, "mean difference {}", sum as f64 / back.as_raw().len() as f64);
    }

    #[test]
    fn images_are_turned_upright_as_their_metadata_says() {
        let plain = decode(&jpeg()).unwrap();
        assert_eq!(decode(&turned(1)).unwrap(), plain);
        assert_eq!(decode(&turned(3)).unwrap(), image::imageops::rotate180(&plain));
        assert_eq!(decode(&turned(6)).unwrap(), image::imageops::rotate90(&plain));
    }

    #[test]
    fn grey_becomes_colour_and_transparency_goes() {
        let grey = image::GrayImage::from_pixel(2, 1, image::Luma([7]));
        let decoded = decode(&encode(&DynamicImage::ImageLuma8(grey), ImageFormat::Png)).unwrap();
        assert_eq!(decoded.as_raw(), &[7; 6]);
        let clear = RgbaImage::from_pixel(1, 1, Rgba([1, 2, 3, 0]));
        assert_eq!(decode(&encode(&DynamicImage::ImageRgba8(clear), ImageFormat::Png)).unwrap().as_raw(), &[1, 2, 3]);
    }

    #[test]
    fn what_is_cut_off_anywhere_is_refused() {
        let image = DynamicImage::ImageRgb8(picture());
        let files = [
            jpeg(),
            encode(&image, ImageFormat::Png),
            encode(&image, ImageFormat::Bmp),
            encode(&image, ImageFormat::WebP),
        ];
        for file in files {
            // What follows the pixels (a JPEG's end marker, a PNG's last chunk) may be missing.
            for len in 0..file.len() - 16 {
                assert!(decode(&file[..len]).is_err(), "{:?} at {len} of {}", image::guess_format(&file), file.len());
            }
        }
    }

    #[test]
    fn damaged_files_give_an_image_or_an_error() {
        let image = DynamicImage::ImageRgb8(picture());
        let files = [
            turned(8),
            encode(&image, ImageFormat::Png),
            encode(&image, ImageFormat::Bmp),
            encode(&image, ImageFormat::WebP),
        ];
        for file in files {
            for at in 0..file.len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut damaged = file.clone();
                    damaged[at] ^= flip;
                    drop(decode(&damaged));
                }
            }
        }
    }

    #[test]
    fn other_files_are_named_by_how_they_start() {
        let error = decode(b"GIF89a..........").unwrap_err().to_string();
        assert!(error.contains("starts with \"GIF89a..\""), "{error}");
        assert!(decode(b"").is_err());
    }

    #[test]
    fn a_small_file_that_claims_a_huge_image_is_refused() {
        let mut file = encode(&DynamicImage::ImageRgb8(picture()), ImageFormat::Bmp);
        file[18..22].copy_from_slice(&60_000u32.to_le_bytes());
        file[22..26].copy_from_slice(&60_000u32.to_le_bytes());
        assert!(matches!(decode(&file), Err(DecodeError::TooLarge { .. } | DecodeError::Broken(_))));
        let mut file = jpeg();
        let frame = file.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        file[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        let error = decode(&file).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");
    }
}
