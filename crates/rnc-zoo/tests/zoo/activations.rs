//! Values of the seeded networks on noise: neither vanishing nor exploding, and different for different images.

use std::collections::BTreeMap;

use rnc_ir::{Graph, NodeId, Op};
use rnc_reference::Value;
use rnc_zoo::{ZooOptions, build};

use crate::SMALL;

#[test]
fn activations_keep_their_scale_and_logits_depend_on_the_image() {
    for name in ["resnet18", "resnext50_32x4d", "resnet152"] {
        check(name, 48);
    }
}

#[test]
fn preactivation_and_squeeze_excite_keep_the_scale_of_activations() {
    check("resnetv2_50", 40);
    check("seresnet50", 40);
}

#[test]
fn average_pools_channel_attention_and_blurs_keep_the_scale_of_activations() {
    check("ecaresnet50d", 40);
    check("resnet50_blur", 40);
}

#[test]
fn cifar_networks_keep_the_scale_of_activations() {
    check("resnet20_cifar", 32);
    check("resnet56_cifar_b", 32);
}

fn check(name: &str, size: usize) {
    let graph = build(name, &ZooOptions { image: size, classes: 1000, ..SMALL }).unwrap();
    let values = run_on_noise(&graph, size);
    for (id, value) in &values {
        // 1, 0.6 or 0.3 by construction; the estimate may be off by the correlations it leaves out and by the border, which is
        // most of the image in the last stage here. Sums gather many branches.
        let range = match graph.op(*id) {
            Op::BatchNorm(_) => 0.1..2.0,
            Op::Binary(_) => 0.1..3.0,
            _ => continue,
        };
        let deviation = deviation(value.iter().copied());
        assert!(range.contains(&deviation), "{name} {}: {deviation}", graph.node(*id).name());
    }
    let logits = &values[&graph.outputs()[0].value];
    let (first, second) = logits.split_at(1000);
    for logits in [first, second] {
        let deviation = deviation(logits.iter().copied());
        assert!((0.1..10.0).contains(&deviation), "{name}: logits' deviation {deviation}");
    }
    let difference = deviation(first.iter().zip(second).map(|(a, b)| a - b));
    assert!(difference > 0.1 * deviation(first.iter().copied()), "{name}: images differ by {difference}");
}

/// All values of a model on two images of noise.
fn run_on_noise(graph: &Graph, size: usize) -> BTreeMap<NodeId, Vec<f32>> {
    let mut random = 1_u64;
    let images = ndarray::Array4::from_shape_simple_fn((2, 3, size, size), || normal(&mut random));
    let inputs = [("input".to_owned(), Value::from(images))].into();
    let values = rnc_reference::run_all(graph, &inputs).unwrap();
    values.iter().map(|(id, value)| (*id, value.as_f32().unwrap().iter().copied().collect())).collect()
}

/// A value with mean 0 and variance 1: the sum of twelve uniforms, drawn by a linear congruential generator (Knuth's MMIX).
fn normal(state: &mut u64) -> f32 {
    let mut uniform = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as f32 / (1 << 24) as f32
    };
    (0..12).map(|_| uniform()).sum::<f32>() - 6.0
}

fn deviation(values: impl Iterator<Item = f32> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / n;
    (values.map(|x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt()
}
