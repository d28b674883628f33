//! Running the binary, and a small model to run it on.
#![allow(dead_code, reason = "every test binary uses a part")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use ndarray::{Array4, ArrayD};
use rnc::ir::Graph;
use rnc_zoo::ZooOptions;
use tempfile::TempDir;

/// Classes of the fixture.
pub const CLASSES: usize = 10;
/// Height and width of the fixture's images.
pub const SIZE: usize = 32;

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert!(code == 0 || !self.stderr.is_empty(), "an exit code of {code} without a word");
        self
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs the binary.
pub fn rnc(arguments: &[&str]) -> Finished {
    rnc_with(arguments, &[])
}

/// Runs the binary with variables in its environment.
pub fn rnc_with(arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    finish(rnc_command(arguments).envs(variables.iter().copied()))
}

/// Runs the binary on a CPU that QEMU emulates.
pub fn rnc_on(cpu: &str, arguments: &[&str]) -> Finished {
    finish(of_nobody(Command::new("qemu-x86_64-static").args(["-cpu", cpu, RNC]).args(arguments)))
}

/// The binary with arguments, to be started.
pub fn rnc_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(RNC);
    of_nobody(command.args(arguments));
    command
}

pub const RNC: &str = env!("CARGO_BIN_EXE_rnc");

/// Whoever runs the tests may have calibrated this machine: that would change choices.
pub fn of_nobody(command: &mut Command) -> &mut Command {
    for folder in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env(folder, concat!(env!("CARGO_TARGET_TMPDIR"), "/home"));
    }
    command.env_remove("RNC_ISA")
}

pub fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    // No code: a signal ended it.
    Finished { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// The choices of a plan, as `rnc inspect` lists them.
pub fn choices(plan: &str) -> Vec<serde_json::Value> {
    rnc(&["inspect", plan, "--choices", "--json"]).succeeds().json()["choices"].as_array().unwrap().clone()
}

/// A folder that goes away with the test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Names of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A small model of the zoo with its plan, both made by the binary, once for all tests.
pub struct Fixture {
    pub graph: Graph,
    pub model: String,
    pub plan: String,
}

pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-fixture");
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (model, plan) = (path("resnet18.onnx"), path("resnet18.plan"));
        rnc(&["zoo", "resnet18", "-o", &model, "--size", "32", "--classes", "10"]).succeeds();
        rnc(&["compile", &model, "-o", &plan]).succeeds();
        let options = ZooOptions { image: SIZE, classes: CLASSES, ..ZooOptions::default() };
        Fixture { graph: rnc_zoo::build("resnet18", &options).unwrap(), model, plan }
    })
}

/// Instruction sets of this machine.
pub fn supported() -> Vec<String> {
    rnc(&["isa"]).succeeds().stdout.lines().map(str::to_owned).collect()
}

/// Pseudo-random images, about normal.
pub fn images(batch: usize, seed: u64) -> Array4<f32> {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 24) as f32
    };
    Array4::from_shape_simple_fn((batch, 3, SIZE, SIZE), || uniform() + uniform() + uniform() + uniform() - 2.0)
}

/// Within 1e-5 of the largest magnitude: a sum of K terms in f32 is off by about sqrt(K) · 2⁻²⁴ of its terms' size, so a layer with
/// K = 4608 by 4e-6, and later layers average earlier ones' errors out.
pub fn assert_close(found: &ArrayD<f32>, expected: &ArrayD<f32>) {
    assert_eq!(found.shape(), expected.shape());
    let largest = expected.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    assert!(largest > 0.1, "the reference is flat");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * largest, "{found}, expected {expected}, largest {largest}");
    }
}
