//! Where the nodes of a rewritten graph come from: which nodes of the graph before the first pass became part of each, and which passes
//! changed it.
//!
//! Passes do not report this: it is read off the graphs before and after each pass. What a pass removed has become part of the node that was rewritten to use its
//! operands instead of it, or that has its name now, because it computes its value.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rnc_ir::{Graph, Node, NodeId, Op};

/// Where a node comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Names of the nodes before the first pass that became part of it, without constants.
    pub made_of: BTreeSet<String>,
    /// All names that it and its parts had on the way: those that the [`Log`](crate::Log) calls them by.
    pub names: BTreeSet<String>,
    /// Passes that changed it or its parts, each once, in the order in which they first did.
    pub passes: Vec<String>,
}

impl Origin {
    fn of_imported(node: &Node) -> Self {
        let name = || BTreeSet::from([node.name().to_owned()]);
        Self { made_of: name(), names: name(), passes: Vec::new() }
    }

    fn absorb(&mut self, other: &Self) {
        self.made_of.extend(other.made_of.iter().cloned());
        self.names.extend(other.names.iter().cloned());
        other.passes.iter().for_each(|pass| self.changed_by(pass));
    }

    fn changed_by(&mut self, pass: &str) {
        if !self.passes.iter().any(|known| known == pass) {
            self.passes.push(pass.to_owned());
        }
    }
}

/// Follows a graph through the passes. Its [`observe`](Self::observe) is an [`Observer`](crate::Observer).
#[derive(Clone, Debug)]
pub struct History {
    before: Graph,
    /// By serial number.
    origins: HashMap<usize, Origin>,
}

impl History {
    /// Begins with the graph before the first pass.
    pub fn new(graph: &Graph) -> Self {
        let nodes = graph.ids().map(|id| graph.node(id)).filter(|node| node.constant().is_none());
        let origins = nodes.map(|node| (node.serial(), Origin::of_imported(node))).collect();
        Self { before: graph.clone(), origins }
    }

    /// Learns what a pass has made of the graph that was there after the pass before.
    pub fn observe(&mut self, pass: &str, after: &Graph) {
        let stage = Stage::new(&self.before, after);
        let changed: Vec<(usize, Origin)> = after
            .ids()
            .filter(|id| after.node(*id).constant().is_none())
            .filter_map(|id| Some((after.node(id).serial(), self.origin_after(&stage, pass, id)?)))
            .collect();
        self.origins.extend(changed);
        self.before = after.clone();
    }

    /// Where the nodes of the last graph that was observed come from, by their names; constants are not there.
    pub fn into_origins(self) -> BTreeMap<String, Origin> {
        let Self { before, mut origins } = self;
        let nodes = before.ids().map(|id| before.node(id)).filter(|node| node.constant().is_none());
        nodes.filter_map(|node| Some((node.name().to_owned(), origins.remove(&node.serial())?))).collect()
    }

    /// The origin of a node that a pass has changed or made.
    fn origin_after(&self, stage: &Stage<'_>, pass: &str, id: NodeId) -> Option<Origin> {
        let node = stage.after.node(id);
        let old = stage.node_before(node);
        if old.is_some_and(|old| stage.is_same(old, node)) {
            return None;
        }
        let mut origin = old.and_then(|old| self.origins.get(&old.serial())).cloned().unwrap_or_default();
        for removed in stage.taken_over(old, node) {
            if let Some(part) = self.origins.get(&stage.before.node(removed).serial()) {
                origin.absorb(part);
            }
        }
        origin.names.insert(node.name().to_owned());
        origin.changed_by(pass);
        Some(origin)
    }
}

/// The graphs before and after a pass.
struct Stage<'g> {
    before: &'g Graph,
    after: &'g Graph,
    /// By serial number, as ids are given again.
    ids_before: HashMap<usize, NodeId>,
    left: BTreeSet<usize>,
}

impl<'g> Stage<'g> {
    fn new(before: &'g Graph, after: &'g Graph) -> Self {
        let serial = |graph: &'g Graph| move |id: NodeId| graph.node(id).serial();
        let ids_before = before.ids().map(|id| (serial(before)(id), id)).collect();
        Self { before, after, ids_before, left: after.ids().map(serial(after)).collect() }
    }

    fn node_before(&self, node: &Node) -> Option<&'g Node> {
        self.ids_before.get(&node.serial()).map(|id| self.before.node(*id))
    }

    /// Whether a node computes what it did, with the same constants and under the same name. That another node computes an operand now does not
    /// change it.
    fn is_same(&self, old: &'g Node, new: &'g Node) -> bool {
        let constants = |graph: &'g Graph, node: &'g Node| {
            node.operands().iter().map(|id| graph.node(*id)).filter(|operand| operand.constant().is_some())
        };
        let same_constant = |old: &Node, new: &Node| old.serial() == new.serial() || old.op() == new.op();
        let same_op = old.name() == new.name() && old.op() == new.op();
        let same_constants = || {
            let (old, new): (Vec<_>, Vec<_>) =
                (constants(self.before, old).collect(), constants(self.after, new).collect());
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same_constant(old, new))
        };
        same_op && same_constants()
    }

    /// The removed nodes that a changed node stands for: those it used, the one whose name it has, and what these used; but none
    /// that another node stands for, which has its name.
    fn taken_over(&self, old: Option<&Node>, new: &Node) -> BTreeSet<NodeId> {
        let namesake = self.before.find(new.name()).filter(|_| old.is_none_or(|old| old.name() != new.name()));
        let mut stack: Vec<NodeId> = old.map_or_else(Vec::new, |old| old.operands().to_vec());
        stack.extend(namesake);
        let mut found = BTreeSet::new();
        while let Some(id) = stack.pop() {
            let node = self.before.node(id);
            let removed = !self.left.contains(&node.serial()) && !matches!(node.op(), Op::Constant(_));
            let elsewhere = node.name() != new.name() && self.after.find(node.name()).is_some();
            if removed && !elsewhere && found.insert(id) {
                stack.extend(node.operands());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{optimize, run_named};

    fn origins(text: &str, passes: &[&str]) -> BTreeMap<String, Origin> {
        let mut graph = rnc_ir::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let mut history = History::new(&graph);
        let observe = &mut |pass: &str, graph: &Graph| history.observe(pass, graph);
        if passes.is_empty() { optimize(&mut graph, observe) } else { run_named(&mut graph, passes, observe) }.unwrap();
        history.into_origins()
    }

    const BLOCK: &str = "graph @block(%x: f32[N,4,6,6]) -> (%out) {
       @w1 = random(1) : f32[4,4,3,3]
       @w2 = random(2) : f32[4,4,3,3]
       @g = random(3, 0.5, 1.5) : f32[4]
       %c1 = conv2d(%x, @w1) {pad=1}
       %n1 = batch_norm(%c1, @g, @g, @g, @g) {epsilon=1e-5}
       %r1 = relu(%n1)
       %c2 = conv2d(%r1, @w2) {pad=1}
       %n2 = batch_norm(%c2, @g, @g, @g, @g) {epsilon=1e-5}
       %a = add(%n2, %x)
       %i = identity(%a)
       %out = relu(%i)
     }";

    #[test]
    fn a_fused_convolution_is_made_of_what_was_fused() {
        let origins = origins(BLOCK, &[]);
        let made_of = |name: &str| origins[name].made_of.iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(origins.keys().collect::<Vec<_>>(), ["out", "r1", "x"]);
        assert_eq!(made_of("r1"), ["c1", "n1", "r1"]);
        assert_eq!(made_of("out"), ["a", "c2", "n2", "out"]);
        assert_eq!(origins["r1"].passes, ["fold_batchnorm", "fuse_activation"]);
        assert_eq!(origins["out"].passes, ["fold_batchnorm", "fuse_residual_add", "fuse_activation"]);
        let x = BTreeSet::from(["x".to_owned()]);
        assert_eq!(origins["x"], Origin { made_of: x.clone(), names: x, passes: Vec::new() });
    }

    #[test]
    fn a_node_whose_operand_is_computed_elsewhere_now_has_not_changed() {
        let text = "graph @g(%x: f32[N,4]) -> (%a, %b) {
           %t = tanh(%x)
           %u = tanh(%x)
           %a = exp(%t)
           %b = abs(%u)
         }";
        let origins = origins(text, &["merge_identical"]);
        assert_eq!(origins["b"].made_of, BTreeSet::from(["b".to_owned()]));
        assert!(origins["b"].passes.is_empty() && origins["t"].passes.is_empty(), "{origins:?}");
    }
}
