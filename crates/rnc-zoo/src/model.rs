//! Whole models: options, stem, stages, head.

use rnc_ir::{Dim, Graph, TensorType};

use crate::blocks::{Place, block};
use crate::catalog::{Config, find};
use crate::error::ZooError;
use crate::layers::{Conv, Layers};

/// Most classes that a model may have (ImageNet-21k has 21,843).
pub const MAX_CLASSES: usize = 1 << 16;

/// What can be chosen about a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZooOptions {
    /// Seed of all weights. The same seed gives the same bits on every machine.
    pub seed: u64,
    /// Number of classes, 1 to [`MAX_CLASSES`].
    pub classes: usize,
    /// Batch dimension of the input; by default the batch symbol.
    pub batch: Dim,
    /// Height and width of the images in pixels.
    pub image: usize,
}

impl Default for ZooOptions {
    fn default() -> Self {
        Self { seed: 0, classes: 1000, batch: Dim::Batch, image: 224 }
    }
}

/// Builds a model of [`crate::names`]: `input` f32 `[batch,3,image,image]` to `logits` f32 `[batch,classes]`.
///
/// # Errors
/// If there is no model of this name, or an option is out of range.
pub fn build(name: &str, options: &ZooOptions) -> Result<Graph, ZooError> {
    let config = find(name)?;
    check(options)?;
    let mut layers = Layers::new(config.name, options.seed);
    let image = Dim::Fixed(options.image);
    let x = layers.images("input", TensorType::f32([options.batch, Dim::Fixed(3), image, image]), 3);

    let x = layers.conv("conv1", &x, Conv { out: 64, kernel: 7, stride: 2, groups: 1 })?;
    let x = layers.batch_norm("bn1", &x, 1.0)?;
    let x = layers.relu("relu", &x)?;
    let mut x = layers.max_pool("maxpool", &x)?;
    for place in places(config) {
        x = block(&mut layers, &x, &place)?;
    }
    let x = layers.global_average_pool("avgpool", &x)?;
    let x = layers.flatten("flatten", &x)?;
    let x = layers.classifier("fc", &x, options.classes)?;
    Ok(layers.finish("logits", &x))
}

/// Builds a model like [`build`] and writes it as ONNX.
///
/// # Errors
/// As [`build`], or if the export fails.
pub fn build_onnx(name: &str, options: &ZooOptions) -> Result<Vec<u8>, ZooError> {
    Ok(rnc_onnx::export(&build(name, options)?)?)
}

fn check(options: &ZooOptions) -> Result<(), ZooError> {
    let refuse =
        |option, found: String, expected: &str| Err(ZooError::Option { option, found, expected: expected.to_owned() });
    match options {
        ZooOptions { classes, .. } if !(1..=MAX_CLASSES).contains(classes) => {
            refuse("classes", classes.to_string(), "1 to 65536")
        }
        ZooOptions { image: 0, .. } => refuse("image", "0".to_owned(), "at least 1 pixel"),
        ZooOptions { batch: Dim::Fixed(0), .. } => refuse("batch", "0".to_owned(), "at least 1, or the batch symbol"),
        _ => Ok(()),
    }
}

/// All blocks of a model in order.
fn places(config: &Config) -> impl Iterator<Item = Place<'_>> {
    config.layers.iter().enumerate().flat_map(move |(stage, count)| {
        (0..*count).map(move |index| Place {
            config,
            name: format!("layer{}.{index}", stage + 1),
            width: 64 << stage,
            stride: if stage > 0 && index == 0 { 2 } else { 1 },
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rnc_ir::{NodeId, Op};
    use rnc_reference::Value;

    use super::*;
    use crate::random::Random;

    const DEFAULT: ZooOptions = ZooOptions { seed: 0, classes: 1000, batch: Dim::Batch, image: 224 };

    /// Names and sizes of the constants, in order.
    fn constants(graph: &Graph) -> Vec<(&str, usize)> {
        let node = |id: NodeId| graph.node(id);
        graph.ids().filter_map(|id| Some((node(id).name(), node(id).constant()?.as_f32()?.len()))).collect()
    }

    #[test]
    fn models_have_as_many_parameters_as_torchvisions() {
        // As torchvision's documentation lists them: without running statistics.
        let expected = [
            ("resnet18", 11_689_512),
            ("resnet34", 21_797_672),
            ("resnext50_32x4d", 25_028_904),
            ("resnet50", 25_557_032),
            ("resnet101", 44_549_160),
            ("resnet152", 60_192_808),
            ("wide_resnet50_2", 68_883_240),
        ];
        assert_eq!(crate::names().collect::<Vec<_>>(), expected.map(|(name, _)| name));
        for (name, count) in expected {
            let graph = build(name, &DEFAULT).unwrap();
            let trained = constants(&graph).into_iter().filter(|(name, _)| !name.contains(".running_"));
            assert_eq!(trained.map(|(_, size)| size).sum::<usize>(), count, "{name}");
        }
    }

    #[test]
    fn constants_stand_in_the_order_of_torchvisions_state_dict() {
        let norm = ["weight", "bias", "running_mean", "running_var"];
        let mut expected = vec!["conv1.weight".to_owned()];
        expected.extend(norm.map(|p| format!("bn1.{p}")));
        for (layer, blocks) in [(1, 3), (2, 4), (3, 6), (4, 3)] {
            for block in 0..blocks {
                let name = format!("layer{layer}.{block}");
                for i in 1..=3 {
                    expected.push(format!("{name}.conv{i}.weight"));
                    expected.extend(norm.map(|p| format!("{name}.bn{i}.{p}")));
                }
                if block == 0 {
                    expected.push(format!("{name}.downsample.0.weight"));
                    expected.extend(norm.map(|p| format!("{name}.downsample.1.{p}")));
                }
            }
        }
        expected.extend(["fc.weight".to_owned(), "fc.bias".to_owned()]);
        // PyTorch's export of torchvision's resnet50 has 267 initializers with these names.
        assert_eq!(expected.len(), 267);
        let graph = build("resnet50", &DEFAULT).unwrap();
        assert_eq!(constants(&graph).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn activations_keep_their_scale_and_logits_depend_on_the_image() {
        for name in ["resnet18", "resnext50_32x4d", "resnet152"] {
            let graph = build(name, &ZooOptions { image: 64, ..DEFAULT }).unwrap();
            let values = run_on_noise(&graph);
            for (id, value) in &values {
                if matches!(graph.op(*id), Op::BatchNorm(_)) {
                    // 1 or 0.3 by construction; the estimate may be off by the correlations it leaves out and by the border, which
                    // is most of the image in the last stage here.
                    let deviation = deviation(value.iter().copied());
                    let layer = graph.node(*id).name();
                    assert!((0.1..2.0).contains(&deviation), "{name} {layer}: {deviation}");
                }
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
    }

    /// All values of a model on two images of noise.
    fn run_on_noise(graph: &Graph) -> BTreeMap<NodeId, Vec<f32>> {
        let mut random = Random::of(1, "images");
        let images = ndarray::Array4::from_shape_simple_fn((2, 3, 64, 64), || random.normal() as f32);
        let inputs = [("input".to_owned(), Value::from(images))].into();
        let values = rnc_reference::run_all(graph, &inputs).unwrap();
        values.iter().map(|(id, value)| (*id, value.as_f32().unwrap().iter().copied().collect())).collect()
    }

    fn deviation(values: impl Iterator<Item = f32> + Clone) -> f64 {
        let n = values.clone().count() as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / n;
        (values.map(|x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let bytes = |seed| build_onnx("resnet18", &ZooOptions { seed, ..DEFAULT }).unwrap();
        let first = bytes(3);
        assert!(first == bytes(3), "two builds with one seed differ");
        assert!(first != bytes(4), "two seeds give the same model");
    }

    #[test]
    fn the_onnx_bytes_read_back_as_the_same_graph() {
        let graph = build("resnet50", &DEFAULT).unwrap();
        let bytes = build_onnx("resnet50", &DEFAULT).unwrap();
        let read = rnc_onnx::import_bytes(&bytes, None, &rnc_onnx::ImportOptions::default()).unwrap();
        let nodes = |graph: &Graph| -> BTreeMap<String, (Op, Vec<String>)> {
            let name = |id: &NodeId| graph.node(*id).name().to_owned();
            graph
                .ids()
                .map(|id| (name(&id), (graph.op(id).clone(), graph.operands(id).iter().map(name).collect())))
                .collect()
        };
        let (built, mut read_back) = (nodes(&graph), nodes(&read));
        // The graph's output is called `logits` and its value `fc`; ONNX has one name for both.
        for (name, node) in &built {
            let found = read_back.remove(name).or_else(|| (name == "fc").then(|| read_back.remove("logits")).flatten());
            assert!(found.as_ref() == Some(node), "{name} was read back as another node, or not at all");
        }
        assert!(read_back.is_empty(), "more was read than built: {:?}", read_back.keys());
    }

    #[test]
    fn weights_are_the_same_on_every_machine() {
        let graph = build("resnet18", &DEFAULT).unwrap();
        let hash = |name| graph.node(graph.find(name).unwrap()).constant().unwrap().content_hash();
        // Recorded on x86-64 Linux. The last ones depend on everything before them through the moments.
        let found = ["conv1.weight", "layer4.1.bn2.running_var", "fc.bias"].map(hash);
        assert_eq!(found, [0x296e_7964_a028_a002, 0xdb39_35d7_e832_75cc, 0xef88_786f_a3c2_fa96], "{found:#018x?}");
    }

    #[test]
    fn options_set_the_types_of_input_and_output() {
        let options = ZooOptions { classes: 7, batch: Dim::Fixed(2), image: 96, ..DEFAULT };
        let graph = build("resnet18", &options).unwrap();
        assert_eq!(graph.ty(graph.inputs()[0]).to_string(), "f32[2,3,96,96]");
        let output = &graph.outputs()[0];
        assert_eq!((output.name.as_str(), graph.ty(output.value).to_string().as_str()), ("logits", "f32[2,7]"));
        let graph = build("resnet18", &DEFAULT).unwrap();
        assert_eq!(graph.ty(graph.outputs()[0].value).to_string(), "f32[N,1000]");
    }

    #[test]
    fn refuses_options_out_of_range_and_names_them() {
        let refused = |options: ZooOptions| build("resnet18", &options).unwrap_err().to_string();
        assert!(refused(ZooOptions { classes: 0, ..DEFAULT }).contains("option classes is 0"));
        assert!(refused(ZooOptions { classes: MAX_CLASSES + 1, ..DEFAULT }).contains("option classes is 65537"));
        assert!(refused(ZooOptions { image: 0, ..DEFAULT }).contains("option image is 0"));
        assert!(refused(ZooOptions { batch: Dim::Fixed(0), ..DEFAULT }).contains("option batch is 0"));
    }

    #[test]
    fn an_image_too_large_to_count_is_an_error_that_names_the_layer() {
        let error = build("resnet18", &ZooOptions { image: usize::MAX, ..DEFAULT }).unwrap_err();
        assert!(matches!(&error, ZooError::Layer { layer, .. } if layer == "conv1"), "{error}");
    }

    #[test]
    fn the_smallest_image_still_has_logits() {
        let graph = build("resnet18", &ZooOptions { image: 1, ..DEFAULT }).unwrap();
        assert_eq!(graph.ty(graph.outputs()[0].value).to_string(), "f32[N,1000]");
    }
}
