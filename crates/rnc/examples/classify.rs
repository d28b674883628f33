//! Classifies images: a plan, a preprocessing, the best classes.
//!
//! ```sh
//! rnc compile resnet50.onnx -o resnet50.plan --preprocess imagenet --labels imagenet-1k
//! cargo run --release -p rnc --example classify -- resnet50.plan photo.jpg …
//! ```

use std::error::Error;
use std::path::PathBuf;

use ndarray::Array;
use rnc::classes::best;
use rnc::image::{ImageInput, Preparer, Source, preset};
use rnc::{Options, Session};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let plan = arguments.next().ok_or("usage: classify PLAN IMAGE...")?;
    let session = Session::load(&plan, &Options::default())?;
    let plan = session.plan();
    let labels = Some(plan.images.labels.as_slice()).filter(|labels| !labels.is_empty());
    let input = ImageInput::of(&plan.inputs[0].dims).ok_or("the model does not take colour images")?;
    let preprocess = plan.images.preprocess.map_or_else(|| preset::parse("imagenet"), Ok)?;
    let preparer = Preparer::new(preprocess, input);
    for path in arguments {
        let image = Source::File(path.clone()).decode()?;
        let mut sample = vec![0.0; input.len()];
        preparer.prepare(&image, &mut sample)?;
        let sample = Array::from_shape_vec(plan.batch.shape(&plan.inputs[0].dims, 1), sample)?;
        let scores = session.run_one(sample.view())?;
        println!("{}", path.display());
        for guess in best(&scores.iter().copied().collect::<Vec<_>>(), 5, labels) {
            println!("  {:6.2} %  {}", guess.probability * 100.0, guess.label.unwrap_or(guess.class.to_string()));
        }
    }
    Ok(())
}
