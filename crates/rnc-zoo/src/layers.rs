//! Single layers: each adds its constants and its node, and says what its result's channels look like.

use rnc_ir::op::{Activation, BatchNorm, Binary, Conv2d, Gemm, Pool, Reshape, Unary, Window};
use rnc_ir::{Graph, NodeId, Op, Shape, Tensor, TensorType};

use crate::error::ZooError;
use crate::moments::{Channel, Moments};
use crate::random::Random;

/// Batch normalisation's epsilon, `PyTorch`'s default.
const EPSILON: f32 = 1e-5;

/// A graph under construction.
pub(crate) struct Layers {
    graph: Graph,
    seed: u64,
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

/// Size of a convolution; its padding keeps the size at stride 1.
#[derive(Clone, Copy)]
pub(crate) struct Conv {
    /// Channels of the result.
    pub out: usize,
    /// Kernel height and width, odd.
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Groups.
    pub groups: usize,
}

impl Layers {
    /// An empty graph of this name.
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self { graph: Graph::new(name), seed }
    }

    /// A graph input: normalised images, NCHW.
    pub(crate) fn images(&mut self, name: &str, ty: TensorType, channels: usize) -> Value {
        Value::new(self.graph.add_input(name, ty), Moments::standard(channels))
    }

    /// A convolution without bias. He-normal weights by fan-out, as torchvision's (He et al., 2015), each filter with mean zero.
    pub(crate) fn conv(&mut self, name: &str, x: &Value, conv: Conv) -> Result<Value, ZooError> {
        let Conv { out, kernel, stride, groups } = conv;
        let dims = [out, x.channels() / groups, kernel, kernel];
        let deviation = (2.0 / (out * kernel * kernel) as f64).sqrt();
        let parameter = format!("{name}.weight");
        let weights = Random::of(self.seed, &parameter).filters(out, dims[1..].iter().product(), deviation);
        let moments = x.moments.convolved(&weights, out, groups);
        let weights = self.graph.add_constant(&parameter, Tensor::f32(dims, weights));
        let window = Window::new([kernel, kernel]).stride(stride).pad(kernel / 2);
        let op = Op::Conv2d(Conv2d { window, groups, bias: false, residual: false, activation: Activation::None });
        Ok(Value::new(self.node(name, op, &[x.id, weights])?, moments))
    }

    /// A batch normalisation whose statistics are near the true ones: the mean within a tenth of a deviation (one sigma),
    /// the variance within 20 %. `gain` is the result's deviation.
    pub(crate) fn batch_norm(&mut self, name: &str, x: &Value, gain: f64) -> Result<Value, ZooError> {
        let stream = |parameter: &str| Random::of(self.seed, &format!("{name}.{parameter}"));
        let channels = x.channels();
        let mut random = stream("weight");
        let weight: Vec<f32> = (0..channels).map(|_| (gain * random.uniform(0.8, 1.2)) as f32).collect();
        let mut random = stream("bias");
        let bias: Vec<f32> = (0..channels).map(|_| (0.1 * gain * random.normal()) as f32).collect();
        let mut random = stream("running_mean");
        let near = |x: Channel| (x.mean + 0.1 * x.variance.sqrt() * random.normal()) as f32;
        let mean: Vec<f32> = x.moments.iter().map(near).collect();
        let mut random = stream("running_var");
        let near = |x: Channel| (x.variance * random.uniform(0.8, 1.2)) as f32;
        let variance: Vec<f32> = x.moments.iter().map(near).collect();

        let moments = x.moments.map(|c, x| {
            let scale = f64::from(weight[c]) / (f64::from(variance[c]) + f64::from(EPSILON)).sqrt();
            let mean = scale * (x.mean - f64::from(mean[c])) + f64::from(bias[c]);
            Channel { mean, variance: scale * scale * x.variance }
        });
        let parameters = [("weight", weight), ("bias", bias), ("running_mean", mean), ("running_var", variance)];
        let mut operands = vec![x.id];
        for (parameter, values) in parameters {
            operands.push(self.graph.add_constant(&format!("{name}.{parameter}"), Tensor::f32([channels], values)));
        }
        Ok(Value::new(self.node(name, Op::BatchNorm(BatchNorm { epsilon: EPSILON }), &operands)?, moments))
    }

    /// `max(x, 0)`.
    pub(crate) fn relu(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        let id = self.node(name, Op::Unary(Unary::Relu), &[x.id])?;
        Ok(Value { id, moments: x.moments.rectified(), latent: Some(x.moments.clone()) })
    }

    /// The sum of a residual branch and its shortcut, which a `ReLU` follows.
    ///
    /// Where the shortcut is a `ReLU`'s result, that `ReLU`'s operand counts: max(max(a, 0) + b, 0) is spread much like
    /// max(a + b, 0), while the moments of max(a, 0) taken as a normal value's would lose a part of the variance at every block.
    pub(crate) fn residual_add(&mut self, name: &str, branch: &Value, shortcut: &Value) -> Result<Value, ZooError> {
        let id = self.node(name, Op::Binary(Binary::Add), &[branch.id, shortcut.id])?;
        Ok(Value::new(id, branch.moments.added(shortcut.latent.as_ref().unwrap_or(&shortcut.moments))))
    }

    /// The stem's 3×3 maximum with stride 2 and padding 1.
    pub(crate) fn max_pool(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        let op = Op::MaxPool(Pool { window: Window::new([3, 3]).stride(2).pad(1), ceil_mode: false });
        Ok(Value::new(self.node(name, op, &[x.id])?, x.moments.max_pooled()))
    }

    /// The mean over height and width. The moments stay those of single positions.
    pub(crate) fn global_average_pool(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        Ok(Value::new(self.node(name, Op::GlobalAveragePool, &[x.id])?, x.moments.clone()))
    }

    /// `[N,C,1,1]` as `[N,C]`.
    pub(crate) fn flatten(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        let shape = Shape::new(self.graph.ty(x.id).shape.dims().iter().take(2).copied());
        Ok(Value::new(self.node(name, Op::Reshape(Reshape { shape }), &[x.id])?, x.moments.clone()))
    }

    /// A fully connected layer of pooled features. Its bias takes away what the features' means contribute, so that the
    /// logits say something about the image; its weights are large, because pooling has averaged most of the variance away.
    pub(crate) fn classifier(&mut self, name: &str, x: &Value, classes: usize) -> Result<Value, ZooError> {
        let (features, parameters) = (x.channels(), [format!("{name}.weight"), format!("{name}.bias")]);
        let deviation = CLASSIFIER_GAIN / (features as f64).sqrt();
        let weights = Random::of(self.seed, &parameters[0]).filters(classes, features, deviation);
        let moments = x.moments.convolved(&weights, classes, 1);
        let mut random = Random::of(self.seed, &parameters[1]);
        let bias: Vec<f32> = moments.iter().map(|logit| (0.1 * random.normal() - logit.mean) as f32).collect();
        let weights = self.graph.add_constant(&parameters[0], Tensor::f32([classes, features], weights));
        let bias = self.graph.add_constant(&parameters[1], Tensor::f32([classes], bias));
        let gemm =
            Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true, bias: true, activation: Activation::None };
        Ok(Value::new(self.node(name, Op::Gemm(gemm), &[x.id, weights, bias])?, moments))
    }

    /// The graph with this one output.
    pub(crate) fn finish(mut self, output: &str, value: &Value) -> Graph {
        self.graph.add_output(output, value.id);
        self.graph
    }

    fn node(&mut self, name: &str, op: Op, operands: &[NodeId]) -> Result<NodeId, ZooError> {
        self.graph.add(name, op, operands).map_err(|source| ZooError::Layer { layer: name.to_owned(), source })
    }
}

/// Deviation of the logits per deviation of the pooled features.
const CLASSIFIER_GAIN: f64 = 10.0;
