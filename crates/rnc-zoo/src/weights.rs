//! Weights from a safetensors file, by the names of torchvision's and timm's state dicts.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{WeightProblem, ZooError};

/// What `PyTorch` keeps of a batch normalisation's training: of no use at inference.
const TRAINING_STATE: &str = ".num_batches_tracked";

/// The tensors of a file that no parameter has taken yet, and what was wrong with those that one wanted.
pub(crate) struct Weights<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
    problems: Vec<WeightProblem>,
}

impl<'a> Weights<'a> {
    /// The tensors of a file.
    pub(crate) fn read(file: &'a [u8]) -> Result<Self, ZooError> {
        let tensors = SafeTensors::deserialize(file)?.tensors().into_iter();
        Ok(Self {
            tensors: tensors.filter(|(name, _)| !name.ends_with(TRAINING_STATE)).collect(),
            problems: Vec::new(),
        })
    }

    /// The values of a parameter; zeros, and a problem, if the file does not have it in this shape.
    pub(crate) fn take(&mut self, name: &str, dims: &[usize]) -> Vec<f32> {
        let (name, expected) = (name.to_owned(), dims.to_vec());
        match self.tensors.remove(&name) {
            Some(view) if view.dtype() == Dtype::F32 && view.shape() == dims => {
                return view.data().chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect();
            }
            Some(view) => {
                let (dtype, found) = (view.dtype(), view.shape().to_vec());
                self.problems.push(WeightProblem::Type { name, dtype, found, expected });
            }
            None => self.problems.push(WeightProblem::Missing { name, expected }),
        }
        vec![0.0; dims.iter().product()]
    }

    /// Passes over the tensors of a module that the model was made without.
    pub(crate) fn pass_over(&mut self, module: &str) {
        self.tensors.retain(|name, _| name.strip_prefix(module).is_none_or(|rest| !rest.starts_with('.')));
    }

    /// Whether every parameter had its tensor, and every tensor its parameter.
    pub(crate) fn finish(self, model: &str) -> Result<(), ZooError> {
        let mut problems = self.problems;
        let rest = self.tensors.into_iter();
        problems.extend(rest.map(|(name, view)| WeightProblem::Superfluous { name, found: view.shape().to_vec() }));
        if problems.is_empty() { Ok(()) } else { Err(ZooError::Weights { model: model.to_owned(), problems }) }
    }
}
