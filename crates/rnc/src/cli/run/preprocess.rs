//! From pixels to what a model wants: size, range, order of channels and axes.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use ndarray::{Array3, ArrayD};

/// Mean and standard deviation of ImageNet's red, green and blue, as torchvision's models were trained with.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// Mean of blue, green and red that Caffe's models were trained with.
const CAFFE: [f32; 3] = [104.0, 117.0, 123.0];
/// Images are first resized to this share of the model's size, and then cropped.
const RESIZED: [f64; 2] = [256.0, 224.0];
/// Most pixels that a resized image may have before it is cropped: only images that are far from square get there.
const MAX_PIXELS: f64 = 67_108_864.0;

/// What to do to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Preprocess {
    /// Resize, centre crop, normalise as torchvision's ImageNet models want it.
    Imagenet,
    /// Normalise the same way, no resize.
    Cifar10,
    /// Resize, centre crop, BGR less Caffe's mean.
    Caffe,
    /// Resize, centre crop, RGB from 0 to 1.
    Unit,
    /// RGB from 0 to 255, no resize.
    None,
}

/// What a model takes images as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageInput {
    pub height: usize,
    pub width: usize,
    pub axes: Axes,
}

/// Order of an image's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axes {
    /// Channel, row, column.
    Chw,
    /// Row, column, channel.
    Hwc,
}

impl ImageInput {
    /// What the dimensions of a sample say, if they are those of a colour image.
    pub(crate) fn of(dims: &[usize]) -> Option<Self> {
        match *dims {
            [3, height, width] => Some(Self { height, width, axes: Axes::Chw }),
            [height, width, 3] => Some(Self { height, width, axes: Axes::Hwc }),
            _ => None,
        }
    }
}

impl Preprocess {
    /// One sample of an image. The error says what is wrong with the image.
    pub(crate) fn apply(self, image: &RgbImage, input: ImageInput) -> Result<ArrayD<f32>, String> {
        let image = match self {
            Self::Imagenet | Self::Caffe | Self::Unit => &resize_and_crop(image, input)?,
            Self::Cifar10 | Self::None => {
                let (width, height) = image.dimensions();
                if (width as usize, height as usize) != (input.width, input.height) {
                    return Err(format!(
                        "the image is {width}×{height}, expected {}×{}: this preprocessing does not resize",
                        input.width, input.height
                    ));
                }
                image
            }
        };
        let channels = self.channels();
        let value = |row: usize, column: usize, channel: usize| {
            let (source, function) = channels[channel];
            function.apply(image.get_pixel(column as u32, row as u32)[source])
        };
        let ImageInput { height, width, axes } = input;
        Ok(match axes {
            Axes::Chw => Array3::from_shape_fn((3, height, width), |(c, h, w)| value(h, w, c)),
            Axes::Hwc => Array3::from_shape_fn((height, width, 3), |(h, w, c)| value(h, w, c)),
        }
        .into_dyn())
    }

    /// Of each channel of the result: which one of the image, and what is done to it.
    fn channels(self) -> [(usize, Normalise); 3] {
        let [mean, std] = IMAGENET;
        std::array::from_fn(|c| match self {
            Self::Imagenet | Self::Cifar10 => (c, Normalise { scale: 255.0, mean: mean[c], std: std[c] }),
            Self::Caffe => (2 - c, Normalise { scale: 1.0, mean: CAFFE[c], std: 1.0 }),
            Self::Unit => (c, Normalise { scale: 255.0, mean: 0.0, std: 1.0 }),
            Self::None => (c, Normalise { scale: 1.0, mean: 0.0, std: 1.0 }),
        })
    }
}

/// `(x / scale - mean) / std`.
#[derive(Clone, Copy)]
struct Normalise {
    scale: f32,
    mean: f32,
    std: f32,
}

impl Normalise {
    fn apply(self, value: u8) -> f32 {
        (f32::from(value) / self.scale - self.mean) / self.std
    }
}

/// Resizes so that the image covers 256/224 of the model's size with its aspect ratio kept, and cuts the middle out.
fn resize_and_crop(image: &RgbImage, input: ImageInput) -> Result<RgbImage, String> {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    if width < 1.0 || height < 1.0 {
        return Err("the image has no pixels".to_owned());
    }
    let cover = |n: usize| (n as f64 * RESIZED[0] / RESIZED[1]).round();
    let scale = (cover(input.width) / width).max(cover(input.height) / height);
    // The longer side is rounded down, as torchvision does; the tiny amount is for products that come out below a whole number.
    let side = |n: f64, least: usize| ((n * scale + 1e-6).floor()).max(least as f64);
    let (resized_width, resized_height) = (side(width, input.width), side(height, input.height));
    if resized_width * resized_height > MAX_PIXELS {
        return Err(format!("the image is {width}×{height}: too far from the shape that the model wants"));
    }
    let resized = resize(image, resized_width as u32, resized_height as u32)?;
    // Python's `round`, which torchvision uses, takes halves to even numbers.
    let offset = |n: u32, wanted: usize| (f64::from(n.saturating_sub(wanted as u32)) / 2.0).round_ties_even() as u32;
    let (left, top) = (offset(resized.width(), input.width), offset(resized.height(), input.height));
    let crop = image::imageops::crop_imm(&resized, left, top, input.width as u32, input.height as u32);
    Ok(crop.to_image())
}

/// Bilinear with antialiasing, as Pillow does it.
fn resize(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage, String> {
    let source = ImageRef::new(image.width(), image.height(), image.as_raw(), PixelType::U8x3);
    let source = source.map_err(|error| format!("cannot resize: {error}"))?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| format!("cannot resize: {error}"))?;
    RgbImage::from_raw(width, height, target.into_vec())
        .ok_or_else(|| "cannot resize: the result is too short".to_owned())
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use image::Rgb;

    use super::*;

    const NCHW: ImageInput = ImageInput { height: 2, width: 2, axes: Axes::Chw };

    fn plain(width: u32, height: u32) -> RgbImage {
        RgbImage::from_pixel(width, height, Rgb([255, 0, 51]))
    }

    #[test]
    fn dims_say_the_order_of_axes() {
        assert_eq!(ImageInput::of(&[3, 8, 9]), Some(ImageInput { height: 8, width: 9, axes: Axes::Chw }));
        assert_eq!(ImageInput::of(&[8, 9, 3]), Some(ImageInput { height: 8, width: 9, axes: Axes::Hwc }));
        assert_eq!(ImageInput::of(&[1, 8, 9]), None);
        assert_eq!(ImageInput::of(&[3]), None);
    }

    #[test]
    fn every_kind_gives_its_numbers() {
        let first = |kind: Preprocess| {
            let sample = kind.apply(&plain(2, 2), NCHW).unwrap();
            [0, 1, 2].map(|c| sample[[c, 1, 0]])
        };
        let normal = [(1.0 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225];
        assert_eq!(first(Preprocess::Imagenet), normal);
        assert_eq!(first(Preprocess::Cifar10), normal);
        assert_eq!(first(Preprocess::Caffe), [51.0 - 104.0, -117.0, 255.0 - 123.0]);
        assert_eq!(first(Preprocess::Unit), [1.0, 0.0, 0.2]);
        assert_eq!(first(Preprocess::None), [255.0, 0.0, 51.0]);
        let hwc = Preprocess::None.apply(&plain(2, 2), ImageInput { axes: Axes::Hwc, ..NCHW }).unwrap();
        assert_eq!([0, 1, 2].map(|c| hwc[[1, 0, c]]), [255.0, 0.0, 51.0]);
    }

    #[test]
    fn the_middle_of_an_image_that_is_not_square_is_taken() {
        // Left third red, middle third green, right third blue.
        let image = RgbImage::from_fn(672, 224, |x, _| {
            let mut pixel = [0, 0, 0];
            pixel[x as usize / 224] = 255;
            Rgb(pixel)
        });
        let input = ImageInput { height: 224, width: 224, axes: Axes::Chw };
        let sample = Preprocess::Unit.apply(&image, input).unwrap();
        assert_eq!(sample.shape(), [3, 224, 224]);
        assert_eq!([0, 1, 2].map(|c| sample[[c, 112, 112]]), [0.0, 1.0, 0.0]);
        assert_eq!([0, 1, 2].map(|c| sample[[c, 0, 0]]), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn sizes_are_torchvisions() {
        // torchvision resizes 500×375 to 341×256 for a crop of 224: the longer side is int(256 * 500 / 375).
        // The crop then starts at column round((341 - 224) / 2) = round(58.5) = 58, halves to even: about column 58.5 · 500 / 341 = 85.8 of the
        // image, whose pixels hold their column's number (less the half by which centres of pixels are off).
        let image = RgbImage::from_fn(500, 375, |x, _| Rgb([(x % 256) as u8; 3]));
        let input = ImageInput { height: 224, width: 224, axes: Axes::Chw };
        let refused = Preprocess::None.apply(&image, input).unwrap_err();
        assert!(refused.contains("500×375, expected 224×224"), "{refused}");
        let sample = Preprocess::Unit.apply(&image, input).unwrap();
        let value = (sample[[0, 100, 0]] * 255.0).round();
        assert_eq!(value, 85.0);
    }

    #[test]
    fn an_image_of_one_row_is_refused_when_it_would_fill_the_memory() {
        let image = RgbImage::new(100_000, 1);
        let input = ImageInput { height: 224, width: 224, axes: Axes::Chw };
        assert!(Preprocess::Imagenet.apply(&image, input).unwrap_err().contains("100000×1"));
    }
}
