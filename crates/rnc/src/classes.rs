//! From scores to the most probable classes.

use serde::Serialize;

/// One class and how probable it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// Its number: the place of its score.
    pub class: usize,
    /// What it is called, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// From 0 to 1.
    pub probability: f64,
}

/// The `top` most probable classes, best first; of equal ones the first first. Scores that are no probabilities go through a softmax.
pub fn best(scores: &[f32], top: usize, labels: Option<&[String]>) -> Vec<Guess> {
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

/// The scores themselves if they are probabilities already (from 0 to 1, with a sum of 1), else their softmax.
pub fn probabilities(scores: &[f32]) -> Vec<f64> {
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
    use super::*;

    #[test]
    fn scores_become_probabilities_and_probabilities_stay() {
        let guesses = best(&[0.0, 2.0, 1.0], 2, None);
        assert_eq!(guesses.iter().map(|guess| guess.class).collect::<Vec<_>>(), [1, 2]);
        assert!((guesses[0].probability - 0.665).abs() < 1e-3 && (guesses[1].probability - 0.245).abs() < 1e-3);
        assert_eq!(best(&[0.25, 0.75], 1, None)[0].probability, 0.75);
    }

    #[test]
    fn equal_scores_come_in_the_order_of_classes_and_nan_does_not_panic() {
        let labels = ["a", "b", "c"].map(str::to_owned);
        let guesses = best(&[1.0, 1.0, 1.0], 9, Some(&labels));
        assert_eq!(guesses.iter().filter_map(|guess| guess.label.as_deref()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(best(&[f32::NAN, 1.0], 5, None).len(), 2);
    }
}
