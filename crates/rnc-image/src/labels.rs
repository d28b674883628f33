//! Names of classes.

/// A set of names that rnc knows.
#[derive(Clone, Copy, Debug)]
pub struct LabelSet {
    /// What it is called.
    pub name: &'static str,
    /// One name a line, in the order of classes.
    text: &'static str,
}

/// All sets.
pub const SETS: [LabelSet; 2] = [
    LabelSet { name: "imagenet-1k", text: include_str!("../../../models/imagenet1k.labels.txt") },
    LabelSet { name: "cifar10", text: include_str!("../../../models/cifar10.labels.txt") },
];

/// The names of a known set.
pub fn named(name: &str) -> Option<Vec<String>> {
    SETS.iter().find(|set| set.name == name).map(|set| parse(set.text))
}

/// The names of a set in a text: one a line.
pub fn parse(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_sets_have_their_names_in_order() {
        let imagenet = named("imagenet-1k").unwrap();
        assert_eq!((imagenet.len(), imagenet[0].as_str(), imagenet[281].as_str()), (1000, "tench", "tabby"));
        let cifar = named("cifar10").unwrap();
        assert_eq!((cifar.len(), cifar[0].as_str(), cifar[9].as_str()), (10, "airplane", "truck"));
        assert!(named("imagenet").is_none());
    }
}
