//! Which output has the scores of classes.

use ndarray::{ArrayD, Axis};
use rnc::classes::count;

use super::super::failure::Failure;

/// The scores of classes among a model's outputs.
pub(crate) struct Scores<'a> {
    /// `[N, classes]`, perhaps with axes of 1.
    array: &'a ArrayD<f32>,
}

impl<'a> Scores<'a> {
    /// The first output that has one score a class. Labels must be as many.
    pub(crate) fn find(outputs: &'a [(String, ArrayD<f32>)], labels: Option<&[String]>) -> Result<Self, Failure> {
        let has_scores = |array: &ArrayD<f32>| count(array.shape()).is_some();
        let Some((name, array)) = outputs.iter().find(|(_, array)| has_scores(array)) else {
            let found = outputs.iter().map(|(name, array)| format!("`{name}` {:?}", array.shape())).collect::<Vec<_>>();
            let message = format!("no output has one score for each class ([N, classes]); found {}", found.join(", "));
            return Err(
                Failure::failed(message).with_help("take the outputs as they are: rnc run PLAN … --save FILE.npz")
            );
        };
        let scores = Self { array };
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

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_output_with_scores_is_found_among_others_and_labels_must_fit_it() {
        let outputs = [
            ("map".to_owned(), ArrayD::zeros(vec![1, 4, 3, 3])),
            ("scores".to_owned(), array![[[[1.0f32]], [[5.0]]]].into_dyn()),
        ];
        let scores = Scores::find(&outputs, None).unwrap();
        assert_eq!(scores.classes(), 2);
        assert_eq!(scores.rows().collect::<Vec<_>>(), [[1.0, 5.0]]);
        let error = Scores::find(&outputs, Some(&["one".to_owned()])).err().unwrap().to_string();
        assert_eq!(error, "there are 1 labels, but output `scores` has 2 classes");
        let error = Scores::find(&outputs[..1], None).err().unwrap().to_string();
        assert!(error.contains("`map` [1, 4, 3, 3]"), "{error}");
    }
}
