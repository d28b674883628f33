//! What tells the members of the family apart: strides, widths, groups, dilations, outputs.

use rnc_ir::op::Conv2d;
use rnc_ir::{Graph, Op};
use rnc_zoo::{ZooOptions, build};

use crate::{SMALL, constants, is_fixed, outputs, small};

fn op<'a>(graph: &'a Graph, name: &str) -> &'a Op {
    graph.op(graph.find(name).unwrap_or_else(|| panic!("no node {name}")))
}

fn conv<'a>(graph: &'a Graph, name: &str) -> &'a Conv2d {
    match op(graph, name) {
        Op::Conv2d(conv) => conv,
        other => panic!("{name} is {}", other.name()),
    }
}

fn dims(graph: &Graph, name: &str) -> Vec<usize> {
    graph.node(graph.find(name).unwrap()).constant().unwrap().dims().to_vec()
}

fn ty(graph: &Graph, name: &str) -> String {
    graph.ty(graph.find(name).unwrap()).to_string()
}

/// Names of the convolutions with a stride.
fn strided(graph: &Graph) -> Vec<&str> {
    let convs = graph.ids().filter(|id| matches!(graph.op(*id), Op::Conv2d(conv) if conv.window.stride != [1, 1]));
    convs.map(|id| graph.node(id).name()).collect()
}

#[test]
fn a_wide_block_has_twice_the_inner_channels() {
    let [plain, wide] = ["resnet50", "wide_resnet50_2"].map(small);
    assert_eq!(dims(&plain, "layer2.1.conv2.weight"), [128, 128, 3, 3]);
    assert_eq!(dims(&wide, "layer2.1.conv2.weight"), [256, 256, 3, 3]);
    assert_eq!(dims(&wide, "layer2.1.conv3.weight"), [512, 256, 1, 1]);
}

#[test]
fn a_resnext_block_has_its_groups_in_the_3x3() {
    let graph = small("resnext50_32x4d");
    let groups = ["conv1", "conv2", "conv3"].map(|part| conv(&graph, &format!("layer1.1.{part}")).groups);
    assert_eq!(groups, [1, 32, 1]);
    assert_eq!(dims(&graph, "layer1.1.conv2.weight"), [128, 4, 3, 3]);
}

#[test]
fn a_v1_block_has_its_stride_in_the_first_1x1_and_a_v1_5_block_in_the_3x3() {
    let strides = |model| {
        let graph = small(model);
        ["conv1", "conv2", "conv3"].map(|part| conv(&graph, &format!("layer2.0.{part}")).window.stride[0])
    };
    assert_eq!(strides("resnet50_v1"), [2, 1, 1]);
    assert_eq!(strides("resnet50"), [1, 2, 1]);
}

#[test]
fn a_blurred_network_strides_in_blurs_but_for_the_stem_and_the_shortcuts() {
    let graph = small("resnet50_blur");
    let mut expected = vec!["conv1".to_owned(), "maxpool.1".to_owned()];
    expected.extend((2..=4).flat_map(|i| [format!("layer{i}.0.aa"), format!("layer{i}.0.downsample.0")]));
    assert_eq!(strided(&graph), expected);
    let Op::MaxPool(pool) = op(&graph, "maxpool.0") else { panic!("maxpool.0 is no maximum") };
    assert_eq!(pool.window.stride, [1, 1]);
}

#[test]
fn a_blur_is_depthwise_and_each_of_its_filters_sums_to_one() {
    let graph = small("resnet50_blur");
    let blurs: Vec<_> = constants(&graph).into_iter().filter(|(name, _)| is_fixed(name)).collect();
    assert_eq!(blurs.len(), 4);
    for (name, filters) in blurs {
        let channels = filters.dims()[0];
        assert_eq!(filters.dims(), [channels, 1, 3, 3], "{name}");
        assert_eq!(conv(&graph, name.trim_end_matches(".filt")).groups, channels, "{name}");
        for filter in filters.as_f32().unwrap().chunks(9) {
            assert_eq!(filter.iter().sum::<f32>().to_bits(), 1.0_f32.to_bits(), "{name}: {filter:?}");
            // Binomial in both directions: the outer product of 1/4, 2/4, 1/4 with itself.
            let binomial = [0.25_f32, 0.5, 0.25];
            assert!((0..9).all(|i| filter[i].to_bits() == (binomial[i / 3] * binomial[i % 3]).to_bits()), "{name}");
        }
    }
}

#[test]
fn a_preactivation_block_projects_what_is_active_and_adds_what_is_not() {
    let graph = small("resnetv2_50");
    let operands = |name| {
        let operands = graph.operands(graph.find(name).unwrap());
        operands.iter().map(|id| graph.node(*id).name()).collect::<Vec<_>>()
    };
    assert_eq!(operands("stages.1.blocks.0.downsample.conv")[0], "stages.1.blocks.0.norm1.act");
    assert_eq!(operands("stages.1.blocks.1.add"), ["stages.1.blocks.1.conv3", "stages.1.blocks.0.add"]);
    assert_eq!(operands("norm")[0], "stages.3.blocks.2.add");
    assert_eq!(operands("head.global_pool"), ["norm.act"]);
}

#[test]
fn efficient_channel_attention_slides_over_channels() {
    let graph = small("ecaresnet50");
    for (block, kernel) in [("layer1.0", 5), ("layer3.5", 5), ("layer4.2", 7)] {
        assert_eq!(conv(&graph, &format!("{block}.se.conv")).window.kernel, [1, kernel], "{block}");
    }
    assert_eq!(ty(&graph, "layer4.2.se.conv.row"), "f32[N,1,1,2048]");
    assert_eq!(ty(&graph, "layer4.2.se.gate"), "f32[N,2048,1,1]");
}

#[test]
fn option_a_drops_rows_and_columns_and_pads_channels_on_both_sides() {
    let graph = build("resnet20_cifar", &ZooOptions { size: Some([31, 20]), ..SMALL }).unwrap();
    assert_eq!(ty(&graph, "layer2.0.shortcut.slice"), "f32[N,16,16,10]");
    assert_eq!(ty(&graph, "layer2.0.shortcut.pad"), "f32[N,32,16,10]");
    let Op::Pad(pad) = op(&graph, "layer2.0.shortcut.pad") else { panic!("no padding") };
    assert_eq!((&pad.begin[..], &pad.end[..]), (&[0, 8, 0, 0][..], &[0, 8, 0, 0][..]));
}

#[test]
fn a_backbone_has_the_four_stages_as_outputs() {
    let graph = build("resnet50_features", &ZooOptions { size: Some([65, 96]), ..SMALL }).unwrap();
    let expected = [
        ("layer1", "f32[N,256,17,24]"),
        ("layer2", "f32[N,512,9,12]"),
        ("layer3", "f32[N,1024,5,6]"),
        ("layer4", "f32[N,2048,3,3]"),
    ];
    assert_eq!(outputs(&graph), expected.map(|(name, ty)| (name, ty.to_owned())));
}

#[test]
fn a_dilated_backbone_keeps_the_size_of_the_second_stage() {
    let graph = build("resnet50_dilated8", &ZooOptions { size: Some([65, 96]), ..SMALL }).unwrap();
    let types: Vec<_> = outputs(&graph).into_iter().map(|(_, ty)| ty).collect();
    assert_eq!(types, ["f32[N,256,17,24]", "f32[N,512,9,12]", "f32[N,1024,9,12]", "f32[N,2048,9,12]"]);
    let windows = ["layer3.0", "layer3.1", "layer4.0", "layer4.2"].map(|block| {
        let window = conv(&graph, &format!("{block}.conv2")).window;
        (window.dilation[0], window.pad_begin[0], window.stride[0])
    });
    assert_eq!(windows, [(1, 1, 1), (2, 2, 1), (2, 2, 1), (4, 4, 1)]);
}

#[test]
fn a_feature_pyramid_has_the_same_channels_on_every_level() {
    let graph = build("resnet50_fpn", &ZooOptions { size: Some([65, 96]), ..SMALL }).unwrap();
    let expected = [
        ("0", "f32[N,256,17,24]"),
        ("1", "f32[N,256,9,12]"),
        ("2", "f32[N,256,5,6]"),
        ("3", "f32[N,256,3,3]"),
        ("pool", "f32[N,256,2,2]"),
    ];
    assert_eq!(outputs(&graph), expected.map(|(name, ty)| (name, ty.to_owned())));
    assert_eq!(dims(&graph, "body.layer1.0.conv1.weight"), [64, 64, 1, 1]);
    assert_eq!(dims(&graph, "fpn.inner_blocks.3.0.weight"), [256, 2048, 1, 1]);
}

#[test]
fn segmentation_gives_every_pixel_of_the_image_its_classes() {
    for name in ["fcn_resnet50", "deeplabv3_resnet50"] {
        let graph = build(name, &ZooOptions { size: Some([65, 96]), ..SMALL }).unwrap();
        assert_eq!(outputs(&graph), [("out", "f32[N,10,65,96]".to_owned())]);
        assert_eq!(dims(&graph, "backbone.conv1.weight"), [64, 3, 7, 7]);
        assert_eq!(ZooOptions::for_model(name).unwrap().classes, 21);
    }
    let graph = build("deeplabv3_resnet50", &SMALL).unwrap();
    let rates = [1, 2, 3].map(|i| conv(&graph, &format!("classifier.0.convs.{i}.0")).window.dilation[0]);
    assert_eq!(rates, [12, 24, 36]);
}
