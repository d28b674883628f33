//! What is shown on a terminal alone: colours and bars. The terminal is one of `script` (of util-linux).

mod support;

use std::process::Command;

use support::{Finished, Folder, RNC, finish, fixture, of_nobody, rnc};

const ESCAPE: char = '\u{1b}';

/// Runs the binary with a terminal for its streams, which come out as one.
fn on_a_terminal(arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let words = std::iter::once(&RNC).chain(arguments).map(|word| format!("'{word}'"));
    let line = words.collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm-256color").env_remove("NO_COLOR");
    finish(of_nobody(script.envs(variables.iter().copied())))
}

#[test]
fn colours_are_for_terminals_and_no_color_is_honoured() {
    for arguments in [&["run", "missing.plan"][..], &["frobnicate"], &["-v", "verify", &fixture().plan], &["--help"]] {
        let coloured = on_a_terminal(arguments, &[]);
        let plain = on_a_terminal(arguments, &[("NO_COLOR", "1")]);
        assert!(!plain.stdout.contains(ESCAPE), "{arguments:?}: {:?}", plain.stdout);
        assert_eq!(coloured.code, plain.code);
        let piped = rnc(arguments);
        assert!(![piped.stdout, piped.stderr].concat().contains(ESCAPE), "{arguments:?}");
    }
    assert!(on_a_terminal(&["run", "missing.plan"], &[]).stdout.contains(ESCAPE));
    assert!(on_a_terminal(&["frobnicate"], &[]).stdout.contains(ESCAPE));
}

#[test]
fn a_bar_shows_how_far_many_images_are_on_a_terminal_and_nowhere_else() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("many")).unwrap();
    for i in 0..40 {
        image::RgbImage::new(32, 32).save(folder.path(&format!("many/{i}.png"))).unwrap();
    }
    let run = ["run", &fixture().plan, &folder.path("many"), "--preprocess", "cifar10", "--top", "1", "--batch", "4"];
    let seen = on_a_terminal(&run, &[]);
    assert_eq!(seen.code, 0);
    assert!(seen.stdout.contains("/40 images, "), "{:?}", seen.stdout);
    let piped = rnc(&run).succeeds();
    assert!(!piped.stderr.contains("/40 images, ") && piped.stderr.contains("40 images in "), "{}", piped.stderr);
    let few = on_a_terminal(&["run", &fixture().plan, &folder.path("many/1.png"), "--preprocess", "cifar10"], &[]);
    assert!(!few.stdout.contains("/1 images"), "{:?}", few.stdout);
}
