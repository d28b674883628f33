//! How a pass looks at nodes: matchers with three answers, and the sweep that applies them.

use rnc_ir::{Graph, NodeId, TypeError};

use crate::log::{Log, Stats};

/// Why a pass could not finish: it built an operator that inference refuses. A defect of the pass, not of the model.
#[derive(Debug, thiserror::Error)]
#[error("rewriting `%{node}`: {source}")]
pub struct PassError {
    /// Name of the node that was being rewritten.
    pub node: String,
    /// What inference said.
    pub source: Box<TypeError>,
}

/// A matcher's answer: what to do (`Ok`), or why nothing is done. `?` makes matchers read as a list of conditions.
pub(crate) type Match<T> = Result<T, Miss>;

/// Why a matcher does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The node has nothing to do with this pass.
    NoMatch,
    /// The node is what the pass is for, but for this reason it must be left alone.
    Refused(String),
}

/// A refusal with this reason.
pub(crate) fn refuse<T>(reason: impl Into<String>) -> Match<T> {
    Err(Miss::Refused(reason.into()))
}

/// The name of a value as the log writes it: `%conv1`, or `@weight` for a constant.
pub(crate) fn shown(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    format!("{}{}", if node.constant().is_some() { '@' } else { '%' }, node.name())
}

/// Offers every node to `find`, operands before users, and has `apply` rewrite those that match; `apply` returns what it did
/// for the log. One sweep is enough for chains, because a match looks only at operands, which are in their final form then.
///
/// # Errors
/// The first error of `apply`.
pub(crate) fn sweep<T>(
    graph: &mut Graph,
    log: &mut Log,
    mut find: impl FnMut(&Graph, NodeId) -> Match<T>,
    mut apply: impl FnMut(&mut Graph, NodeId, T) -> Result<String, PassError>,
) -> Result<Stats, PassError> {
    let mut stats = Stats::default();
    for id in graph.topological_order() {
        if !graph.contains(id) {
            continue;
        }
        match find(graph, id) {
            Ok(_) if !log.may_apply() => return Ok(stats),
            Ok(found) => {
                let name = shown(graph, id);
                let what = apply(graph, id, found)?;
                log.applied(name, what);
                stats.applied += 1;
            }
            Err(Miss::NoMatch) => {}
            Err(Miss::Refused(reason)) => {
                log.refused(shown(graph, id), reason);
                stats.refused += 1;
            }
        }
    }
    Ok(stats)
}
