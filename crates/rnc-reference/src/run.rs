//! Runs a graph, node by node.

use std::collections::{BTreeMap, HashMap};

use rnc_ir::{Dim, Graph, NodeId, Op, TensorType};

use crate::error::{Error, Fault};
use crate::ops;
use crate::value::{Operands, Value};

/// Most elements that a value may have (2³⁰; 4 GiB of `f32`): hostile shapes become an error, not an abort.
pub const MAX_ELEMENTS: usize = 1 << 30;

/// The outputs of `graph` on `inputs`, by output name (which the verifier holds to be unique).
///
/// Inputs are given by the names of their nodes. The batch symbol stands for whatever size they have there; all must agree.
/// A value is freed after its last use.
///
/// # Errors
/// If the inputs do not fit the graph's, or a node cannot be evaluated.
pub fn run(graph: &Graph, inputs: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, Error> {
    let interpreter = Interpreter::new(graph, inputs)?;
    let mut live = Live::new(graph);
    for id in graph.topological_order() {
        let value = interpreter.evaluate(id, &live.values)?;
        live.store(id, value);
    }
    Ok(graph.outputs().iter().map(|o| (o.name.clone(), live.values[&o.value].clone())).collect())
}

/// Every value of `graph` on `inputs`, for comparison layer by layer. Otherwise like [`run`].
///
/// # Errors
/// Those of [`run`].
pub fn run_all(graph: &Graph, inputs: &BTreeMap<String, Value>) -> Result<HashMap<NodeId, Value>, Error> {
    let interpreter = Interpreter::new(graph, inputs)?;
    let mut values = HashMap::new();
    for id in graph.topological_order() {
        let value = interpreter.evaluate(id, &values)?;
        values.insert(id, value);
    }
    Ok(values)
}

/// The values that are still needed.
struct Live<'a> {
    graph: &'a Graph,
    values: HashMap<NodeId, Value>,
    uses_left: HashMap<NodeId, usize>,
}

impl<'a> Live<'a> {
    fn new(graph: &'a Graph) -> Self {
        let uses_left = graph.ids().map(|id| (id, graph.use_count(id))).collect();
        Self { graph, values: HashMap::new(), uses_left }
    }

    /// Stores the value of a node, if it has a use, and frees operands whose last use that was. An output counts as a use
    /// that is never given back.
    fn store(&mut self, id: NodeId, value: Value) {
        if self.uses_left[&id] > 0 {
            self.values.insert(id, value);
        }
        for operand in self.graph.operands(id) {
            let left = self.uses_left.get_mut(operand).expect("every node has a count");
            *left -= 1;
            if *left == 0 {
                self.values.remove(operand);
            }
        }
    }
}

/// A graph with its inputs checked and the batch symbol bound.
struct Interpreter<'a> {
    graph: &'a Graph,
    inputs: &'a BTreeMap<String, Value>,
    batch: Option<usize>,
}

impl<'a> Interpreter<'a> {
    fn new(graph: &'a Graph, inputs: &'a BTreeMap<String, Value>) -> Result<Self, Error> {
        let names: Vec<&str> = graph.inputs().iter().map(|id| graph.node(*id).name()).collect();
        if let Some(name) = inputs.keys().find(|name| !names.contains(&name.as_str())) {
            let known = match names.as_slice() {
                [] => "none".to_owned(),
                names => names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "),
            };
            return Err(Error::UnknownInput { name: name.clone(), known });
        }
        let mut bound: Option<(&str, usize)> = None;
        for id in graph.inputs() {
            let (name, ty) = (graph.node(*id).name(), graph.ty(*id));
            let value =
                inputs.get(name).ok_or_else(|| Error::MissingInput { name: name.to_owned(), expected: ty.clone() })?;
            for found in batch_sizes(name, ty, value)? {
                let (first, expected) = *bound.get_or_insert((name, found));
                if found != expected {
                    let (name, first) = (name.to_owned(), first.to_owned());
                    return Err(Error::InconsistentBatch { name, found, first, expected });
                }
            }
        }
        Ok(Self { graph, inputs, batch: bound.map(|(_, size)| size) })
    }

    /// The value of a node whose operands are in `values`.
    fn evaluate(&self, id: NodeId, values: &HashMap<NodeId, Value>) -> Result<Value, Error> {
        let node = self.graph.node(id);
        let dims = self.dims(id)?;
        let fault = |fault| Error::Node { node: node.name().to_owned(), op: node.op().name(), fault };
        let value = match node.op() {
            Op::Input => self.inputs[node.name()].clone(),
            op => {
                let operands: Vec<&Value> = node.operands().iter().map(|o| &values[o]).collect();
                ops::evaluate(op, Operands(&operands), &dims).map_err(fault)?
            }
        };
        if value.dtype() != node.ty().dtype || value.dims() != dims {
            let problem = format!("the type is {}, that is {dims:?}, but the value is {}", node.ty(), value.ty());
            return Err(fault(Fault::Internal(problem)));
        }
        Ok(value.into_row_major())
    }

    /// The dimensions of a node's value, with the batch symbol bound.
    fn dims(&self, id: NodeId) -> Result<Vec<usize>, Error> {
        let (node, ty) = (self.graph.node(id).name(), self.graph.ty(id));
        let bind = |dim: &Dim| match dim {
            Dim::Fixed(n) => Some(*n),
            Dim::Batch => self.batch,
        };
        let dims: Option<Vec<usize>> = ty.shape.dims().iter().map(bind).collect();
        let dims = dims.ok_or_else(|| Error::UnboundBatch { node: node.to_owned(), ty: ty.clone() })?;
        // Zeros are left out, so that no partial product overflows whatever the order.
        let elements = dims.iter().filter(|n| **n != 0).try_fold(1usize, |product, n| product.checked_mul(*n));
        match elements {
            Some(n) if n <= MAX_ELEMENTS => Ok(dims),
            _ => Err(Error::TooLarge { node: node.to_owned(), ty: ty.clone(), limit: MAX_ELEMENTS }),
        }
    }
}

/// The sizes that `value` gives the batch symbol in an input of type `ty`, after a check of all else.
fn batch_sizes(name: &str, ty: &TensorType, value: &Value) -> Result<Vec<usize>, Error> {
    let dims = ty.shape.dims();
    let fits = |(dim, size): (&Dim, &usize)| dim.fixed().is_none_or(|n| n == *size);
    if value.dtype() != ty.dtype || value.dims().len() != dims.len() || !dims.iter().zip(value.dims()).all(fits) {
        return Err(Error::InputType { name: name.to_owned(), expected: ty.clone(), found: value.ty() });
    }
    Ok(dims.iter().zip(value.dims()).filter(|(dim, _)| **dim == Dim::Batch).map(|(_, size)| *size).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, ArrayD, IxDyn, array};
    use rnc_ir::op::{Activation, Binary, Conv2d, Gemm, Reshape, Unary, Window};
    use rnc_ir::{DType, Shape, Tensor};

    use super::*;

    const RELU: Op = Op::Unary(Unary::Relu);
    const ADD: Op = Op::Binary(Binary::Add);

    fn batch_of(features: usize) -> TensorType {
        TensorType::f32([Dim::Batch, Dim::Fixed(features)])
    }

    fn given<const K: usize>(inputs: [(&str, Value); K]) -> BTreeMap<String, Value> {
        inputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// `y = relu(a + b)` over two features.
    fn sum_graph() -> Graph {
        let mut graph = Graph::new("sum");
        let a = graph.add_input("a", batch_of(2));
        let b = graph.add_input("b", batch_of(2));
        let sum = graph.add("sum", ADD, &[a, b]).expect("types fit");
        let relu = graph.add("relu", RELU, &[sum]).expect("types fit");
        graph.add_output("y", relu);
        graph
    }

    #[test]
    fn runs_a_small_classifier_at_any_batch_size() {
        let mut graph = Graph::new("classifier");
        let x = graph.add_input("x", TensorType::f32([Dim::Batch, 1.into(), 2.into(), 2.into()]));
        let w = graph.add_constant("w", Tensor::f32([2, 1, 1, 1], vec![1.0, -2.0]));
        let conv = Conv2d {
            window: Window::new([1, 1]),
            groups: 1,
            bias: false,
            residual: false,
            activation: Activation::Relu,
        };
        let conv = graph.add("conv", Op::Conv2d(conv), &[x, w]).expect("types fit");
        let pool = graph.add("pool", Op::GlobalAveragePool, &[conv]).expect("types fit");
        let max = graph.add("max", Op::GlobalMaxPool, &[conv]).expect("types fit");
        let shape = Shape::new([Dim::Batch, Dim::Fixed(2)]);
        let flat = graph.add("flat", Op::Reshape(Reshape { shape }), &[pool]).expect("types fit");
        let fc = Tensor::f32([3, 2], vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let fc = graph.add_constant("fc", fc);
        let gemm =
            Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true, bias: false, activation: Activation::None };
        let logits = graph.add("logits", Op::Gemm(gemm), &[flat, fc]).expect("types fit");
        graph.add_output("logits", logits);
        graph.add_output("max", max);

        let images = array![[[[1.0f32, -1.0], [2.0, 5.0]]], [[[-3.0, -3.0], [-3.0, 1.0]]]];
        let outputs = run(&graph, &given([("x", images.into())])).expect("a valid run");
        assert_eq!(outputs["logits"], Value::from(array![[2.0f32, 0.5, 2.5], [0.25, 4.5, 4.75]]));
        assert_eq!(outputs["max"], Value::from(array![[[[5.0f32]], [[2.0]]], [[[1.0]], [[6.0]]]]));
        assert_eq!(outputs.len(), 2);

        let outputs = run(&graph, &given([("x", Array4::<f32>::zeros((0, 1, 2, 2)).into())])).expect("an empty batch");
        assert_eq!(outputs["logits"].dims(), [0, 3]);
    }

    #[test]
    fn gives_every_value_by_node() {
        let graph = sum_graph();
        let inputs = given([("a", array![[1.0f32, 2.0]].into()), ("b", array![[1.0f32, -5.0]].into())]);
        let values = run_all(&graph, &inputs).expect("a valid run");
        let value = |name| &values[&graph.find(name).expect("a node of the graph")];
        assert_eq!(values.len(), graph.len());
        assert_eq!(value("a"), &inputs["a"]);
        assert_eq!(value("sum"), &Value::from(array![[2.0f32, -3.0]]));
        assert_eq!(value("relu"), &Value::from(array![[2.0f32, 0.0]]));
        assert_eq!(value("relu"), &run(&graph, &inputs).expect("a valid run")["y"]);
    }

    #[test]
    fn takes_values_used_twice_outputs_that_are_inputs_and_unused_nodes() {
        let mut graph = Graph::new("odd");
        let x = graph.add_input("x", batch_of(1));
        let twice = graph.add("twice", ADD, &[x, x]).expect("types fit");
        graph.add("unused", RELU, &[twice]).expect("types fit");
        for (name, value) in [("same", x), ("twice", twice), ("again", twice)] {
            graph.add_output(name, value);
        }
        let outputs = run(&graph, &given([("x", array![[3.0f32]].into())])).expect("a valid run");
        assert_eq!(outputs["same"], Value::from(array![[3.0f32]]));
        assert_eq!(outputs["twice"], Value::from(array![[6.0f32]]));
        assert_eq!(outputs["again"], outputs["twice"]);
    }

    #[test]
    fn takes_inputs_in_any_memory_order() {
        let mut graph = Graph::new("flatten");
        let x = graph.add_input("x", TensorType::f32([2usize, 2]));
        let shape = Shape::new([4usize]);
        let y = graph.add("y", Op::Reshape(Reshape { shape }), &[x]).expect("types fit");
        graph.add_output("y", y);
        let transposed = array![[1.0f32, 2.0], [3.0, 4.0]].reversed_axes();
        let outputs = run(&graph, &given([("x", transposed.into())])).expect("a valid run");
        assert_eq!(outputs["y"], Value::from(array![1.0f32, 3.0, 2.0, 4.0]));
    }

    #[test]
    fn frees_each_value_after_its_last_use() {
        let graph = sum_graph();
        let mut live = Live::new(&graph);
        let mut counts = Vec::new();
        for id in graph.topological_order() {
            live.store(id, Value::from(array![0.0f32]));
            counts.push(live.values.len());
        }
        // a, b, their sum instead of both, and the output instead of the sum.
        assert_eq!(counts, [1, 2, 1, 1]);
        assert!(live.values.contains_key(&graph.outputs()[0].value));
    }

    #[test]
    fn refuses_missing_and_unknown_inputs_by_name() {
        let graph = sum_graph();
        let x = || Value::from(array![[1.0f32, 2.0]]);
        let error = run(&graph, &given([("a", x())])).expect_err("b is missing");
        assert_eq!(error.to_string(), "input `b` is missing: the graph expects f32[N,2] under this name");
        let error = run(&graph, &given([("a", x()), ("b", x()), ("c", x())])).expect_err("c is unknown");
        assert_eq!(error.to_string(), "the graph has no input `c`; its inputs are `a`, `b`");
        let error = run(&Graph::new("empty"), &given([("c", x())])).expect_err("c is unknown");
        assert_eq!(error.to_string(), "the graph has no input `c`; its inputs are none");
    }

    #[test]
    fn refuses_inputs_of_another_type_with_what_was_expected_and_found() {
        let graph = sum_graph();
        let good = || Value::from(array![[1.0f32, 2.0]]);
        for (bad, found) in [
            (Value::from(array![[1i64, 2]]), "i64[1,2]"),
            (Value::from(array![1.0f32, 2.0]), "f32[2]"),
            (Value::from(array![[1.0f32, 2.0, 3.0]]), "f32[1,3]"),
        ] {
            let error = run(&graph, &given([("a", good()), ("b", bad)])).expect_err("b is wrong");
            assert_eq!(error.to_string(), format!("input `b` should be f32[N,2], found {found}"));
        }
    }

    #[test]
    fn refuses_inputs_that_disagree_on_the_batch_size() {
        let inputs = given([("a", array![[1.0f32, 2.0]].into()), ("b", array![[1.0f32, 2.0], [3.0, 4.0]].into())]);
        let error = run_all(&sum_graph(), &inputs).expect_err("batches differ");
        let expected = Error::InconsistentBatch { name: "b".to_owned(), found: 2, first: "a".to_owned(), expected: 1 };
        assert_eq!(error, expected);
    }

    fn expansion_to(shape: Shape) -> Graph {
        let mut graph = Graph::new("expansion");
        let one = graph.add_constant("one", Tensor::f32([1], vec![1.0]));
        let y = graph.add("y", Op::Expand(Reshape { shape }), &[one]).expect("types fit");
        graph.add_output("y", y);
        graph
    }

    #[test]
    fn refuses_a_batch_that_no_input_binds() {
        let error = run(&expansion_to(Shape::new([Dim::Batch])), &BTreeMap::new()).expect_err("N is unknown");
        assert_eq!(error, Error::UnboundBatch { node: "y".to_owned(), ty: TensorType::f32([Dim::Batch]) });
    }

    #[test]
    fn refuses_values_too_large_to_hold() {
        let dims = [1usize << 20, 1 << 20];
        let error = run(&expansion_to(Shape::new(dims)), &BTreeMap::new()).expect_err("4 TiB");
        assert_eq!(error, Error::TooLarge { node: "y".to_owned(), ty: TensorType::f32(dims), limit: MAX_ELEMENTS });
    }

    #[test]
    fn names_the_node_that_divides_by_zero() {
        let mut graph = Graph::new("division");
        let x = graph.add_input("x", TensorType { dtype: DType::I64, shape: Shape::new([2usize]) });
        let zero = graph.add_constant("zero", Tensor::i64([], vec![0]));
        let y = graph.add("y", Op::Binary(Binary::Div), &[x, zero]).expect("types fit");
        graph.add_output("y", y);
        let error = run(&graph, &given([("x", array![1i64, 2].into())])).expect_err("a division by zero");
        assert_eq!(error.to_string(), "`y` (div): an i64 is divided by zero");
    }

    #[test]
    fn a_value_that_is_not_of_its_type_is_an_internal_error() {
        let graph = sum_graph();
        let inputs = given([("a", array![[1.0f32, 2.0]].into()), ("b", array![[1.0f32, 2.0]].into())]);
        let interpreter = Interpreter::new(&graph, &inputs).expect("valid inputs");
        let [sum, relu] = ["sum", "relu"].map(|name| graph.find(name).expect("a node of the graph"));
        let wrong = HashMap::from([(sum, ArrayD::<f32>::zeros(IxDyn(&[3, 2])).into())]);
        let error = interpreter.evaluate(relu, &wrong).expect_err("a wrong operand");
        let problem = "bug in rnc: the type is f32[N,2], that is [1, 2], but the value is f32[3,2]";
        assert_eq!(error.to_string(), format!("`relu` (relu): {problem}"));
    }
}
