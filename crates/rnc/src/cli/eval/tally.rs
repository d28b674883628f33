//! Counting what a classifier got right.

use std::collections::BTreeMap;

/// What a model says of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    /// Index of the image.
    pub source: usize,
    /// The class that it is of.
    pub truth: usize,
    /// The class that the model takes it for.
    pub guess: usize,
    /// Classes that the model finds more probable than the true one.
    pub rank: usize,
    /// How probable the guess is to the model.
    pub probability: f64,
    /// How probable the truth is to the model.
    pub truth_probability: f64,
}

/// Counts of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClassCount {
    /// Images of the class.
    pub images: usize,
    /// Those that were taken for it.
    pub right: usize,
    /// Those with the class among the best five.
    pub top5: usize,
    /// Images of any class that were taken for it.
    pub guessed: usize,
}

impl ClassCount {
    /// Share of the class's images that were taken for it.
    pub fn recall(self) -> Option<f64> {
        share(self.right, self.images)
    }

    /// Share of what was taken for the class that is of it.
    pub fn precision(self) -> Option<f64> {
        share(self.right, self.guessed)
    }
}

fn share(part: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// All counts.
pub(super) struct Tally {
    /// Every image that was judged.
    pub judged: Vec<Judged>,
    /// By class.
    pub classes: Vec<ClassCount>,
    /// By true class and guess, where there is at least one image.
    pub confusion: BTreeMap<(usize, usize), usize>,
}

impl Tally {
    /// Counts what a model of so many classes says.
    pub fn new(classes: usize, judged: Vec<Judged>) -> Self {
        let mut counts = vec![ClassCount::default(); classes];
        let mut confusion = BTreeMap::new();
        for one in &judged {
            counts[one.truth].images += 1;
            counts[one.truth].right += usize::from(one.rank == 0);
            counts[one.truth].top5 += usize::from(one.rank < 5);
            counts[one.guess].guessed += 1;
            *confusion.entry((one.truth, one.guess)).or_insert(0) += 1;
        }
        Self { judged, classes: counts, confusion }
    }

    /// Images whose class is among the model's best `k`.
    pub fn top(&self, k: usize) -> usize {
        self.judged.iter().filter(|one| one.rank < k).count()
    }

    /// The mistakes that the model was most certain of, at most so many.
    pub fn worst(&self, most: usize) -> Vec<Judged> {
        let mut mistakes: Vec<Judged> = self.judged.iter().filter(|one| one.rank > 0).copied().collect();
        mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.source.cmp(&b.source)));
        mistakes.truncate(most);
        mistakes
    }

    /// Pairs of a true class and another that it was taken for, the most frequent first, at most so many.
    pub fn confused(&self, most: usize) -> Vec<(usize, usize, usize)> {
        let wrong = self.confusion.iter().filter(|((truth, guess), _)| truth != guess);
        let mut pairs: Vec<_> = wrong.map(|((truth, guess), n)| (*truth, *guess, *n)).collect();
        pairs.sort_by_key(|(truth, guess, n)| (std::cmp::Reverse(*n), *truth, *guess));
        pairs.truncate(most);
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(source: usize, truth: usize, guess: usize, rank: usize, probability: f64) -> Judged {
        Judged { source, truth, guess, rank, probability, truth_probability: 0.1 }
    }

    #[test]
    fn counts_are_of_images_classes_and_pairs() {
        let all =
            vec![judged(0, 0, 0, 0, 0.9), judged(1, 0, 1, 1, 0.6), judged(2, 1, 0, 5, 0.8), judged(3, 0, 1, 2, 0.6)];
        let tally = Tally::new(3, all);
        assert_eq!((tally.top(1), tally.top(5)), (1, 3));
        assert_eq!(tally.classes[0], ClassCount { images: 3, right: 1, top5: 3, guessed: 2 });
        assert_eq!((tally.classes[0].recall(), tally.classes[0].precision()), (Some(1.0 / 3.0), Some(0.5)));
        assert_eq!((tally.classes[2].recall(), tally.classes[2].precision()), (None, None));
        assert_eq!(tally.confusion, [((0, 0), 1), ((0, 1), 2), ((1, 0), 1)].into());
        assert_eq!(tally.confused(9), [(0, 1, 2), (1, 0, 1)]);
        let worst: Vec<usize> = tally.worst(2).iter().map(|one| one.source).collect();
        assert_eq!(worst, [2, 1]);
    }
}
