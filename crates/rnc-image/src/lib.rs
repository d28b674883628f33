//! From image files to the samples that a model takes, and from the numbers of classes to their names.
//!
//! * [`decode()`] makes pixels of the bytes of a JPEG, PNG, WebP or BMP file. JPEG files come out as libjpeg-turbo decodes them, bit by bit: that is what models were
//!   trained and evaluated with (Pillow and `OpenCV` use it), and other decoders' rounding changes labels.
//! * [`Preprocess`] says what is done to pixels; [`preset`] has the usual kinds by name, and reads and writes them as text.
//! * [`Preparer`] does it: resized with Pillow's antialiasing, cropped, normalised, planar or interleaved.
//! * [`load()`] does all of that for many files on several threads, ahead of the model.
//! * [`picture`] makes images for people to look at, [`heat`] paints maps over them.
//! * [`labels`] has names of classes.

#![forbid(unsafe_code)]

mod decode;
mod error;
pub mod heat;
pub mod labels;
mod load;
pub mod picture;
mod prepare;
pub mod preset;
mod resize;

pub use decode::decode;
pub use error::{DecodeError, LoadError, PrepareError};
pub use image::RgbImage;
pub use load::{Batch, Source, Workers, load};
pub use prepare::{Axes, ImageInput, Preparer};
pub use rnc_plan::images::{Channels, Images, Interpolation, Preprocess, Resize, Size};
