//! Computes what does not care about the order of axes in the order that needs fewer transpositions.
//!
//! ```text
//! before  %t = transpose(%c) {perm=[0,2,3,1]} : f32[N,56,56,64]       after  %s = add(%c, @b') : f32[N,64,56,56]
//!         %a = add(%t, @b) : f32[N,56,56,64]                                 %u = relu(%s) : f32[N,64,56,56]
//!         %r = relu(%a) : f32[N,56,56,64]
//!         %u = transpose(%r) {perm=[0,3,1,2]} : f32[N,64,56,56]
//! ```
//!
//! Models that were trained with channels last (as TensorFlow does) come with transpositions around each convolution. Elementwise
//! operators, and those that name axes, compute the same in any order of axes: where `a = T(a')` and `b = T(b')` for a transposition
//! `T`, `f(a, b) = T(f'(a', b'))`, with `f'` naming `f`'s axes as they are called there.
//!
//! A region is all such operators that hand values to each other. All of it changes together: transpositions of its operands by `T` go, those of its results
//! join `T`, and what remains gets a new transposition at the region's border. A transposition `S` between two operators of the region becomes the one by `T`, `S` and
//! `T` undone. That is done if fewer elements are moved then. A reduction that leaves the other axes in their order takes a transposition in, and ends a region for nothing.

use std::collections::{BTreeSet, HashMap, HashSet};

use rnc_ir::op::{Axis, Pad, Reduce, Slice, Transpose};
use rnc_ir::{Graph, NodeId, Op};

use crate::edit::{absorb, drop_unused, insert, rewrite};
use crate::log::{Log, Stats};
use crate::matching::{PassError, shown};

/// Changes the order of axes in every region where that saves transpositions.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    let mut stats = reduce_transposed(graph, log)?;
    let mut made = HashSet::new();
    let mut moved = moved_in_all(graph);
    // Each change saves moved elements, so this ends. It may join two regions, so they are found anew.
    while let Some(change) = regions(graph).into_iter().filter_map(|region| best(graph, region)).find(|c| c.saved > 0) {
        if !log.may_apply() {
            return Ok(stats);
        }
        let name = shown(graph, change.region.members[0]);
        let what = change.describe(graph);
        made.extend(change.apply(graph)?);
        log.applied(name, what);
        stats.applied += 1;
        let left = moved_in_all(graph);
        debug_assert!(left < moved, "{left} elements are moved after a change that saves some of {moved}");
        if left >= moved {
            break;
        }
        moved = left;
    }
    let left = regions(graph).into_iter().filter(|region| region.set.is_disjoint(&made));
    for change in left.filter_map(|region| best(graph, region)) {
        let reason = format!("with {} it would move {} elements more than now", change.axes(), -change.saved);
        log.refused(shown(graph, change.region.members[0]), reason);
        stats.refused += 1;
    }
    Ok(stats)
}

/// Lets reductions of transposed values reduce the values themselves.
fn reduce_transposed(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    let mut stats = Stats::default();
    for id in graph.topological_order() {
        let &[transposed] = graph.operands(id) else { continue };
        let Op::Transpose(Transpose { perm }) = graph.op(transposed) else { continue };
        let Some(op) = reduction_inside(graph.op(id), perm) else { continue };
        if !log.may_apply() {
            return Ok(stats);
        }
        let what = format!("reduces the operand of {}", shown(graph, transposed));
        let operand = graph.operands(transposed)[0];
        rewrite(graph, id, op, &[operand])?;
        drop_unused(graph, transposed);
        log.applied(shown(graph, id), what);
        stats.applied += 1;
    }
    Ok(stats)
}

/// Operators between which values can have their axes in another order, operands before users.
struct Region {
    members: Vec<NodeId>,
    set: HashSet<NodeId>,
}

impl Region {
    /// Whether the operand of a transposition is one of the region's values.
    fn has_source_of(&self, graph: &Graph, transposition: NodeId) -> bool {
        self.set.contains(&graph.operands(transposition)[0])
    }
}

/// All regions, in the order of their first members.
fn regions(graph: &Graph) -> Vec<Region> {
    let order = graph.topological_order();
    let mut place: HashMap<NodeId, usize> = order.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    place.retain(|id, _| is_member(graph, *id));
    let mut seen = HashSet::new();
    let mut regions = Vec::new();
    for first in order.into_iter().filter(|id| place.contains_key(id)) {
        let mut members = Vec::new();
        let mut stack = vec![first];
        while let Some(id) = stack.pop() {
            if place.contains_key(&id) && seen.insert(id) {
                members.push(id);
                let near = graph.operands(id).iter().copied().chain(graph.users(id));
                stack.extend(near.filter(|other| graph.ty(*other).shape.rank() == graph.ty(id).shape.rank()));
            }
        }
        members.sort_unstable_by_key(|id| place[id]);
        if !members.is_empty() {
            regions.push(Region { set: members.iter().copied().collect(), members });
        }
    }
    regions
}

/// Whether a node computes the same in any order of axes. Operands with fewer axes than the result must be constants, whose axes can be added.
fn is_member(graph: &Graph, id: NodeId) -> bool {
    let rank = graph.ty(id).shape.rank();
    let identity: Vec<usize> = (0..rank).collect();
    let computed = || graph.operands(id).iter().filter(|operand| graph.node(**operand).constant().is_none());
    computed().next().is_some()
        && computed().all(|operand| graph.ty(*operand).shape.rank() == rank)
        && permuted(graph.op(id), &identity).is_some()
}

/// The operator on values of which axis `perm[i]` is axis `i` now. `None` if it is bound to the order of axes.
fn permuted(op: &Op, perm: &[usize]) -> Option<Op> {
    match op {
        Op::Unary(_) | Op::Binary(_) | Op::Where => Some(op.clone()),
        Op::Softmax(Axis { axis }) => Some(Op::Softmax(Axis { axis: perm[*axis] })),
        Op::Concat(Axis { axis }) => Some(Op::Concat(Axis { axis: perm[*axis] })),
        Op::Slice(Slice { starts, sizes, steps }) => Some(Op::Slice(Slice {
            starts: scattered(starts, perm),
            sizes: scattered(sizes, perm),
            steps: scattered(steps, perm),
        })),
        Op::Pad(Pad { begin, end, value }) => {
            Some(Op::Pad(Pad { begin: scattered(begin, perm), end: scattered(end, perm), value: *value }))
        }
        Op::Reduce(Reduce { kind, axes, keep_dims: true }) => {
            let axes: BTreeSet<usize> = axes.iter().map(|axis| perm[*axis]).collect();
            Some(Op::Reduce(Reduce { kind: *kind, axes: axes.into_iter().collect(), keep_dims: true }))
        }
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Resize(_)
        | Op::Reduce(Reduce { keep_dims: false, .. })
        | Op::Identity => None,
    }
}

/// A reduction of transposed values as one of the values before they are transposed, if the axes that stay are in the same order there.
fn reduction_inside(op: &Op, perm: &[usize]) -> Option<Op> {
    let Op::Reduce(Reduce { kind, axes, keep_dims: false }) = op else { return None };
    let left = (0..perm.len()).filter(|axis| !axes.contains(axis)).map(|axis| perm[axis]);
    if !left.is_sorted() {
        return None;
    }
    let axes: BTreeSet<usize> = axes.iter().map(|axis| perm[*axis]).collect();
    Some(Op::Reduce(Reduce { kind: *kind, axes: axes.into_iter().collect(), keep_dims: false }))
}

/// A list by axis, with entry `i` at `perm[i]`.
fn scattered<T: Clone>(list: &[T], perm: &[usize]) -> Vec<T> {
    inverse(perm).into_iter().map(|axis| list[axis].clone()).collect()
}

fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; perm.len()];
    perm.iter().enumerate().for_each(|(axis, to)| inverse[*to] = axis);
    inverse
}

/// `first`, and then `second`, as one transposition.
fn composed(first: &[usize], second: &[usize]) -> Vec<usize> {
    second.iter().map(|axis| first[*axis]).collect()
}

fn is_identity(perm: &[usize]) -> bool {
    perm.is_sorted()
}

/// Another order of axes for a region: each value is the transposition by `perm` of the one that stands for it.
struct Change {
    region: Region,
    perm: Vec<usize>,
    /// Elements that fewer transpositions move, of one sample.
    saved: isize,
}

/// The order of axes of those that transpositions at a region's border suggest that saves the most.
fn best(graph: &Graph, region: Region) -> Option<Change> {
    let mut perms = BTreeSet::new();
    for member in &region.members {
        let perm = |id: &NodeId| match graph.op(*id) {
            Op::Transpose(Transpose { perm }) if !is_constant(graph, *id) => Some(perm.clone()),
            _ => None,
        };
        perms.extend(graph.operands(*member).iter().filter_map(perm));
        perms.extend(graph.users(*member).iter().filter_map(perm).map(|perm| inverse(&perm)));
    }
    let saved = |perm: &Vec<usize>| saved(graph, &region, perm);
    let (saved, perm) = perms.into_iter().map(|perm| (saved(&perm), perm)).max()?;
    Some(Change { region, perm, saved })
}

/// Whether a value is a constant, or a transposed one, which will be one.
fn is_constant(graph: &Graph, id: NodeId) -> bool {
    let of_transposed = || matches!(graph.op(id), Op::Transpose(_)) && is_constant(graph, graph.operands(id)[0]);
    graph.node(id).constant().is_some() || of_transposed()
}

/// Elements of one sample of a value.
fn elements(graph: &Graph, id: NodeId) -> isize {
    graph.ty(id).shape.elements().map_or(0, |(elements, _)| elements) as isize
}

/// Elements that all transpositions of values move.
fn moved_in_all(graph: &Graph) -> isize {
    let moves = |id: &NodeId| matches!(graph.op(*id), Op::Transpose(_)) && !is_constant(graph, *id);
    graph.ids().filter(moves).map(|id| elements(graph, id)).sum()
}

/// Elements that are moved now and would not be.
fn saved(graph: &Graph, region: &Region, perm: &[usize]) -> isize {
    let moved = |id: NodeId| elements(graph, id);
    let operands: BTreeSet<NodeId> = region.members.iter().flat_map(|id| graph.operands(*id)).copied().collect();
    let outside = operands.iter().filter(|id| !region.set.contains(id) && !is_constant(graph, **id));
    let only_here = |id: NodeId| !graph.is_output(id) && graph.users(id).iter().all(|id| region.set.contains(id));
    let mut saved: isize = outside
        .map(|id| match graph.op(*id) {
            Op::Transpose(_) if region.has_source_of(graph, *id) => {
                moved(*id) * isize::from(only_here(*id)) - moved(*id)
            }
            Op::Transpose(found) if found.perm == perm => moved(*id) * isize::from(only_here(*id)),
            _ => -moved(*id),
        })
        .sum();
    for member in &region.members {
        let mut stays = graph.is_output(*member);
        for user in graph.users(*member).iter().filter(|user| !region.set.contains(user)) {
            match graph.op(*user) {
                Op::Transpose(_) if graph.use_count(*user) > 0 && only_here(*user) => {}
                Op::Transpose(second) if is_identity(&composed(perm, &second.perm)) => saved += moved(*user),
                Op::Transpose(_) => {}
                op if reduction_inside(op, perm).is_some() => {}
                _ => stays = true,
            }
        }
        saved -= if stays { moved(*member) } else { 0 };
    }
    saved
}

impl Change {
    fn axes(&self) -> String {
        format!("its axes in the order {:?}", inverse(&self.perm))
    }

    fn describe(&self, graph: &Graph) -> String {
        let others: Vec<String> = self.region.members[1..].iter().map(|id| shown(graph, *id)).collect();
        let with = if others.is_empty() { String::new() } else { format!(", with {}", others.join(", ")) };
        format!("computed with {}{with}", self.axes())
    }

    /// Answers with the operators that stand for the region's.
    fn apply(&self, graph: &mut Graph) -> Result<Vec<NodeId>, PassError> {
        let mut stand_ins: HashMap<NodeId, NodeId> = HashMap::new();
        let mut sources = BTreeSet::new();
        for &member in &self.region.members {
            let mut operands = Vec::new();
            for operand in graph.operands(member).to_vec() {
                sources.insert(operand);
                let stand_in = match stand_ins.get(&operand) {
                    Some(stand_in) => *stand_in,
                    None => self.enter(graph, (member, operand), &stand_ins)?,
                };
                stand_ins.insert(operand, stand_in);
                operands.push(stand_in);
            }
            let op = permuted(graph.op(member), &self.perm).unwrap_or_else(|| graph.op(member).clone());
            let name = format!("{}.permuted", graph.node(member).name());
            stand_ins.insert(member, insert(graph, member, &name, op, &operands)?);
        }
        for &member in self.region.members.iter().rev() {
            self.leave(graph, member, stand_ins[&member])?;
        }
        for source in sources.into_iter().rev().filter(|id| !self.region.set.contains(id)) {
            if graph.contains(source) && matches!(graph.op(source), Op::Constant(_) | Op::Transpose(_)) {
                drop_unused(graph, source);
            }
        }
        Ok(self.region.members.iter().map(|member| stand_ins[member]).collect())
    }

    /// What stands for a value from outside of the region.
    fn enter(
        &self,
        graph: &mut Graph,
        (member, operand): (NodeId, NodeId),
        stand_ins: &HashMap<NodeId, NodeId>,
    ) -> Result<NodeId, PassError> {
        match graph.op(operand) {
            Op::Transpose(Transpose { perm }) if self.region.has_source_of(graph, operand) => {
                let perm = composed(&composed(&self.perm, perm), &inverse(&self.perm));
                let name = format!("{}.permuted", graph.node(operand).name());
                let source = stand_ins[&graph.operands(operand)[0]];
                return insert(graph, member, &name, Op::Transpose(Transpose { perm }), &[source]);
            }
            Op::Transpose(Transpose { perm }) if *perm == self.perm => return Ok(graph.operands(operand)[0]),
            // It is broadcast to any axis.
            Op::Constant(tensor)
                if tensor.dims().iter().all(|dim| *dim == 1)
                    && matches!(graph.op(member), Op::Binary(_) | Op::Where) =>
            {
                return Ok(operand);
            }
            _ => {}
        }
        let mut value = operand;
        let name = format!("{}.permuted", graph.node(operand).name());
        if let Some(tensor) = graph.node(operand).constant() {
            let missing = self.perm.len() - tensor.dims().len();
            let dims = [vec![1; missing], tensor.dims().to_vec()].concat();
            value = graph.add_constant(&name, tensor.reshaped(dims));
        }
        let back = Op::Transpose(Transpose { perm: inverse(&self.perm) });
        insert(graph, member, &name, back, &[value])
    }

    /// Gives the users outside of the region what they used, and removes the member.
    fn leave(&self, graph: &mut Graph, member: NodeId, stand_in: NodeId) -> Result<(), PassError> {
        for user in graph.users(member) {
            match graph.op(user) {
                // One between two operators of the region, which have another now.
                Op::Transpose(_) if graph.use_count(user) == 0 && !graph.is_output(user) => graph.remove(user),
                Op::Transpose(second) => {
                    let perm = composed(&self.perm, &second.perm);
                    if is_identity(&perm) {
                        absorb(graph, stand_in, user);
                    } else {
                        rewrite(graph, user, Op::Transpose(Transpose { perm }), &[stand_in])?;
                    }
                }
                op => {
                    if let Some(op) = reduction_inside(op, &self.perm) {
                        rewrite(graph, user, op, &[stand_in])?;
                    }
                }
            }
        }
        let name = graph.node(member).name().to_owned();
        if graph.use_count(member) > 0 {
            let transposed = Op::Transpose(Transpose { perm: self.perm.clone() });
            let transposed = insert(graph, stand_in, &format!("{name}.back"), transposed, &[stand_in])?;
            graph.replace_uses(member, transposed);
            graph.remove(member);
            graph.rename(transposed, &name);
        } else {
            graph.remove(member);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{names, ops, refusal, rewritten};

    /// A residual block with channels last, between two convolutions.
    const BLOCK: &str = "graph @g(%x: f32[N,3,6,6]) -> (%y) {
       @w1 = random(1) : f32[4,3,3,3]
       @w2 = random(2) : f32[4,4,3,3]
       @b1 = random(3) : f32[4]
       @b2 = random(4) : f32[1,1,4]
       %c1 = conv2d(%x, @w1) {pad=1}
       %t1 = transpose(%c1) {perm=[0,2,3,1]}
       %a1 = add(%t1, @b1)
       %r1 = relu(%a1)
       %n1 = transpose(%r1) {perm=[0,3,1,2]}
       %c2 = conv2d(%n1, @w2) {pad=1}
       %t2 = transpose(%c2) {perm=[0,2,3,1]}
       %a2 = mul(@b2, %t2)
       %sum = add(%a2, %r1)
       %r2 = relu(%sum)
       %y = reduce_mean(%r2) {axes=[1,2], keep_dims=false}
     }";

    #[test]
    fn leaves_no_transposition_of_values_in_a_network_with_channels_last() {
        let (graph, log) = rewritten(super::run, BLOCK);
        let left = ops(&graph);
        // Those of the two constants, which fold.
        assert_eq!(left.iter().filter(|op| **op == "transpose").count(), 2, "{graph}");
        assert_eq!(left.len(), 10, "{graph}");
        assert!(names(&graph).contains(&"n1"), "a value keeps its name where its order is the model's: {graph}");
        assert_eq!(log.applications().count(), 1, "{log}");
    }

    #[test]
    fn renames_the_axes_of_operators_that_name_some() {
        for inner in [
            "softmax(%t) {axis=3}",
            "concat(%t, %t) {axis=2}",
            "slice(%t) {starts=[0,5,0,1], sizes=[all,3,all,2], steps=[1,-2,1,2]}",
            "pad(%t) {begin=[0,1,0,2], end=[0,3,1,0], value=0.5}",
            "reduce_max(%t) {axes=[1,3], keep_dims=true}",
        ] {
            let text = format!(
                "graph @g(%x: f32[N,5,6,7]) -> (%y) {{
                   %t = transpose(%x) {{perm=[0,2,3,1]}}
                   %i = {inner}
                   %y = transpose(%i) {{perm=[0,3,1,2]}}
                 }}"
            );
            let (graph, _) = rewritten(super::run, &text);
            assert_eq!(ops(&graph).len(), 1, "{inner}: {graph}");
        }
    }

    #[test]
    fn moves_a_small_operand_rather_than_a_large_one() {
        let text = "graph @g(%x: f32[N,8,6,6], %s: f32[N,1,1,8]) -> (%y) {
           %t = transpose(%x) {perm=[0,2,3,1]}
           %m = mul(%t, %s)
           %y = transpose(%m) {perm=[0,3,1,2]}
         }";
        let (graph, _) = rewritten(super::run, text);
        assert_eq!(ops(&graph), ["transpose", "mul"]);
    }

    #[test]
    fn a_value_with_other_users_is_transposed_for_them() {
        let text = "graph @g(%x: f32[N,8,6,6]) -> (%y, %flat) {
           %t = transpose(%x) {perm=[0,2,3,1]}
           %r = relu(%t)
           %e = exp(%r)
           %y = transpose(%e) {perm=[0,3,1,2]}
           %flat = reshape(%r) {shape=[N,288]}
         }";
        let (graph, _) = rewritten(super::run, text);
        let mut left = ops(&graph);
        left.sort_unstable();
        assert_eq!(left, ["exp", "relu", "reshape", "transpose"], "{graph}");
        assert!(names(&graph).contains(&"r"));
    }

    #[test]
    fn refuses_where_as_much_would_be_moved() {
        let text = "graph @g(%x: f32[N,8,6,6]) -> (%y) {
           %t = transpose(%x) {perm=[0,2,3,1]}
           %y = relu(%t)
         }";
        assert_eq!(
            refusal(super::run, text).unwrap(),
            "with its axes in the order [0, 3, 1, 2] it would move 0 elements more than now"
        );
        let text = "graph @g(%x: f32[N,8,6,6], %z: f32[N,6,6,8]) -> (%y) {
           %t = transpose(%x) {perm=[0,2,3,1]}
           %y = add(%t, %z)
         }";
        assert!(refusal(super::run, text).unwrap().ends_with("it would move 288 elements more than now"));
    }

    #[test]
    fn takes_no_transposition_into_a_reduction_that_leaves_axes_in_another_order() {
        let text = "graph @g(%x: f32[N,8,6,7]) -> (%y) {
           %t = transpose(%x) {perm=[0,3,2,1]}
           %y = reduce_sum(%t) {axes=[3], keep_dims=false}
         }";
        assert!(refusal(super::run, text).is_none());
    }
}
