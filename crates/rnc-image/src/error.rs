//! What can be wrong with an image.

use std::path::PathBuf;

/// Why bytes are not an image.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The first bytes are of no format that is known.
    #[error("not an image: JPEG, PNG, WebP and BMP are understood, and it starts with \"{start}\"")]
    Format {
        /// The first bytes, escaped.
        start: String,
    },
    /// The decoder refuses.
    #[error("not an image that can be read: {0}")]
    Broken(String),
    /// More pixels than any photograph has.
    #[error("the image is {width}×{height}, and no more than {} million pixels are decoded", crate::decode::MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
}

/// Why an image is not what a model takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The image must have the size of the model's input.
    #[error("the image is {width}×{height}, expected {}×{}: this preprocessing does not resize", expected[0], expected[1])]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Columns and rows of the model's input.
        expected: [usize; 2],
    },
    /// The image would have to grow too much.
    #[error("the image is {width}×{height}: too far from the shape that the model wants")]
    Shape {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The preprocessing makes no sense for this model.
    #[error("{0}")]
    Preprocess(String),
}

/// Why an image did not become a sample.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system refuses.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no image.
    #[error("{name}: {error}")]
    Decode {
        /// The file.
        name: String,
        /// Why.
        error: DecodeError,
    },
    /// The model does not take it.
    #[error("{name}: {error}")]
    Prepare {
        /// The file.
        name: String,
        /// Why.
        error: PrepareError,
    },
}
