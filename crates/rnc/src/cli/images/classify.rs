//! From scores to the most probable classes.

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

/// The scores of classes among a model's outputs.
pub(crate) struct Scores<'a> {
    /// The output's name.
    pub name: &'a str,
    /// `[N, classes]`, perhaps with axes of 1.
    array: &'a ArrayD<f32>,
}

impl<'a> Scores<'a> {
    /// The first output that has one score a class. Labels must be as many.
    pub(crate) fn find(outputs: &'a [(String, ArrayD<f32>)], labels: Option<&[String]>) -> Result<Self, Failure> {
        let is_scores = |array: &ArrayD<f32>| {
            let dims = array.shape().get(1..).unwrap_or_default();
            dims.iter().filter(|dim| **dim != 1).count() == 1
        };
        let Some((name, array)) = outputs.iter().find(|(_, array)| is_scores(array)) else {
            let found = outputs.iter().map(|(name, array)| format!("`{name}` {:?}", array.shape())).collect::<Vec<_>>();
            let message = format!("no output has one score for each class ([N, classes]); found {}", found.join(", "));
            return Err(
                Failure::failed(message).with_help("take the outputs as they are: rnc run PLAN … --save FILE.npz")
            );
        };
        let scores = Self { name, array };
        if let Some(labels) = labels
            && labels.len() != scores.classes()
        {
            let (found, classes) = (labels.len(), scores.classes());
            return Err(Failure::failed(format!(
                "there are {found} labels, but output `{name}` has {classes} classes"
            ))
            .with_help("--labels names a set or a file with one line for each class"));
        }
        Ok(scores)
    }

    /// Classes that there are scores of.
    pub(crate) fn classes(&self) -> usize {
        self.array.shape().iter().skip(1).product()
    }

    /// The scores of each sample.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<f32>> {
        self.array.axis_iter(Axis(0)).map(|sample| sample.iter().copied().collect())
    }
}

/// The scores themselves if they are probabilities already (from 0 to 1, with a sum of 1), else their softmax.
pub(crate) fn probabilities(scores: &[f32]) -> Vec<f64> {
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
        let scores = Scores::find(&outputs, None).unwrap();
        assert_eq!((scores.name, scores.classes()), ("scores", 2));
        assert_eq!(scores.rows().collect::<Vec<_>>(), [[1.0, 5.0]]);
        let error = Scores::find(&outputs, Some(&["one".to_owned()])).err().unwrap().to_string();
        assert_eq!(error, "there are 1 labels, but output `scores` has 2 classes");
        let error = Scores::find(&outputs[..1], None).err().unwrap().to_string();
        assert!(error.contains("`map` [1, 4, 3, 3]"), "{error}");
    }
}
