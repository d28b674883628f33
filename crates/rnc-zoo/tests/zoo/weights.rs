//! Weights from safetensors files.

use std::collections::BTreeMap;

use rnc_ir::Graph;
use rnc_zoo::{WeightProblem, ZooError, ZooOptions, build, build_with_weights};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::{SMALL, constants, is_fixed};

/// A file's tensors: element type, shape, bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The state dict of a model, with the counters that `PyTorch` keeps beside running statistics.
fn state_dict(graph: &Graph) -> Tensors {
    let mut tensors = Tensors::new();
    for (name, tensor) in constants(graph).into_iter().filter(|(name, _)| !is_fixed(name)) {
        let bytes = tensor.as_f32().unwrap().iter().flat_map(|x| x.to_le_bytes()).collect();
        // Conv1d's weights have one dimension less than the graph's.
        let dims = tensor.dims().iter().copied().skip(usize::from(name.ends_with(".se.conv.weight")));
        tensors.insert(name.to_owned(), (Dtype::F32, dims.collect(), bytes));
        if let Some(norm) = name.strip_suffix(".running_var") {
            tensors.insert(format!("{norm}.num_batches_tracked"), (Dtype::I64, vec![], vec![0; 8]));
        }
    }
    tensors
}

fn file(tensors: &Tensors) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, (dtype, dims, bytes))| (name.as_str(), TensorView::new(*dtype, dims.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn seeded(name: &str) -> Graph {
    build(name, &ZooOptions { seed: 9, ..SMALL }).unwrap()
}

fn problems(model: &str, tensors: &Tensors) -> (String, Vec<WeightProblem>) {
    let error = build_with_weights(model, &SMALL, &file(tensors)).unwrap_err();
    let message = error.to_string();
    match error {
        ZooError::Weights { problems, .. } => (message, problems),
        other => panic!("{other}"),
    }
}

#[test]
fn weights_from_a_file_are_those_of_the_model_they_were_saved_from() {
    for name in ["resnet20_cifar", "resnet20_cifar_b", "resnetv2_50", "ecaresnet50d", "resnet50_blur"] {
        let expected = seeded(name);
        let loaded = build_with_weights(name, &SMALL, &file(&state_dict(&expected))).unwrap();
        assert!(constants(&loaded) == constants(&expected), "{name}");
    }
}

#[test]
fn a_backbone_takes_its_weights_from_a_classifier() {
    let file = file(&state_dict(&seeded("resnet50")));
    let loaded = build_with_weights("resnet50_dilated8", &SMALL, &file).unwrap();
    assert!(constants(&loaded) == constants(&seeded("resnet50_dilated8")));
}

#[test]
fn one_error_names_all_tensors_that_differ() {
    let mut tensors = state_dict(&seeded("resnet20_cifar"));
    tensors.remove("layer1.0.bn1.bias");
    tensors.insert("conv1.weight".to_owned(), (Dtype::F32, vec![16, 3, 1, 1], vec![0; 4 * 48]));
    tensors.insert("bn1.bias".to_owned(), (Dtype::F16, vec![16], vec![0; 32]));
    tensors.insert("head.weight".to_owned(), (Dtype::F32, vec![2, 1], vec![0; 8]));
    let (message, problems) = problems("resnet20_cifar", &tensors);
    let expected = [
        "`conv1.weight` is F32 [16, 3, 1, 1], expected F32 [16, 3, 3, 3]",
        "`bn1.bias` is F16 [16], expected F32 [16]",
        "`layer1.0.bn1.bias` is missing, expected F32 [16]",
        "`head.weight` [2, 1] is superfluous",
    ];
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    let expected = format!("the weights are not those of `resnet20_cifar`, 4 tensors differ: {}", expected.join("; "));
    assert_eq!(message, expected);
}

#[test]
fn weights_of_another_number_of_classes_are_refused() {
    let graph = build("resnet20_cifar", &ZooOptions { classes: 100, ..SMALL }).unwrap();
    let (message, problems) = problems("resnet20_cifar", &state_dict(&graph));
    assert_eq!(problems.len(), 2, "{message}");
    assert!(message.contains("`linear.weight` is F32 [100, 64], expected F32 [10, 64]"), "{message}");
}

#[test]
fn a_classifier_does_not_pass_over_a_module_whose_name_begins_like_its_own() {
    let mut tensors = state_dict(&seeded("resnet50_features"));
    tensors.insert("fc2.weight".to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
    let (message, problems) = problems("resnet50_features", &tensors);
    let expected = WeightProblem::Superfluous { name: "fc2.weight".to_owned(), found: vec![1] };
    assert_eq!(problems, [expected], "{message}");
}

#[test]
fn bytes_that_are_no_safetensors_file_are_refused() {
    let whole = file(&state_dict(&seeded("resnet20_cifar")));
    for bytes in [&b""[..], b"PK\x03\x04 a zip archive of PyTorch", &whole[..whole.len() - 1]] {
        let error = build_with_weights("resnet20_cifar", &SMALL, bytes).unwrap_err();
        assert!(matches!(error, ZooError::SafeTensors(_)), "{error}");
    }
}
