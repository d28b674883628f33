//! Classifiers of pooled features.

use rnc_ir::op::{Activation, Gemm};
use rnc_ir::{NodeId, Op};

use super::{Conv, Layers, Value, elements};
use crate::error::ZooError;
use crate::moments::Moments;

/// Deviation of the logits per deviation of the pooled features.
const CLASSIFIER_GAIN: f64 = 10.0;

impl Layers<'_> {
    /// A fully connected layer of `[N,C]`.
    pub(crate) fn classifier(&mut self, name: &str, x: &Value, classes: usize) -> Result<Value, ZooError> {
        let ([weight, bias], moments) = self.classifier_parameters(name, x, &[classes, x.channels()]);
        let gemm =
            Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true, bias: true, activation: Activation::None };
        Ok(Value::new(self.node(name, Op::Gemm(gemm), &[x.id, weight, bias])?, moments))
    }

    /// The same of `[N,C,1,1]` as a 1×1 convolution.
    pub(crate) fn pointwise_classifier(&mut self, name: &str, x: &Value, classes: usize) -> Result<Value, ZooError> {
        let ([weight, bias], moments) = self.classifier_parameters(name, x, &[classes, x.channels(), 1, 1]);
        let conv = Conv { bias: true, ..Conv::new(classes, 1) };
        Ok(Value::new(self.node(name, conv.op(), &[x.id, weight, bias])?, moments))
    }

    /// Weight and bias. The seeded bias takes away what the features' means contribute, so that the logits say something about
    /// the image; the weights are large, because pooling has averaged most of the variance away.
    fn classifier_parameters(&mut self, name: &str, x: &Value, dims: &[usize]) -> ([NodeId; 2], Moments) {
        let (classes, features) = (dims[0], x.channels());
        let deviation = CLASSIFIER_GAIN / (features as f64).sqrt();
        let (weight, tensor) =
            self.parameter(&format!("{name}.weight"), dims, |random| random.filters(classes, features, deviation));
        let moments = x.moments.convolved(elements(&tensor), classes, 1);
        let (bias, _) = self.parameter(&format!("{name}.bias"), &[classes], |random| {
            moments.iter().map(|logit| (0.1 * random.normal() - logit.mean) as f32).collect()
        });
        ([weight, bias], moments)
    }
}
