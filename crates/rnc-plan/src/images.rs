//! What people put into a model and get out of it: how images become samples, and what the classes are called.
//!
//! A plan carries it so that its users need not know it. Nothing in here changes a run.

/// How images become samples of a plan's input, and names of the classes of its scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Images {
    /// What is done to images, if the plan's maker said so.
    pub preprocess: Option<Preprocess>,
    /// Names of the classes in the order of the scores; empty if unknown.
    pub labels: Vec<String>,
}

/// What is done to an image: it is resized, the middle of it is cut out at the size of the model's input, and each of its bytes `x` becomes
/// `(x · range / 255 - mean) / std`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// What gets the image to a size before the cut.
    pub resize: Resize,
    /// The size that it gets to.
    pub size: Size,
    /// How pixels between pixels are computed.
    pub interpolation: Interpolation,
    /// Order of the channels that the model takes. The image is taken as sRGB.
    pub channels: Channels,
    /// What a byte of 255 is before the mean goes off, as a rule 1 or 255.
    pub range: f32,
    /// What is subtracted from each channel, in the model's order.
    pub mean: [f32; 3],
    /// What each channel is divided by, in the model's order.
    pub std: [f32; 3],
}

/// How an image gets to its size before the middle is cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// It does not: images must have the size of the model's input.
    Never,
    /// The image covers the size, and keeps its aspect ratio.
    Cover,
    /// The image gets exactly the size, whatever becomes of its aspect ratio.
    Stretch,
}

/// A size before the middle is cut out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// The cut is this share of the size's height and width, as in 0.875 for 224 of 256.
    Share(f32),
    /// Height and width in pixels.
    Pixels(u32),
}

/// How pixels between pixels are computed. Where an image shrinks, the filters widen with it (antialiasing), as in Pillow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The pixel at that place.
    Nearest,
    /// A triangle over two pixels.
    Bilinear,
    /// Keys' cubic with `a = -0.5` over four pixels.
    Bicubic,
    /// Lanczos' windowed sinc over six pixels.
    Lanczos,
}

/// Order of the channels of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}
