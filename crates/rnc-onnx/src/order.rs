//! The order in which nodes are imported: operands before users. ONNX asks for files to be sorted; not all are.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use onnx_protobuf::NodeProto;

/// An order of nodes, as indices.
#[derive(Debug, PartialEq)]
pub(crate) struct Order {
    /// Operands before users; of nodes that are ready the first in the file. Nodes on a cycle, or behind one, are left out.
    pub sorted: Vec<usize>,
    /// The nodes of one cycle, each an operand of the next, if there is a cycle.
    pub cycle: Option<Vec<usize>>,
}

/// Sorts nodes by their names' uses.
pub(crate) fn sort(nodes: &[NodeProto]) -> Order {
    let mut producer = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            producer.entry(output.as_str()).or_insert(i);
        }
    }
    let operands = |i: usize| nodes[i].input.iter().filter_map(|name| producer.get(name.as_str()).copied());
    let mut users = vec![Vec::new(); nodes.len()];
    let mut missing: Vec<usize> = (0..nodes.len()).map(|i| operands(i).count()).collect();
    for i in 0..nodes.len() {
        operands(i).for_each(|operand| users[operand].push(i));
    }
    let mut ready: BinaryHeap<_> = (0..nodes.len()).filter(|i| missing[*i] == 0).map(Reverse).collect();
    let mut sorted = Vec::with_capacity(nodes.len());
    while let Some(Reverse(i)) = ready.pop() {
        sorted.push(i);
        for user in &users[i] {
            missing[*user] -= 1;
            if missing[*user] == 0 {
                ready.push(Reverse(*user));
            }
        }
    }
    let cycle = (0..nodes.len()).find(|i| missing[*i] > 0).map(|start| {
        // Every node left has an operand that is left: going from one to the next must come back somewhere.
        let mut path: Vec<usize> = Vec::new();
        let mut position = HashMap::new();
        let mut at = start;
        loop {
            if let Some(first) = position.insert(at, path.len()) {
                let mut cycle = path.split_off(first);
                cycle.reverse();
                return cycle;
            }
            path.push(at);
            match operands(at).find(|operand| missing[*operand] > 0) {
                Some(operand) => at = operand,
                None => return path,
            }
        }
    });
    Order { sorted, cycle }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node;

    #[test]
    fn keeps_the_order_of_the_file_where_it_can() {
        let nodes = [
            node("A", &["x"], &["a"], []),
            node("B", &["c"], &["b"], []),
            node("C", &["a", "a"], &["c"], []),
            node("D", &["x"], &["d"], []),
        ];
        assert_eq!(sort(&nodes), Order { sorted: vec![0, 2, 1, 3], cycle: None });
    }

    #[test]
    fn finds_a_cycle_from_a_node_behind_it() {
        let nodes = [
            node("Behind", &["b"], &["y"], []),
            node("A", &["b", "x"], &["a"], []),
            node("B", &["a"], &["b"], []),
            node("Free", &["x"], &["z"], []),
        ];
        let order = sort(&nodes);
        assert_eq!(order.sorted, [3]);
        let mut cycle = order.cycle.unwrap();
        cycle.sort_unstable();
        assert_eq!(cycle, [1, 2]);
        assert_eq!(sort(&[node("Self", &["a"], &["a"], [])]).cycle, Some(vec![0]));
    }
}
