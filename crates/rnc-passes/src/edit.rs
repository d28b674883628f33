//! Edits that several passes share, on top of [`Graph`]'s own.

use rnc_ir::{Graph, NodeId, Op, TypeError};

use crate::matching::PassError;

/// [`Graph::replace_op`], after which constants that only the old operator used are gone.
pub(crate) fn rewrite(graph: &mut Graph, id: NodeId, op: Op, operands: &[NodeId]) -> Result<(), PassError> {
    let old = graph.operands(id).to_vec();
    let result = graph.replace_op(id, op, operands);
    result.map_err(|source| error(graph, id, source))?;
    drop_unused_constants(graph, &old);
    Ok(())
}

/// Adds a node, with errors that name `near`, the node that is being rewritten.
pub(crate) fn insert(
    graph: &mut Graph,
    near: NodeId,
    name: &str,
    op: Op,
    operands: &[NodeId],
) -> Result<NodeId, PassError> {
    graph.add(name, op, operands).map_err(|source| error(graph, near, source))
}

/// Gives a new constant the name of the one that it replaces, if that one is gone.
pub(crate) fn inherit_name(graph: &mut Graph, constant: NodeId, name: &str) {
    if graph.find(name).is_none() {
        graph.rename(constant, name);
    }
}

/// Lets `keep` stand for `last`, the end of a chain that `keep` has absorbed: it gets `last`'s users and name.
pub(crate) fn absorb(graph: &mut Graph, keep: NodeId, last: NodeId) {
    let name = graph.node(last).name().to_owned();
    bypass(graph, last, keep);
    graph.rename(keep, &name);
}

/// Has the users of `node` use `instead`, and removes `node` with the constants that only it used.
pub(crate) fn bypass(graph: &mut Graph, node: NodeId, instead: NodeId) {
    graph.replace_uses(node, instead);
    let operands = graph.operands(node).to_vec();
    graph.remove(node);
    drop_unused_constants(graph, &operands);
}

/// Removes a node without a use, with the constants that only it used.
pub(crate) fn drop_unused(graph: &mut Graph, id: NodeId) {
    if graph.use_count(id) == 0 {
        let operands = graph.operands(id).to_vec();
        graph.remove(id);
        drop_unused_constants(graph, &operands);
    }
}

/// Removes those of `candidates` that are constants without a use.
pub(crate) fn drop_unused_constants(graph: &mut Graph, candidates: &[NodeId]) {
    for id in candidates {
        if graph.contains(*id) && graph.node(*id).constant().is_some() && graph.use_count(*id) == 0 {
            graph.remove(*id);
        }
    }
}

fn error(graph: &Graph, id: NodeId, source: TypeError) -> PassError {
    PassError { node: graph.node(id).name().to_owned(), source: Box::new(source) }
}
