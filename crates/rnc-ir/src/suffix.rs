//! Names that are free.

use std::collections::HashMap;

/// Finds names that nothing has yet, by numbers behind those that are taken: `x`, `x.1`, `x.2`.
#[derive(Clone, Debug, Default)]
pub struct Suffixes {
    /// The number to try next for a name.
    next: HashMap<String, usize>,
}

impl Suffixes {
    /// The wanted name if it is free, else one with a number.
    pub fn free(&mut self, wanted: &str, taken: impl Fn(&str) -> bool) -> String {
        if !taken(wanted) {
            return wanted.to_owned();
        }
        // The count makes a million values of one name cheap; the loop is for names that end in a number themselves.
        let next = self.next.entry(wanted.to_owned()).or_insert(1);
        loop {
            let name = format!("{wanted}.{next}");
            *next += 1;
            if !taken(&name) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_one_and_leaves_out_what_is_taken() {
        let taken = |name: &str| matches!(name, "x" | "x.2");
        let mut suffixes = Suffixes::default();
        let found: Vec<String> = ["x", "x", "y"].into_iter().map(|name| suffixes.free(name, taken)).collect();
        assert_eq!(found, ["x.1", "x.3", "y"]);
    }
}
