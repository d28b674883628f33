//! Options and the errors of those that are out of range.

use rnc_ir::Dim;
use rnc_zoo::{MAX_CLASSES, ZooError, ZooOptions, build, names};

use crate::{SMALL, outputs, small};

#[test]
fn options_set_the_types_of_input_and_output() {
    let options = ZooOptions { classes: 7, batch: Dim::Fixed(2), image: 96, ..SMALL };
    let graph = build("resnet18", &options).unwrap();
    assert_eq!(graph.ty(graph.inputs()[0]).to_string(), "f32[2,3,96,96]");
    assert_eq!(outputs(&graph), [("logits", "f32[2,7]".to_owned())]);
    assert_eq!(outputs(&small("resnet18")), [("logits", "f32[N,10]".to_owned())]);
}

#[test]
fn a_size_is_height_and_width_and_overrides_the_square_one() {
    let options = ZooOptions { size: Some([97, 40]), ..SMALL };
    assert_eq!(options.height_and_width(), [97, 40]);
    assert_eq!(SMALL.height_and_width(), [32, 32]);
    let graph = build("resnet18", &options).unwrap();
    assert_eq!(graph.ty(graph.inputs()[0]).to_string(), "f32[N,3,97,40]");
    assert_eq!(graph.ty(graph.find("layer4.1.relu").unwrap()).to_string(), "f32[N,512,4,2]");
}

#[test]
fn every_model_takes_odd_and_oblong_images() {
    for name in names().filter(|name| !name.contains("101") && !name.contains("152") && !name.contains("wide")) {
        let graph = build(name, &ZooOptions { size: Some([51, 33]), ..SMALL }).unwrap();
        for (output, ty) in outputs(&graph).iter().filter(|(output, _)| *output == "logits") {
            assert_eq!(ty, "f32[N,10]", "{name}: {output}");
        }
    }
}

#[test]
fn a_model_knows_the_data_it_was_designed_for() {
    assert_eq!(ZooOptions::for_model("seresnet50").unwrap(), ZooOptions::default());
    let cifar = ZooOptions::for_model("resnet110_cifar_b").unwrap();
    assert_eq!((cifar.classes, cifar.height_and_width()), (10, [32, 32]));
    assert!(matches!(ZooOptions::for_model("resnet51"), Err(ZooError::UnknownModel { .. })));
}

#[test]
fn refuses_options_out_of_range_and_names_them() {
    let refused = |options: ZooOptions| build("resnet18", &options).unwrap_err().to_string();
    assert!(refused(ZooOptions { classes: 0, ..SMALL }).contains("option classes is 0"));
    assert!(refused(ZooOptions { classes: MAX_CLASSES + 1, ..SMALL }).contains("option classes is 65537"));
    assert!(refused(ZooOptions { image: 0, ..SMALL }).contains("option image is 0"));
    assert!(refused(ZooOptions { size: Some([32, 0]), ..SMALL }).contains("option size is [32, 0]"));
    assert!(refused(ZooOptions { batch: Dim::Fixed(0), ..SMALL }).contains("option batch is 0"));
}

#[test]
fn an_image_too_large_to_count_is_an_error_that_names_the_layer() {
    let error = build("resnet18", &ZooOptions { image: usize::MAX, ..SMALL }).unwrap_err();
    assert!(matches!(&error, ZooError::Layer { layer, .. } if layer == "conv1"), "{error}");
}

#[test]
fn the_smallest_image_still_has_logits() {
    for name in ["resnet18", "resnet20_cifar", "resnet20_cifar_b"] {
        let graph = build(name, &ZooOptions { image: 1, ..SMALL }).unwrap();
        assert_eq!(outputs(&graph), [("logits", "f32[N,10]".to_owned())], "{name}");
    }
}

#[test]
fn an_image_too_small_for_a_mean_is_an_error_that_names_the_layer() {
    let error = build("resnet50d", &ZooOptions { size: Some([16, 64]), ..SMALL }).unwrap_err();
    assert!(matches!(&error, ZooError::Layer { layer, .. } if layer == "layer4.0.downsample.0"), "{error}");
}
