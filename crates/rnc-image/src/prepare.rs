//! From pixels to what a model takes: size, range, order of channels and axes.

use image::RgbImage;
use rnc_plan::images::{Channels, Preprocess, Resize, Size};

use crate::error::PrepareError;
use crate::resize::resize;

/// Most pixels that a resized image may have before it is cropped: only images that are far from square get there.
const MAX_PIXELS: f64 = 67_108_864.0;

/// What a model takes images as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInput {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Order of the axes.
    pub axes: Axes,
}

/// Order of an image's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axes {
    /// Channel, row, column.
    Chw,
    /// Row, column, channel.
    Hwc,
}

impl ImageInput {
    /// What the dimensions of a sample say, if they are those of a colour image.
    pub fn of(dims: &[usize]) -> Option<Self> {
        match *dims {
            [3, height, width] => Some(Self { height, width, axes: Axes::Chw }),
            [height, width, 3] => Some(Self { height, width, axes: Axes::Hwc }),
            _ => None,
        }
    }

    /// Elements of a sample.
    pub const fn len(&self) -> usize {
        3 * self.height * self.width
    }

    /// Whether a sample has no elements.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Makes samples of images.
#[derive(Clone, Debug)]
pub struct Preparer {
    preprocess: Preprocess,
    input: ImageInput,
    /// By channel of the sample and byte of the image: the value.
    values: [Vec<f32>; 3],
}

impl Preparer {
    /// For a model that takes images so.
    pub fn new(preprocess: Preprocess, input: ImageInput) -> Self {
        let Preprocess { range, mean, std, .. } = preprocess;
        // What `x / 255` gives for a range of 1, bit by bit: 255 is then divided by 1.
        let scale = 255.0 / range;
        let value =
            |channel: usize| (0..=255u8).map(|x| (f32::from(x) / scale - mean[channel]) / std[channel]).collect();
        Self { preprocess, input, values: [0, 1, 2].map(value) }
    }

    /// How the model takes images.
    pub const fn input(&self) -> ImageInput {
        self.input
    }

    /// Writes the sample of an image, of [`ImageInput::len`] elements.
    ///
    /// # Errors
    /// If the image does not fit the model and must not or cannot be resized.
    ///
    /// # Panics
    /// If the sample has another length.
    pub fn prepare(&self, image: &RgbImage, sample: &mut [f32]) -> Result<(), PrepareError> {
        assert_eq!(sample.len(), self.input.len(), "length of the sample");
        let view = self.view(image)?;
        let pixels = view.as_raw();
        let source = match self.preprocess.channels {
            Channels::Rgb => [0, 1, 2],
            Channels::Bgr => [2, 1, 0],
        };
        let plane = self.input.height * self.input.width;
        for (channel, values) in self.values.iter().enumerate() {
            let bytes = pixels[source[channel]..].iter().step_by(3);
            match self.input.axes {
                Axes::Chw => {
                    let plane = &mut sample[channel * plane..][..plane];
                    plane.iter_mut().zip(bytes).for_each(|(x, byte)| *x = values[usize::from(*byte)]);
                }
                Axes::Hwc => {
                    let channel = sample[channel..].iter_mut().step_by(3);
                    channel.zip(bytes).for_each(|(x, byte)| *x = values[usize::from(*byte)]);
                }
            }
        }
        Ok(())
    }

    /// What of an image the model sees, at the size of its input.
    ///
    /// # Errors
    /// If the image does not fit the model and must not or cannot be resized.
    pub fn view(&self, image: &RgbImage) -> Result<RgbImage, PrepareError> {
        let Preprocess { resize: how, interpolation, .. } = self.preprocess;
        let (width, height) = image.dimensions();
        let wanted = [self.input.width, self.input.height];
        if [width as usize, height as usize] == wanted && how == Resize::Never {
            return Ok(image.clone());
        }
        if width == 0 || height == 0 {
            return Err(PrepareError::Shape { width, height });
        }
        let size = self.size()?;
        let [resized_width, resized_height] = match how {
            Resize::Never => return Err(PrepareError::Size { width, height, expected: wanted }),
            Resize::Stretch => size,
            Resize::Cover => cover([f64::from(width), f64::from(height)], size, wanted),
        };
        if resized_width * resized_height > MAX_PIXELS {
            return Err(PrepareError::Shape { width, height });
        }
        let resized = resize(image, [resized_width as u32, resized_height as u32], interpolation)?;
        // Python's `round`, which torchvision uses, takes halves to even numbers.
        let offset =
            |n: u32, wanted: usize| (f64::from(n.saturating_sub(wanted as u32)) / 2.0).round_ties_even() as u32;
        let (left, top) = (offset(resized.width(), wanted[0]), offset(resized.height(), wanted[1]));
        Ok(image::imageops::crop_imm(&resized, left, top, wanted[0] as u32, wanted[1] as u32).to_image())
    }

    /// Columns and rows of the size before the cut.
    fn size(&self) -> Result<[f64; 2], PrepareError> {
        let wanted = [self.input.width, self.input.height].map(|n| n as f64);
        let size = match self.preprocess.size {
            // 224 / 0.875 is 256; other shares are rounded down, as timm does. The tiny amount is for quotients that come out below a whole number.
            Size::Share(share) => wanted.map(|n| (n / f64::from(share) + 1e-4).floor()),
            Size::Pixels(pixels) => [f64::from(pixels); 2],
        };
        if size[0] >= wanted[0] && size[1] >= wanted[1] && size[0] * size[1] <= MAX_PIXELS {
            return Ok(size);
        }
        let message = format!(
            "images would be resized to {}×{} for a model that takes {}×{}: give another `size` or `crop`",
            size[0], size[1], wanted[0], wanted[1]
        );
        Err(PrepareError::Preprocess(message))
    }
}

/// The smallest size of an image's aspect ratio that covers another size, and at least what is wanted.
fn cover([width, height]: [f64; 2], size: [f64; 2], least: [usize; 2]) -> [f64; 2] {
    let scale = (size[0] / width).max(size[1] / height);
    // The longer side is rounded down, as torchvision does; the tiny amount is for products that come out below a whole number.
    let side = |n: f64, least: usize| (n * scale + 1e-6).floor().max(least as f64);
    [side(width, least[0]), side(height, least[1])]
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::preset;

    const NCHW: ImageInput = ImageInput { height: 2, width: 2, axes: Axes::Chw };
    const LARGE: ImageInput = ImageInput { height: 224, width: 224, axes: Axes::Chw };

    fn prepare(kind: &str, input: ImageInput, image: &RgbImage) -> Result<Vec<f32>, PrepareError> {
        let mut sample = vec![0.0; input.len()];
        Preparer::new(preset::parse(kind).unwrap(), input).prepare(image, &mut sample).map(|()| sample)
    }

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
        let first = |kind: &str| {
            let sample = prepare(kind, NCHW, &plain(2, 2)).unwrap();
            [sample[2], sample[6], sample[10]]
        };
        let normal = [(1.0 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225];
        assert_eq!(first("imagenet"), normal);
        assert_eq!(first("timm-bicubic"), normal);
        assert_eq!(first("cifar10"), normal);
        let caffe = [51.0 - 104.0, -117.0, 255.0 - 123.0];
        assert_eq!(first("caffe"), caffe);
        assert_eq!(first("open-nsfw"), caffe);
        assert_eq!(first("unit"), [1.0, 0.0, 0.2]);
        assert_eq!(first("none"), [255.0, 0.0, 51.0]);
        let interleaved = prepare("none", ImageInput { axes: Axes::Hwc, ..NCHW }, &plain(2, 2)).unwrap();
        assert_eq!(interleaved[..6], [255.0, 0.0, 51.0, 255.0, 0.0, 51.0]);
    }

    #[test]
    fn the_middle_of_an_image_that_is_not_square_is_taken() {
        // Left third red, middle third green, right third blue.
        let image = RgbImage::from_fn(672, 224, |x, _| {
            let mut pixel = [0, 0, 0];
            pixel[x as usize / 224] = 255;
            Rgb(pixel)
        });
        let sample = prepare("unit", LARGE, &image).unwrap();
        for at in [0, 112 * 224 + 112] {
            assert_eq!([0, 1, 2].map(|c| sample[c * 224 * 224 + at]), [0.0, 1.0, 0.0]);
        }
        // Stretched, all of it is there.
        let sample = prepare("unit,resize=stretch,crop=1", LARGE, &image).unwrap();
        assert_eq!([0, 1, 2].map(|c| sample[c * 224 * 224]), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn sizes_are_torchvisions() {
        // torchvision resizes 500×375 to 341×256 for a crop of 224: the longer side is int(256 * 500 / 375).
        // The crop then starts at column round((341 - 224) / 2) = round(58.5) = 58, halves to even: about column 58.5 · 500 / 341 = 85.8 of the
        // image, whose pixels hold their column's number (less the half by which centres of pixels are off).
        let image = RgbImage::from_fn(500, 375, |x, _| Rgb([(x % 256) as u8; 3]));
        let refused = prepare("none", LARGE, &image).unwrap_err().to_string();
        assert!(refused.contains("500×375, expected 224×224"), "{refused}");
        let sample = prepare("unit", LARGE, &image).unwrap();
        assert_eq!((sample[100 * 224] * 255.0).round(), 85.0);
    }

    #[test]
    fn an_image_of_one_row_is_refused_when_it_would_fill_the_memory() {
        let error = prepare("imagenet", LARGE, &RgbImage::new(100_000, 1)).unwrap_err();
        assert_eq!(error, PrepareError::Shape { width: 100_000, height: 1 });
    }

    #[test]
    fn a_size_below_the_models_is_refused() {
        let error = prepare("imagenet,size=200", LARGE, &plain(300, 300)).unwrap_err().to_string();
        assert!(error.contains("resized to 200×200 for a model that takes 224×224"), "{error}");
        assert!(prepare("crop=1e-30", LARGE, &plain(300, 300)).is_err());
    }
}
