//! Writes `x · hard_sigmoid(x)` as one function.
//!
//! ```text
//! before  %s = hard_sigmoid(%x) {alpha=0.16666667, beta=0.5} : f32[N,16,56,56]    after  %m = hard_swish(%x) : f32[N,16,56,56]
//!         %m = mul(%x, %s) : f32[N,16,56,56]
//! ```
//!
//! The definition of ONNX's `HardSwish` (opset 14), with alpha 1/6 and beta 0.5; exporters of older opsets write the two.

use rnc_ir::op::{Binary, Unary};
use rnc_ir::{Graph, NodeId, Op};

use crate::edit::rewrite;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

const GATE: Unary = Unary::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };

/// Fuses every product of a value with its own hard sigmoid of alpha 1/6 and beta 0.5, in either order.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, |graph, id, (x, gate)| {
        let what = format!("joined with {}", shown(graph, gate));
        rewrite(graph, id, Op::Unary(Unary::HardSwish), &[x])?;
        graph.remove(gate);
        Ok(what)
    })
}

/// The value and its hard sigmoid.
fn find(graph: &Graph, id: NodeId) -> Match<(NodeId, NodeId)> {
    let (Op::Binary(Binary::Mul), &[a, b]) = (graph.op(id), graph.operands(id)) else { return Err(Miss::NoMatch) };
    let (x, gate, function) = match (gate_of(graph, b, a), gate_of(graph, a, b)) {
        (Some(function), _) => (a, b, function),
        (None, Some(function)) => (b, a, function),
        (None, None) => return Err(Miss::NoMatch),
    };
    if function != GATE {
        return refuse(format!("{} has another alpha or beta than 1/6 and 0.5", shown(graph, gate)));
    }
    if graph.use_count(gate) > 1 {
        return refuse(format!("{} is used more than once", shown(graph, gate)));
    }
    Ok((x, gate))
}

/// The function of `gate`, if it is a hard sigmoid of `x`.
fn gate_of(graph: &Graph, gate: NodeId, x: NodeId) -> Option<Unary> {
    match graph.op(gate) {
        Op::Unary(function @ Unary::HardSigmoid { .. }) if graph.operands(gate) == [x] => Some(*function),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, ops, refusal, rewritten};

    const GATE: &str = "%s = hard_sigmoid(%x) {alpha=0.16666667, beta=0.5}";

    #[test]
    fn fuses_in_either_order_and_keeps_the_product_s_name() {
        for product in ["mul(%x, %s)", "mul(%s, %x)"] {
            let text = format!("graph @g(%x: f32[N,4]) -> (%m) {{ {GATE} %m = {product} }}");
            let (graph, _) = rewritten(super::run, &text);
            assert_eq!((ops(&graph), names(&graph)), (vec!["hard_swish"], vec!["x", "m"]));
        }
    }

    #[test]
    fn refuses_a_gate_with_another_use() {
        let text = format!("graph @g(%x: f32[N,4]) -> (%m, %s) {{ {GATE} %m = mul(%x, %s) }}");
        assert_eq!(refusal(super::run, &text).unwrap(), "%s is used more than once");
    }

    #[test]
    fn refuses_the_default_alpha_of_hard_sigmoid() {
        let text = "graph @g(%x: f32[N,4]) -> (%m) { %s = hard_sigmoid(%x) {alpha=0.2, beta=0.5} %m = mul(%x, %s) }";
        assert!(refusal(super::run, text).unwrap().contains("another alpha or beta"));
    }

    #[test]
    fn leaves_a_gate_of_another_value_alone() {
        let text = format!("graph @g(%x: f32[N,4], %y: f32[N,4]) -> (%m) {{ {GATE} %m = mul(%y, %s) }}");
        let (graph, log) = rewritten(super::run, &text);
        assert_eq!(ops(&graph), ["hard_sigmoid", "mul"]);
        assert!(log.entries().is_empty());
    }
}
