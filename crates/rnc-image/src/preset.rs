//! Preprocessing by name, and as text: `imagenet`, or `imagenet,interpolation=bicubic,crop=0.95`.

use std::fmt::{self, Display};

use rnc_plan::images::{Channels, Interpolation, Preprocess, Resize, Size};

/// Mean and standard deviation of ImageNet's red, green and blue, as torchvision's and timm's models were trained with.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// Mean of blue, green and red that Caffe's models were trained with.
const CAFFE: [f32; 3] = [104.0, 117.0, 123.0];

/// A preprocessing with a name.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it does, for people.
    pub about: &'static str,
    /// What it does.
    pub preprocess: Preprocess,
}

/// torchvision's evaluation of its first weights.
const TORCHVISION: Preprocess = Preprocess {
    resize: Resize::Cover,
    size: Size::Share(0.875),
    interpolation: Interpolation::Bilinear,
    channels: Channels::Rgb,
    range: 1.0,
    mean: IMAGENET[0],
    std: IMAGENET[1],
};

/// Nothing but bytes as numbers.
const NONE: Preprocess =
    Preprocess { resize: Resize::Never, range: 255.0, mean: [0.0; 3], std: [1.0; 3], ..TORCHVISION };

/// Caffe's channels and mean.
const CAFFES: Preprocess =
    Preprocess { channels: Channels::Bgr, range: 255.0, mean: CAFFE, std: [1.0; 3], ..TORCHVISION };

/// All presets.
pub const PRESETS: [Preset; 7] = [
    Preset {
        name: "imagenet",
        about: "torchvision's: shorter side to 256 for a model of 224, centre crop, RGB/255, less mean .485 .456 .406, over std .229 .224 .225",
        preprocess: TORCHVISION,
    },
    Preset {
        name: "timm-bicubic",
        about: "as imagenet, with bicubic interpolation",
        preprocess: Preprocess { interpolation: Interpolation::Bicubic, ..TORCHVISION },
    },
    Preset {
        name: "cifar10",
        about: "as imagenet, but the image must have the model's size",
        preprocess: Preprocess { resize: Resize::Never, ..TORCHVISION },
    },
    Preset {
        name: "open-nsfw",
        about: "stretched to 256×256 for a model of 224, centre crop, BGR from 0 to 255 less 104 117 123",
        preprocess: Preprocess { resize: Resize::Stretch, ..CAFFES },
    },
    Preset {
        name: "caffe",
        about: "resized and cropped as imagenet, BGR from 0 to 255 less 104 117 123",
        preprocess: CAFFES,
    },
    Preset {
        name: "unit",
        about: "resized and cropped as imagenet, RGB/255",
        preprocess: Preprocess { mean: [0.0; 3], std: [1.0; 3], ..TORCHVISION },
    },
    Preset { name: "none", about: "the image must have the model's size, RGB from 0 to 255", preprocess: NONE },
];

/// The preset of a name.
pub fn named(name: &str) -> Option<Preprocess> {
    PRESETS.iter().find(|preset| preset.name == name).map(|preset| preset.preprocess)
}

/// What can be set apart from a preset's name, for help and errors.
pub const KEYS: &str = "resize=never|cover|stretch, size=PIXELS or crop=SHARE (0.875 is 224 of 256), \
                        interpolation=nearest|bilinear|bicubic|lanczos, order=rgb|bgr, range=1|255, mean=A/B/C, std=A/B/C";

/// Reads a preset's name, settings as `key=value`, or first the one and then the others, between commas. Without a name the settings change `imagenet`.
///
/// # Errors
/// Says what is wrong, for people.
pub fn parse(text: &str) -> Result<Preprocess, String> {
    let mut parts = text.split(',').peekable();
    let mut preprocess = TORCHVISION;
    if let Some(name) = parts.next_if(|part| !part.contains('=')) {
        let names = || PRESETS.map(|preset| preset.name).join(", ");
        preprocess =
            named(name.trim()).ok_or_else(|| format!("`{name}` is no preprocessing; known are {}", names()))?;
    }
    for part in parts {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is no setting; they are {KEYS}"))?;
        set(&mut preprocess, key.trim(), value.trim())?;
    }
    Ok(preprocess)
}

fn set(preprocess: &mut Preprocess, key: &str, value: &str) -> Result<(), String> {
    let wrong = |expected: &str| format!("`{key}={value}`: expected {expected}");
    let number = |least: f32, expected: &str| {
        value.parse::<f32>().ok().filter(|x| x.is_finite() && *x > least).ok_or_else(|| wrong(expected))
    };
    match key {
        "resize" => {
            preprocess.resize = match value {
                "never" => Resize::Never,
                "cover" => Resize::Cover,
                "stretch" => Resize::Stretch,
                _ => return Err(wrong("never, cover or stretch")),
            }
        }
        "size" => {
            let pixels = value.parse().ok().filter(|pixels| *pixels > 0);
            preprocess.size = Size::Pixels(pixels.ok_or_else(|| wrong("a number of pixels, as 256"))?);
        }
        "crop" => {
            let expected = "a share of the resized image above 0 and up to 1, as 0.875";
            preprocess.size =
                Size::Share(number(0.0, expected).and_then(|x| if x <= 1.0 { Ok(x) } else { Err(wrong(expected)) })?);
        }
        "interpolation" => {
            let known = INTERPOLATIONS.iter().find(|(name, _)| *name == value);
            preprocess.interpolation = known.ok_or_else(|| wrong("nearest, bilinear, bicubic or lanczos"))?.1;
        }
        "order" => {
            preprocess.channels = match value {
                "rgb" => Channels::Rgb,
                "bgr" => Channels::Bgr,
                _ => return Err(wrong("rgb or bgr")),
            }
        }
        "range" => preprocess.range = number(0.0, "a number above 0, as a rule 1 or 255")?,
        "mean" => preprocess.mean = three(value).ok_or_else(|| wrong("three numbers, as 0.485/0.456/0.406"))?,
        "std" => {
            let std = three(value).filter(|std| std.iter().all(|x| *x > 0.0));
            preprocess.std = std.ok_or_else(|| wrong("three numbers above 0, as 0.229/0.224/0.225"))?;
        }
        _ => return Err(format!("`{key}` is no setting; they are {KEYS}")),
    }
    Ok(())
}

const INTERPOLATIONS: [(&str, Interpolation); 4] = [
    ("nearest", Interpolation::Nearest),
    ("bilinear", Interpolation::Bilinear),
    ("bicubic", Interpolation::Bicubic),
    ("lanczos", Interpolation::Lanczos),
];

/// `A/B/C`, or one number for all.
fn three(text: &str) -> Option<[f32; 3]> {
    let numbers: Vec<f32> = text.split('/').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    match *numbers.as_slice() {
        [one] => Some([one; 3]),
        [a, b, c] => Some([a, b, c]),
        _ => None,
    }
    .filter(|numbers| numbers.iter().all(|x| x.is_finite()))
}

/// A preprocessing as [`parse`] reads it: its preset's name, or all of its settings.
pub struct Spelled(pub Preprocess);

impl Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(preset) = PRESETS.iter().find(|preset| preset.preprocess == self.0) {
            return f.write_str(preset.name);
        }
        let Preprocess { resize, size, interpolation, channels, range, mean, std } = self.0;
        let resize = match resize {
            Resize::Never => "never",
            Resize::Cover => "cover",
            Resize::Stretch => "stretch",
        };
        write!(f, "resize={resize},")?;
        match size {
            Size::Share(share) => write!(f, "crop={share},")?,
            Size::Pixels(pixels) => write!(f, "size={pixels},")?,
        }
        let interpolation =
            INTERPOLATIONS.iter().find(|(_, known)| *known == interpolation).map_or("", |(name, _)| name);
        let order = if channels == Channels::Rgb { "rgb" } else { "bgr" };
        let ([a, b, c], [d, e, g]) = (mean, std);
        write!(f, "interpolation={interpolation},order={order},range={range},mean={a}/{b}/{c},std={d}/{e}/{g}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_read_and_written_by_its_name() {
        for preset in PRESETS {
            assert_eq!(parse(preset.name), Ok(preset.preprocess));
            assert_eq!(Spelled(preset.preprocess).to_string(), preset.name);
        }
    }

    #[test]
    fn settings_change_a_preset_and_come_back_as_they_were_read() {
        let text = "open-nsfw,resize=cover,size=300,interpolation=lanczos,order=rgb,range=1,mean=0.5,std=0.5/0.25/2";
        let read = parse(text).unwrap();
        let expected = Preprocess {
            resize: Resize::Cover,
            size: Size::Pixels(300),
            interpolation: Interpolation::Lanczos,
            channels: Channels::Rgb,
            range: 1.0,
            mean: [0.5; 3],
            std: [0.5, 0.25, 2.0],
        };
        assert_eq!(read, expected);
        assert_eq!(parse(&Spelled(read).to_string()), Ok(read));
        assert_eq!(parse("crop=0.95").unwrap().size, Size::Share(0.95));
    }

    #[test]
    fn mistakes_are_named_with_what_was_expected() {
        let error = |text: &str| parse(text).unwrap_err();
        assert!(error("imagnet").contains("known are imagenet, timm-bicubic"), "{}", error("imagnet"));
        assert!(error("imagenet,bilinear").contains("`bilinear` is no setting; they are resize="));
        assert!(error("colour=rgb").contains("`colour` is no setting"));
        for wrong in
            ["size=0", "crop=1.5", "crop=NaN", "std=0", "mean=1/2", "range=-1", "order=gbr", "resize=", "std=inf"]
        {
            assert!(error(wrong).starts_with(&format!("`{wrong}`: expected ")), "{wrong}: {}", error(wrong));
        }
    }
}
