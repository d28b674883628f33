//! What a plan computes of its model: everything, some values by name, or the features behind the last pool.

use rnc_ir::op::{Reduce, ReduceKind, Reshape};
use rnc_ir::{Dim, Graph, NodeId, Op, Shape};

/// Most names that a message lists.
const MOST_NAMES: usize = 12;

/// What a plan computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outputs {
    /// What the model does.
    #[default]
    Model,
    /// These values of the model, outputs or not, under their names and in this order.
    Named(Vec<String>),
    /// What the last pool over whole images gives, as vectors `[batch, channels]` called `features`: the embedding of an image.
    Features,
}

/// Why a model has no such outputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// No value has this name.
    #[error("the model has no value `{name}`{}", similar(known))]
    Unknown {
        /// The name.
        name: String,
        /// Names that are like it, or some that there are.
        known: Vec<String>,
    },
    /// A value is known already.
    #[error("`{name}` is a constant, which no run computes")]
    Constant {
        /// Its name.
        name: String,
    },
    /// Nothing says where the features end.
    #[error("the model has no pool over whole images, behind which its features would be; name a value of it instead")]
    NoPool,
}

/// Makes the chosen values the graph's outputs. What nothing needs any more stays for the passes to remove.
pub(crate) fn choose(graph: &mut Graph, outputs: &Outputs) -> Result<(), OutputError> {
    match outputs {
        Outputs::Model => Ok(()),
        Outputs::Named(names) => {
            let values: Result<Vec<_>, _> = names.iter().map(|name| Ok((name, find(graph, name)?))).collect();
            let values = values?;
            graph.clear_outputs();
            for (name, value) in values {
                graph.add_output(name, value);
            }
            Ok(())
        }
        Outputs::Features => {
            let pool = last_pool(graph).ok_or(OutputError::NoPool)?;
            let value = as_vectors(graph, pool).ok_or(OutputError::NoPool)?;
            graph.clear_outputs();
            graph.add_output("features", value);
            Ok(())
        }
    }
}

/// The value of an output or a node of this name.
fn find(graph: &Graph, name: &str) -> Result<NodeId, OutputError> {
    let output = graph.outputs().iter().find(|output| output.name == name).map(|output| output.value);
    let Some(value) = output.or_else(|| graph.find(name)) else {
        return Err(OutputError::Unknown { name: name.to_owned(), known: candidates(graph, name) });
    };
    match graph.op(value) {
        Op::Constant(_) => Err(OutputError::Constant { name: name.to_owned() }),
        _ => Ok(value),
    }
}

/// Names that contain a part of this one, or the last ones that there are.
fn candidates(graph: &Graph, name: &str) -> Vec<String> {
    let names: Vec<&str> = graph
        .topological_order()
        .into_iter()
        .filter(|id| graph.node(*id).constant().is_none())
        .map(|id| graph.node(id).name())
        .collect();
    let part = name.to_lowercase();
    let like: Vec<&&str> = names.iter().filter(|known| known.to_lowercase().contains(&part)).collect();
    let chosen = if like.is_empty() { names.iter().rev().collect() } else { like };
    chosen.into_iter().take(MOST_NAMES).map(|name| (*name).to_owned()).collect()
}

fn similar(known: &[String]) -> String {
    format!("; it has, among others, {}", known.join(", "))
}

/// The last pool over whole images that the first output needs.
fn last_pool(graph: &Graph) -> Option<NodeId> {
    let output = graph.outputs().first()?.value;
    let order = graph.topological_order();
    order.into_iter().rev().find(|id| is_global_pool(graph, *id) && graph.depends_on(output, *id))
}

fn is_global_pool(graph: &Graph, id: NodeId) -> bool {
    match graph.op(id) {
        Op::GlobalAveragePool | Op::GlobalMaxPool => true,
        Op::Reduce(Reduce { kind: ReduceKind::Mean | ReduceKind::Max, axes, .. }) => *axes == [2, 3],
        // One window.
        Op::AveragePool(_) | Op::MaxPool(_) => graph.ty(id).shape.dims()[2..] == [Dim::Fixed(1); 2],
        _ => false,
    }
}

/// `[batch, channels, 1, 1]` as `[batch, channels]`.
fn as_vectors(graph: &mut Graph, pool: NodeId) -> Option<NodeId> {
    let dims = graph.ty(pool).shape.dims().to_vec();
    match dims.as_slice() {
        [_, _] => Some(pool),
        [batch, channels, ..] => {
            let shape = Shape::new([*batch, *channels]);
            graph.add("features", Op::Reshape(Reshape { shape }), &[pool]).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let text = "graph @net(%x: f32[N,3,4,4]) -> (%y as \"logits\") {
           @w = random(1) : f32[8,3,1,1]
           @m = random(2) : f32[8,2]
           %c = conv2d(%x, @w)
           %squeeze = global_average_pool(%c)
           %gate = sigmoid(%squeeze)
           %scaled = mul(%c, %gate)
           %p = global_average_pool(%scaled)
           %f = reshape(%p) {shape=[N,8]}
           %y = matmul(%f, @m)
         }";
        rnc_ir::parse(text).unwrap()
    }

    fn outputs(graph: &Graph) -> Vec<(String, String)> {
        let ty = |value| graph.ty(value).to_string();
        graph.outputs().iter().map(|output| (output.name.clone(), ty(output.value))).collect()
    }

    #[test]
    fn features_are_the_vectors_behind_the_last_pool() {
        let mut graph = graph();
        choose(&mut graph, &Outputs::Features).unwrap();
        assert_eq!(outputs(&graph), [("features".to_owned(), "f32[N,8]".to_owned())]);
        let features = graph.outputs()[0].value;
        assert_eq!(graph.node(graph.operands(features)[0]).name(), "p");
        let mut plain = rnc_ir::parse("graph @g(%x: f32[N,4]) -> (%y) { %y = relu(%x) }").unwrap();
        assert_eq!(choose(&mut plain, &Outputs::Features), Err(OutputError::NoPool));
    }

    #[test]
    fn any_value_can_be_an_output_in_any_order() {
        let mut graph = graph();
        choose(&mut graph, &Outputs::Named(vec!["logits".into(), "c".into(), "x".into()])).unwrap();
        let names: Vec<_> = outputs(&graph).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["logits", "c", "x"]);
        rnc_ir::verify(&graph).unwrap();
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_some_that_are() {
        let mut graph = graph();
        let error = choose(&mut graph, &Outputs::Named(vec!["Scale".into()])).unwrap_err();
        assert_eq!(error.to_string(), "the model has no value `Scale`; it has, among others, scaled");
        let error = choose(&mut graph, &Outputs::Named(vec!["w".into()])).unwrap_err();
        assert_eq!(error, OutputError::Constant { name: "w".into() });
        assert_eq!(outputs(&graph)[0].0, "logits", "nothing has changed");
    }
}
