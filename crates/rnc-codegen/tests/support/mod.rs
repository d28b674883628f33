//! What the kernel tests share: guarded memory, random data, a way to run one kernel.
#![allow(dead_code, reason = "every test binary uses a part")]

pub mod guarded;
pub mod naive;

use rnc_codegen::{Code, CodegenError, Isa, Target};
use rnc_plan::footprint;
use rnc_plan::kernel::KernelSpec;

use guarded::Guarded;

/// A small deterministic generator (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1).
    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// The instruction sets of this machine.
pub fn isas() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_supported())
}

/// Elements that each operand of a kernel holds for a batch, by its verified footprint.
pub fn sizes(spec: &KernelSpec, batch: usize) -> Vec<usize> {
    let operands = footprint::operands(spec).expect("a sound specification");
    operands
        .iter()
        .map(|o| if o.shared { o.elements_per_sample } else { (batch - 1) * o.sample_stride + o.elements_per_sample })
        .collect()
}

/// Runs a kernel, made for `parts` threads, on guarded copies of `inputs`, its tasks cut into `parts` ranges, and gives the result. The result starts as NaN,
/// and every operand ends where a page that must not be touched begins.
pub fn run(spec: &KernelSpec, isa: Isa, batch: usize, inputs: &[Vec<f32>], parts: usize) -> Vec<f32> {
    try_run(spec, isa, batch, inputs, parts).expect("the kernel compiles")
}

/// The same for a kernel that may be too large for code to address.
pub fn try_run(
    spec: &KernelSpec,
    isa: Isa,
    batch: usize,
    inputs: &[Vec<f32>],
    parts: usize,
) -> Result<Vec<f32>, CodegenError> {
    let result = Guarded::new(&vec![f32::NAN; sizes(spec, batch)[0]]);
    let operands = inputs.iter().map(|input| Guarded::new(input)).collect();
    execute(spec, isa, batch, (result, operands), parts)
}

/// The same with the result in the place of the residual, which is the last input.
pub fn run_on_residual(spec: &KernelSpec, isa: Isa, batch: usize, inputs: &[Vec<f32>], parts: usize) -> Vec<f32> {
    let (residual, inputs) = inputs.split_last().expect("a residual");
    let operands = inputs.iter().map(|input| Guarded::new(input)).collect();
    execute(spec, isa, batch, (Guarded::new(residual), operands), parts).expect("the kernel compiles")
}

/// Runs a kernel; operands that are missing lie where the result does.
fn execute(
    spec: &KernelSpec,
    isa: Isa,
    batch: usize,
    (mut result, mut operands): (Guarded, Vec<Guarded>),
    parts: usize,
) -> Result<Vec<f32>, CodegenError> {
    let code = Code::compile([spec], Target { isa, threads: parts })?;
    let sizes = sizes(spec, batch);
    let mut addresses = vec![result.address()];
    for (operand, size) in operands.iter_mut().zip(&sizes[1..]) {
        assert_eq!(operand.values().len(), *size, "an operand has the size of its footprint");
        addresses.push(operand.address());
    }
    addresses.resize(sizes.len(), result.address());
    let kernel = code.kernel(0);
    let mut scratch = Guarded::new(&vec![f32::NAN; kernel.scratch() / 4]);
    let tasks = kernel.tasks().count(batch);
    for part in 0..parts {
        let range = tasks * part / parts..tasks * (part + 1) / parts;
        // SAFETY: every operand has the size of its footprint, the scratch memory is as large as asked, and nothing else knows of them. Only a residual, which may
        // lie where the result does, is ever missing.
        #[allow(unsafe_code, reason = "the call into generated code")]
        unsafe {
            kernel.run(&addresses, batch, range, scratch.address());
        }
    }
    Ok(result.values())
}

/// Asserts that two results have the same bits.
pub fn assert_same_bits(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(same, "{what}: element {i} is {a} ({:08x}), expected {b} ({:08x})", a.to_bits(), b.to_bits());
    }
}
