//! The graph: nodes in a `petgraph`, read access, and edits that cannot leave it torn.
//!
//! Every node computes exactly one value, so a [`NodeId`] names both. Operand order is stored in the node; the edges
//! (operand → user, weighted with the operand's position) mirror it, so that users are found without a search.

mod edit;
mod same;
#[cfg(test)]
pub(crate) mod tear;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::{EdgeRef, NodeIndexable};
use petgraph::{Incoming, Outgoing};

use crate::op::Op;
use crate::suffix::Suffixes;
use crate::types::{Tensor, TensorType};

/// Names a node and the value it computes. Stays valid until that node is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(NodeIndex);

impl NodeId {
    /// A dense-ish number for tables; not stable across programs.
    pub fn index(self) -> usize {
        self.0.index()
    }
}

/// A node: an operator, its operands in order, and the type of its value.
#[derive(Clone, Debug)]
pub struct Node {
    name: String,
    op: Op,
    operands: Vec<NodeId>,
    ty: TensorType,
    /// See [`Node::serial`].
    serial: usize,
}

impl Node {
    /// The name, unique within the graph: what the node prints as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    pub fn op(&self) -> &Op {
        &self.op
    }

    /// The operands, in order. A value used twice is listed twice.
    pub fn operands(&self) -> &[NodeId] {
        &self.operands
    }

    /// The type of the value.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Ascending in the order of addition: tells a node from one that got the [`NodeId`] of a removed one.
    pub fn serial(&self) -> usize {
        self.serial
    }

    /// The tensor, if the node is a constant.
    pub fn constant(&self) -> Option<&Tensor> {
        match &self.op {
            Op::Constant(t) => Some(t),
            _ => None,
        }
    }
}

/// A named result of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name that callers use.
    pub name: String,
    /// The value.
    pub value: NodeId,
}

/// A model: a directed acyclic graph of [`Node`]s with inputs and named outputs.
#[derive(Clone, Debug)]
pub struct Graph {
    name: String,
    nodes: StableDiGraph<Node, usize>,
    names: HashMap<String, NodeId>,
    inputs: Vec<NodeId>,
    outputs: Vec<Output>,
    next_serial: usize,
    /// Of names that are taken.
    suffixes: Suffixes,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            nodes: StableDiGraph::new(),
            names: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            next_serial: 0,
            suffixes: Suffixes::default(),
        }
    }

    /// The graph's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of nodes, inputs and constants included.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether the graph has no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The node of an id. Panics if it was removed.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Shorthand for `node(id).op()`.
    pub fn op(&self, id: NodeId) -> &Op {
        &self.node(id).op
    }

    /// Shorthand for `node(id).ty()`.
    pub fn ty(&self, id: NodeId) -> &TensorType {
        &self.node(id).ty
    }

    /// Shorthand for `node(id).operands()`.
    pub fn operands(&self, id: NodeId) -> &[NodeId] {
        &self.node(id).operands
    }

    /// Whether the id still names a node.
    pub fn contains(&self, id: NodeId) -> bool {
        self.nodes.contains_node(id.0)
    }

    /// The node of this name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.names.get(name).copied()
    }

    /// The graph's inputs, in the order that callers see.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// The graph's outputs, in the order that callers see.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// All nodes, in an order that depends only on the edits made: the order of addition, but for nodes that took the
    /// place of one removed before. See [`Graph::topological_order`] for an order to work in.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.node_indices().map(NodeId)
    }

    /// The nodes that use a value, ascending; one that uses it twice is listed once. Graph outputs are not nodes: see
    /// [`Graph::use_count`].
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<_> = self.nodes.neighbors_directed(id.0, Outgoing).map(NodeId).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// How often a value is used, as an operand (each position counts) or as a graph output.
    pub fn use_count(&self, id: NodeId) -> usize {
        self.nodes.edges_directed(id.0, Outgoing).count() + self.outputs.iter().filter(|o| o.value == id).count()
    }

    /// Whether a value is a graph output.
    pub fn is_output(&self, id: NodeId) -> bool {
        self.outputs.iter().any(|o| o.value == id)
    }

    /// The user of a value that has exactly one use, that use being an operand of a node.
    pub fn sole_user(&self, id: NodeId) -> Option<NodeId> {
        match (self.use_count(id), self.users(id).as_slice()) {
            (1, [user]) => Some(*user),
            _ => None,
        }
    }

    /// All nodes with operands before users: first the constants, then, among ready nodes, the one that was added first.
    ///
    /// # Panics
    /// On a cycle, which the edit methods cannot make.
    pub fn topological_order(&self) -> Vec<NodeId> {
        self.acyclic_order().expect("the edit methods make no cycle")
    }

    /// [`Graph::topological_order`], or nothing if there is a cycle.
    pub(crate) fn acyclic_order(&self) -> Option<Vec<NodeId>> {
        // Constants come first, so that a rewritten node keeps its place though its new constants are young.
        let entry = |id: NodeId| Reverse((self.node(id).constant().is_none(), self.node(id).serial, id));
        let mut missing = vec![0usize; self.nodes.node_bound()];
        for id in self.ids() {
            missing[id.index()] = self.nodes.edges_directed(id.0, Incoming).count();
        }
        let mut ready: BinaryHeap<_> = self.ids().filter(|id| missing[id.index()] == 0).map(entry).collect();
        let mut order = Vec::with_capacity(self.len());
        while let Some(Reverse((_, _, id))) = ready.pop() {
            order.push(id);
            for edge in self.nodes.edges_directed(id.0, Outgoing) {
                let user = NodeId(edge.target());
                missing[user.index()] -= 1;
                if missing[user.index()] == 0 {
                    ready.push(entry(user));
                }
            }
        }
        (order.len() == self.len()).then_some(order)
    }

    /// Whether `from` is `on`, or reaches it through operands.
    pub fn depends_on(&self, from: NodeId, on: NodeId) -> bool {
        let mut seen = HashSet::new();
        let mut stack = vec![from];
        while let Some(id) = stack.pop() {
            if id == on {
                return true;
            }
            if seen.insert(id) {
                stack.extend(&self.node(id).operands);
            }
        }
        false
    }

    /// The operands of a node by the mirrored edges, as `(position, operand)`, ascending: for the verifier, which holds
    /// them against the operand list.
    pub(crate) fn edges(&self, id: NodeId) -> Vec<(usize, NodeId)> {
        let edges = self.nodes.edges_directed(id.0, Incoming);
        let mut edges: Vec<_> = edges.map(|e| (*e.weight(), NodeId(e.source()))).collect();
        edges.sort_unstable();
        edges
    }

    /// All names, as `(name, node)` in no order: for the verifier.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.names.iter().map(|(name, id)| (name.as_str(), *id))
    }
}
