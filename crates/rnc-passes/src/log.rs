//! What the passes did, and what they nearly did.

use std::fmt;

/// How often a pass fired, and how often it refused a near miss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Applications.
    pub applied: usize,
    /// Near misses, each with a reason in the [`Log`].
    pub refused: usize,
}

/// One line of the [`Log`]. Prints as `fold_batchnorm: %bn1: applied: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The pass that was running; empty if a pass was called outside of the pipeline.
    pub pass: &'static str,
    /// The node that the pass looked at, as it was called then: `%conv1`, or `@weight` for a constant.
    pub node: String,
    /// What became of it.
    pub event: Event,
}

/// What a pass made of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The pass fired and did this.
    Applied(String),
    /// The pass would have fired but for this reason.
    Refused(String),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match &self.event {
            Event::Applied(what) => ("applied", what),
            Event::Refused(reason) => ("refused", reason),
        };
        write!(f, "{}: {}: {word}: {text}", self.pass, self.node)
    }
}

/// A record of all passes that ran, in order: one line an application, one a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    pass: &'static str,
    entries: Vec<Entry>,
    /// Applications that are still allowed; any number if there is none.
    left: Option<usize>,
}

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty log that allows so many applications: for finding the one that breaks something.
    pub fn limited(applications: usize) -> Self {
        Self { left: Some(applications), ..Self::default() }
    }

    /// Whether the running pass may do what it is about to do. A pass asks before each application, and ends if it may not.
    pub fn may_apply(&mut self) -> bool {
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// All lines, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The applications, oldest first.
    pub fn applications(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|e| matches!(e.event, Event::Applied(_)))
    }

    /// The refusals, oldest first.
    pub fn refusals(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| matches!(e.event, Event::Refused(_)))
    }

    /// Names the pass that writes the lines that follow.
    pub fn enter(&mut self, pass: &'static str) {
        self.pass = pass;
    }

    /// Records that the running pass did `what` at `node`.
    pub fn applied(&mut self, node: impl Into<String>, what: impl Into<String>) {
        self.push(node.into(), Event::Applied(what.into()));
    }

    /// Records that the running pass left `node` alone because of `reason`.
    pub fn refused(&mut self, node: impl Into<String>, reason: impl Into<String>) {
        self.push(node.into(), Event::Refused(reason.into()));
    }

    fn push(&mut self, node: String, event: Event) {
        self.entries.push(Entry { pass: self.pass, node, event });
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_log_allows_so_many_applications() {
        let mut log = Log::limited(2);
        assert_eq!([0; 4].map(|_| log.may_apply()), [true, true, false, false]);
        assert!((0..100).all(|_| Log::new().may_apply()));
    }

    #[test]
    fn prints_one_line_an_event_with_the_pass_that_wrote_it() {
        let mut log = Log::new();
        log.enter("fold_pad");
        log.applied("%conv", "took the padding of %pad");
        log.enter("fuse_silu");
        log.refused("%mul", "%sig is used twice");
        assert_eq!(
            log.to_string(),
            "fold_pad: %conv: applied: took the padding of %pad\nfuse_silu: %mul: refused: %sig is used twice\n"
        );
        assert_eq!(log.refusals().count(), 1);
    }
}
