//! What each operand of a kernel is touched in: recomputed from the specification alone, with every size checked.
//!
//! This is half of the proof that a plan is safe to run (the other half is [`crate::verify`](crate::verify()), which holds
//! footprints against buffers). Generated code may rely on every property that is checked here, and must touch no element outside.

mod contract;
mod movement;
mod program;
mod window;

#[cfg(test)]
mod brute;

use crate::kernel::{BLOCK, Gemm, KernelSpec, Softmax, blocks};
use crate::limits::{MAX_ELEMENTS, MAX_EXTENT};

/// Whether an operand is read or written. No operand is both: a step that works in place names its buffer twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Only read.
    Read,
    /// Only written.
    Write,
}

/// Where a kernel touches an operand: elements `i * sample_stride .. i * sample_stride + elements_per_sample` for sample `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Footprint {
    /// The operand's part in the kernel, for messages.
    pub role: &'static str,
    /// Read or written.
    pub direction: Direction,
    /// Whether all samples use the same elements; they come from a constant then, and `sample_stride` is 0.
    pub shared: bool,
    /// Upper bound of the elements touched, counted from the sample's first one. Includes all 16 lanes of the last channel block.
    pub elements_per_sample: usize,
    /// Elements from one sample to the next, at least `elements_per_sample` unless `shared`.
    pub sample_stride: usize,
    /// Whether the operand may be the very buffer of the result: each of its elements is read before the same element is written.
    pub in_place: bool,
}

impl Footprint {
    const fn dense(role: &'static str, direction: Direction, len: usize) -> Self {
        Self { role, direction, shared: false, elements_per_sample: len, sample_stride: len, in_place: false }
    }

    const fn result(len: usize) -> Self {
        Self::dense("result", Direction::Write, len)
    }

    const fn read(role: &'static str, len: usize) -> Self {
        Self::dense(role, Direction::Read, len)
    }

    const fn shared(role: &'static str, len: usize) -> Self {
        Self {
            role,
            direction: Direction::Read,
            shared: true,
            elements_per_sample: len,
            sample_stride: 0,
            in_place: false,
        }
    }

    const fn or_in_place(self) -> Self {
        Self { in_place: true, ..self }
    }
}

/// Why a kernel specification is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A size that must be at least 1 is 0.
    #[error("{what} is 0, expected at least 1")]
    Zero {
        /// The size.
        what: &'static str,
    },
    /// A tap reads an element that the source does not have.
    #[error("element {row} is made of element {found} of an axis of {len}")]
    TapOutside {
        /// Index along the result's axis.
        row: usize,
        /// Index along the source's axis.
        found: usize,
        /// Elements of the source's axis.
        len: usize,
    },
    /// An operand of a contraction has strides for another number of dimensions than the result has.
    #[error("operand {operand} has {found} strides, the result has {expected} dimensions")]
    Strides {
        /// "a" or "b".
        operand: &'static str,
        /// Its strides.
        found: usize,
        /// The result's dimensions.
        expected: usize,
    },
    /// A size, or a product of sizes, is above its limit.
    #[error("{what} is {found}, the limit is {limit}")]
    TooLarge {
        /// The size.
        what: &'static str,
        /// What it is; `u128::MAX` stands for anything larger too.
        found: u128,
        /// The limit, from [`crate::limits`].
        limit: usize,
    },
    /// The groups of a convolution do not divide its channels.
    #[error("{groups} groups do not divide {inputs} input and {outputs} output channels")]
    Groups {
        /// Groups.
        groups: usize,
        /// Input channels.
        inputs: usize,
        /// Output channels.
        outputs: usize,
    },
    /// The last window of an axis starts behind the source.
    #[error(
        "{axis}: the window of output {index} starts at {start}, too far behind the source of {input}; the output is too large"
    )]
    WindowBehind {
        /// `height` or `width`.
        axis: &'static str,
        /// Output position.
        index: usize,
        /// Source position of its first tap.
        start: u128,
        /// Size of the source.
        input: usize,
    },
    /// A pool's window holds no element of the source.
    #[error("{axis}: the window of output {index} holds nothing but padding")]
    WindowEmpty {
        /// `height` or `width`.
        axis: &'static str,
        /// Output position.
        index: usize,
    },
    /// An instruction uses one that is not before it.
    #[error("instruction {instruction} uses instruction {uses}, which is not before it")]
    Forward {
        /// Position of the instruction.
        instruction: usize,
        /// What it names.
        uses: usize,
    },
    /// An instruction reads an operand that does not exist.
    #[error("instruction {instruction} reads operand {operand}, but there are {count}")]
    NoOperand {
        /// Position of the instruction.
        instruction: usize,
        /// What it names.
        operand: usize,
        /// Number of operands.
        count: usize,
    },
    /// A per-channel operand where there are no channels.
    #[error("operand {operand} is per channel, but the space is flat")]
    PerChannelInFlat {
        /// Position among the program's operands.
        operand: usize,
    },
    /// A copy that neither fills nor copies.
    #[error("the copy has neither a fill value nor a box")]
    NothingToDo,
    /// A box leaves its sample.
    #[error("box {index}: touches elements {first} to {last} of the {side}, whose sample has {len}")]
    BoxOutside {
        /// Position of the box.
        index: usize,
        /// `source` or `result`.
        side: &'static str,
        /// Lowest element.
        first: i128,
        /// Highest element.
        last: i128,
        /// Elements of a sample.
        len: usize,
    },
    /// A convolution that Strassen's product does not compute.
    #[error(
        "Strassen needs a blocked source, a 1×1 kernel, no padding, windows inside of the source, one group, and channels in multiples of 32, or of 64 with two levels: found {found}"
    )]
    NotStrassen {
        /// What is different.
        found: &'static str,
    },
    /// A convolution that Winograd's method does not compute.
    #[error(
        "Winograd needs a blocked source, a 3×3 kernel, stride 1 or 2, dilation 1, one group or groups that fill blocks, and a tile of 2 or 4: found {found}"
    )]
    NotWinograd {
        /// What differs.
        found: &'static str,
    },
    /// A box writes some element more than once, so its loops would have to run in order.
    #[error("box {index}: its loops write some element of the result more than once")]
    BoxRepeats {
        /// Position of the box.
        index: usize,
    },
}

/// The footprint of each operand of a kernel, in the order of [`KernelSpec`]'s variants: the result first.
///
/// # Errors
/// If the specification is not well-formed, or above a limit of [`crate::limits`].
pub fn operands(spec: &KernelSpec) -> Result<Vec<Footprint>, SpecError> {
    match spec {
        KernelSpec::Conv(conv) => window::conv(conv),
        KernelSpec::Winograd(spec) => window::winograd(spec),
        KernelSpec::Strassen(spec) => window::strassen(spec),
        KernelSpec::Gemm(spec) => gemm(spec),
        KernelSpec::Pool(pool) => window::pool(pool),
        KernelSpec::Elementwise(spec) => program::elementwise(spec),
        KernelSpec::Softmax(spec) => softmax(spec),
        KernelSpec::Resample(spec) => movement::resample(spec),
        KernelSpec::Contract(spec) => contract::contract(spec),
        KernelSpec::Copy(copy) => movement::copy(copy),
    }
}

fn gemm(spec: &Gemm) -> Result<Vec<Footprint>, SpecError> {
    at_most("features", spec.features, MAX_EXTENT)?;
    at_most("out", spec.out, MAX_EXTENT)?;
    let out = elements("result", &[blocks(spec.out), BLOCK])?;
    Ok(vec![
        Footprint::result(out),
        Footprint::read("x", elements("x", &[blocks(spec.features), BLOCK])?),
        Footprint::shared("weights", elements("weights", &[blocks(spec.out), spec.features, BLOCK])?),
        Footprint::shared("bias", out),
    ])
}

fn softmax(spec: &Softmax) -> Result<Vec<Footprint>, SpecError> {
    for (what, size) in [("outer", spec.outer), ("len", spec.len), ("inner", spec.inner)] {
        at_most(what, size, MAX_ELEMENTS)?;
    }
    let len = elements("result", &[spec.outer, spec.len, spec.inner])?;
    Ok(vec![Footprint::result(len), Footprint::read("x", len)])
}

/// Checks that a size is from 1 to `limit`.
fn at_most(what: &'static str, size: usize, limit: usize) -> Result<(), SpecError> {
    match size {
        0 => Err(SpecError::Zero { what }),
        _ if size > limit => Err(SpecError::TooLarge { what, found: size as u128, limit }),
        _ => Ok(()),
    }
}

/// The product of sizes, from 1 to [`MAX_ELEMENTS`].
fn elements(what: &'static str, factors: &[usize]) -> Result<usize, SpecError> {
    let found = factors.iter().fold(1u128, |product, factor| product.saturating_mul(*factor as u128));
    match usize::try_from(found) {
        Ok(0) => Err(SpecError::Zero { what }),
        Ok(len) if len <= MAX_ELEMENTS => Ok(len),
        _ => Err(SpecError::TooLarge { what, found, limit: MAX_ELEMENTS }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Activation, Resample, Tap};

    #[test]
    fn counts_the_lanes_past_the_last_feature() {
        let spec = KernelSpec::Gemm(Gemm { features: 40, out: 1000, activation: Activation::None });
        let lens: Vec<_> = operands(&spec).unwrap().iter().map(|f| f.elements_per_sample).collect();
        assert_eq!(lens, [1008, 48, 63 * 40 * 16, 1008]);
    }

    #[test]
    fn refuses_sizes_of_zero_and_above_the_limits() {
        let gemm = |features, out| operands(&KernelSpec::Gemm(Gemm { features, out, activation: Activation::None }));
        assert_eq!(gemm(0, 1), Err(SpecError::Zero { what: "features" }));
        assert!(matches!(gemm(1, usize::MAX), Err(SpecError::TooLarge { what: "out", .. })));
        assert!(
            matches!(gemm(1 << 20, 1 << 20), Err(SpecError::TooLarge { what: "weights", found, .. }) if found == 1 << 40)
        );
        let softmax = |outer, len, inner| operands(&KernelSpec::Softmax(Softmax { outer, len, inner }));
        assert_eq!(softmax(1, 0, 1), Err(SpecError::Zero { what: "len" }));
        assert!(matches!(softmax(1 << 29, 1 << 29, 1 << 29), Err(SpecError::TooLarge { .. })));
        assert_eq!(softmax(2, 3, 5).unwrap()[1], Footprint::read("x", 30));
    }

    #[test]
    fn refuses_taps_that_the_source_does_not_have() {
        let tap = |source| Tap { source, weight: 0.5.into() };
        let resample = |len, taps| operands(&KernelSpec::Resample(Resample { outer: 2, len, inner: 5, taps }));
        let found = resample(3, vec![vec![tap(0)], vec![tap(1), tap(2)]]).unwrap();
        assert_eq!(found, [Footprint::result(20), Footprint::read("x", 30)]);
        let outside = SpecError::TapOutside { row: 1, found: 3, len: 3 };
        assert_eq!(resample(3, vec![vec![tap(0)], vec![tap(1), tap(3)]]), Err(outside));
        assert_eq!(resample(3, vec![vec![]]), Err(SpecError::Zero { what: "number of taps" }));
        assert_eq!(
            resample(3, vec![vec![tap(0)], vec![]]),
            Err(SpecError::Zero { what: "number of taps of an element" })
        );
        assert!(resample(3, vec![vec![tap(0); 1 << 17]]).is_err());
    }
}
