//! Comparison of graphs by what they say.

use super::{Graph, NodeId};

impl Graph {
    /// Whether both graphs say the same: equal name, inputs and outputs in order, and for every node one of the same
    /// name, operator, operands (by name) and type in the other. Ids and the order of addition do not count; constants
    /// are compared bit by bit.
    pub fn same(&self, other: &Self) -> bool {
        let name = |graph: &Self, id: NodeId| graph.node(id).name.clone();
        let signature = |graph: &Self| {
            let inputs: Vec<_> = graph.inputs.iter().map(|id| name(graph, *id)).collect();
            let outputs: Vec<_> = graph.outputs.iter().map(|o| (o.name.clone(), name(graph, o.value))).collect();
            (graph.name.clone(), inputs, outputs)
        };
        let same_node = |id: NodeId| {
            let a = self.node(id);
            other.find(&a.name).map(|id| other.node(id)).is_some_and(|b| {
                let [a_names, b_names] = [(self, a), (other, b)]
                    .map(|(graph, node)| node.operands.iter().map(|id| name(graph, *id)).collect::<Vec<_>>());
                a.ty == b.ty && a.op == b.op && a_names == b_names
            })
        };
        self.len() == other.len() && signature(self) == signature(other) && self.ids().all(same_node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Binary, Op};
    use crate::types::{Tensor, TensorType};

    fn graph(value: f32, swapped: bool, output: &str) -> Graph {
        let mut g = Graph::new("g");
        let mut operands = [g.add_input("x", TensorType::f32([1])), g.add_constant("c", Tensor::f32([1], vec![value]))];
        if swapped {
            operands.reverse();
        }
        let sub = g.add("sub", Op::Binary(Binary::Sub), &operands).unwrap();
        g.add_output(output, sub);
        g
    }

    #[test]
    fn tells_apart_constants_operand_order_and_output_names() {
        let g = graph(1.0, false, "out");
        assert!(g.same(&graph(1.0, false, "out")));
        assert!(!g.same(&graph(2.0, false, "out")));
        assert!(!g.same(&graph(1.0, true, "out")));
        assert!(!g.same(&graph(1.0, false, "y")));
        let mut longer = graph(1.0, false, "out");
        longer.add_constant("d", Tensor::f32([1], vec![0.0]));
        assert!(!g.same(&longer) && !longer.same(&g));
    }

    #[test]
    fn does_not_see_the_order_of_addition() {
        let mut g = Graph::new("g");
        let c = g.add_constant("c", Tensor::f32([1], vec![1.0]));
        let x = g.add_input("x", TensorType::f32([1]));
        let sub = g.add("sub", Op::Binary(Binary::Sub), &[x, c]).unwrap();
        g.add_output("out", sub);
        assert!(g.same(&graph(1.0, false, "out")));
    }
}
