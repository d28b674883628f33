//! Writes `x · sigmoid(x)` as one function.
//!
//! ```text
//! before  %s = sigmoid(%x) : f32[N,64,56,56]          after  %m = silu(%x) : f32[N,64,56,56]
//!         %m = mul(%x, %s) : f32[N,64,56,56]
//! ```
//!
//! The definition (Elfwing et al., "Sigmoid-Weighted Linear Units", 2017; also called swish). ONNX has no operator for it
//! before opset 24, so exporters write the two.

use rnc_ir::op::{Binary, Unary};
use rnc_ir::{Graph, NodeId, Op};

use crate::edit::rewrite;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Fuses every product of a value with its own sigmoid, in either order.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, |graph, id, (x, sigmoid)| {
        let what = format!("joined with {}", shown(graph, sigmoid));
        rewrite(graph, id, Op::Unary(Unary::Silu), &[x])?;
        graph.remove(sigmoid);
        Ok(what)
    })
}

/// The value and its sigmoid.
fn find(graph: &Graph, id: NodeId) -> Match<(NodeId, NodeId)> {
    let (Op::Binary(Binary::Mul), &[a, b]) = (graph.op(id), graph.operands(id)) else { return Err(Miss::NoMatch) };
    let is_sigmoid_of = |s: NodeId, x: NodeId| *graph.op(s) == Op::Unary(Unary::Sigmoid) && graph.operands(s) == [x];
    let (x, sigmoid) = match (is_sigmoid_of(b, a), is_sigmoid_of(a, b)) {
        (true, _) => (a, b),
        (false, true) => (b, a),
        (false, false) => return Err(Miss::NoMatch),
    };
    if graph.use_count(sigmoid) > 1 {
        return refuse(format!("{} is used more than once", shown(graph, sigmoid)));
    }
    Ok((x, sigmoid))
}

#[cfg(test)]
mod tests {
    use crate::testing::{ops, refusal, rewritten};

    #[test]
    fn fuses_in_either_order() {
        for product in ["mul(%x, %s)", "mul(%s, %x)"] {
            let text =
                format!("graph @g(%x: f32[N,4]) -> (%m) {{ %s = sigmoid(%x) : f32[N,4] %m = {product} : f32[N,4] }}");
            assert_eq!(ops(&rewritten(super::run, &text).0), ["silu"]);
        }
    }

    #[test]
    fn refuses_a_sigmoid_with_another_use() {
        let text = "graph @g(%x: f32[N,4]) -> (%m, %s) { %s = sigmoid(%x) : f32[N,4] %m = mul(%x, %s) : f32[N,4] }";
        assert!(refusal(super::run, text).unwrap().contains("%s is used more than once"));
    }

    #[test]
    fn leaves_a_gate_of_another_value_alone() {
        let text = "graph @g(%x: f32[N,4], %y: f32[N,4]) -> (%m) {
               %s = sigmoid(%x) : f32[N,4]
               %m = mul(%y, %s) : f32[N,4]
             }";
        let (graph, log) = rewritten(super::run, text);
        assert_eq!(ops(&graph), ["sigmoid", "mul"]);
        assert!(log.entries().is_empty());
    }
}
