//! Ways to damage a graph as no edit method can, for the verifier's tests.

use super::{Graph, NodeId};
use crate::op::Op;
use crate::types::TensorType;

/// A damage.
pub(crate) enum Tear {
    /// Gives a node another type.
    Type(NodeId, TensorType),
    /// Gives a node another operator, its type and operands kept.
    Op(NodeId, Op),
    /// Gives a node other operands, its edges kept.
    Operands(NodeId, Vec<NodeId>),
    /// Gives a node other operands and mirrors them, even if that closes a circle.
    Circle(NodeId, Vec<NodeId>),
    /// Renames a node behind the back of the table of names.
    Name(NodeId, &'static str),
    /// Lets another name resolve to a node.
    Alias(&'static str, NodeId),
    /// Lists the inputs.
    Inputs(Vec<NodeId>),
    /// Removes a node and leaves its uses.
    Vanish(NodeId),
}

impl Graph {
    /// Applies a damage.
    pub(crate) fn tear(&mut self, tear: Tear) {
        match tear {
            Tear::Type(id, ty) => self.nodes[id.0].ty = ty,
            Tear::Op(id, op) => self.nodes[id.0].op = op,
            Tear::Operands(id, operands) => self.nodes[id.0].operands = operands,
            Tear::Circle(id, operands) => {
                for (position, operand) in operands.iter().enumerate() {
                    self.nodes.update_edge(operand.0, id.0, position);
                }
                self.nodes.retain_edges(|g, e| {
                    g.edge_endpoints(e).is_none_or(|(from, to)| to != id.0 || operands.contains(&NodeId(from)))
                });
                self.nodes[id.0].operands = operands;
            }
            Tear::Name(id, name) => name.clone_into(&mut self.nodes[id.0].name),
            Tear::Alias(name, id) => drop(self.names.insert(name.to_owned(), id)),
            Tear::Inputs(inputs) => self.inputs = inputs,
            Tear::Vanish(id) => drop(self.nodes.remove_node(id.0)),
        }
    }
}
