//! `rnc explain`.

use std::path::PathBuf;

use ndarray::{Array2, ArrayD};
use rnc::Session;
use rnc::classes::probabilities;
use rnc::explain::{Activations, Explainer};
use rnc::image::{Preparer, RgbImage, Source, heat, picture};
use serde::Serialize;

use super::failure::Failure;
use super::images::{self, ImageOptions, Scores, Stream, StreamOptions, help_with};
use super::run::{Execution, Loaded, none_read, percent};
use super::say::{json, note, printable};
use super::{files, say};

const EXAMPLES: &str = "\
Examples:
  rnc explain resnet50.plan cat.jpg -o why.png                        where the model sees the class that it finds most probable
  rnc explain resnet50.plan cat.jpg -o dog.png --class 'golden retriever'
  rnc explain resnet50.plan cat.jpg --class 281 --save map.npy        the numbers

The picture is what the model saw (after its crop), with colours where something speaks for the class: a class activation map (Zhou et al.,
CVPR 2016). It is exact: the mean of the map, plus the class's bias, is its score. The model must end with a global average pool and a linear
layer, as ResNets do.";

/// Show where in an image the model sees a class.
#[derive(Debug, clap::Args)]
#[command(after_help = help_with(EXAMPLES))]
pub(crate) struct Explain {
    /// The plan, as `rnc compile` made it.
    plan: PathBuf,
    /// The image (JPEG, PNG, WebP, BMP), or - for standard input.
    image: PathBuf,
    /// The picture to write.
    #[arg(short, long, value_name = "OUT.png", required_unless_present_any = ["save", "json"])]
    output: Option<PathBuf>,
    /// The class: its number, or its name; the most probable one if not given.
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    #[command(flatten)]
    prepare: ImageOptions,
    /// How much colours cover the image where the most speaks for the class, from 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.65, value_parser = opacity)]
    opacity: f32,
    /// Write the map's numbers, one for each place of the last feature map.
    #[arg(long, value_name = "MAP.npy")]
    save: Option<PathBuf>,
    /// Print JSON: class, probability, score, bias, and the map.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    execution: Execution,
}

/// Smaller pictures are enlarged: one of 32 pixels shows nothing.
const LEAST_SIDE: u32 = 320;

#[derive(Serialize)]
struct Explanation {
    class: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    probability: f64,
    /// The mean of the map, plus the bias.
    score: f64,
    bias: f32,
    /// Rows of the map.
    map: Vec<Vec<f32>>,
}

impl Explain {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        for (target, extension) in [(&self.output, "png"), (&self.save, "npy")] {
            target.as_deref().map_or(Ok(()), |path| files::check_extension(path, extension))?;
        }
        let sources = images::sources(std::slice::from_ref(&self.image))?;
        let read = images::files(&sources).chain(self.prepare.label_file()).chain([self.plan.as_path()]);
        files::check_targets(self.output.iter().chain(&self.save), read)?;
        let [source] = sources.as_slice() else {
            return Err(Failure::failed(format!("{} is {} images, expected one", self.image.display(), sources.len())));
        };
        let Loaded { session, .. } = self.execution.load(&self.plan)?;
        let explainer =
            Explainer::new(&session).map_err(|error| Failure::failed(error.to_string()).in_file(&self.plan))?;
        let labels = self.prepare.labels(session.plan())?;
        let (activations, seen) = self.activations(&session, &explainer, source)?;
        let scores = &activations.outputs[explainer.output()..=explainer.output()];
        let probabilities = first_probabilities(scores, labels.as_deref())?;
        let class = match &self.class {
            Some(class) => find(class, labels.as_deref(), explainer.classes())?,
            None => best(&probabilities),
        };
        let map = explainer.map(&activations.features[0], class);
        if let Some(path) = &self.output {
            files::write_bytes(path, &self.paint(&seen, &map)?)?;
            note(format!("wrote {}", path.display()));
        }
        if let Some(path) = &self.save {
            files::write_npy(path, &map.clone().into_dyn())?;
        }
        let explanation = Explanation {
            class,
            label: labels.and_then(|labels| labels.get(class).cloned()),
            probability: probabilities.get(class).copied().unwrap_or(f64::NAN),
            score: map.iter().copied().map(f64::from).sum::<f64>() / map.len() as f64
                + f64::from(explainer.bias(class)),
            bias: explainer.bias(class),
            map: map.outer_iter().map(|row| row.to_vec()).collect(),
        };
        if self.json { json(&explanation) } else { say::data(&explanation.text()) }
    }

    /// What the model computes of the image, and what it saw of it.
    fn activations(
        &self,
        session: &Session,
        explainer: &Explainer,
        source: &Source,
    ) -> Result<(Activations, RgbImage), Failure> {
        let sources = std::slice::from_ref(source);
        let options = StreamOptions { preprocess: self.prepare.preprocess(session.plan()), batch: Some(1) };
        let stream = Stream::new(session, sources, options)?;
        let mut activations = None;
        stream.run(&mut |samples, _| {
            let inputs: Vec<_> = samples.inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
            activations = Some(explainer.run(&inputs)?);
            Ok(())
        })?;
        let activations = activations.ok_or_else(|| none_read(1))?;
        let seen = view(stream.preparer(), source)?;
        Ok((activations, seen))
    }

    fn paint(&self, seen: &RgbImage, map: &Array2<f32>) -> Result<Vec<u8>, Failure> {
        let draw = || {
            let (width, height) = seen.dimensions();
            let times = if width.max(height) < LEAST_SIDE { LEAST_SIDE.div_ceil(width.min(height).max(1)) } else { 1 };
            let times = times.min(LEAST_SIDE);
            let image = picture::scale(seen, [width * times, height * times])?;
            let (height, width) = map.dim();
            let numbers: Vec<f32> = map.iter().copied().collect();
            picture::png(&heat::overlay(&image, &numbers, [height, width], self.opacity))
        };
        draw().map_err(|error| Failure::failed(error.to_string()))
    }
}

impl Explanation {
    fn text(&self) -> String {
        let label = self.label.as_deref().map_or_else(String::new, |label| format!(" {}", printable(label)));
        let numbers = || self.map.iter().flatten().copied();
        let (least, most) = (numbers().fold(f32::INFINITY, f32::min), numbers().fold(f32::NEG_INFINITY, f32::max));
        format!(
            "class {}{label}: {}\nscore {:.4}: the mean of the map ({}×{}, from {least:.4} to {most:.4}) plus the bias {:.4}\n",
            self.class,
            percent(self.probability),
            self.score,
            self.map.len(),
            self.map.first().map_or(0, Vec::len),
            self.bias,
        )
    }
}

fn view(preparer: &Preparer, source: &Source) -> Result<RgbImage, Failure> {
    let image = source.decode().map_err(|error| Failure::failed(error.to_string()))?;
    preparer.view(&image).map_err(|error| Failure::failed(error.to_string()))
}

/// The probabilities of the classes for the first sample. Labels must be as many.
fn first_probabilities(outputs: &[(String, ArrayD<f32>)], labels: Option<&[String]>) -> Result<Vec<f64>, Failure> {
    let scores = Scores::find(outputs, labels)?;
    Ok(scores.rows().next().map(|row| probabilities(&row)).unwrap_or_default())
}

/// The most probable class, of equal ones the first.
fn best(probabilities: &[f64]) -> usize {
    let order = |a: &usize, b: &usize| probabilities[*a].total_cmp(&probabilities[*b]);
    (0..probabilities.len()).rev().max_by(order).unwrap_or(0)
}

/// The class of a number, a name, or a part of one name alone.
fn find(wanted: &str, labels: Option<&[String]>, classes: usize) -> Result<usize, Failure> {
    let last = classes.saturating_sub(1);
    if let Ok(class) = wanted.parse::<usize>() {
        let missing = || Failure::failed(format!("there is no class {class}: they are 0 to {last}"));
        return (class < classes).then_some(class).ok_or_else(missing);
    }
    let Some(labels) = labels else {
        let message = format!("`{wanted}` is no number, and the classes have no names");
        return Err(Failure::failed(message).with_help("name them with --labels, here or at `rnc compile`"));
    };
    let lower = wanted.to_lowercase();
    let matching = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..labels.len().min(classes)).filter(|i| fits(&labels[*i].to_lowercase())).collect()
    };
    let exact = matching(&|label| label == lower);
    let found = if exact.is_empty() { matching(&|label| label.contains(&lower)) } else { exact };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::failed(format!("no class is called `{wanted}`"))
            .with_help(format!("numbers from 0 to {last} do as well"))),
        many => {
            let names: Vec<String> = many.iter().take(8).map(|i| format!("{} ({i})", printable(&labels[*i]))).collect();
            Err(Failure::failed(format!("`{wanted}` is in the names of {} classes: {}", many.len(), names.join(", "))))
        }
    }
}

fn opacity(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|x| (0.0..=1.0).contains(x));
    value.ok_or_else(|| format!("`{text}` is not a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_found_by_number_name_or_a_part_that_is_in_one_alone() {
        let labels = ["cat", "tiger cat", "Golden Retriever"].map(str::to_owned);
        let found = |wanted: &str| find(wanted, Some(&labels), 3).map_err(|error| error.to_string());
        assert_eq!([found("2"), found("CAT"), found("golden"), found("tiger")], [Ok(2), Ok(0), Ok(2), Ok(1)]);
        assert_eq!(found("3").unwrap_err(), "there is no class 3: they are 0 to 2");
        assert_eq!(found("cow").unwrap_err(), "no class is called `cow`");
        assert!(found("e").unwrap_err().contains("in the names of 2 classes: tiger cat (1), Golden Retriever (2)"));
        assert!(find("cat", None, 3).unwrap_err().to_string().contains("have no names"));
    }
}
