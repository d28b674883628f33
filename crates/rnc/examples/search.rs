//! Finds the images of a folder that are most like one: a classifier without its last layer makes a vector of each image, and alike images have vectors of
//! about the same direction.
//!
//! ```sh
//! cargo run --release -p rnc --example search -- resnet50.onnx photos/ photo.jpg
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2};
use rnc::image::{Batch, ImageInput, Preparer, Source, Workers, load, preset};
use rnc::{CompileOptions, Options, Outputs, Session};

/// Images in one run.
const BATCH: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [model, folder, query] = arguments.as_slice() else {
        return Err("usage: search MODEL.onnx FOLDER IMAGE".into());
    };
    let plan = rnc::compile_file(model, &CompileOptions::default().outputs(Outputs::Features))?;
    let session = Session::new(plan, &Options::default())?;
    let mut files = vec![query.clone()];
    files.extend(images(folder)?);
    let vectors = embed(&session, &files)?;
    let query: Array1<f32> = vectors.row(0).to_owned();
    let mut likeness: Vec<(f32, &PathBuf)> =
        vectors.outer_iter().map(|vector| vector.dot(&query)).zip(&files).skip(1).collect();
    likeness.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (cosine, file) in likeness.iter().take(10) {
        println!("{cosine:.4}  {}", file.display());
    }
    Ok(())
}

/// Files that are images, in a folder.
fn images(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| ["jpg", "jpeg", "png", "webp", "bmp"].iter().any(|known| extension == *known))
    });
    files.sort();
    Ok(files)
}

/// A row of length 1 for each file.
fn embed(session: &Session, files: &[PathBuf]) -> Result<Array2<f32>, Box<dyn Error>> {
    let plan = session.plan();
    let port = &plan.inputs[0];
    let input = ImageInput::of(&port.dims).ok_or("the model does not take colour images")?;
    let preparer = Preparer::new(preset::parse("imagenet")?, input);
    let sources: Vec<Source> = files.iter().cloned().map(Source::File).collect();
    let features = plan.outputs[0].dims.iter().product();
    let mut vectors = Vec::new();
    // Two threads decode a batch before it runs.
    load(&sources, &preparer, (BATCH, Workers::Between(2)), &mut |batch: Batch| -> Result<(), Box<dyn Error>> {
        if let Some(error) = batch.errors.into_iter().flatten().next() {
            return Err(error.into());
        }
        let samples = batch.samples.len() / input.len();
        let images = ndarray::ArrayView::from_shape(plan.batch.shape(&port.dims, samples), &batch.samples)?;
        vectors.extend(session.run_one(images)?);
        Ok(())
    })?;
    let mut vectors = Array2::from_shape_vec((files.len(), features), vectors)?;
    for mut vector in vectors.outer_iter_mut() {
        let length = vector.dot(&vector).sqrt();
        vector /= length.max(f32::MIN_POSITIVE);
    }
    Ok(vectors)
}
