//! The verifier. This list is the specification of the IR; the numbers are those in the errors.
//!
//! 1. **Names.** Every node has a name that is not empty, looking the name up gives the node, and nothing else can be
//!    looked up. So names are unique.
//! 2. **Operands.** Every operand is a node of the graph, and the edges mirror the operand lists: operand `i` of a node
//!    is an edge of weight `i`, and there is no other edge.
//! 3. **Order.** There is no cycle.
//! 4. **Inputs.** The list of inputs holds every [`Op::Input`] node once, and no other node.
//! 5. **Input types.** An input has at most [`MAX_RANK`] dimensions, the batch symbol at most once, not more bytes than
//!    an `isize` counts, and at least one element if it is `f32`.
//! 6. **Constants.** A constant's type is its tensor's, of at most [`MAX_RANK`] dimensions. (A tensor's dimensions are
//!    numbers whose product is the number of its elements.)
//! 7. **Types.** The type of every other node is what [`infer`] says, and `infer` accepts its operands.
//! 8. **Batch.** Where a value's shape has the batch symbol, some input's shape has it too: the batch size is known
//!    from the inputs.
//! 9. **Outputs.** There is an output. Every output is a node of the graph, under a name that is not empty and no other
//!    output's.
//!
//! Nodes that nothing uses are allowed.

use std::collections::HashSet;
use std::ops::Deref;

use crate::graph::{Graph, Node, NodeId};
use crate::infer::{MAX_RANK, TypeError, infer, type_problem};
use crate::op::Op;
use crate::types::{Dim, TensorType};

/// A graph that holds all invariants of this module. Only [`verify`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a Graph);

impl<'a> Verified<'a> {
    /// The graph, for as long as it was borrowed.
    pub const fn graph(self) -> &'a Graph {
        self.0
    }
}

impl Deref for Verified<'_> {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        self.0
    }
}

/// A broken invariant, by its number in the module's list, and where.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// Invariant 1.
    #[error("invariant 1 (names): node `{node}`: {problem}")]
    Name {
        /// The node's name.
        node: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Invariant 2.
    #[error("invariant 2 (operands): node `{node}` ({op}): {problem}")]
    Operands {
        /// The node's name.
        node: String,
        /// Its operator.
        op: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// Invariant 3.
    #[error("invariant 3 (order): the graph has a cycle through node `{node}`")]
    Cycle {
        /// A node on the cycle.
        node: String,
    },
    /// Invariant 4.
    #[error("invariant 4 (inputs): node `{node}` {problem}")]
    Inputs {
        /// The node's name.
        node: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Invariant 5.
    #[error("invariant 5 (input types): input `{node}` is {ty}, {problem}")]
    InputType {
        /// The input's name.
        node: String,
        /// Its type.
        ty: TensorType,
        /// What is wrong.
        problem: &'static str,
    },
    /// Invariant 6.
    #[error("invariant 6 (constants): constant `{node}` is {ty}, expected {expected}")]
    Constant {
        /// The constant's name.
        node: String,
        /// Its type.
        ty: TensorType,
        /// What it should be.
        expected: String,
    },
    /// Invariant 7: inference accepts the operands, but with another result.
    #[error("invariant 7 (types): node `{node}` ({op}) is {found}, but its operands give {expected}")]
    Type {
        /// The node's name.
        node: String,
        /// Its operator.
        op: &'static str,
        /// Its type.
        found: TensorType,
        /// The type inferred.
        expected: TensorType,
    },
    /// Invariant 7: inference refuses the operands.
    #[error("invariant 7 (types): node `{node}`: {problem}")]
    Refused {
        /// The node's name.
        node: String,
        /// Why.
        problem: TypeError,
    },
    /// Invariant 8.
    #[error("invariant 8 (batch): node `{node}` is {ty}, but no input has the batch symbol")]
    Batch {
        /// The node's name.
        node: String,
        /// Its type.
        ty: TensorType,
    },
    /// Invariant 9: there is none.
    #[error("invariant 9 (outputs): the graph has no output")]
    NoOutput,
    /// Invariant 9: one is wrong.
    #[error("invariant 9 (outputs): output `{output}` {problem}")]
    Output {
        /// The output's name.
        output: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Checks all invariants.
///
/// # Errors
/// The first one that does not hold.
pub fn verify(graph: &Graph) -> Result<Verified<'_>, VerifyError> {
    check_names(graph)?;
    check_operands(graph)?;
    check_order(graph)?;
    check_inputs(graph)?;
    let has_batch = |id: NodeId| graph.ty(id).shape.dims().contains(&Dim::Batch);
    let batch_is_known = graph.inputs().iter().any(|id| has_batch(*id));
    for id in graph.ids() {
        check_type(graph, graph.node(id))?;
        if has_batch(id) && !batch_is_known {
            return Err(VerifyError::Batch { node: graph.node(id).name().to_owned(), ty: graph.ty(id).clone() });
        }
    }
    check_outputs(graph)?;
    Ok(Verified(graph))
}

fn check_names(graph: &Graph) -> Result<(), VerifyError> {
    let error = |node: &str, problem| Err(VerifyError::Name { node: node.to_owned(), problem });
    for id in graph.ids() {
        let name = graph.node(id).name();
        if name.is_empty() {
            return error(name, "the name is empty");
        }
        if graph.find(name) != Some(id) {
            return error(name, "looking up the name gives another node, or none");
        }
    }
    match graph.names().find(|(name, id)| !graph.contains(*id) || graph.node(*id).name() != *name) {
        Some((name, _)) => error(name, "the name can be looked up, but no node has it"),
        None => Ok(()),
    }
}

fn check_operands(graph: &Graph) -> Result<(), VerifyError> {
    for id in graph.ids() {
        let node = graph.node(id);
        let error =
            |problem| Err(VerifyError::Operands { node: node.name().to_owned(), op: node.op().name(), problem });
        if !node.operands().iter().all(|operand| graph.contains(*operand)) {
            return error("an operand is not a node of the graph");
        }
        if !graph.edges(id).into_iter().eq(node.operands().iter().copied().enumerate()) {
            return error("its edges do not mirror its operands");
        }
    }
    Ok(())
}

fn check_order(graph: &Graph) -> Result<(), VerifyError> {
    if graph.acyclic_order().is_some() {
        return Ok(());
    }
    // Only for the message, and only after an edit method has failed its promise: it may take its time.
    let on_cycle = |id: &NodeId| graph.operands(*id).iter().any(|operand| graph.depends_on(*operand, *id));
    let node = graph.ids().find(on_cycle).map_or_else(String::new, |id| graph.node(id).name().to_owned());
    Err(VerifyError::Cycle { node })
}

fn check_inputs(graph: &Graph) -> Result<(), VerifyError> {
    let error = |node: String, problem| Err(VerifyError::Inputs { node, problem });
    let mut listed = HashSet::new();
    for id in graph.inputs() {
        if !graph.contains(*id) {
            return error(format!("#{}", id.index()), "is listed as an input, but is not in the graph");
        }
        let name = || graph.node(*id).name().to_owned();
        if *graph.op(*id) != Op::Input {
            return error(name(), "is listed as an input, but computes its value");
        }
        if !listed.insert(*id) {
            return error(name(), "is listed as an input twice");
        }
    }
    match graph.ids().find(|id| *graph.op(*id) == Op::Input && !listed.contains(id)) {
        Some(id) => error(graph.node(id).name().to_owned(), "is an input, but not listed as one"),
        None => Ok(()),
    }
}

fn check_type(graph: &Graph, node: &Node) -> Result<(), VerifyError> {
    let (name, ty) = (|| node.name().to_owned(), node.ty());
    match node.op() {
        Op::Input => match type_problem(ty) {
            Some(problem) => Err(VerifyError::InputType { node: name(), ty: ty.clone(), problem }),
            None => Ok(()),
        },
        Op::Constant(tensor) if tensor.ty() != *ty => {
            Err(VerifyError::Constant { node: name(), ty: ty.clone(), expected: tensor.ty().to_string() })
        }
        Op::Constant(_) if ty.shape.rank() > MAX_RANK => {
            let expected = format!("at most {MAX_RANK} dimensions");
            Err(VerifyError::Constant { node: name(), ty: ty.clone(), expected })
        }
        Op::Constant(_) => Ok(()),
        op => {
            let operands: Vec<_> = node.operands().iter().map(|id| graph.ty(*id)).collect();
            match infer(op, &operands) {
                Ok(expected) if expected == *ty => Ok(()),
                Ok(expected) => Err(VerifyError::Type { node: name(), op: op.name(), found: ty.clone(), expected }),
                Err(problem) => Err(VerifyError::Refused { node: name(), problem }),
            }
        }
    }
}

fn check_outputs(graph: &Graph) -> Result<(), VerifyError> {
    if graph.outputs().is_empty() {
        return Err(VerifyError::NoOutput);
    }
    let mut names = HashSet::new();
    for output in graph.outputs() {
        let error = |problem| Err(VerifyError::Output { output: output.name.clone(), problem });
        if output.name.is_empty() {
            return error("has an empty name");
        }
        if !graph.contains(output.value) {
            return error("is not a node of the graph");
        }
        if !names.insert(&output.name) {
            return error("has the name of another output");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tear::Tear;
    use crate::op::{Binary, Reshape, Unary};
    use crate::types::{Shape, Tensor};

    const ADD: Op = Op::Binary(Binary::Add);

    /// `x`, a constant `c`, `sum = x + c`, `out = relu(sum)`.
    fn graph() -> (Graph, [NodeId; 4]) {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::f32([Dim::Batch, 2.into()]));
        let c = g.add_constant("c", Tensor::f32([2], vec![1.0, 2.0]));
        let sum = g.add("sum", ADD, &[x, c]).unwrap();
        let out = g.add("out", Op::Unary(Unary::Relu), &[sum]).unwrap();
        g.add_output("out", out);
        (g, [x, c, sum, out])
    }

    /// The message for the graph after a damage.
    fn refusal(tear: impl FnOnce([NodeId; 4]) -> Tear) -> String {
        let (mut g, ids) = graph();
        g.tear(tear(ids));
        verify(&g).expect_err("the graph is torn").to_string()
    }

    #[test]
    fn accepts_a_graph_made_by_edits() {
        let (g, [_, _, sum, _]) = graph();
        let verified = verify(&g).unwrap();
        assert_eq!(verified.ty(sum).to_string(), "f32[N,2]");
        assert!(std::ptr::eq(verified.graph(), &raw const g));
    }

    #[test]
    fn refuses_names_that_do_not_resolve() {
        assert!(refusal(|[_, _, sum, _]| Tear::Name(sum, "x")).starts_with("invariant 1 (names): node `x`"));
        assert!(refusal(|[_, _, sum, _]| Tear::Name(sum, "")).contains("empty"));
        assert!(refusal(|[x, ..]| Tear::Alias("y", x)).starts_with("invariant 1 (names): node `y`"));
    }

    #[test]
    fn refuses_edges_that_do_not_mirror_the_operands() {
        for operands in [|x, c| vec![c, x], |x, _| vec![x], |x, c| vec![x, c, c], |x, _| vec![x, x]] {
            let message = refusal(|[x, c, sum, _]| Tear::Operands(sum, operands(x, c)));
            assert!(message.starts_with("invariant 2 (operands): node `sum` (add): its edges"), "{message}");
        }
    }

    #[test]
    fn refuses_operands_and_names_of_nodes_that_are_gone() {
        let (mut g, [_, c, ..]) = graph();
        g.tear(Tear::Vanish(c));
        assert!(verify(&g).unwrap_err().to_string().starts_with("invariant 1 (names): node `c`"));
        let (mut other, [_, _, _, last]) = graph();
        let far = other.add("far", Op::Identity, &[last]).unwrap();
        let (mut g, [x, _, sum, _]) = graph();
        g.tear(Tear::Operands(sum, vec![x, far]));
        assert!(verify(&g).unwrap_err().to_string().contains("an operand is not a node"));
    }

    #[test]
    fn refuses_a_cycle_and_names_a_node_on_it() {
        let message = refusal(|[x, _, sum, out]| Tear::Circle(sum, vec![x, out]));
        assert_eq!(message, "invariant 3 (order): the graph has a cycle through node `sum`");
    }

    #[test]
    fn refuses_input_lists_that_are_not_the_input_nodes() {
        assert!(
            refusal(|_| Tear::Inputs(vec![])).contains("invariant 4 (inputs): node `x` is an input, but not listed")
        );
        assert!(refusal(|[x, ..]| Tear::Inputs(vec![x, x])).contains("node `x` is listed as an input twice"));
        assert!(
            refusal(|[x, c, ..]| Tear::Inputs(vec![x, c])).contains("node `c` is listed as an input, but computes")
        );
    }

    #[test]
    fn refuses_inputs_of_impossible_types() {
        let batch_twice = TensorType::f32([Dim::Batch, Dim::Batch]);
        for ty in [batch_twice, TensorType::f32([0]), TensorType::f32([usize::MAX]), TensorType::f32([1; 17])] {
            let mut g = Graph::new("g");
            let x = g.add_input("x", ty);
            g.add_output("x", x);
            assert!(verify(&g).unwrap_err().to_string().starts_with("invariant 5 (input types): input `x`"));
        }
    }

    #[test]
    fn refuses_constants_of_another_type_than_their_tensor() {
        let message = refusal(|[_, c, ..]| Tear::Type(c, TensorType::f32([1, 2])));
        assert_eq!(message, "invariant 6 (constants): constant `c` is f32[1,2], expected f32[2]");
        let (mut g, _) = graph();
        g.add_constant("deep", Tensor::f32([1; 17], vec![0.0]));
        assert!(verify(&g).unwrap_err().to_string().contains("constant `deep`"));
    }

    #[test]
    fn refuses_types_that_inference_does_not_give() {
        let message = refusal(|[_, _, sum, _]| Tear::Type(sum, TensorType::f32([2])));
        assert_eq!(message, "invariant 7 (types): node `sum` (add) is f32[2], but its operands give f32[N,2]");
        let message = refusal(|[_, _, sum, _]| Tear::Op(sum, Op::Identity));
        assert_eq!(message, "invariant 7 (types): node `sum`: `identity` takes 1 operands, found 2");
    }

    #[test]
    fn refuses_a_batch_that_no_input_brings() {
        let mut g = Graph::new("g");
        let c = g.add_constant("c", Tensor::f32([1], vec![1.0]));
        let shape = Shape::new([Dim::Batch]);
        let wide = g.add("wide", Op::Expand(Reshape { shape }), &[c]).unwrap();
        g.add_output("wide", wide);
        assert!(verify(&g).unwrap_err().to_string().starts_with("invariant 8 (batch): node `wide` is f32[N]"));
    }

    #[test]
    fn refuses_outputs_that_are_none_or_nameless_or_alike_or_foreign() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::f32([1]));
        assert_eq!(verify(&g).unwrap_err(), VerifyError::NoOutput);
        let refusal = |name, value| {
            let mut g = g.clone();
            g.add_output("y", x);
            g.add_output(name, value);
            verify(&g).unwrap_err().to_string()
        };
        assert!(refusal("", x).contains("output `` has an empty name"));
        assert!(refusal("y", x).contains("output `y` has the name of another output"));
        let (_, [_, _, _, foreign]) = graph();
        assert!(refusal("z", foreign).contains("output `z` is not a node of the graph"));
    }
}
