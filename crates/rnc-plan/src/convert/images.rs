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
    let number = |name: &'static str, found: f32, expected: &'static str, fits: bool| {
        let error = || DecodeError::Senseless { path: path.field(name).to_string(), found, expected };
        if found.is_finite() && fits { Ok(found) } else { Err(error()) }
    };
    let three = |name: &'static str, values: &[f32]| -> Result<[f32; 3], DecodeError> {
        values.try_into().map_err(|_| DecodeError::Missing { path: path.field(name).to_string() })
    };
    let [mean, std] = [three("mean", &message.mean)?, three("std", &message.std)?];
    mean.iter().try_for_each(|x| number("mean", *x, "a number", true).map(drop))?;
    std.iter().try_for_each(|x| number("std", *x, "a number above 0", *x > 0.0).map(drop))?;
    Ok(Preprocess {
        resize: match message.resize() {
            proto::Resize::Unspecified => return Err(unknown("resize", message.resize)),
            proto::Resize::Never => Resize::Never,
            proto::Resize::Cover => Resize::Cover,
            proto::Resize::Stretch => Resize::Stretch,
        },
        size: match required(message.size, &path.field("size"))? {
            proto::preprocess::Size::Share(share) => {
                Size::Share(number("share", share, "a share above 0 and up to 1", share > 0.0 && share <= 1.0)?)
            }
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
        range: number("range", message.range, "a number above 0", message.range > 0.0)?,
        mean,
        std,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_make_no_sense_are_refused_and_named() {
        let good = write_preprocess(&crate::sample::everything().images.preprocess.unwrap());
        let refused = |change: &dyn Fn(&mut proto::Preprocess)| {
            let mut changed = good.clone();
            change(&mut changed);
            read_preprocess(&changed, &Path::root().field("images")).unwrap_err().to_string()
        };
        assert_eq!(refused(&|p| p.range = 0.0), "images.range: 0, expected a number above 0");
        assert_eq!(refused(&|p| p.std[1] = -1.0), "images.std: -1, expected a number above 0");
        assert_eq!(refused(&|p| p.mean[0] = f32::NAN), "images.mean: NaN, expected a number");
        let share = proto::preprocess::Size::Share(1.5);
        assert_eq!(refused(&|p| p.size = Some(share)), "images.share: 1.5, expected a share above 0 and up to 1");
        assert!(refused(&|p| p.mean.truncate(2)).starts_with("images.mean: missing"));
    }
}
