//! Other shapes of the same elements, parts of them, and zeros around them.

use rnc_ir::op::{Axis, Pad, Reshape, Slice};
use rnc_ir::resize::{Coordinates, Interpolation, Resize};
use rnc_ir::{Dim, Op, Shape};

use super::{Layers, Value};
use crate::error::ZooError;
use crate::moments::Moments;

impl Layers<'_> {
    /// `[N,C,1,1]` as `[N,C]`.
    pub(crate) fn flatten(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        let shape = Shape::new(self.graph.ty(x.id).shape.dims().iter().take(2).copied());
        Ok(Value::new(self.node(name, Op::Reshape(Reshape { shape }), &[x.id])?, x.moments.clone()))
    }

    /// Every `stride`th row and column, from the first on.
    pub(crate) fn subsample(&mut self, name: &str, x: &Value, stride: usize) -> Result<Value, ZooError> {
        let axes = self.graph.ty(x.id).shape.dims().iter().enumerate();
        let sizes = axes.map(|(axis, dim)| if axis < 2 { None } else { dim.fixed().map(|n| n.div_ceil(stride)) });
        let (sizes, step) = (sizes.collect(), stride as isize);
        let op = Op::Slice(Slice { starts: vec![0; 4], sizes, steps: vec![1, 1, step, step] });
        Ok(Value { id: self.node(name, op, &[x.id])?, ..x.clone() })
    }

    /// With channels of zeros before and behind, `out` in all; half of them stand before, as in the CIFAR networks that are in use.
    pub(crate) fn pad_channels(&mut self, name: &str, x: &Value, out: usize) -> Result<Value, ZooError> {
        let more = out.saturating_sub(x.channels());
        let [begin, end] = [more / 2, more - more / 2];
        let op = Op::Pad(Pad { begin: vec![0, begin, 0, 0], end: vec![0, end, 0, 0], value: 0.0 });
        Ok(Value {
            id: self.node(name, op, &[x.id])?,
            moments: x.moments.padded(begin, end),
            latent: x.latent.as_ref().map(|moments| moments.padded(begin, end)),
        })
    }

    /// Values of the same size as one, with the channels of all.
    pub(crate) fn concat(&mut self, name: &str, values: &[Value]) -> Result<Value, ZooError> {
        let ids: Vec<_> = values.iter().map(|value| value.id).collect();
        let moments = Moments::joined(values.iter().map(|value| &value.moments));
        Ok(Value::new(self.node(name, Op::Concat(Axis { axis: 1 }), &ids)?, moments))
    }

    /// Images of another `[height, width]`.
    pub(crate) fn resized(
        &mut self,
        name: &str,
        x: &Value,
        size: [usize; 2],
        (interpolation, coordinates): (Interpolation, Coordinates),
    ) -> Result<Value, ZooError> {
        let from = self.graph.ty(x.id).shape.dims().to_vec();
        let to = from.iter().take(2).copied().chain(size.map(Dim::Fixed));
        let shape = Shape::new(to);
        let scale = |(from, to): (&Dim, &Dim)| match (from.fixed(), to.fixed()) {
            (Some(from), Some(to)) => (to as f64 / from as f64) as f32,
            _ => 1.0,
        };
        let scales = from.iter().zip(shape.dims()).map(scale).collect();
        let op = Resize { shape, scales, interpolation, coordinates, antialias: false, exclude_outside: false };
        Ok(Value::new(self.node(name, Op::Resize(op), &[x.id])?, x.moments.clone()))
    }

    /// The first dimension.
    pub(super) fn batch(&self, x: &Value) -> Dim {
        self.graph.ty(x.id).shape.dims().first().copied().unwrap_or(Dim::Batch)
    }
}
