//! Edits, none of which can leave the graph torn: edges mirror operands, names are unique, types are those inferred.

use petgraph::Incoming;
use petgraph::visit::EdgeRef;

use super::{Graph, Node, NodeId, Output};
use crate::infer::{TypeError, infer};
use crate::op::Op;
use crate::types::{Tensor, TensorType};

impl Graph {
    /// Adds a graph input. A name that is taken gets a suffix.
    pub fn add_input(&mut self, name: &str, ty: TensorType) -> NodeId {
        let id = self.insert(name, Op::Input, &[], ty);
        self.inputs.push(id);
        id
    }

    /// Adds a constant. A name that is taken gets a suffix.
    pub fn add_constant(&mut self, name: &str, tensor: Tensor) -> NodeId {
        let ty = tensor.ty();
        self.insert(name, Op::Constant(tensor), &[], ty)
    }

    /// Adds a node and infers its type. A name that is taken gets a suffix.
    ///
    /// # Errors
    /// If the operator does not take these operands, or is [`Op::Input`], which [`Graph::add_input`] adds. The graph is
    /// unchanged then.
    pub fn add(&mut self, name: &str, op: Op, operands: &[NodeId]) -> Result<NodeId, TypeError> {
        let ty = infer(&op, &self.types(operands))?;
        Ok(self.insert(name, op, operands, ty))
    }

    /// Leaves the graph without outputs, until others are added.
    pub fn clear_outputs(&mut self) {
        self.outputs.clear();
    }

    /// Adds an output of this name.
    pub fn add_output(&mut self, name: impl Into<String>, value: NodeId) {
        self.outputs.push(Output { name: name.into(), value });
    }

    /// Replaces a node's operator and operands in place, keeping its name, its place in the order and its users.
    ///
    /// # Errors
    /// If the operator does not take these operands, or the value's type would change; the graph is unchanged then.
    ///
    /// # Panics
    /// If an operand depends on the node itself.
    pub fn replace_op(&mut self, id: NodeId, op: Op, operands: &[NodeId]) -> Result<(), TypeError> {
        let ty = infer(&op, &self.types(operands))?;
        if ty != self.node(id).ty {
            return Err(TypeError::ChangedType { op: op.name(), from: self.node(id).ty.clone(), to: ty });
        }
        assert!(!operands.iter().any(|o| self.depends_on(*o, id)), "{} would depend on itself", self.node(id).name);
        self.disconnect(id);
        let node = &mut self.nodes[id.0];
        node.op = op;
        node.operands = operands.to_vec();
        self.connect(id);
        Ok(())
    }

    /// Makes every user of `old`, and every output that is `old`, use `new` instead.
    ///
    /// # Panics
    /// If the types differ, or if `new` depends on a user of `old` (it may use `old` itself only through such a user).
    pub fn replace_uses(&mut self, old: NodeId, new: NodeId) {
        assert_eq!(
            self.ty(old),
            self.ty(new),
            "{} and {} have different types",
            self.node(old).name,
            self.node(new).name
        );
        for user in self.users(old) {
            assert!(!self.depends_on(new, user), "{} would depend on itself", self.node(user).name);
            self.disconnect(user);
            for operand in &mut self.nodes[user.0].operands {
                if *operand == old {
                    *operand = new;
                }
            }
            self.connect(user);
        }
        for output in &mut self.outputs {
            if output.value == old {
                output.value = new;
            }
        }
    }

    /// Removes a node that nothing uses.
    ///
    /// # Panics
    /// If the value has a use, or is a graph input (a model keeps its signature).
    pub fn remove(&mut self, id: NodeId) {
        assert_eq!(self.use_count(id), 0, "{} is still used", self.node(id).name);
        assert!(self.node(id).op != Op::Input, "{} is an input of the graph", self.node(id).name);
        if let Some(node) = self.nodes.remove_node(id.0) {
            self.names.remove(&node.name);
        }
    }

    /// Renames a node; a name that is taken gets a suffix.
    pub fn rename(&mut self, id: NodeId, name: &str) {
        let old = std::mem::take(&mut self.nodes[id.0].name);
        self.names.remove(&old);
        let name = self.free_name(name);
        self.names.insert(name.clone(), id);
        self.nodes[id.0].name = name;
    }

    fn types(&self, operands: &[NodeId]) -> Vec<&TensorType> {
        operands.iter().map(|id| self.ty(*id)).collect()
    }

    fn free_name(&mut self, wanted: &str) -> String {
        let wanted = if wanted.is_empty() { "value" } else { wanted };
        self.suffixes.free(wanted, |name| self.names.contains_key(name))
    }

    fn insert(&mut self, name: &str, op: Op, operands: &[NodeId], ty: TensorType) -> NodeId {
        let name = self.free_name(name);
        let serial = self.next_serial;
        self.next_serial += 1;
        let node = Node { name: name.clone(), op, operands: operands.to_vec(), ty, serial };
        let id = NodeId(self.nodes.add_node(node));
        self.names.insert(name, id);
        self.connect(id);
        id
    }

    fn connect(&mut self, id: NodeId) {
        for (position, operand) in self.nodes[id.0].operands.clone().into_iter().enumerate() {
            self.nodes.add_edge(operand.0, id.0, position);
        }
    }

    fn disconnect(&mut self, id: NodeId) {
        let edges: Vec<_> = self.nodes.edges_directed(id.0, Incoming).map(|e| e.id()).collect();
        for edge in edges {
            self.nodes.remove_edge(edge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Binary, Unary};

    const RELU: Op = Op::Unary(Unary::Relu);
    const ADD: Op = Op::Binary(Binary::Add);

    fn names(graph: &Graph) -> Vec<&str> {
        graph.topological_order().into_iter().map(|id| graph.node(id).name()).collect()
    }

    #[test]
    fn replaces_all_uses_and_removes_what_is_unused() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::f32([2]));
        let a = g.add("a", RELU, &[x]).unwrap();
        let twice = g.add("twice", ADD, &[a, a]).unwrap();
        g.add_output("out", a);
        assert_eq!((g.use_count(a), g.users(a), g.sole_user(a)), (3, vec![twice], None));
        g.replace_uses(a, x);
        assert_eq!((g.use_count(a), g.operands(twice)), (0, &[x, x][..]));
        assert_eq!(g.outputs()[0].value, x);
        g.remove(a);
        assert_eq!((g.find("a"), g.contains(a), g.len()), (None, false, 2));
    }

    #[test]
    fn replaces_an_operator_only_by_one_of_the_same_type() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::f32([2]));
        let y = g.add_input("y", TensorType::f32([3, 1]));
        let a = g.add("a", RELU, &[x]).unwrap();
        assert!(matches!(g.replace_op(a, ADD, &[x, y]), Err(TypeError::ChangedType { .. })));
        assert_eq!((g.op(a), g.operands(a)), (&RELU, &[x][..]));
        g.replace_op(a, ADD, &[x, x]).unwrap();
        assert_eq!((g.op(a), g.use_count(x), g.sole_user(x)), (&ADD, 2, None));
    }

    #[test]
    fn orders_ready_nodes_by_addition_even_after_removals() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::f32([1]));
        let gone = g.add("gone", RELU, &[x]).unwrap();
        g.add("a", RELU, &[x]).unwrap();
        g.remove(gone);
        g.add("late", RELU, &[x]).unwrap();
        assert_eq!(names(&g), ["x", "a", "late"]);
    }

    #[test]
    fn a_rewritten_node_keeps_its_place_though_its_constants_are_new() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::f32([1]));
        let a = g.add("a", RELU, &[x]).unwrap();
        g.add("b", RELU, &[x]).unwrap();
        let k = g.add_constant("k", Tensor::f32([1], vec![0.0]));
        g.replace_op(a, ADD, &[x, k]).unwrap();
        assert_eq!(names(&g), ["k", "x", "a", "b"]);
    }

    #[test]
    fn gives_a_taken_name_a_suffix() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::f32([1]));
        g.add("x.2", RELU, &[x]).unwrap();
        g.add("x", RELU, &[x]).unwrap();
        let last = g.add("x", RELU, &[x]).unwrap();
        g.add("", RELU, &[x]).unwrap();
        assert_eq!(names(&g), ["x", "x.2", "x.1", "x.3", "value"]);
        g.rename(last, "last");
        assert_eq!((g.find("last"), g.find("x.3")), (Some(last), None));
    }

    #[test]
    fn refuses_to_add_what_does_not_type() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::f32([2]));
        assert!(g.add("a", ADD, &[x]).is_err());
        assert!(g.add("b", Op::Input, &[]).is_err());
        assert_eq!(g.len(), 1);
    }
}
