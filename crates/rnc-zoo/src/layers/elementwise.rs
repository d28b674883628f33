//! Activations, sums and products.

use rnc_ir::Op;
use rnc_ir::op::{Binary, Unary};

use super::{Layers, Value};
use crate::error::ZooError;

impl Layers<'_> {
    /// `max(x, 0)`.
    pub(crate) fn relu(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        let id = self.node(name, Op::Unary(Unary::Relu), &[x.id])?;
        Ok(Value { id, moments: x.moments.rectified(), latent: Some(x.moments.clone()) })
    }

    /// Gates from 0 to 1 out of values around 0. Only [`Layers::gated`] takes them, and it does not ask for their moments.
    pub(crate) fn sigmoid(&mut self, name: &str, x: &Value) -> Result<Value, ZooError> {
        Ok(Value::new(self.node(name, Op::Unary(Unary::Sigmoid), &[x.id])?, x.moments.clone()))
    }

    /// The product of a value and the gates of its channels, which are a half on average.
    pub(crate) fn gated(&mut self, name: &str, x: &Value, gates: &Value) -> Result<Value, ZooError> {
        Ok(Value::new(self.node(name, Op::Binary(Binary::Mul), &[x.id, gates.id])?, x.moments.scaled(0.5)))
    }

    /// The sum of a residual branch and its shortcut.
    ///
    /// Where the shortcut is a `ReLU`'s result, a `ReLU` follows, and the operand of the first one counts: max(max(a, 0) + b, 0) is
    /// spread much like max(a + b, 0), while the moments of max(a, 0) taken as a normal value's would lose a part of the variance
    /// at every block.
    pub(crate) fn residual_add(&mut self, name: &str, branch: &Value, shortcut: &Value) -> Result<Value, ZooError> {
        let id = self.node(name, Op::Binary(Binary::Add), &[branch.id, shortcut.id])?;
        Ok(Value::new(id, branch.moments.added(shortcut.latent.as_ref().unwrap_or(&shortcut.moments))))
    }
}
