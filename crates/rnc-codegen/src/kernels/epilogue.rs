//! The end of a result that a transform computes: residual, activation, store.

use rnc_plan::kernel::Activation;

use crate::emitter::{Address, Emitter, Pointer, V};

/// What is done to a result before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Epilogue {
    /// Whether the residual is added.
    pub(super) residual: bool,
    /// Applied last.
    pub(super) activation: Activation,
}

/// Registers of the activation's bounds; transforms leave them alone.
const LOW: V = V(12);
const HIGH: V = V(13);

impl Epilogue {
    /// Loads the activation's bounds.
    pub(super) fn prepare(self, emitter: &mut dyn Emitter) {
        match self.activation {
            Activation::None => {}
            Activation::Relu => emitter.splat(LOW, 0.0),
            Activation::Clip { min, max } => {
                emitter.splat(LOW, min.get());
                emitter.splat(HIGH, max.get());
            }
        }
    }

    /// Finishes a result, and stores it so many bytes from Out; the residual is as far from Residual.
    pub(super) fn store(self, emitter: &mut dyn Emitter, offset: i32, value: V) {
        if self.residual {
            emitter.add(value, Address::new(Pointer::Residual, offset));
        }
        match self.activation {
            Activation::None => {}
            Activation::Relu => emitter.at_least(value, LOW),
            Activation::Clip { .. } => {
                emitter.at_least(value, LOW);
                emitter.at_most(value, HIGH);
            }
        }
        emitter.store(Address::new(Pointer::Out, offset), value);
    }
}
