//! What can be chosen about a model.

use rnc_ir::Dim;

use crate::catalog::find;
use crate::config::Stem;
use crate::error::ZooError;

/// Most classes that a model may have (ImageNet-21k has 21,843).
pub const MAX_CLASSES: usize = 1 << 16;

/// What can be chosen about a model. The default is for ImageNet; [`ZooOptions::for_model`] knows better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZooOptions {
    /// Seed of all weights. The same seed gives the same bits on every machine. Not used with weights from a file.
    pub seed: u64,
    /// Number of classes, 1 to [`MAX_CLASSES`]. Not used by models that have features as outputs.
    pub classes: usize,
    /// Batch dimension of the input; by default the batch symbol.
    pub batch: Dim,
    /// Height and width of square images in pixels.
    pub image: usize,
    /// `[height, width]` of the images in pixels, instead of [`ZooOptions::image`].
    pub size: Option<[usize; 2]>,
}

impl Default for ZooOptions {
    fn default() -> Self {
        Self { seed: 0, classes: 1000, batch: Dim::Batch, image: 224, size: None }
    }
}

impl ZooOptions {
    /// The options that a model was designed for: 1000 classes of 224×224 images (21 of pixels), or CIFAR-10's 10 of 32×32.
    ///
    /// # Errors
    /// If there is no model of this name.
    pub fn for_model(name: &str) -> Result<Self, ZooError> {
        let config = find(name)?;
        Ok(match config.stem {
            Stem::SevenBySeven | Stem::Deep => Self { classes: config.head.default_classes(), ..Self::default() },
            Stem::Cifar => Self { classes: 10, image: 32, ..Self::default() },
        })
    }

    /// `[height, width]` of the images.
    pub fn height_and_width(&self) -> [usize; 2] {
        self.size.unwrap_or([self.image; 2])
    }

    /// # Errors
    /// If an option is out of range.
    pub(crate) fn check(&self) -> Result<(), ZooError> {
        let refuse = |option, found: String, expected: &str| {
            Err(ZooError::Option { option, found, expected: expected.to_owned() })
        };
        match *self {
            Self { classes, .. } if !(1..=MAX_CLASSES).contains(&classes) => {
                refuse("classes", classes.to_string(), "1 to 65536")
            }
            Self { image: 0, size: None, .. } => refuse("image", "0".to_owned(), "at least 1 pixel"),
            Self { size: Some(size), .. } if size.contains(&0) => {
                refuse("size", format!("{size:?}"), "at least 1 pixel in both directions")
            }
            Self { batch: Dim::Fixed(0), .. } => refuse("batch", "0".to_owned(), "at least 1, or the batch symbol"),
            _ => Ok(()),
        }
    }
}
