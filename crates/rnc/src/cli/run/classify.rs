//! From scores to the most probable classes.

use std::path::Path;

use ndarray::{ArrayD, Axis};
use serde::Serialize;

use super::super::failure::Failure;

/// One class and how probable it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Guess {
    pub class: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub probability: f64,
}

/// The `top` most probable classes, best first; of equal ones the first first. Scores that are no probabilities go through a softmax.
pub(crate) fn classify(scores: &[f32], top: usize, labels: Option<&[String]>) -> Vec<Guess> {
    let probabilities = probabilities(scores);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]).then(a.cmp(b)));
    let guess = |class: usize| Guess {
        class,
        label: labels.and_then(|labels| labels.get(class).cloned()),
        probability: probabilities[class],
    };
    order.into_iter().take(top).map(guess).collect()
}

/// Classifies every sample of the first output that has one score a class.
pub(super) fn classify_all(
    outputs: &[(String, ArrayD<f32>)],
    top: usize,
    labels: Option<&[String]>,
) -> Result<Vec<Vec<Guess>>, Failure> {
    let is_scores = |array: &ArrayD<f32>| {
        let dims = array.shape().get(1..).unwrap_or_default();
        dims.iter().filter(|dim| **dim != 1).count() == 1
    };
    let Some((name, scores)) = outputs.iter().find(|(_, array)| is_scores(array)) else {
        let found = outputs.iter().map(|(name, array)| format!("`{name}` {:?}", array.shape())).collect::<Vec<_>>();
        let message = format!("no output has one score for each class ([N, classes]); found {}", found.join(", "));
        return Err(Failure::failed(message).with_help("give tensors with --input, and take results with --save"));
    };
    let classes: usize = scores.shape().iter().skip(1).product();
    if let Some(labels) = labels
        && labels.len() != classes
    {
        let found = labels.len();
        return Err(Failure::failed(format!("there are {found} labels, but output `{name}` has {classes} classes")));
    }
    let row = |sample: ndarray::ArrayViewD<'_, f32>| classify(&sample.iter().copied().collect::<Vec<_>>(), top, labels);
    Ok(scores.axis_iter(Axis(0)).map(row).collect())
}

/// Reads class names, one a line.
pub(super) fn read_labels(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, error))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// The scores themselves if they are probabilities already (from 0 to 1, with a sum of 1), else their softmax.
fn probabilities(scores: &[f32]) -> Vec<f64> {
    let scores: Vec<f64> = scores.iter().copied().map(f64::from).collect();
    let sum: f64 = scores.iter().sum();
    if (sum - 1.0).abs() < 1e-3 && scores.iter().all(|score| (0.0..=1.0).contains(score)) {
        return scores;
    }
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|value| value / sum).collect()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn scores_become_probabilities_and_probabilities_stay() {
        let guesses = classify(&[0.0, 2.0, 1.0], 2, None);
        assert_eq!(guesses.iter().map(|guess| guess.class).collect::<Vec<_>>(), [1, 2]);
        assert!((guesses[0].probability - 0.665).abs() < 1e-3 && (guesses[1].probability - 0.245).abs() < 1e-3);
        assert_eq!(classify(&[0.25, 0.75], 1, None)[0].probability, 0.75);
    }

    #[test]
    fn equal_scores_come_in_the_order_of_classes_and_nan_does_not_panic() {
        let labels = ["a", "b", "c"].map(str::to_owned);
        let guesses = classify(&[1.0, 1.0, 1.0], 9, Some(&labels));
        assert_eq!(guesses.iter().filter_map(|guess| guess.label.as_deref()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(classify(&[f32::NAN, 1.0], 5, None).len(), 2);
    }

    #[test]
    fn the_output_with_scores_is_found_among_others_and_labels_must_fit_it() {
        let outputs = [
            ("map".to_owned(), ArrayD::zeros(vec![1, 4, 3, 3])),
            ("scores".to_owned(), array![[[[1.0f32]], [[5.0]]]].into_dyn()),
        ];
        assert_eq!(classify_all(&outputs, 1, None).unwrap()[0][0].class, 1);
        let error = classify_all(&outputs, 1, Some(&["one".to_owned()])).unwrap_err().to_string();
        assert_eq!(error, "there are 1 labels, but output `scores` has 2 classes");
        let error = classify_all(&outputs[..1], 1, None).unwrap_err().to_string();
        assert!(error.contains("`map` [1, 4, 3, 3]"), "{error}");
    }
}
