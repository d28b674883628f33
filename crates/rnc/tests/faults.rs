//! What the system does to files at the wrong moment: kills, full disks, files that change under rnc's hands.
#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ndarray_npy::write_npy;
use rnc::{Options, RunError, Session};
use support::{Finished, Folder, RNC, finish, fixture, images, of_nobody, rnc, rnc_command};

/// Runs a command line of the shell in which `rnc` is the binary.
fn shell(script: &str) -> Finished {
    finish(of_nobody(Command::new("sh").args(["-c", &script.replace("rnc ", &format!("{RNC} "))])))
}

#[test]
fn a_compilation_that_is_killed_leaves_the_old_plan_or_the_new_one_and_nothing_else() {
    let folder = Folder::new();
    let plan = folder.path("x.plan");
    let arguments = ["compile", &fixture().model, "-o", &plan];
    let start = Instant::now();
    rnc(&arguments).succeeds();
    let mut end = start.elapsed();
    let new = fs::read(&plan).unwrap();
    let (mut old_left, mut unfinished) = (0, 0);
    for round in 0..60u32 {
        fs::write(&plan, "old").unwrap();
        let mut child = rnc_command(&arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        // Half of them at the end, when files are written: before it if the last one came too late, and after it if that came too early.
        sleep(if round % 2 == 0 { end.mul_f64(f64::from(round) / 60.0) } else { end });
        child.kill().unwrap();
        child.wait().unwrap();
        let found = fs::read(&plan).unwrap();
        assert!(found == b"old" || found == new, "{} bytes in round {round}", found.len());
        old_left += usize::from(found == b"old");
        if round % 2 == 1 {
            end = end.mul_f64(if found == new { 0.95 } else { 1.1 });
        }
        // In the moment between a file's name and its place it may have the name of one that is not complete.
        for name in folder.files().iter().filter(|name| *name != "x.plan") {
            assert!(name.starts_with(".rnc-"), "{name}");
            fs::remove_file(folder.path(name)).unwrap();
            unfinished += 1;
        }
    }
    assert!((6..60).contains(&old_left), "{old_left} of 60 left the old plan: they were killed too early or too late");
    assert!(unfinished <= 3, "{unfinished} of 60 left a file behind");
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let folder = Folder::new();
    let (plan, x) = (folder.path("x.plan"), folder.path("x.npy"));
    write_npy(&x, &images(1, 1)).unwrap();
    fs::write(&plan, "old").unwrap();
    // No file of more than 512 KiB; what would be longer is refused in the middle, as by a disk that is full.
    let limited = |arguments: &str| shell(&format!("ulimit -f 1024; trap '' XFSZ; rnc {arguments}"));
    let run = limited(&format!("compile {} -o {plan}", fixture().model)).exits(1);
    assert!(run.stderr.contains(&format!("cannot write {plan}: File too large")), "{}", run.stderr);
    let run = limited(&format!("zoo resnet18 -o {plan}")).exits(1);
    assert!(run.stderr.contains(&plan), "{}", run.stderr);
    assert_eq!(fs::read(&plan).unwrap(), b"old");
    assert_eq!(folder.files(), ["x.npy", "x.plan"]);

    for arguments in [["compile", &fixture().model, "-o"], ["zoo", "resnet18", "-o"]] {
        let run = rnc(&[&arguments[..], &["/dev/full"]].concat()).exits(1);
        assert!(run.stderr.contains("/dev/full: No space left on device"), "{}", run.stderr);
    }
    let full = folder.path("full.npy");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let run = rnc(&["run", &fixture().plan, "--input", &x, "--save", &full]).exits(1);
    assert!(run.stderr.contains("No space left") && run.stderr.contains("full.npy"), "{}", run.stderr);
    fs::remove_file(&full).unwrap();
    let run = shell(&format!("rnc run {} --input {x} > /dev/full", fixture().plan)).exits(1);
    assert!(run.stderr.contains("No space left"), "{}", run.stderr);
}

/// A copy of the fixture's plan, and a session that has it open.
fn opened(folder: &Folder) -> (String, Session) {
    let plan = folder.path("x.plan");
    fs::copy(&fixture().plan, &plan).unwrap();
    let session = Session::load(&plan, &Options { threads: Some(1), ..Options::default() }).unwrap();
    // Times of change are as fine as the system's clock tick.
    sleep(Duration::from_millis(20));
    (plan, session)
}

fn runs(session: &Session) -> Result<Vec<f32>, RunError> {
    let images = images(1, 1).into_dyn();
    Ok(session.run(&[("input", images.view())])?.remove(0).1.into_iter().collect())
}

#[test]
fn a_plan_that_is_written_into_or_cut_while_it_is_open_is_noticed_by_the_next_run() {
    let folder = Folder::new();
    let (plan, session) = opened(&folder);
    runs(&session).unwrap();
    let mut file = File::options().write(true).open(&plan).unwrap();
    file.seek(SeekFrom::End(-64)).unwrap();
    file.write_all(&[1; 64]).unwrap();
    assert!(matches!(runs(&session), Err(RunError::PlanChanged)));

    let (plan, session) = opened(&folder);
    File::options().write(true).open(&plan).unwrap().set_len(100).unwrap();
    let running = session.start(&[("input", images(1, 1).into_dyn().view())]);
    assert!(matches!(running.err(), Some(RunError::PlanChanged)));
}

#[test]
fn a_plan_that_is_replaced_or_removed_while_it_is_open_goes_on() {
    let folder = Folder::new();
    let (plan, session) = opened(&folder);
    let expected = runs(&session).unwrap();
    let other = folder.path("other.onnx");
    rnc(&["zoo", "resnet18", "-o", &other, "--size", "32", "--classes", "7"]).succeeds();
    rnc(&["compile", &other, "-o", &plan]).succeeds();
    assert_eq!(runs(&session).unwrap(), expected);
    fs::remove_file(&plan).unwrap();
    assert_eq!(runs(&session).unwrap(), expected);
}

#[test]
fn a_plan_that_is_cut_in_the_middle_of_a_run_ends_it_with_a_message() {
    let folder = Folder::new();
    let (plan, x) = (folder.path("x.plan"), folder.path("x.npy"));
    fs::copy(&fixture().plan, &plan).unwrap();
    write_npy(&x, &images(1, 1)).unwrap();
    let arguments = ["run", &plan, "--input", &x, "--repeat", "1000000"];
    let child = rnc_command(&arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(500));
    File::options().write(true).open(&plan).unwrap().set_len(5000).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the plan file changed") || stderr.contains("the plan file became shorter"), "{stderr}");
}

#[test]
fn the_signal_that_a_cut_file_gives_is_answered_with_words() {
    let folder = Folder::new();
    let x = folder.path("x.npy");
    write_npy(&x, &images(1, 1)).unwrap();
    let arguments = ["run", &fixture().plan, "--input", &x, "--repeat", "1000000"];
    let child = rnc_command(&arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(500));
    assert!(Command::new("kill").args(["-BUS", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the plan file became shorter") && stderr.contains("help:"), "{stderr}");
}

#[test]
fn a_file_in_the_place_of_a_folder_and_what_may_not_be_read_are_named() {
    let folder = Folder::new();
    let inside = format!("{}/x.onnx", fixture().model);
    let run = rnc(&["compile", &inside, "-o", &folder.path("p")]).exits(1);
    assert!(run.stderr.contains(&inside) && run.stderr.contains("Not a directory"), "{}", run.stderr);
    let run = rnc(&["compile", &fixture().model, "-o", &inside]).exits(1);
    assert!(run.stderr.contains(&format!("{} is a file, not a directory", fixture().model)), "{}", run.stderr);

    let secret = folder.path("secret.onnx");
    fs::copy(&fixture().model, &secret).unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let run = rnc(&["compile", &secret, "-o", &folder.path("p")]);
    // Root may read everything.
    if File::open(Path::new(&secret)).is_err() {
        let run = run.exits(1);
        assert!(run.stderr.contains(&secret) && run.stderr.contains("Permission denied"), "{}", run.stderr);
    }
}
