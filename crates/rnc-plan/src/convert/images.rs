//! What plans say about images to messages and back.

use super::{DecodeError, Path, required};
use crate::images::{Channels, Images, Interpolation, Preprocess, Resize, Size};
use crate::proto;

pub(super) fn write(images: &Images) -> proto::Images {
    proto::Images { preprocess: images.preprocess.as_ref().map(write_preprocess), labels: images.labels.clone() }
}

pub(super) fn read(images: proto::Images, path: &Path<'_>) -> Result<Images, DecodeError> {
    let at = path.field("preprocess");
    let preprocess = images.preprocess.map(|preprocess| read_preprocess(&preprocess, &at)).transpose()?;
    Ok(Images { preprocess, labels: images.labels })
}

fn write_preprocess(preprocess: &Preprocess) -> proto::Preprocess {
    let resize = match preprocess.resize {
        Resize::Never => proto::Resize::Never,
        Resize::Cover => proto::Resize::Cover,
        Resize::Stretch => proto::Resize::Stretch,
    };
    let interpolation = match preprocess.interpolation {
        Interpolation::Nearest => proto::Interpolation::Nearest,
        Interpolation::Bilinear => proto::Interpolation::Bilinear,
        Interpolation::Bicubic => proto::Interpolation::Bicubic,
        Interpolation::Lanczos => proto::Interpolation::Lanczos,
    };
    let channels = match preprocess.channels {
        Channels::Rgb => proto::Channels::Rgb,
        Channels::Bgr => proto::Channels::Bgr,
    };
    let size = match preprocess.size {
        Size::Share(share) => proto::preprocess::Size::Share(share),
        Size::Pixels(pixels) => proto::preprocess::Size::Pixels(pixels),
    };
    proto::Preprocess {
        resize: resize.into(),
        size: Some(size),
        interpolation: interpolation.into(),
        channels: channels.into(),
        range: preprocess.range,
        mean: preprocess.mean.to_vec(),
        std: preprocess.std.to_vec(),
    }
}

fn read_preprocess(message: &proto::Preprocess, path: &Path<'_>) -> Result<Preprocess, DecodeError> {
    let unknown =
        |name: &'static str, found: i32| DecodeError::UnknownValue { path: path.field(name).to_string(), found };
    let three = |name: &'static str, values: &[f32]| -> Result<[f32; 3], DecodeError> {
        values.try_into().map_err(|_| DecodeError::Missing { path: path.field(name).to_string() })
    };
    Ok(Preprocess {
        resize: match message.resize() {
            proto::Resize::Unspecified => return Err(unknown("resize", message.resize)),
            proto::Resize::Never => Resize::Never,
            proto::Resize::Cover => Resize::Cover,
            proto::Resize::Stretch => Resize::Stretch,
        },
        size: match required(message.size, &path.field("size"))? {
            proto::preprocess::Size::Share(share) => Size::Share(share),
            proto::preprocess::Size::Pixels(pixels) => Size::Pixels(pixels),
        },
        interpolation: match message.interpolation() {
            proto::Interpolation::Unspecified => return Err(unknown("interpolation", message.interpolation)),
            proto::Interpolation::Nearest => Interpolation::Nearest,
            proto::Interpolation::Bilinear => Interpolation::Bilinear,
            proto::Interpolation::Bicubic => Interpolation::Bicubic,
            proto::Interpolation::Lanczos => Interpolation::Lanczos,
        },
        channels: match message.channels() {
            proto::Channels::Unspecified => return Err(unknown("channels", message.channels)),
            proto::Channels::Rgb => Channels::Rgb,
            proto::Channels::Bgr => Channels::Bgr,
        },
        range: message.range,
        mean: three("mean", &message.mean)?,
        std: three("std", &message.std)?,
    })
}
