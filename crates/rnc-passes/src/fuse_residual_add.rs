//! Adds a shortcut inside the convolution that makes the other addend.
//!
//! ```text
//! before  %c = conv2d(%x, @w) {pad=1} : f32[N,64,56,56]
//!         %a = add(%c, %y) : f32[N,64,56,56]
//! after   %a = conv2d(%x, @w, residual=%y) {pad=1} : f32[N,64,56,56]
//! ```
//!
//! The sum is formed before the result's one store (and before an activation, which `fuse_activation` adds afterwards). Where both
//! addends are convolutions, as in a block with a projection shortcut, the one that comes later absorbs the other, whose
//! result is ready by then.
//!
//! The rewrite cannot make a cycle: `%a` is the only user of `%c`, so a `%y` that depended on `%c` would depend on `%a`.

use std::collections::HashMap;

use rnc_ir::op::{Activation, Binary, Conv2d};
use rnc_ir::{Graph, NodeId, Op};

use crate::edit::{absorb, rewrite};
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Fuses every `add` with an operand that is a convolution without activation or residual, and that only the `add` reads.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    let order = graph.topological_order();
    let positions: HashMap<NodeId, usize> = order.into_iter().enumerate().map(|(i, id)| (id, i)).collect();
    let position = |id: NodeId| positions.get(&id).copied().unwrap_or(usize::MAX);
    sweep(graph, log, |graph, id| find(graph, id, &position), apply)
}

/// The convolution that absorbs, and the value that it adds.
struct Residual {
    conv: NodeId,
    residual: NodeId,
}

fn find(graph: &Graph, id: NodeId, position: &dyn Fn(NodeId) -> usize) -> Match<Residual> {
    let (Op::Binary(Binary::Add), &[a, b]) = (graph.op(id), graph.operands(id)) else { return Err(Miss::NoMatch) };
    let mut candidates = [Residual { conv: a, residual: b }, Residual { conv: b, residual: a }];
    // The later convolution is asked first.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(position(candidate.conv)));
    let mut reasons = Vec::new();
    for candidate in candidates {
        match can_absorb(graph, &candidate) {
            Ok(()) => return Ok(candidate),
            Err(Miss::NoMatch) => {}
            // `add(%c, %c)` has the same reason twice.
            Err(Miss::Refused(reason)) if reasons.contains(&reason) => {}
            Err(Miss::Refused(reason)) => reasons.push(reason),
        }
    }
    if reasons.is_empty() { Err(Miss::NoMatch) } else { refuse(reasons.join("; ")) }
}

fn can_absorb(graph: &Graph, candidate: &Residual) -> Match<()> {
    let Op::Conv2d(conv) = graph.op(candidate.conv) else { return Err(Miss::NoMatch) };
    let name = shown(graph, candidate.conv);
    if graph.sole_user(candidate.conv).is_none() {
        return refuse(format!("the result of {name} is used more than once"));
    }
    if conv.activation != Activation::None {
        return refuse(format!("{name} has an activation, which comes before the sum"));
    }
    if conv.residual {
        return refuse(format!("{name} has a residual already"));
    }
    let (own, other) = (graph.ty(candidate.conv), graph.ty(candidate.residual));
    if own != other {
        return refuse(format!("{} is {other}, and {name} is {own}", shown(graph, candidate.residual)));
    }
    Ok(())
}

fn apply(graph: &mut Graph, id: NodeId, Residual { conv, residual }: Residual) -> Result<String, PassError> {
    let what = format!("{} is added inside {}", shown(graph, residual), shown(graph, conv));
    let mut operands = graph.operands(conv).to_vec();
    operands.push(residual);
    let Op::Conv2d(old) = graph.op(conv) else { unreachable!("the matcher saw a convolution") };
    let op = Op::Conv2d(Conv2d { residual: true, ..old.clone() });
    rewrite(graph, conv, op, &operands)?;
    absorb(graph, conv, id);
    Ok(what)
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, ops, refusal, rewritten};

    fn block(body: &str, results: &str) -> String {
        format!(
            "graph @g(%x: f32[N,4,5,5]) -> ({results}) {{
               @w = random(1) : f32[4,4,3,3]
               @v = random(2) : f32[4,4,1,1]
               {body}
             }}"
        )
    }

    #[test]
    fn fuses_a_shortcut_on_either_side() {
        for sum in ["add(%c, %x)", "add(%x, %c)"] {
            let text = block(&format!("%c = conv2d(%x, @w) {{pad=1}} : f32[N,4,5,5] %a = {sum} : f32[N,4,5,5]"), "%a");
            assert_eq!(ops(&rewritten(super::run, &text).0), ["conv2d"]);
        }
    }

    #[test]
    fn lets_the_later_of_two_convolutions_absorb() {
        for sum in ["add(%early, %late)", "add(%late, %early)"] {
            let text = block(
                &format!(
                    "%early = conv2d(%x, @w) {{pad=1}} : f32[N,4,5,5]
                     %late = conv2d(%x, @v) : f32[N,4,5,5]
                     %a = {sum} : f32[N,4,5,5]"
                ),
                "%a",
            );
            let (graph, _) = rewritten(super::run, &text);
            assert_eq!(names(&graph), ["w", "v", "x", "early", "a"]);
        }
    }

    #[test]
    fn lets_the_earlier_absorb_where_the_later_cannot() {
        let text = block(
            "%early = conv2d(%x, @w) {pad=1} : f32[N,4,5,5]
             %late = conv2d(%x, @v) : f32[N,4,5,5]
             %r = relu(%late) : f32[N,4,5,5]
             %a = add(%early, %late) : f32[N,4,5,5]",
            "%a, %r",
        );
        let (graph, _) = rewritten(super::run, &text);
        assert!(graph.find("early").is_none() && graph.find("late").is_some());
    }

    #[test]
    fn adds_one_of_two_shortcuts() {
        let text = block(
            "%c = conv2d(%x, @w) {pad=1} : f32[N,4,5,5]
             %a = add(%c, %x) : f32[N,4,5,5]
             %b = add(%a, %x) : f32[N,4,5,5]",
            "%b",
        );
        let (graph, log) = rewritten(super::run, &text);
        assert_eq!(ops(&graph), ["conv2d", "add"]);
        assert!(log.refusals().next().unwrap().to_string().contains("residual already"));
    }

    #[test]
    fn refuses_when_the_convolution_s_result_is_used_twice() {
        let conv = "%c = conv2d(%x, @w) {pad=1} : f32[N,4,5,5]";
        let text = block(&format!("{conv} %a = add(%c, %x) : f32[N,4,5,5]"), "%a, %c");
        assert!(refusal(super::run, &text).unwrap().contains("more than once"));
        let text = block(&format!("{conv} %a = add(%c, %c) : f32[N,4,5,5]"), "%a");
        assert!(refusal(super::run, &text).unwrap().contains("more than once"));
    }

    #[test]
    fn refuses_activations_and_addends_of_another_shape() {
        let text =
            block("%c = conv2d(%x, @w) {pad=1, activation=relu} : f32[N,4,5,5] %a = add(%c, %x) : f32[N,4,5,5]", "%a");
        assert!(refusal(super::run, &text).unwrap().contains("activation"));
        let text = block(
            "%p = global_average_pool(%x) : f32[N,4,1,1]
             %c = conv2d(%x, @w) {pad=1} : f32[N,4,5,5]
             %a = add(%c, %p) : f32[N,4,5,5]",
            "%a",
        );
        assert!(refusal(super::run, &text).unwrap().contains("f32[N,4,1,1]"));
    }
}
