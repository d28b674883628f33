//! Batch normalisation.

use rnc_ir::Op;
use rnc_ir::op::BatchNorm;

use super::{Layers, Value, elements};
use crate::error::ZooError;
use crate::moments::Channel;
use crate::random::Random;

/// Batch normalisation's epsilon, `PyTorch`'s default.
const EPSILON: f32 = 1e-5;

impl Layers<'_> {
    /// A batch normalisation whose statistics are near the true ones: the mean within a tenth of a deviation (one sigma),
    /// the variance within 20 %. `gain` is the result's deviation.
    pub(crate) fn batch_norm(&mut self, name: &str, x: &Value, gain: f64) -> Result<Value, ZooError> {
        let mut parameter = |stored: &str, draw: fn(&mut Random, Channel, f64) -> f64| {
            let seeded = |random: &mut Random| x.moments.iter().map(|x| draw(random, x, gain) as f32).collect();
            self.parameter(&format!("{name}.{stored}"), &[x.channels()], seeded)
        };
        let parameters = [
            parameter("weight", |random, _, gain| gain * random.uniform(0.8, 1.2)),
            parameter("bias", |random, _, gain| 0.1 * gain * random.normal()),
            parameter("running_mean", |random, x, _| x.mean + 0.1 * x.variance.sqrt() * random.normal()),
            parameter("running_var", |random, x, _| x.variance * random.uniform(0.8, 1.2)),
        ];
        let [weight, bias, mean, variance] = parameters.each_ref().map(|(_, tensor)| elements(tensor));
        let moments = x.moments.map(|c, x| {
            let scale = f64::from(weight[c]) / (f64::from(variance[c]) + f64::from(EPSILON)).sqrt();
            let mean = scale * (x.mean - f64::from(mean[c])) + f64::from(bias[c]);
            Channel { mean, variance: scale * scale * x.variance }
        });
        let operands: Vec<_> = [x.id].into_iter().chain(parameters.iter().map(|(id, _)| *id)).collect();
        Ok(Value::new(self.node(name, Op::BatchNorm(BatchNorm { epsilon: EPSILON }), &operands)?, moments))
    }
}
