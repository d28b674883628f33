//! Plans on CPUs that lack what this one has, as QEMU emulates them. Needs `qemu-x86_64-static` (Debian's `qemu-user-static`), so it runs when asked to:
//!
//!     cargo test --release -p rnc --test older_cpus -- --ignored

mod support;

use std::fs;

use ndarray_npy::write_npy;
use support::{Folder, fixture, images, rnc, rnc_on};

/// By QEMU's name of the CPU: the best instruction set, another one, and the feature that the other one lacks. Core 2 has neither SSE4.1 nor a fused multiplication.
const CPUS: [(&str, &str, &str, &str); 4] = [
    ("core2duo", "baseline", "avx2", "avx2"),
    ("Nehalem", "baseline", "avx512", "avx2"),
    ("Haswell,-fma", "baseline", "avx2", "fma"),
    ("Haswell", "avx2", "avx512", "avx512f"),
];

#[test]
#[ignore = "needs qemu-x86_64-static"]
fn a_plan_made_here_gives_the_same_bits_on_older_cpus() {
    let folder = Folder::new();
    let [x, here] = ["x.npy", "here.npz"].map(|name| folder.path(name));
    write_npy(&x, &images(2, 3)).unwrap();
    rnc(&["run", &fixture().plan, "--input", &x, "--save", &here]).succeeds();
    for (cpu, best, _, _) in CPUS {
        let there = folder.path("there.npz");
        let run = rnc_on(cpu, &["run", &fixture().plan, "--input", &x, "--save", &there, "--threads", "2"]).succeeds();
        assert!(run.stderr.contains(&format!("{best}, 2 threads")), "{cpu}: {}", run.stderr);
        assert!(fs::read(&there).unwrap() == fs::read(&here).unwrap(), "{cpu} gives other bits");
    }
}

#[test]
#[ignore = "needs qemu-x86_64-static"]
fn an_instruction_set_that_a_cpu_lacks_is_refused_and_the_feature_named() {
    let x = Folder::new();
    let input = x.path("x.npy");
    write_npy(&input, &images(1, 3)).unwrap();
    for (cpu, best, isa, feature) in CPUS {
        let refused = rnc_on(cpu, &["run", &fixture().plan, "--input", &input, "--isa", isa]).exits(5);
        let expected = format!("this CPU cannot run {isa} code: it does not have {feature}; the best it has is {best}");
        assert!(refused.stderr.contains(&expected), "{cpu}: {}", refused.stderr);
    }
}
