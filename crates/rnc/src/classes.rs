//! From scores to the most probable classes.

use std::cmp::Ordering;

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

/// How many classes an array of this shape has scores of: `[N, classes]`, perhaps with axes of 1. `None` if it has none.
pub fn count(shape: &[usize]) -> Option<usize> {
    let axes = shape.get(1..).unwrap_or_default();
    (axes.iter().filter(|axis| **axis != 1).count() == 1).then(|| axes.iter().product())
}

/// The `top` most probable classes, best first; of equal ones the first first. Scores that are no probabilities go through a softmax.
pub fn best(scores: &[f32], top: usize, labels: Option<&[String]>) -> Vec<Guess> {
    let probabilities = probabilities(scores);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| order_of(scores, *a, *b));
    let guess = |class: usize| Guess {
        class,
        label: labels.and_then(|labels| labels.get(class).cloned()),
        probability: probabilities[class],
    };
    order.into_iter().take(top).map(guess).collect()
}

/// The class with the highest score, of equal ones the first. `None` of no scores.
pub fn highest(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).min_by(|a, b| order_of(scores, *a, *b))
}

/// Classes that come before one of them.
///
/// # Panics
/// If there is no such class.
pub fn rank(scores: &[f32], class: usize) -> usize {
    (0..scores.len()).filter(|other| order_of(scores, *other, class) == Ordering::Less).count()
}

/// Which of two classes comes first: that with the higher score, of equal ones the one with the smaller number; what is no number comes last.
fn order_of(scores: &[f32], a: usize, b: usize) -> Ordering {
    let key = |class: usize| if scores[class].is_nan() { f32::NEG_INFINITY } else { scores[class] + 0.0 };
    key(b).total_cmp(&key(a)).then(a.cmp(&b))
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

    #[test]
    fn a_rank_counts_what_is_higher_and_of_equals_what_is_first() {
        let scores = [0.5, 2.0, 0.5, f32::NAN];
        assert_eq!([0, 1, 2, 3].map(|class| rank(&scores, class)), [1, 0, 2, 3]);
        assert_eq!(rank(&[f32::NAN, f32::NAN], 1), 1);
        assert_eq!((highest(&scores), highest(&[-0.0, 0.0]), highest(&[])), (Some(1), Some(0), None));
    }

    #[test]
    fn scores_far_apart_keep_their_order() {
        let order: Vec<usize> =
            best(&[0.0, 1.0, 1000.0, f32::INFINITY], 4, None).iter().map(|guess| guess.class).collect();
        assert_eq!(order, [3, 2, 1, 0]);
    }
}
