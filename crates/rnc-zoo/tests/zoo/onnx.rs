//! Models as ONNX files.

use std::collections::BTreeMap;

use rnc_ir::{Graph, NodeId, Op};
use rnc_zoo::{build, build_onnx};

use crate::SMALL;

/// Operators and operands by name.
fn nodes(graph: &Graph) -> BTreeMap<String, (Op, Vec<String>)> {
    let name = |id: &NodeId| graph.node(*id).name().to_owned();
    graph.ids().map(|id| (name(&id), (graph.op(id).clone(), graph.operands(id).iter().map(name).collect()))).collect()
}

#[test]
fn the_onnx_bytes_read_back_as_the_same_graph() {
    for name in [
        "resnet50",
        "resnet50d",
        "seresnet50",
        "ecaresnet50",
        "resnet50_blur",
        "resnet20_cifar",
        "resnet50_dilated8",
        "resnet50_fpn",
        "deeplabv3_resnet50",
    ] {
        let graph = build(name, &SMALL).unwrap();
        let bytes = build_onnx(name, &SMALL).unwrap();
        let read = rnc_onnx::import_bytes(&bytes, None, &rnc_onnx::ImportOptions::default()).unwrap();
        // A graph's outputs are called `logits` or `layer1` and their values otherwise; ONNX has one name for both.
        let renamed: BTreeMap<&str, &str> =
            graph.outputs().iter().map(|output| (graph.node(output.value).name(), output.name.as_str())).collect();
        let rename = |name: String| renamed.get(name.as_str()).map_or(name.clone(), |name| (*name).to_owned());
        let built = nodes(&graph).into_iter();
        let built =
            built.map(|(name, (op, operands))| (rename(name), (op, operands.into_iter().map(rename).collect())));
        let (built, read): (BTreeMap<String, (Op, Vec<String>)>, _) = (built.collect(), nodes(&read));
        for (node, expected) in &built {
            assert!(read.get(node) == Some(expected), "{name}: {node} was read back as another node, or not at all");
        }
        assert_eq!(read.len(), built.len(), "{name}: more was read than built");
    }
}
