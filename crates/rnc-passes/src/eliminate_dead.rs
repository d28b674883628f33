//! Removes nodes that no output needs. Inputs stay: a model keeps its signature.
//!
//! ```text
//! before  %a = relu(%x)                  after  %a = relu(%x)
//!         %b = mul(%x, @c)                      -> (%a)
//!         -> (%a)
//! ```
//!
//! A node is needed if it is an output, or an operand of a needed node. The rest is removed, users before operands.

use std::collections::HashSet;

use rnc_ir::{Graph, NodeId, Op};

use crate::log::{Log, Stats};
use crate::matching::{PassError, shown};

/// Removes every node that no output depends on, except inputs.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps, reason = "the signature of every pass")]
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    let needed = needed(graph);
    let mut stats = Stats::default();
    for id in graph.topological_order().into_iter().rev() {
        if needed.contains(&id) || *graph.op(id) == Op::Input {
            continue;
        }
        if !log.may_apply() {
            break;
        }
        log.applied(shown(graph, id), "no output needs it");
        graph.remove(id);
        stats.applied += 1;
    }
    Ok(stats)
}

fn needed(graph: &Graph) -> HashSet<NodeId> {
    let mut needed = HashSet::new();
    let mut stack: Vec<_> = graph.outputs().iter().map(|output| output.value).collect();
    while let Some(id) = stack.pop() {
        if needed.insert(id) {
            stack.extend(graph.operands(id));
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, rewritten};

    #[test]
    fn removes_a_chain_that_no_output_needs() {
        let (graph, log) = rewritten(
            super::run,
            "graph @g(%x: f32[N,2]) -> (%a) {
               @c = constant [1.0, 2.0] : f32[2]
               %a = relu(%x) : f32[N,2]
               %b = mul(%x, @c) : f32[N,2]
               %d = add(%b, %a) : f32[N,2]
             }",
        );
        assert_eq!(names(&graph), ["x", "a"]);
        assert_eq!(log.entries().len(), 3);
    }

    #[test]
    fn keeps_inputs_that_nothing_uses() {
        let (graph, log) =
            rewritten(super::run, "graph @g(%x: f32[N,2], %unused: f32[3]) -> (%a) { %a = relu(%x) : f32[N,2] }");
        assert_eq!(names(&graph), ["x", "unused", "a"]);
        assert!(log.entries().is_empty());
    }
}
