//! `--save`: outputs to files.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ndarray::ArrayD;
use ndarray_npy::NpzWriter;
use safetensors::tensor::{Dtype, TensorView};

use super::super::failure::{Failure, Kind};
use super::super::files;

/// Writes outputs to a file whose extension says how.
pub(super) fn outputs(path: &Path, outputs: &[(String, ArrayD<f32>)]) -> Result<(), Failure> {
    match (Form::of(path)?, outputs) {
        (Form::Npz, _) => files::write(path, |file| {
            let mut npz = NpzWriter::new(BufWriter::new(file));
            for (name, array) in outputs {
                npz.add_array(name.as_str(), array).map_err(io::Error::other)?;
            }
            npz.finish().map_err(io::Error::other)?.flush()
        }),
        (Form::Npy, [(_, array)]) => files::write_npy(path, array),
        (Form::Npy, _) => {
            let names = outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!(
                "{}: a .npy file holds one array, and the model has {}: {names}",
                path.display(),
                outputs.len()
            );
            Err(Failure::new(Kind::Usage, message).with_help("save to a .npz or .safetensors file"))
        }
        (Form::Safetensors, _) => safetensors(path, outputs),
    }
}

/// Whether outputs can be saved under a name.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    Form::of(path).map(|_| ())
}

/// How arrays are written.
enum Form {
    Npy,
    Npz,
    Safetensors,
}

impl Form {
    fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match extension.as_str() {
            "npy" => Ok(Self::Npy),
            "npz" => Ok(Self::Npz),
            "safetensors" => Ok(Self::Safetensors),
            _ => {
                Err(Failure::new(Kind::Usage, format!("{}: the name does not say how to save outputs", path.display()))
                    .with_help("name it .npz, .npy or .safetensors"))
            }
        }
    }
}

fn safetensors(path: &Path, outputs: &[(String, ArrayD<f32>)]) -> Result<(), Failure> {
    let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = outputs
        .iter()
        .map(|(name, array)| {
            (name.as_str(), array.shape().to_vec(), array.iter().flat_map(|x| x.to_le_bytes()).collect())
        })
        .collect();
    let broken = |error: safetensors::SafeTensorError| Failure::file("write", path, error);
    let mut views = BTreeMap::new();
    for (name, shape, data) in &bytes {
        views.insert(*name, TensorView::new(Dtype::F32, shape.clone(), data).map_err(broken)?);
    }
    files::write_bytes(path, &safetensors::serialize(views, None).map_err(broken)?)
}
