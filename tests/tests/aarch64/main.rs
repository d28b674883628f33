//! Plans give the same bits on `AArch64`: their kernels go into an object file, which is linked with a small harness and run under an emulator.
//!
//! Needs Debian's `gcc-aarch64-linux-gnu` and `qemu-user-static`: `cargo test --release -p rnc-tests --features aarch64 --test aarch64`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;
use ndarray::{ArrayD, IxDyn};
use rnc::zoo::{ZooOptions, build};
use rnc::{CompileOptions, Isa, Options, Plan, Session};
use rnc_codegen::object::{self, Object};
use rnc_ir::Graph;
use rnc_plan::{Batch, Operand};
use rnc_tests::random::program;

const GCC: &str = "aarch64-linux-gnu-gcc";
const QEMU: &str = "qemu-aarch64-static";

/// Folder for a plan's files.
struct Bench(tempfile::TempDir);

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Links the kernels with the harness.
    fn link(&self, object: &Object) -> PathBuf {
        fs::write(self.path("kernels.o"), &object.bytes).unwrap();
        let harness = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aarch64/harness.c");
        let program = self.path("program");
        let mut gcc = Command::new(GCC);
        gcc.args(["-O1", "-Wall", "-Werror", "-static", "-no-pie", "-o"]).arg(&program).arg(harness);
        gcc.arg(self.path("kernels.o"));
        output(&mut gcc);
        program
    }

    fn run(&self, program: &Path, job: &Job) -> Vec<u8> {
        fs::write(self.path("job"), &job.0).unwrap();
        output(Command::new(QEMU).arg(program).arg(self.path("job")))
    }
}

fn output(command: &mut Command) -> Vec<u8> {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ran.status.success(), "{command:?}: {}\n{}", ran.status, String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// What the harness reads.
struct Job(Vec<u8>);

impl Job {
    fn new(plan: &Plan, object: &Object, inputs: &[ArrayD<f32>], batch: usize) -> Self {
        let mut job = Self(Vec::new());
        job.number(plan.arena_bytes * batch);
        job.number(object.kernels.iter().map(|(_, scratch)| *scratch).max().unwrap_or(0));
        job.blob(plan.data.bytes());
        job.number(inputs.len());
        for input in inputs {
            job.blob(&input.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
        }
        job.number(plan.outputs.len());
        for port in &plan.outputs {
            job.number(port.sample_len().unwrap() * batch * 4);
        }
        job.number(batch);
        job.number(plan.steps.len());
        for (step, (tasks, _)) in plan.steps.iter().zip(&object.kernels) {
            job.number(tasks.count(batch));
            job.number(step.operands.len());
            for operand in &step.operands {
                let (kind, at) = match *operand {
                    Operand::Buffer(buffer) => (0, plan.buffers[buffer].offset * batch),
                    Operand::Constant(constant) => (1, plan.constants[constant].offset),
                    Operand::Input(port) => (2, port),
                    Operand::Output(port) => (3, port),
                };
                job.number(kind);
                job.number(at);
            }
        }
        job
    }

    fn number(&mut self, number: usize) {
        self.0.extend((number as u64).to_le_bytes());
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend(bytes);
    }
}

/// The bits of elements. What is no number has one form: processors make different ones.
fn bits(elements: impl IntoIterator<Item = f32>) -> Vec<u32> {
    elements.into_iter().map(|x| if x.is_nan() { f32::NAN } else { x }.to_bits()).collect()
}

/// Compiles a graph, runs it here and there, and compares. Whether it could be compiled.
fn check(graph: &Graph, batch: usize, what: &str) -> bool {
    let Ok(plan) = rnc::compile_graph(graph.clone(), &CompileOptions::default()) else { return false };
    let batch = if plan.batch == Batch::Symbolic { batch } else { plan.batch.fixed().unwrap_or(1) };
    let mut rng = Rng::with_seed(1);
    let inputs: Vec<ArrayD<f32>> = plan
        .inputs
        .iter()
        .map(|port| plan.batch.shape(&port.dims, batch))
        .map(|dims| ArrayD::from_shape_simple_fn(IxDyn(&dims), || rng.f32() * 2.0 - 1.0))
        .collect();

    let session = Session::new(plan.clone(), &Options { isa: Some(Isa::Baseline), ..Options::default() }).unwrap();
    let named: Vec<_> =
        plan.inputs.iter().zip(&inputs).map(|(port, array)| (port.name.as_str(), array.view())).collect();
    let here = session.run(&named).unwrap();
    let here = bits(here.iter().flat_map(|(_, array)| array.iter().copied()));

    let object = object::compile(plan.steps.iter().map(|step| &step.kernel), "aarch64-unknown-linux-gnu").unwrap();
    let bench = Bench(tempfile::tempdir().unwrap());
    let there = bench.run(&bench.link(&object), &Job::new(&plan, &object, &inputs, batch));
    let there = bits(there.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])));
    assert_eq!(here.len(), there.len(), "{what}");
    let differ = here.iter().zip(&there).filter(|(here, there)| here != there).count();
    assert_eq!(differ, 0, "{what}: of {} elements, so many have other bits on AArch64", here.len());
    true
}

#[test]
fn random_programs_give_the_same_bits_on_aarch64() {
    let ran = (0..80).filter(|seed| {
        let program = program(*seed);
        check(&program.graph, program.batch, &format!("seed {seed}"))
    });
    let ran = ran.count();
    println!("{ran} of 80 programs ran");
    assert!(ran > 75, "{ran}");
}

#[test]
fn models_of_the_zoo_give_the_same_bits_on_aarch64() {
    for (name, image) in [("resnet18", 64), ("resnext50_32x4d", 32), ("seresnet50", 32)] {
        let graph = build(name, &ZooOptions { image, classes: 10, ..ZooOptions::default() }).unwrap();
        assert!(check(&graph, 2, name), "{name}");
    }
}
