//! What commands print, word by word: `tests/cmd/*.trycmd`. After a change that is meant: `TRYCMD=overwrite cargo test --release -p rnc --test cmd`, and read the diff.

mod support;

#[test]
fn commands_print_what_is_written() {
    let home = concat!(env!("CARGO_TARGET_TMPDIR"), "/home");
    let cases = trycmd::TestCases::new();
    // Whoever runs the tests may have calibrated this machine, and may have a terminal of any width.
    for (name, value) in [("XDG_CONFIG_HOME", home), ("XDG_CACHE_HOME", home), ("COLUMNS", "120")] {
        cases.env(name, value);
    }
    cases.case("tests/cmd/*.trycmd");
}
