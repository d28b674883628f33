//! Makes one of two operators that move elements in the same manner, one after the other.
//!
//! ```text
//! before  %s = slice(%x) {starts=[0,0,0,0], sizes=[all,all,16,all], steps=[1,1,2,1]} : f32[N,16,16,32]
//!         %t = slice(%s) {starts=[0,0,0,0], sizes=[all,all,all,16], steps=[1,1,1,2]} : f32[N,16,16,16]
//! after   %t = slice(%x) {starts=[0,0,0,0], sizes=[all,all,16,16], steps=[1,1,2,2]} : f32[N,16,16,16]
//! ```
//!
//! With operand `x`, first result `s` and second result `t`, per axis:
//!
//! * slices: `t[i] = s[b + i·q] = x[a + (b + i·q)·p] = x[(a + b·p) + i·(p·q)]`;
//! * transpositions: axis `i` of `t` is axis `second[i]` of `s`, which is axis `first[second[i]]` of `x`;
//! * reshapes: the elements stay in their order, so the last shape alone counts;
//! * paddings of the same value: the amounts add up.
//!
//! Two that undo each other go. Exporters slice axis by axis (the shortcuts of residual networks for CIFAR-10), and converters between layouts wrap each operator in
//! transpositions.

use rnc_ir::op::{Pad, Slice, Transpose};
use rnc_ir::{Graph, NodeId, Op};

use crate::edit::{bypass, drop_unused, rewrite};
use crate::eliminate_identity::changes_nothing;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Composes every such pair. The first of the two stays if others read it.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, |graph, id, op| {
        let first = graph.operands(id)[0];
        let x = graph.operands(first)[0];
        let what = format!("composed with {}", shown(graph, first));
        if graph.ty(x) == graph.ty(id) && changes_nothing(&op) {
            bypass(graph, id, x);
        } else {
            rewrite(graph, id, op, &[x])?;
        }
        drop_unused(graph, first);
        Ok(what)
    })
}

/// The operator that does what a node and its operand do.
fn find(graph: &Graph, id: NodeId) -> Match<Op> {
    let &[first] = graph.operands(id) else { return Err(Miss::NoMatch) };
    match (graph.op(first), graph.op(id)) {
        (Op::Slice(first), Op::Slice(second)) => Ok(Op::Slice(slices(first, second))),
        (Op::Transpose(first), Op::Transpose(second)) => {
            let perm = second.perm.iter().map(|axis| first.perm[*axis]).collect();
            Ok(Op::Transpose(Transpose { perm }))
        }
        (Op::Reshape(_), Op::Reshape(second)) => Ok(Op::Reshape(second.clone())),
        (Op::Pad(a), Op::Pad(b)) if a.value.to_bits() == b.value.to_bits() => {
            let sum = |a: &[usize], b: &[usize]| a.iter().zip(b).map(|(a, b)| a + b).collect();
            Ok(Op::Pad(Pad { begin: sum(&a.begin, &b.begin), end: sum(&a.end, &b.end), value: a.value }))
        }
        (Op::Pad(a), Op::Pad(b)) => {
            refuse(format!("{} pads with {:?}, and it with {:?}", shown(graph, first), a.value, b.value))
        }
        _ => Err(Miss::NoMatch),
    }
}

fn slices(first: &Slice, second: &Slice) -> Slice {
    let mut both = second.clone();
    for axis in 0..second.starts.len() {
        let step = first.steps[axis];
        // An element that the second takes exists, so the sum is not negative.
        let start = (second.starts[axis] as isize).saturating_mul(step);
        both.starts[axis] = first.starts[axis].saturating_add_signed(start);
        // Two elements of one axis are less than this apart: there is one, and any step will do.
        both.steps[axis] = step.checked_mul(second.steps[axis]).unwrap_or(1);
        both.sizes[axis] = second.sizes[axis].or(first.sizes[axis]);
    }
    both
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, ops, refusal, rewritten};

    /// Two operators between `%x`, of the given type, and `%y`.
    fn pair(ty: &str, first: &str, second: &str) -> String {
        format!("graph @g(%x: {ty}) -> (%y) {{ %s = {first} %y = {second} }}")
    }

    #[test]
    fn steps_to_elements_that_there_are_not_may_be_of_any_size() {
        let slice = |of: &str| format!("slice(%{of}) {{starts=[0,1], sizes=[all,1], steps=[1,1099511627776]}}");
        let second = slice("s").replace("0,1]", "0,0]");
        let (graph, _) = rewritten(super::run, &pair("f32[N,2]", &slice("x"), &second));
        assert_eq!(ops(&graph), ["slice"]);
    }

    #[test]
    fn composes_slices_with_any_starts_and_steps() {
        let slice = |of: &str, starts: &str, sizes: &str, steps: &str| {
            format!("slice(%{of}) {{starts=[0,{starts}], sizes=[all,{sizes}], steps=[1,{steps}]}}")
        };
        for (first, second) in [
            (slice("x", "0,0", "6,all", "2,1"), slice("s", "0,0", "all,6", "1,2")),
            (slice("x", "1,2", "5,8", "2,1"), slice("s", "1,7", "2,4", "2,-2")),
            (slice("x", "11,3", "12,3", "-1,3"), slice("s", "2,0", "3,3", "-1,1")),
        ] {
            let (graph, _) = rewritten(super::run, &pair("f32[N,12,12]", &first, &second));
            assert_eq!(ops(&graph), ["slice"], "{first} {second}");
        }
    }

    #[test]
    fn composes_transpositions_reshapes_and_paddings() {
        for (ty, first, second, left) in [
            ("f32[2,3,4]", "transpose(%x) {perm=[1,2,0]}", "transpose(%s) {perm=[1,0,2]}", "transpose"),
            ("f32[N,3,4]", "reshape(%x) {shape=[N,12]}", "reshape(%s) {shape=[N,2,6]}", "reshape"),
            ("f32[N,3]", "pad(%x) {begin=[0,1], end=[0,2]}", "pad(%s) {begin=[0,3], end=[0,0]}", "pad"),
        ] {
            assert_eq!(ops(&rewritten(super::run, &pair(ty, first, second)).0), [left]);
        }
    }

    #[test]
    fn two_that_undo_each_other_go() {
        let text = "graph @g(%x: f32[N,3,4,5]) -> (%y) {
               %s = transpose(%x) {perm=[0,2,3,1]}
               %t = transpose(%s) {perm=[0,3,1,2]}
               %y = relu(%t)
             }";
        let (graph, _) = rewritten(super::run, text);
        assert_eq!(names(&graph), ["x", "y"]);
    }

    #[test]
    fn the_first_stays_if_it_is_read_elsewhere() {
        let text = "graph @g(%x: f32[N,3,4]) -> (%y, %z) {
               %s = reshape(%x) {shape=[N,12]}
               %y = reshape(%s) {shape=[N,2,6]}
               %z = relu(%s)
             }";
        let (graph, _) = rewritten(super::run, text);
        assert_eq!(ops(&graph), ["reshape", "reshape", "relu"]);
        assert_eq!(graph.operands(graph.find("y").unwrap()), [graph.find("x").unwrap()]);
    }

    #[test]
    fn refuses_paddings_of_different_values() {
        let text = pair("f32[N,3]", "pad(%x) {begin=[0,1], end=[0,2], value=1.0}", "pad(%s) {begin=[0,3], end=[0,0]}");
        assert!(refusal(super::run, &text).unwrap().contains("%s pads with 1.0, and it with 0.0"));
    }

    #[test]
    fn leaves_moves_of_different_manners_alone() {
        let text = pair("f32[2,3,4]", "transpose(%x) {perm=[1,2,0]}", "reshape(%s) {shape=[12,2]}");
        let (graph, log) = rewritten(super::run, &text);
        assert_eq!((ops(&graph).len(), log.entries().len()), (2, 0));
    }
}
