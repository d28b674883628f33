//! Class activation maps: where in an image a classifier sees a class.
//!
//! A classifier that ends with a global average pool and a linear layer computes the score of class `c` as `bias[c] + mean over p of sum over k of
//! weight[c][k] · feature[k][p]`, with places `p` of the last feature map and channels `k`. The inner sum is the class activation map (Zhou, Khosla, Lapedriza,
//! Oliva, Torralba: *Learning Deep Features for Discriminative Localization*, CVPR 2016): its mean is the score but for the bias. It is no estimate, and needs no gradient.

use ndarray::{Array2, Array3, ArrayD};
use rnc_plan::footprint;
use rnc_plan::kernel::{Activation, BLOCK, Extent, Gemm, KernelSpec, Pool, PoolKind, blocks};
use rnc_plan::{Operand, Plan, Step};
use rnc_runtime::{InputViews, Observed, RunError, Session};

/// Why there are no class activation maps of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no class activation map: {reason}; the model must end with a global average pool and a linear layer")]
pub struct ExplainError {
    reason: String,
}

/// Makes class activation maps of a session's classifier.
#[derive(Clone)]
pub struct Explainer {
    session: Session,
    /// The step that computes the last feature map.
    features: usize,
    extent: Extent,
    classes: usize,
    /// The output with the scores, or with the probabilities that are made of them.
    output: usize,
    /// `[classes, channels]`.
    weights: Array2<f32>,
    bias: Vec<f32>,
}

/// What a classifier computed of a batch.
#[derive(Clone, Debug)]
pub struct Activations {
    /// The model's outputs.
    pub outputs: Vec<(String, ArrayD<f32>)>,
    /// By sample: the last feature map, `[channels, height, width]`.
    pub features: Vec<Array3<f32>>,
}

impl Explainer {
    /// Finds the classifier at the end of a session's plan.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(session: &Session) -> Result<Self, ExplainError> {
        let plan = session.plan();
        let head = Head::find(plan).map_err(|reason| ExplainError { reason })?;
        Ok(Self {
            features: head.features,
            extent: head.extent,
            classes: head.gemm.out,
            output: head.output,
            weights: head.weights(plan),
            bias: head.bias(plan),
            session: session.clone(),
        })
    }

    /// How many classes there are.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// Index of the output with the classes' scores, or with their probabilities.
    pub const fn output(&self) -> usize {
        self.output
    }

    /// What the mean of a class's map is off from its score.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn bias(&self, class: usize) -> f32 {
        self.bias[class]
    }

    /// Runs the model, and keeps its last feature map.
    ///
    /// # Errors
    /// If the inputs do not fit, or there is no memory.
    pub fn run(&self, inputs: &InputViews<'_>) -> Result<Activations, RunError> {
        let Extent { channels, height, width } = self.extent;
        let spec = &self.session.plan().steps[self.features].kernel;
        let stride = footprint::operands(spec).map_or(0, |operands| operands[0].sample_stride);
        let mut features = Vec::new();
        let outputs = self.session.run_observed(inputs, &mut |observed: Observed<'_>| {
            if observed.step == self.features {
                features.extend((0..observed.samples).map(|sample| {
                    let data = &observed.result[sample * stride..];
                    let at = |(c, y, x): (usize, usize, usize)| {
                        data[((c / BLOCK * height + y) * width + x) * BLOCK + c % BLOCK]
                    };
                    Array3::from_shape_fn((channels, height, width), at)
                }));
            }
        })?;
        Ok(Activations { outputs, features })
    }

    /// The activation map of a class on a feature map: `[height, width]`. Its mean is the class's score less [`Explainer::bias`], to rounding.
    ///
    /// # Panics
    /// If there is no such class, or the features are another model's.
    pub fn map(&self, features: &Array3<f32>, class: usize) -> Array2<f32> {
        let Extent { channels, height, width } = self.extent;
        assert_eq!(features.dim(), (channels, height, width), "the feature map's shape");
        let weights = self.weights.row(class);
        let at = |(y, x): (usize, usize)| {
            let terms =
                weights.iter().enumerate().map(|(k, weight)| f64::from(*weight) * f64::from(features[[k, y, x]]));
            terms.sum::<f64>() as f32
        };
        Array2::from_shape_fn((height, width), at)
    }
}

/// The end of a classifier.
struct Head<'a> {
    features: usize,
    extent: Extent,
    step: &'a Step,
    gemm: &'a Gemm,
    output: usize,
}

impl<'a> Head<'a> {
    /// The last linear layer whose result is an output, and the pool before it.
    fn find(plan: &'a Plan) -> Result<Self, String> {
        if !plan.data.is_intact() {
            return Err("the plan file changed after it was loaded".to_owned());
        }
        let linear = plan.steps.iter().enumerate().rev().filter(|(_, step)| matches!(step.kernel, KernelSpec::Gemm(_)));
        let mut heads = linear.map(|(index, step)| Self::at(plan, index, step));
        let last = heads.next().ok_or("there is no linear layer")?;
        last.or_else(|reason| heads.find_map(Result::ok).ok_or(reason))
    }

    fn at(plan: &'a Plan, index: usize, step: &'a Step) -> Result<Self, String> {
        let KernelSpec::Gemm(gemm) = &step.kernel else { return Err("there is no linear layer".to_owned()) };
        if gemm.activation != Activation::None {
            return Err(format!("the linear layer `{}` has an activation", step.name));
        }
        let output = output(plan, index, gemm.out).ok_or_else(|| {
            format!("the result of the linear layer `{}` is neither an output nor the source of its softmax", step.name)
        })?;
        let pool = writer(plan, index, 1).ok_or_else(|| format!("`{}` does not follow a pool", step.name))?;
        let KernelSpec::Pool(Pool { kind, input, output: [1, 1], window }) = &plan.steps[pool].kernel else {
            return Err(format!("`{}` before the linear layer is no global pool", plan.steps[pool].name));
        };
        let whole = window.kernel == [input.height, input.width] && window.pad == [0, 0] && window.dilation == [1, 1];
        if *kind == PoolKind::Max || !whole || gemm.features != input.channels {
            return Err(format!(
                "`{}` is no global average pool of what the linear layer takes",
                plan.steps[pool].name
            ));
        }
        let features = writer(plan, pool, 1).ok_or("the pool's source is the model's input")?;
        // Of a plan from elsewhere, this step may have written a part of the pool's source alone.
        let written =
            footprint::operands(&plan.steps[features].kernel).map_or(0, |operands| operands[0].elements_per_sample);
        if written < blocks(input.channels) * BLOCK * input.height * input.width {
            return Err(format!("`{}` is not all of the last feature map", plan.steps[features].name));
        }
        Ok(Self { features, extent: *input, step, gemm, output })
    }

    /// The numbers of the linear layer's operand with this index.
    fn constant(&self, plan: &Plan, operand: usize) -> Vec<f32> {
        let Operand::Constant(index) = self.step.operands[operand] else { return Vec::new() };
        let constant = &plan.constants[index];
        let bytes = &plan.data.bytes()[constant.offset..][..constant.bytes];
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    /// The weights, which lie in blocks of outputs, the features of a block one after the other.
    fn weights(&self, plan: &Plan) -> Array2<f32> {
        let packed = self.constant(plan, 2);
        let Gemm { features, out, .. } = *self.gemm;
        Array2::from_shape_fn((out, features), |(o, k)| packed[(o / BLOCK * features + k) * BLOCK + o % BLOCK])
    }

    fn bias(&self, plan: &Plan) -> Vec<f32> {
        let mut bias = self.constant(plan, 3);
        bias.truncate(self.gemm.out);
        bias
    }
}

/// The output that a step's result of so many elements becomes: at once, after copies that put it elsewhere, or after a softmax over all of it.
fn output(plan: &Plan, step: usize, elements: usize) -> Option<usize> {
    let mut result = plan.steps[step].operands[0];
    let mut from = step;
    loop {
        if let Operand::Output(port) = result {
            return Some(port).filter(|port| plan.outputs[*port].sample_len() == Some(elements));
        }
        let reader =
            plan.steps.iter().enumerate().skip(from + 1).find(|(_, step)| step.operands[1..].contains(&result));
        let (index, step) = reader?;
        let passes = match &step.kernel {
            KernelSpec::Copy(copy) => copy.boxes.len() == 1 && copy.fill.is_none(),
            KernelSpec::Softmax(softmax) => (softmax.outer, softmax.len, softmax.inner) == (1, elements, 1),
            _ => false,
        };
        if !passes {
            return None;
        }
        (from, result) = (index, step.operands[0]);
    }
}

/// The last step before `reader` that writes the buffer of one of its operands.
fn writer(plan: &Plan, reader: usize, operand: usize) -> Option<usize> {
    let buffer = plan.steps[reader].operands[operand];
    let Operand::Buffer(_) = buffer else { return None };
    plan.steps[..reader].iter().rposition(|step| step.operands[0] == buffer)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, Axis};

    use super::*;
    use crate::{CompileOptions, Options, compile_graph};

    fn session(text: &str) -> Session {
        let plan = compile_graph(rnc_ir::parse(text).unwrap(), &CompileOptions::default()).unwrap();
        Session::new(plan, &Options::default()).unwrap()
    }

    /// 20 channels and 7 classes: neither fills a block.
    const CLASSIFIER: &str = "graph @net(%x: f32[N,3,11,9]) -> (%p) {
       @w = random(1) : f32[20,3,3,3]
       @m = random(2) : f32[7,20]
       @b = random(3) : f32[7]
       %c = conv2d(%x, @w) {pad=1, stride=2}
       %r = relu(%c)
       %g = global_average_pool(%r)
       %f = reshape(%g) {shape=[N,20]}
       %y = gemm(%f, @m, bias=@b) {trans_b=true}
       %p = softmax(%y) {axis=1}
     }";

    #[test]
    fn the_mean_of_a_map_and_the_bias_are_the_score() {
        for (text, probabilities) in [
            (CLASSIFIER.to_owned(), true),
            (CLASSIFIER.replace("(%p) {", "(%y) {").replace("%p = softmax(%y) {axis=1}", ""), false),
        ] {
            let session = session(&text);
            let explainer = Explainer::new(&session).unwrap();
            assert_eq!(explainer.classes(), 7);
            let x =
                Array4::from_shape_fn((3, 3, 11, 9), |(n, c, y, x)| ((n + 3 * c + y * x) % 7) as f32 - 3.0).into_dyn();
            let Activations { outputs, features } = explainer.run(&[("x", x.view())]).unwrap();
            assert_eq!((features.len(), features[0].dim()), (3, (20, 6, 5)));
            for (features, row) in features.iter().zip(outputs[0].1.axis_iter(Axis(0))) {
                let score = |class| explainer.map(features, class).mean().unwrap() + explainer.bias(class);
                let scores: Vec<f32> = (0..7).map(score).collect();
                let sum: f32 = scores.iter().map(|score| score.exp()).sum();
                for (found, expected) in scores.iter().zip(row) {
                    let found = if probabilities { found.exp() / sum } else { *found };
                    // Sums of 20 · 30 terms in another order: some units in the last place.
                    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn the_head_whose_scores_are_an_output_is_found_among_others() {
        let two = CLASSIFIER
            .replace("(%p) {", "(%f, %z, %p) {")
            .replace("%p = softmax", "%z0 = gemm(%f, @m) {trans_b=true}\n %z = tanh(%z0)\n %p = softmax");
        let explainer = Explainer::new(&session(&two)).unwrap();
        assert_eq!((explainer.output(), explainer.classes()), (2, 7));
        let error = Explainer::new(&session(&CLASSIFIER.replace("softmax(%y) {axis=1}", "tanh(%y)"))).err().unwrap();
        assert!(error.to_string().contains("`y` is neither an output"), "{error}");
    }

    #[test]
    fn other_ends_are_refused_and_the_step_is_named() {
        let refused =
            |from: &str, to: &str| Explainer::new(&session(&CLASSIFIER.replace(from, to))).err().unwrap().to_string();
        let error = refused("global_average_pool(%r)", "max_pool(%r) {kernel=[6,5]}");
        assert!(error.contains("`g` is no global average pool"), "{error}");
        let error = refused("%p = softmax(%y) {axis=1}", "%p = relu(%y)");
        assert!(error.contains("`p` has an activation"), "{error}");
        let session = session("graph @g(%x: f32[N,4]) -> (%y) { %y = relu(%x) }");
        let error = Explainer::new(&session).err().unwrap().to_string();
        assert!(error.contains("there is no linear layer"), "{error}");
    }
}
