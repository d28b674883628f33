//! Single layers: each adds its constants and its node, and says what its result's channels look like.

mod convolution;
mod elementwise;
mod linear;
mod norm;
mod pool;
mod shape;

use rnc_ir::{Graph, NodeId, Op, Tensor, TensorType};

use crate::error::ZooError;
use crate::moments::Moments;
use crate::parameters::Parameters;
use crate::random::Random;

pub(crate) use convolution::Conv;

/// A graph under construction.
pub(crate) struct Layers<'a> {
    graph: Graph,
    parameters: Parameters<'a>,
    /// What stands before the names of modules.
    prefix: &'static str,
}

/// A value of the graph and the moments of its channels.
#[derive(Clone)]
pub(crate) struct Value {
    id: NodeId,
    moments: Moments,
    /// For a `ReLU`'s result, the moments of its operand.
    latent: Option<Moments>,
}

impl Value {
    fn new(id: NodeId, moments: Moments) -> Self {
        Self { id, moments, latent: None }
    }

    /// Number of channels.
    pub(crate) fn channels(&self) -> usize {
        self.moments.channels()
    }
}

impl<'a> Layers<'a> {
    /// An empty graph of this name.
    pub(crate) fn new(name: &str, parameters: Parameters<'a>) -> Self {
        Self { graph: Graph::new(name), parameters, prefix: "" }
    }

    /// What stands before the names of modules from now on.
    pub(crate) fn enter(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    /// Height and width.
    pub(crate) fn pixels(&self, x: &Value) -> [usize; 2] {
        let dims = self.graph.ty(x.id).shape.dims();
        [2, 3].map(|axis| dims.get(axis).and_then(|dim| dim.fixed()).unwrap_or(1))
    }

    /// A graph input: normalised images, NCHW.
    pub(crate) fn images(&mut self, name: &str, ty: TensorType, channels: usize) -> Value {
        Value::new(self.graph.add_input(name, ty), Moments::standard(channels))
    }

    /// Makes a value an output.
    pub(crate) fn output(&mut self, name: &str, value: &Value) {
        self.graph.add_output(name, value.id);
    }

    /// Says that the network is made without this module, which a file of weights may have.
    pub(crate) fn pass_over(&mut self, module: &str) {
        match &mut self.parameters {
            Parameters::Seeded(_) => {}
            Parameters::Loaded(weights) => weights.pass_over(module),
        }
    }

    /// The graph, if the file of weights had what it needs and nothing else.
    pub(crate) fn finish(self) -> Result<Graph, ZooError> {
        match self.parameters {
            Parameters::Seeded(_) => {}
            Parameters::Loaded(weights) => weights.finish(self.graph.name())?,
        }
        Ok(self.graph)
    }

    /// Adds a parameter. `seeded` draws its values where there is no file.
    fn parameter(
        &mut self,
        name: &str,
        dims: &[usize],
        seeded: impl FnOnce(&mut Random) -> Vec<f32>,
    ) -> (NodeId, Tensor) {
        let name = format!("{}{name}", self.prefix);
        let tensor = self.parameters.take(&name, dims, seeded);
        (self.graph.add_constant(&name, tensor.clone()), tensor)
    }

    fn node(&mut self, name: &str, op: Op, operands: &[NodeId]) -> Result<NodeId, ZooError> {
        let name = format!("{}{name}", self.prefix);
        self.graph.add(&name, op, operands).map_err(|source| ZooError::Layer { layer: name.clone(), source })
    }
}

/// The elements of a parameter.
fn elements(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().unwrap_or(&[])
}
