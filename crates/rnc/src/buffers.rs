//! Row-major memory for a plan's tensors, as [`Session::run_into`](crate::Session::run_into) takes it.

use rnc_plan::{Plan, Port};
use rnc_runtime::RunError;

use crate::compare::Random;

/// For each input of a plan `batch` samples of random numbers from -1 to 1, the same for the same seed.
///
/// # Errors
/// If there is no memory for them.
pub fn random_inputs(plan: &Plan, batch: usize, seed: u64) -> Result<Vec<Vec<f32>>, RunError> {
    let mut inputs = plan.inputs.iter().map(|port| zeros(port, batch)).collect::<Result<Vec<_>, _>>()?;
    let mut random = Random::new(seed);
    inputs.iter_mut().flatten().for_each(|x| *x = random.next());
    Ok(inputs)
}

/// Zeros for each output of a plan.
///
/// # Errors
/// If there is no memory for them.
pub fn outputs(plan: &Plan, batch: usize) -> Result<Vec<Vec<f32>>, RunError> {
    plan.outputs.iter().map(|port| zeros(port, batch)).collect()
}

fn zeros(port: &Port, batch: usize) -> Result<Vec<f32>, RunError> {
    let len = port.sample_len().unwrap_or(0).saturating_mul(batch);
    let mut data = Vec::new();
    let reserved = data.try_reserve_exact(len);
    reserved.map_err(|_| RunError::Memory { batch, error: std::io::ErrorKind::OutOfMemory.into() })?;
    data.resize(len, 0.0);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompileOptions, compile_graph};

    #[test]
    fn a_batch_without_memory_is_an_error() {
        let graph = rnc_ir::parse("graph @g(%x: f32[N,4]) -> (%y) { %y = relu(%x) }").unwrap();
        let plan = compile_graph(graph, &CompileOptions::default()).unwrap();
        let inputs = random_inputs(&plan, 3, 7).unwrap();
        assert!(inputs[0].len() == 12 && inputs[0].iter().all(|x| (-1.0..1.0).contains(x)));
        assert_eq!(inputs, random_inputs(&plan, 3, 7).unwrap());
        assert_eq!(outputs(&plan, 3).unwrap(), [[0.0; 12]]);
        assert!(matches!(random_inputs(&plan, usize::MAX, 0), Err(RunError::Memory { .. })));
        assert!(matches!(outputs(&plan, usize::MAX), Err(RunError::Memory { .. })));
    }
}
