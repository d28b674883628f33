//! Writes every model that rnc takes of those that differ in one field from a small one, with inputs and rnc's outputs, for `tests/ort/fields.py`:
//!
//!     cargo run --release -p rnc-tests --example changed_models -- FOLDER

use std::error::Error;
use std::fs::File;
use std::path::PathBuf;

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::NpzWriter;
use rnc::{CompileOptions, Options, Session};
use rnc_ir::Graph;
use rnc_onnx::ImportOptions;
use rnc_tests::fuzz::{is_small, small_model, with_one_field_changed};

const BATCH: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give a folder to write to")?);
    std::fs::create_dir_all(&folder)?;
    let mut taken = 0;
    for (number, model) in with_one_field_changed(&small_model()).enumerate() {
        let Some(graph) = rnc_onnx::import_bytes(&model, None, &ImportOptions::default()).ok().filter(is_small) else {
            continue;
        };
        let inputs = inputs(&graph);
        let Ok(plan) = rnc::compile_graph(graph, &CompileOptions::default()) else { continue };
        let views: Vec<_> = inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
        let outputs = Session::new(plan, &Options::default())?.run(&views)?;
        let path = |ending: &str| folder.join(format!("{number:04}{ending}"));
        std::fs::write(path(".onnx"), model)?;
        write(path(".in.npz"), &inputs)?;
        write(path(".out.npz"), &outputs)?;
        taken += 1;
    }
    println!("{taken} models in {}", folder.display());
    Ok(())
}

fn inputs(graph: &Graph) -> Vec<(String, ArrayD<f32>)> {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut array = |id| {
        let dims: Vec<usize> = graph.ty(id).shape.dims().iter().map(|dim| dim.fixed().unwrap_or(BATCH)).collect();
        ArrayD::from_shape_simple_fn(IxDyn(&dims), || rng.f32() * 2.0 - 1.0)
    };
    graph.inputs().iter().map(|id| (graph.node(*id).name().to_owned(), array(*id))).collect()
}

fn write(path: PathBuf, arrays: &[(String, ArrayD<f32>)]) -> Result<(), Box<dyn Error>> {
    let mut file = NpzWriter::new(File::create(path)?);
    for (name, array) in arrays {
        file.add_array(name, array)?;
    }
    file.finish()?;
    Ok(())
}
