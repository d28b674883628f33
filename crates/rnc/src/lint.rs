//! What is odd about a model, or about what is said of it: nothing that keeps it from running, but something that its author would want to know.

use std::fmt;

use rnc_ir::op::Conv2d;
use rnc_ir::{Graph, NodeId, Op, Tensor, print};
use rnc_onnx::Oddity;
use rnc_plan::{Plan, Port};

use crate::classes;

/// One oddity. Prints as `@conv1.weight: 2 of 9408 elements are NaN, the first at [0,1,2,3]; every result that they take part in is NaN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// The node: `%bn1`, or `@conv1.weight` for a constant; an output; `the model` for what concerns its file or all of it.
    pub node: String,
    /// What was found, with numbers.
    pub found: String,
    /// What it means, or what to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.node, self.found, self.remedy)
    }
}

impl From<Oddity> for Lint {
    fn from(Oddity { found, remedy }: Oddity) -> Self {
        Self { node: "the model".to_owned(), found, remedy }
    }
}

/// Looks at a graph as it was imported.
pub fn lint(graph: &Graph) -> Vec<Lint> {
    graph.topological_order().into_iter().flat_map(|id| of_node(graph, id)).collect()
}

/// Whether a plan has as many names of classes as it has classes: scores of the first output that has one score a class, as `rnc run` takes them.
pub fn labels(plan: &Plan) -> Option<Lint> {
    let labels = plan.images.labels.len();
    let scores = |output: &Port| Some((output.name.clone(), classes::count(&plan.batch.shape(&output.dims, 1))?));
    let (node, found) = match plan.outputs.iter().find_map(scores) {
        _ if labels == 0 => return None,
        Some((_, classes)) if classes == labels => return None,
        Some((name, classes)) => {
            (format!("output `{name}`"), format!("it has {classes} classes, and there are {labels} labels"))
        }
        None => {
            let found = format!("no output has one score for each class, and there are {labels} labels");
            ("the model".to_owned(), found)
        }
    };
    let remedy = "no classes will be shown, and `rnc eval` will refuse: compile with labels that fit, or with none";
    Some(Lint { node, found, remedy })
}

fn of_node(graph: &Graph, id: NodeId) -> Vec<Lint> {
    match graph.op(id) {
        Op::Constant(tensor) => numbers(graph, id, tensor),
        Op::Input if !graph.outputs().iter().any(|output| graph.depends_on(output.value, id)) => {
            let remedy = "it must be given to every run all the same: export the model without it";
            vec![Lint {
                node: print::reference(graph, id).to_string(),
                found: "no output depends on it".to_owned(),
                remedy,
            }]
        }
        Op::BatchNorm(norm) => variances(graph, id, norm.epsilon),
        Op::Conv2d(conv) => dead_filters(graph, id, conv),
        _ => Vec::new(),
    }
}

/// A kind of odd element, how to tell it, and what it means.
type Kind = (&'static str, fn(f32) -> bool, &'static str);

const KINDS: [Kind; 3] = [
    ("NaN", f32::is_nan, "every result that they take part in is NaN: look at how the model was trained and exported"),
    (
        "infinite",
        f32::is_infinite,
        "results that they take part in are infinite or NaN: look at how the model was trained and exported",
    ),
    ("denormal (below 1.2e-38)", f32::is_subnormal, "too small to matter, and slow on many CPUs: set them to zero"),
];

/// Elements that are no numbers, or hardly any.
fn numbers(graph: &Graph, id: NodeId, tensor: &Tensor) -> Vec<Lint> {
    let Some(values) = tensor.as_f32() else { return Vec::new() };
    // Most tensors have none of these: one look at all of them is enough to know.
    if values.iter().all(|v| v.is_normal() || *v == 0.0) {
        return Vec::new();
    }
    let find = |&(kind, is, remedy): &Kind| {
        let count = values.iter().filter(|v| is(**v)).count();
        let first = values.iter().position(|v| is(*v))?;
        let place = place(first, tensor.dims());
        let found = format!("{count} of {} elements are {kind}, the first at {place}", values.len());
        Some(Lint { node: print::reference(graph, id).to_string(), found, remedy })
    };
    KINDS.iter().filter_map(find).collect()
}

/// Index of an element along each axis.
fn place(mut index: usize, dims: &[usize]) -> String {
    let mut places: Vec<String> = Vec::new();
    for dim in dims.iter().rev() {
        places.push((index % dim).to_string());
        index /= dim;
    }
    places.reverse();
    format!("[{}]", places.join(","))
}

/// Variances that no data have.
fn variances(graph: &Graph, id: NodeId, epsilon: f32) -> Vec<Lint> {
    let variance = graph.operands(id).get(4).and_then(|v| graph.node(*v).constant()).and_then(Tensor::as_f32);
    let Some(variance) = variance else { return Vec::new() };
    let odd = |is: &dyn Fn(f32) -> bool, what: &str, remedy: &'static str| {
        let first = variance.iter().position(|v| is(*v))?;
        let count = variance.iter().filter(|v| is(**v)).count();
        let channels = variance.len();
        let found = format!("{what} in {count} of {channels} channels (channel {first}: {})", variance[first]);
        Some(Lint { node: print::reference(graph, id).to_string(), found, remedy })
    };
    let broken = |v: f32| v + epsilon <= 0.0;
    let lints = [
        odd(
            &broken,
            "the variance and epsilon are not positive together",
            "their results are NaN or infinite: the statistics are damaged",
        ),
        odd(&|v| v < 0.0 && !broken(v), "the variance is negative", "no data have that: the statistics are damaged"),
        odd(
            &|v| v == 0.0 && !broken(v),
            "the variance is zero",
            "the channel was constant in training: it, and what reads it, could be pruned",
        ),
    ];
    lints.into_iter().flatten().collect()
}

/// Filters that are all zeros.
fn dead_filters(graph: &Graph, id: NodeId, conv: &Conv2d) -> Vec<Lint> {
    let Some(tensor) = graph.node(graph.operands(id)[1]).constant() else { return Vec::new() };
    let Some(values) = tensor.as_f32() else { return Vec::new() };
    let filters = tensor.dims()[0];
    let len = values.len() / filters.max(1);
    if len == 0 {
        return Vec::new();
    }
    let is_dead = |filter: &[f32]| filter.iter().all(|v| *v == 0.0);
    let dead: Vec<usize> = (0..filters).filter(|filter| is_dead(&values[filter * len..][..len])).collect();
    let Some(first) = dead.first() else { return Vec::new() };
    let found = format!("{} of {filters} filters are all zeros, the first is {first}", dead.len());
    let remedy = if conv.groups == 1 {
        "they compute the same for every input: the model could be pruned"
    } else {
        "they compute the same for every input"
    };
    vec![Lint { node: print::reference(graph, id).to_string(), found, remedy }]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lints of a graph, as text.
    fn lints(text: &str) -> Vec<String> {
        let graph = rnc_ir::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        lint(&graph).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ordinary_models_have_none() {
        let options = rnc_zoo::ZooOptions { image: 32, ..rnc_zoo::ZooOptions::default() };
        assert_eq!(lint(&rnc_zoo::build("resnet18", &options).unwrap()), []);
    }

    #[test]
    fn labels_must_be_as_many_as_classes() {
        let found = |text: &str, labels: usize| {
            let graph = rnc_ir::parse(text).unwrap();
            let options = crate::CompileOptions::default().labels(vec!["cat".to_owned(); labels]);
            let compiled = crate::compile(crate::Source::Graph(graph), &options).unwrap();
            compiled.lints.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let scores = "graph @g(%x: f32[N,4]) -> (%y) { %y = relu(%x) }";
        assert_eq!((found(scores, 4), found(scores, 0)), (vec![], vec![]));
        let wrong = found(scores, 3);
        assert!(wrong[0].starts_with("output `y`: it has 4 classes, and there are 3 labels; no classes"), "{wrong:?}");
        let map = found("graph @g(%x: f32[N,4,2,2]) -> (%y) { %y = relu(%x) }", 4);
        assert!(map[0].starts_with("the model: no output has one score for each class, and there are 4"), "{map:?}");
    }

    #[test]
    fn elements_that_are_no_numbers_are_counted_and_the_first_is_shown() {
        let found = lints(
            "graph @g(%x: f32[N,2,2,2]) -> (%y) {
               @k = constant [1.0, nan, 1e-40, -inf, 0.0, nan, -0.0, 1.0] : f32[2,2,2]
               %y = add(%x, @k)
             }",
        );
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("@k: 2 of 8 elements are NaN, the first at [0,0,1]; every result"), "{found:?}");
        assert!(found[1].starts_with("@k: 1 of 8 elements are infinite, the first at [0,1,1]"), "{found:?}");
        assert!(found[2].contains("denormal (below 1.2e-38), the first at [0,1,0]; too small"), "{found:?}");
    }

    #[test]
    fn variances_that_no_data_have_are_found() {
        let found = lints(
            "graph @g(%x: f32[N,4,2,2]) -> (%y) {
               @one = constant [1.0, 1.0, 1.0, 1.0] : f32[4]
               @var = constant [1.0, 0.0, -1e-6, -0.5] : f32[4]
               %y = batch_norm(%x, @one, @one, @one, @var) {epsilon=1e-5}
             }",
        );
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("not positive together in 1 of 4 channels (channel 3: -0.5)"), "{found:?}");
        assert!(found[1].contains("negative in 1 of 4 channels (channel 2"), "{found:?}");
        assert!(found[2].contains("zero in 1 of 4 channels (channel 1: 0)"), "{found:?}");
    }

    #[test]
    fn an_input_that_only_a_dead_node_reads_is_one_that_no_output_depends_on() {
        let found =
            lints("graph @g(%x: f32[N,4], %\"a/b\": f32[N,4]) -> (%y) { %dead = relu(%\"a/b\") %y = relu(%x) }");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("%\"a/b\": no output depends on it"), "{found:?}");
    }

    #[test]
    fn filters_of_zeros_and_inputs_that_nothing_reads_are_found() {
        let found = lints(
            "graph @g(%x: f32[N,1,2,2], %mask: f32[N,4]) -> (%y) {
               @w = constant [0.0, 1.0, -0.0] : f32[3,1,1,1]
               %y = conv2d(%x, @w)
             }",
        );
        assert!(
            found.iter().any(|lint| lint.starts_with("%mask: no output depends on it; it must be given")),
            "{found:?}"
        );
        assert!(
            found.iter().any(|lint| lint.starts_with("%y: 2 of 3 filters are all zeros, the first is 0")),
            "{found:?}"
        );
        assert_eq!(found.len(), 2);
    }
}
