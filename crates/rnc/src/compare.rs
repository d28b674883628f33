//! Holds a plan, step by step as it runs, against values that are right: the reference interpreter's, or another program's.

use std::collections::{BTreeMap, HashMap};

use ndarray::{ArrayD, Axis};
use rnc_ir::Graph;
use rnc_plan::kernel::{BLOCK, KernelSpec, Space, blocks};
use rnc_plan::{Batch, Operand, Plan, Step, footprint};
use rnc_reference::Value;
use rnc_runtime::{Observed, RunError, Session};

/// Values by name, batch first.
pub type Values = HashMap<String, ArrayD<f32>>;

/// One value that both have.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Row {
    /// Index of the step that computes it.
    pub step: usize,
    /// Its name, in the model and in the plan.
    pub name: String,
    /// Its dimensions, batch first.
    pub dims: Vec<usize>,
    /// How far it is from what was expected.
    #[serde(flatten)]
    pub difference: Difference,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The values that both have, in the order in which the plan computes them.
    pub rows: Vec<Row>,
    /// Names of steps whose values nobody knows, or whose layout says too little.
    pub skipped: Vec<String>,
}

impl Comparison {
    /// The first value beyond a tolerance.
    pub fn first_beyond(&self, tolerance: f64) -> Option<&Row> {
        self.rows.iter().find(|row| row.difference.is_beyond(tolerance))
    }
}

/// Every `f32` value of a graph by the reference interpreter.
///
/// # Errors
/// If the inputs do not fit, or a node cannot be evaluated.
pub fn reference_values(graph: &Graph, inputs: &[(String, ArrayD<f32>)]) -> Result<Values, rnc_reference::Error> {
    let inputs: BTreeMap<String, Value> =
        inputs.iter().map(|(name, array)| (name.clone(), Value::from(array.clone()))).collect();
    let values = rnc_reference::run_all(graph, &inputs)?;
    let named = values.into_iter().filter_map(|(id, value)| match value {
        Value::F32(array) if graph.node(id).constant().is_none() => Some((graph.node(id).name().to_owned(), array)),
        Value::F32(_) | Value::I64(_) => None,
    });
    let mut named: Values = named.collect();
    for output in graph.outputs() {
        if let Some(value) = named.get(graph.node(output.value).name()).cloned() {
            named.entry(output.name.clone()).or_insert(value);
        }
    }
    Ok(named)
}

/// Runs a session on inputs and holds what its steps and outputs compute against the values of the same names.
///
/// # Errors
/// If the inputs do not fit.
pub fn compare(session: &Session, inputs: &[(String, ArrayD<f32>)], expected: &Values) -> Result<Comparison, RunError> {
    let plan = session.plan();
    let mut differences: Vec<Option<Difference>> = plan.steps.iter().map(|_| None).collect();
    let views: Vec<_> = inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    session.run_observed(&views, &mut |observed| {
        let step = &plan.steps[observed.step];
        if let Some(difference) = difference(plan, step, observed, expected) {
            let of_step = &mut differences[observed.step];
            *of_step = Some(of_step.map_or(difference, |before| before.and(difference)));
        }
    })?;
    let mut comparison = Comparison { rows: Vec::new(), skipped: Vec::new() };
    for (index, (step, difference)) in plan.steps.iter().zip(differences).enumerate() {
        let name = name_of(plan, step);
        match difference {
            Some(difference) => {
                let dims = expected[name].shape().to_vec();
                comparison.rows.push(Row { step: index, name: name.to_owned(), dims, difference });
            }
            None => comparison.skipped.push(name.to_owned()),
        }
    }
    Ok(comparison)
}

/// The name of a step's value: an output's, if it is one.
fn name_of<'p>(plan: &'p Plan, step: &'p Step) -> &'p str {
    match step.operands[0] {
        Operand::Output(port) => &plan.outputs[port].name,
        Operand::Buffer(_) | Operand::Constant(_) | Operand::Input(_) => &step.name,
    }
}

/// How far numbers are from those that were expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Difference {
    /// The largest distance; NaN if a number is NaN in one and not in the other.
    pub error: f64,
    /// The largest finite magnitude that was expected.
    pub magnitude: f64,
}

impl Difference {
    /// Between numbers in the same order.
    pub fn between<'a>(found: impl IntoIterator<Item = &'a f32>, expected: impl IntoIterator<Item = &'a f32>) -> Self {
        let of_pair = |(found, expected): (&f32, &f32)| Self::of(*found, *expected);
        found.into_iter().zip(expected).map(of_pair).fold(Self::default(), Self::and)
    }

    /// The error relative to the largest magnitude; an error where only zeros were expected is infinite.
    pub fn relative(self) -> f64 {
        if self.error == 0.0 { 0.0 } else { self.error / self.magnitude }
    }

    /// Whether the relative error is beyond a tolerance, or no number.
    pub fn is_beyond(self, tolerance: f64) -> bool {
        let relative = self.relative();
        relative.is_nan() || relative > tolerance
    }

    /// The larger of both; not a number is the largest.
    fn and(self, other: Self) -> Self {
        let larger = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
        Self { error: larger(self.error, other.error), magnitude: larger(self.magnitude, other.magnitude) }
    }

    /// The one with the smaller error; not a number is the largest.
    fn or(self, other: Self) -> Self {
        if self.error.is_nan() || other.error < self.error { other } else { self }
    }

    fn of(found: f32, expected: f32) -> Self {
        let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        let magnitude = if expected.is_finite() { f64::from(expected.abs()) } else { 0.0 };
        Self { error: if same { 0.0 } else { (f64::from(found) - f64::from(expected)).abs() }, magnitude }
    }
}

/// How a step's samples differ from what was expected. `None` if that is not known.
fn difference(plan: &Plan, step: &Step, observed: Observed<'_>, expected: &Values) -> Option<Difference> {
    let expected = expected.get(name_of(plan, step))?;
    let operands = footprint::operands(&step.kernel).ok()?;
    let leading = plan.batch.shape(&[], 1).len();
    let pixels = expected.shape().iter().skip(leading + 1).product();
    let mut result = None;
    for sample in 0..observed.samples {
        let found = &observed.result[sample * operands[0].sample_stride..][..operands[0].elements_per_sample];
        let expected = match plan.batch {
            Batch::Single => expected.view(),
            Batch::Fixed(_) | Batch::Symbolic => {
                let index = observed.first + sample;
                if index >= expected.shape().first().copied()? {
                    return None;
                }
                expected.index_axis(Axis(0), index)
            }
        };
        let expected = expected.as_standard_layout();
        let expected = expected.as_slice()?;
        let layouts = Layout::of(step, pixels).into_iter().flatten();
        let fitting = layouts.filter(|layout| layout.fits(found.len(), expected.len()));
        let of_sample = fitting.map(|layout| layout.difference(found, expected)).reduce(Difference::or)?;
        result = Some(result.map_or(of_sample, |before: Difference| before.and(of_sample)));
    }
    result
}

/// How a sample lies in memory.
#[derive(Clone, Copy)]
enum Layout {
    Planar,
    /// Blocked by channels, of so many pixels.
    Blocked {
        pixels: usize,
    },
}

impl Layout {
    /// The layout of a step's result, whose images have so many pixels. A copy may change the layout and does not say to which: it has two, of which the one
    /// that fits better is meant.
    fn of(step: &Step, pixels: usize) -> [Option<Self>; 2] {
        let blocked = |pixels: usize| [Some(Self::Blocked { pixels }), None];
        match &step.kernel {
            KernelSpec::Conv(conv) => blocked(conv.output.height * conv.output.width),
            KernelSpec::Winograd(spec) => blocked(spec.conv.output.height * spec.conv.output.width),
            KernelSpec::Strassen(spec) => blocked(spec.conv.output.height * spec.conv.output.width),
            KernelSpec::Pool(pool) => blocked(pool.output[0] * pool.output[1]),
            KernelSpec::Gemm(_) => blocked(1),
            KernelSpec::Elementwise(elementwise) => match elementwise.space {
                Space::Blocked { pixels, .. } => blocked(pixels),
                Space::Flat { .. } => [Some(Self::Planar), None],
            },
            KernelSpec::Softmax(_) | KernelSpec::Contract(_) => [Some(Self::Planar), None],
            // The caller's tensors are planar.
            KernelSpec::Copy(_) | KernelSpec::Resample(_) if matches!(step.operands[0], Operand::Output(_)) => {
                [Some(Self::Planar), None]
            }
            KernelSpec::Copy(_) | KernelSpec::Resample(_) => [Some(Self::Planar), Some(Self::Blocked { pixels })],
        }
    }

    /// The largest difference between a sample in memory and what was expected, row-major.
    fn difference(self, found: &[f32], expected: &[f32]) -> Difference {
        Difference::between((0..expected.len()).map(|index| &found[self.place(index)]), expected)
    }

    /// Whether a sample of so many elements in memory has so many values.
    fn fits(self, found: usize, expected: usize) -> bool {
        match self {
            Self::Planar => found == expected,
            Self::Blocked { pixels } => {
                pixels > 0 && expected.is_multiple_of(pixels) && blocks(expected / pixels) * BLOCK * pixels == found
            }
        }
    }

    /// Where the element with this row-major index lies.
    fn place(self, index: usize) -> usize {
        match self {
            Self::Planar => index,
            Self::Blocked { pixels } => {
                let (channel, pixel) = (index / pixels, index % pixels);
                (channel / BLOCK * pixels + pixel) * BLOCK + channel % BLOCK
            }
        }
    }
}

/// Numbers from -1 to 1, the same for the same seed (Steele, Lea and Flood's SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An array of the next numbers, row-major.
    pub fn array(&mut self, dims: &[usize]) -> ArrayD<f32> {
        ArrayD::from_shape_simple_fn(dims, || self.next())
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_value_has_sixteen_channels_of_a_pixel_together() {
        let layout = Layout::Blocked { pixels: 6 };
        assert!(layout.fits(2 * 16 * 6, 20 * 6) && !layout.fits(16 * 6, 20 * 6) && !layout.fits(16 * 6, 95));
        // Channel 17, pixel 2.
        assert_eq!(layout.place(17 * 6 + 2), 16 * 6 + 2 * 16 + 1);
        assert!(Layout::Planar.fits(7, 7) && Layout::Planar.place(5) == 5);
    }

    #[test]
    fn a_number_beside_none_is_beyond_every_tolerance() {
        let row = |found: f32, expected: f32| Difference::between(&[found, 1.0], &[expected, 1.0]);
        for (found, expected) in [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::INFINITY, 1.0), (1.0, f32::INFINITY)] {
            assert!(row(found, expected).is_beyond(1e30), "{found} {expected}");
        }
        for same in [f32::NAN, f32::INFINITY, 0.0, -0.0] {
            assert!(!row(same, same).is_beyond(0.0), "{same}");
        }
        assert!(!row(0.0, -0.0).is_beyond(0.0) && row(1.5, 1.0).is_beyond(0.1));
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "these numbers are exact")]
    fn errors_are_relative_to_the_largest_magnitude_and_nan_is_no_number() {
        let relative = |found: &[f32], expected: &[f32]| Difference::between(found, expected).relative();
        let expected = [10.0, 0.0];
        assert_eq!(relative(&[10.0, 1.0], &expected), 0.1);
        assert_eq!(relative(&expected, &expected), 0.0);
        assert!(relative(&[10.0, f32::NAN], &expected).is_nan());
        assert!(relative(&[1.0], &[0.0]).is_infinite());
        let infinite = [f32::INFINITY, 2.0];
        assert_eq!(relative(&infinite, &infinite), 0.0);
        assert_eq!(relative(&[f32::INFINITY, 3.0], &infinite), 0.5);
        assert!(relative(&[1.0, 2.0], &infinite).is_infinite());
    }
}
