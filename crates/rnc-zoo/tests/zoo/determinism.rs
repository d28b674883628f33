//! The same seed gives the same weights, everywhere.

use rnc_zoo::{ZooOptions, build, build_onnx};

use crate::SMALL;

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    for name in ["resnet18", "resnet20_cifar"] {
        let bytes = |seed| build_onnx(name, &ZooOptions { seed, ..SMALL }).unwrap();
        let first = bytes(3);
        assert!(first == bytes(3), "{name}: two builds with one seed differ");
        assert!(first != bytes(4), "{name}: two seeds give the same model");
    }
}

/// Hashes of three constants. The last ones depend on everything before them through the moments.
fn hashes(model: &str, constants: [&str; 3]) -> [u64; 3] {
    let graph = build(model, &ZooOptions::for_model(model).unwrap()).unwrap();
    constants.map(|name| graph.node(graph.find(name).unwrap()).constant().unwrap().content_hash())
}

#[test]
fn weights_are_the_same_on_every_machine() {
    // Recorded on x86-64 Linux.
    let found = hashes("resnet18", ["conv1.weight", "layer4.1.bn2.running_var", "fc.bias"]);
    assert_eq!(found, [0x296e_7964_a028_a002, 0xdb39_35d7_e832_75cc, 0xef88_786f_a3c2_fa96], "{found:#018x?}");
}

#[test]
fn weights_of_every_kind_of_layer_are_the_same_on_every_machine() {
    // Recorded on x86-64 Linux.
    let found = [
        hashes("resnetv2_50d", ["stem.conv3.weight", "norm.running_var", "head.fc.bias"]),
        hashes("seresnet50", ["layer1.0.se.fc1.weight", "layer4.2.se.fc2.bias", "fc.bias"]),
        hashes("ecaresnet50d", ["layer1.0.se.conv.weight", "layer4.0.downsample.2.running_var", "fc.bias"]),
        hashes("resnet50_blur", ["layer2.0.conv3.weight", "layer4.2.bn3.running_var", "fc.bias"]),
        hashes("resnet20_cifar", ["conv1.weight", "layer3.2.bn2.running_var", "linear.bias"]),
    ];
    let expected = [
        [0x288e_d977_e081_18dd, 0x270b_787c_c8e3_3fd9, 0x8cd6_e6d0_45e2_fe03],
        [0xee47_5de7_a742_98da, 0xba84_e65a_85b8_827b, 0xc1ce_0856_f2b2_0fad],
        [0xe637_3de1_2ba4_69a8, 0xf130_73e2_682b_a1c7, 0xc5d4_c50e_9d0e_6aad],
        [0x06bd_73f5_8380_f693, 0x1237_7e70_cb2c_ca80, 0xc236_b619_638e_e5d4],
        [0x0ec4_0832_3cd4_8638, 0xd3cf_96ca_382f_9c23, 0x7a7b_4aa9_0b0d_e551],
    ];
    assert_eq!(found, expected, "{found:#018x?}");
}
