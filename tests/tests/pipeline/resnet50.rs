//! What the passes make of ResNet-50, and what its plan looks like.

use rnc::CompileOptions;
use rnc::ir::op::Activation;
use rnc::ir::{Graph, Op};
use rnc::zoo::{ZooOptions, build_onnx};
use rnc_onnx::{ImportOptions, import_bytes};

fn imported() -> Graph {
    let bytes = build_onnx("resnet50", &ZooOptions::default()).unwrap();
    import_bytes(&bytes, None, &ImportOptions::default()).unwrap()
}

#[test]
fn of_resnet50_the_passes_leave_53_convolutions_two_pools_and_one_gemm() {
    let mut graph = imported();
    rnc::passes::optimize(&mut graph, &mut |_, _| {}).unwrap();

    let mut convolutions = Vec::new();
    let mut others = Vec::new();
    for id in graph.topological_order() {
        match graph.op(id) {
            Op::Input | Op::Constant(_) => {}
            Op::Conv2d(conv) => convolutions.push(conv),
            op => others.push(op.name()),
        }
    }
    assert_eq!(convolutions.len(), 53);
    assert!(convolutions.iter().all(|conv| conv.bias), "a convolution without bias");
    assert_eq!(convolutions.iter().filter(|conv| conv.activation == Activation::Relu).count(), 49);
    assert_eq!(convolutions.iter().filter(|conv| conv.residual).count(), 16);
    assert!(convolutions.iter().all(|conv| !conv.residual || conv.activation == Activation::Relu));
    assert_eq!(others, ["max_pool", "global_average_pool", "reshape", "gemm"]);

    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("resnet50_optimized", graph.to_string()));
}

#[test]
fn resnet50s_activations_take_no_more_memory_than_their_lower_bound() {
    let plan = rnc::compile_graph(imported(), &CompileOptions::default()).unwrap();
    assert_eq!(plan.arena_bytes, plan.arena_lower_bound);
    // The largest live set: in the first stage, 256 channels of 56×56 as the shortcut and as the block's result in place, and 64 between.
    assert!(plan.arena_bytes <= 4 * 56 * 56 * (256 + 64 + 256), "{}", plan.arena_bytes);
}
