//! How the commands speak: notes for people on stderr, data on stdout. Neither panics if nobody listens.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;

/// A line for people, on stderr.
pub(crate) fn note(text: impl Display) {
    // There is no better place to complain about stderr than stderr.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// A text from a file as a terminal can show it: without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Data, on stdout, as it is.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::stdout(&error))
}

/// Data as JSON, on stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::failed(format!("cannot write JSON (please report this): {error}")))?;
    data(&format!("{text}\n"))
}

/// Bytes for people: `4.8 MB`.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A text between quotes for a message if a shell would need them.
pub(crate) fn shell(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_keeps_them_short() {
        assert_eq!([999, 1_500, 97_700_000, 2_340_000_000].map(size), ["999 B", "1.5 kB", "97.7 MB", "2.34 GB"]);
    }

    #[test]
    fn paths_that_a_shell_would_split_are_quoted() {
        assert_eq!(shell("a/b-1.plan".as_ref()), "a/b-1.plan");
        assert_eq!(shell("my model's.plan".as_ref()), r"'my model'\''s.plan'");
    }
}
