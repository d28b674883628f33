//! Maxima and means over positions.

use rnc_ir::Op;
use rnc_ir::op::{AveragePool, Pool, Reduce, ReduceKind, Window};

use super::{Layers, Value};
use crate::error::ZooError;
use crate::moments::Channel;

/// How much of a channel's variance over positions and images is left in its means over positions: less than in the first
/// stages of a network and more than in the last one, where there are some 49 positions.
const VARIANCE_OF_MEANS: f64 = 1.0 / 16.0;

impl Layers<'_> {
    /// A 3×3 maximum with padding 1.
    pub(crate) fn max_pool(&mut self, name: &str, x: &Value, stride: usize) -> Result<Value, ZooError> {
        let op = Op::MaxPool(Pool { window: Window::new([3, 3]).stride(stride).pad(1), ceil_mode: false });
        Ok(Value::new(self.node(name, op, &[x.id])?, x.moments.max_pooled()))
    }

    /// The mean over squares of `size`, smaller ones where the image ends.
    pub(crate) fn average_pool(&mut self, name: &str, x: &Value, size: usize) -> Result<Value, ZooError> {
        let pool = Pool { window: Window::new([size; 2]).stride(size), ceil_mode: true };
        let op = Op::AveragePool(AveragePool { pool, count_include_pad: false });
        Ok(Value::new(self.node(name, op, &[x.id])?, x.moments.averaged(1.0 / (size * size) as f64)))
    }

    /// The mean over height and width, before a classifier. The moments stay those of single positions.
    pub(crate) fn global_average_pool(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        Ok(Value::new(self.node(name, Op::GlobalAveragePool, &[x.id])?, x.moments.clone()))
    }

    /// The mean over height and width as `x.mean((2, 3), keepdim=True)`, which exports as a reduction: `[N,C,1,1]`.
    pub(crate) fn mean(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        let op = Op::Reduce(Reduce { kind: ReduceKind::Mean, axes: vec![2, 3], keep_dims: true });
        let moments = x.moments.map(|_, x| Channel { variance: VARIANCE_OF_MEANS * x.variance, ..x });
        Ok(Value::new(self.node(name, op, &[x.id])?, moments))
    }
}
