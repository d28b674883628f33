//! What a run is given and gives: whether tensors fit a plan's ports.

use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};
use rnc_plan::{Batch, Plan, Port};

use crate::error::RunError;

/// Named tensors for a model's inputs, in any order.
pub type InputViews<'a> = [(&'a str, ArrayViewD<'a, f32>)];

/// A model's outputs with their names, in the model's order.
pub type OutputArrays = Vec<(String, ArrayD<f32>)>;

/// One row-major array for each input of a plan, in its order, all of the same batch.
pub(crate) struct Given<'a> {
    pub(crate) arrays: Vec<CowArray<'a, f32, IxDyn>>,
    pub(crate) batch: usize,
}

impl<'a> Given<'a> {
    /// Finds the plan's inputs among those given.
    ///
    /// # Errors
    /// If an input is missing, unknown, given twice, or of the wrong shape.
    pub(crate) fn new(plan: &Plan, inputs: &'a InputViews<'_>) -> Result<Self, RunError> {
        for (name, _) in inputs {
            if !plan.inputs.iter().any(|port| port.name == *name) {
                let expected = plan.inputs.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(RunError::UnknownInput { found: (*name).to_owned(), expected });
            }
        }
        let mut batch = None;
        let arrays = plan.inputs.iter().map(|port| array(port, plan.batch, inputs, &mut batch));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let batch = batch.or(plan.batch.fixed()).unwrap_or(1);
        check_batch(plan, batch)?;
        Ok(Self { arrays, batch })
    }

    /// The same with copies of what is borrowed.
    pub(crate) fn into_owned(self) -> Given<'static> {
        let arrays = self.arrays.into_iter().map(|array| CowArray::from(array.into_owned()));
        Given { arrays: arrays.collect(), batch: self.batch }
    }
}

/// An array for each output.
///
/// # Errors
/// If there is no memory.
pub(crate) fn outputs(plan: &Plan, batch: usize) -> Result<Vec<ArrayD<f32>>, RunError> {
    plan.outputs.iter().map(|port| zeros(port, plan.batch, batch)).collect()
}

/// An array for an output, unless there is no memory for it.
fn zeros(port: &Port, plan_batch: Batch, batch: usize) -> Result<ArrayD<f32>, RunError> {
    let memory = || RunError::Memory { batch, error: std::io::ErrorKind::OutOfMemory.into() };
    let len = port.sample_len().and_then(|len| len.checked_mul(batch)).ok_or_else(memory)?;
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| memory())?;
    data.resize(len, 0.0);
    ArrayD::from_shape_vec(plan_batch.shape(&port.dims, batch), data).map_err(|_| memory())
}

/// The one array given for a port, row-major, if its shape fits.
fn array<'a>(
    port: &Port,
    plan_batch: Batch,
    inputs: &'a InputViews<'_>,
    batch: &mut Option<usize>,
) -> Result<CowArray<'a, f32, IxDyn>, RunError> {
    let mut given = inputs.iter().filter(|(name, _)| *name == port.name).map(|(_, array)| array);
    let (Some(array), None) = (given.next(), given.next()) else {
        let found = inputs.iter().filter(|(name, _)| *name == port.name).count();
        return Err(RunError::InputCount { name: port.name.clone(), found });
    };
    let wrong = || {
        let leading = match plan_batch {
            Batch::Symbolic => Some("N".to_owned()),
            Batch::Fixed(n) => Some(n.to_string()),
            Batch::Single => None,
        };
        let dims = leading.into_iter().chain(port.dims.iter().map(ToString::to_string));
        let expected = dims.collect::<Vec<_>>().join(", ");
        RunError::Shape { name: port.name.clone(), expected, found: array.shape().to_vec() }
    };
    let samples = match (plan_batch, array.shape()) {
        (Batch::Symbolic, [samples, ..]) if *samples > 0 => *samples,
        (Batch::Fixed(n), _) => n,
        (Batch::Single, _) => 1,
        (Batch::Symbolic, _) => return Err(wrong()),
    };
    if array.shape() != plan_batch.shape(&port.dims, samples) {
        return Err(wrong());
    }
    let expected = *batch.get_or_insert(samples);
    if expected != samples {
        return Err(RunError::Batch { name: port.name.clone(), expected, found: samples });
    }
    Ok(array.as_standard_layout())
}

pub(crate) fn check_batch(plan: &Plan, batch: usize) -> Result<(), RunError> {
    let port = || plan.inputs.first().map_or_else(String::new, |port| port.name.clone());
    match plan.batch {
        Batch::Symbolic if batch == 0 => Err(RunError::Batch { name: port(), expected: 1, found: 0 }),
        Batch::Symbolic => Ok(()),
        Batch::Fixed(_) | Batch::Single => match plan.batch.fixed().filter(|expected| *expected != batch) {
            Some(expected) => Err(RunError::Batch { name: port(), expected, found: batch }),
            None => Ok(()),
        },
    }
}

pub(crate) fn check_lengths(
    what: &'static str,
    ports: &[Port],
    batch: usize,
    lengths: impl ExactSizeIterator<Item = usize>,
) -> Result<(), RunError> {
    if ports.len() != lengths.len() {
        return Err(RunError::Count { what, expected: ports.len(), found: lengths.len() });
    }
    for (port, found) in ports.iter().zip(lengths) {
        let expected = port.sample_len().and_then(|len| len.checked_mul(batch)).unwrap_or(usize::MAX);
        if found != expected {
            return Err(RunError::Length { name: port.name.clone(), expected, found });
        }
    }
    Ok(())
}
