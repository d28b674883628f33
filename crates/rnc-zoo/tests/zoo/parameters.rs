//! Numbers, names and order of the parameters.

use rnc_zoo::{ZooOptions, build, names};

use crate::{constants, is_trained, small};

/// Trained parameters of the models as they were published: in torchvision's documentation, and counted in timm's networks and
/// in the CIFAR networks of `github.com/akamaster/pytorch_resnet_cifar10` (0.27 to 1.7 million in table 6 of He et al., 2015).
///
/// A stride or a blur has no parameters. A network without classifier has 2048·1000 + 1000 less. Efficient channel attention
/// adds 86: three kernels of 5, four of 5, six of 5 and three of 7. Segmentation networks are counted without the second head that torchvision trains
/// them with, which has 2,365,205.
const PUBLISHED: [(&str, usize); 35] = [
    ("resnet18", 11_689_512),
    ("resnet34", 21_797_672),
    ("resnet50", 25_557_032),
    ("resnet101", 44_549_160),
    ("resnet152", 60_192_808),
    ("resnet50_v1", 25_557_032),
    ("resnet101_v1", 44_549_160),
    ("resnet152_v1", 60_192_808),
    ("resnext50_32x4d", 25_028_904),
    ("resnext101_32x8d", 88_791_336),
    ("wide_resnet50_2", 68_883_240),
    ("wide_resnet101_2", 126_886_696),
    ("resnetv2_50", 25_549_352),
    ("resnetv2_101", 44_541_480),
    ("resnetv2_50d", 25_568_584),
    ("resnet50d", 25_576_264),
    ("seresnet50", 28_088_024),
    ("ecaresnet50", 25_557_118),
    ("ecaresnet50d", 25_576_350),
    ("resnet50_blur", 25_557_032),
    ("resnet20_cifar", 269_722),
    ("resnet32_cifar", 464_154),
    ("resnet44_cifar", 658_586),
    ("resnet56_cifar", 853_018),
    ("resnet110_cifar", 1_727_962),
    ("resnet20_cifar_b", 272_474),
    ("resnet32_cifar_b", 466_906),
    ("resnet44_cifar_b", 661_338),
    ("resnet56_cifar_b", 855_770),
    ("resnet110_cifar_b", 1_730_714),
    ("resnet50_features", 23_508_032),
    ("resnet50_dilated8", 23_508_032),
    ("resnet50_fpn", 26_852_416),
    ("fcn_resnet50", 32_957_013),
    ("deeplabv3_resnet50", 39_638_869),
];

#[test]
fn models_have_as_many_parameters_as_published() {
    assert_eq!(names().collect::<Vec<_>>(), PUBLISHED.map(|(name, _)| name));
    for (name, count) in PUBLISHED {
        let graph = build(name, &ZooOptions::for_model(name).unwrap()).unwrap();
        let trained = constants(&graph).into_iter().filter(|(name, _)| is_trained(name));
        assert_eq!(trained.map(|(_, tensor)| tensor.as_f32().unwrap().len()).sum::<usize>(), count, "{name}");
    }
}

const NORM: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

fn conv_and_norm<'a>(conv: &'a str, norm: &'a str) -> impl Iterator<Item = String> + 'a {
    [format!("{conv}.weight")].into_iter().chain(NORM.map(|p| format!("{norm}.{p}")))
}

#[test]
fn constants_stand_in_the_order_of_torchvisions_state_dict() {
    let mut expected: Vec<String> = conv_and_norm("conv1", "bn1").collect();
    for (layer, blocks) in [(1, 3), (2, 4), (3, 6), (4, 3)] {
        for block in 0..blocks {
            let name = format!("layer{layer}.{block}");
            for i in 1..=3 {
                expected.extend(conv_and_norm(&format!("{name}.conv{i}"), &format!("{name}.bn{i}")));
            }
            if block == 0 {
                expected.extend(conv_and_norm(&format!("{name}.downsample.0"), &format!("{name}.downsample.1")));
            }
        }
    }
    expected.extend(["fc.weight".to_owned(), "fc.bias".to_owned()]);
    // PyTorch's export of torchvision's resnet50 has 267 initializers with these names.
    assert_eq!(expected.len(), 267);
    let graph = small("resnet50");
    assert_eq!(constants(&graph).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), expected);
}

/// Names of the trained constants that begin with a prefix, without it.
fn trained_under(model: &str, prefix: &str) -> Vec<String> {
    let graph = small(model);
    let names = constants(&graph).into_iter().filter(|(name, _)| is_trained(name));
    names.filter_map(|(name, _)| Some(name.strip_prefix(prefix)?.to_owned())).collect()
}

#[test]
fn a_deep_stem_has_the_names_of_timms_resnet50d() {
    let convs = ["0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias", "6.weight"];
    assert_eq!(trained_under("resnet50d", "conv1."), convs);
    assert_eq!(trained_under("resnet50d", "bn1."), ["weight", "bias"]);
}

#[test]
fn an_average_pool_moves_the_projection_to_the_second_module() {
    for block in ["layer1.0", "layer2.0"] {
        let names = trained_under("resnet50d", &format!("{block}.downsample."));
        assert_eq!(names, ["1.weight", "2.weight", "2.bias"], "{block}");
    }
}

#[test]
fn squeeze_excite_has_the_names_and_sizes_of_timms() {
    assert_eq!(trained_under("seresnet50", "layer1.1.se."), ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]);
    let graph = small("seresnet50");
    let dims = |name| graph.node(graph.find(name).unwrap()).constant().unwrap().dims();
    assert_eq!(dims("layer4.2.se.fc1.weight"), [128, 2048, 1, 1]);
    assert_eq!(dims("layer4.2.se.fc2.weight"), [2048, 128, 1, 1]);
}

#[test]
fn preactivation_has_the_names_of_timms_resnetv2() {
    let norm = |i| [format!("norm{i}.weight"), format!("norm{i}.bias")];
    let conv = |i| [format!("conv{i}.weight")];
    let mut expected = norm(1).to_vec();
    expected.push("downsample.conv.weight".to_owned());
    expected.extend(conv(1));
    for i in [2, 3] {
        expected.extend(norm(i));
        expected.extend(conv(i));
    }
    assert_eq!(trained_under("resnetv2_50", "stages.1.blocks.0."), expected);
    assert_eq!(trained_under("resnetv2_50", "stem."), ["conv.weight"]);
    assert_eq!(trained_under("resnetv2_50", "norm."), ["weight", "bias"]);
    assert_eq!(trained_under("resnetv2_50", "head."), ["fc.weight", "fc.bias"]);
    let stem =
        ["conv1.weight", "norm1.weight", "norm1.bias", "conv2.weight", "norm2.weight", "norm2.bias", "conv3.weight"];
    assert_eq!(trained_under("resnetv2_50d", "stem."), stem);
}

#[test]
fn a_shortcut_of_option_a_has_no_parameters_and_one_of_option_b_has() {
    assert!(trained_under("resnet20_cifar", "layer2.0.shortcut").is_empty());
    assert_eq!(trained_under("resnet20_cifar_b", "layer2.0.shortcut."), ["0.weight", "1.weight", "1.bias"]);
}
