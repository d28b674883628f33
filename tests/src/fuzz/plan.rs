//! Plans from an untrusted hand.

use std::sync::LazyLock;

use fastrand::Rng;
use rnc::{Options, Plan, Session};
use rnc_plan::cost::cost;
use rnc_plan::kernel::KernelSpec;
use rnc_plan::{Port, file, footprint};

use super::support::guarded::Guarded;
use super::support::{isas, sizes, try_run};

/// Where the fixed part of a plan file ends, and the header message begins (`docs/plan-format.md`).
const FIXED: usize = 48;
const PAGE: usize = 4096;
/// Bytes of the data behind every header: weights of any value.
const DATA: usize = 1 << 20;
static WEIGHTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(7);
    (0..DATA / 4).flat_map(|_| (rng.f32() - 0.5).to_le_bytes()).collect()
});
/// Larger steps, by operations and by elements, are verified but not run.
const MOST_FLOPS: u64 = 3_000_000;
const MOST_ELEMENTS: usize = 1 << 20;

/// The header message of a plan. `None` if its data are larger than those that [`feed`] puts behind it.
pub(super) fn header(plan: &Plan) -> Option<Vec<u8>> {
    let verified = rnc_plan::verify(plan).ok()?;
    let bytes = file::to_bytes(verified).ok()?;
    let size = usize::try_from(u64::from_le_bytes(bytes[16..24].try_into().ok()?)).ok()?;
    (plan.data.bytes().len() <= DATA).then(|| bytes[FIXED..FIXED + size].to_vec())
}

/// A plan file with this header message and sound checksums: if the verifier accepts it, every step is compiled for every instruction set and run on operands between
/// guard pages, and then the whole plan is run.
pub(super) fn feed(header: &[u8]) -> bool {
    let Ok(plan) = file::from_bytes(&bytes(header)) else { return false };
    let mut rng = Rng::with_seed(header.len() as u64);
    for step in &plan.steps {
        if is_small(&step.kernel) {
            run_step(&step.kernel, &mut rng);
        }
    }
    let all_small = plan.steps.len() < 200 && plan.steps.iter().all(|step| is_small(&step.kernel));
    if all_small && plan.arena_bytes < 1 << 26 {
        run_plan(&plan, &mut rng);
    }
    true
}

fn bytes(header: &[u8]) -> Vec<u8> {
    let offset = (FIXED + header.len()).next_multiple_of(PAGE);
    let data = WEIGHTS.as_slice();
    let mut file = Vec::with_capacity(offset + DATA);
    file.extend(b"RNCPLAN\n");
    file.extend(file::VERSION.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    for number in [header.len(), offset, DATA] {
        file.extend((number as u64).to_le_bytes());
    }
    file.extend(crc32fast::hash(data).to_le_bytes());
    file.extend([0; 4]);
    file.extend(header);
    file.resize(offset, 0);
    let crc = crc32fast::hash(&[&file[..44], &file[48..]].concat());
    file[44..48].copy_from_slice(&crc.to_le_bytes());
    file.extend(data);
    file
}

fn is_small(kernel: &KernelSpec) -> bool {
    let elements = footprint::operands(kernel).map(|operands| {
        operands.iter().map(|operand| operand.sample_stride.max(operand.elements_per_sample)).sum::<usize>()
    });
    cost(kernel).flops <= MOST_FLOPS && elements.is_ok_and(|elements| elements <= MOST_ELEMENTS)
}

/// Runs a kernel on operands of the sizes that its footprints say.
fn run_step(kernel: &KernelSpec, rng: &mut Rng) {
    let batch = rng.usize(1..3);
    let operand = |len: &usize, rng: &mut Rng| (0..*len).map(|_| rng.f32() - 0.5).collect();
    let inputs: Vec<Vec<f32>> = sizes(kernel, batch)[1..].iter().map(|len| operand(len, rng)).collect();
    for isa in isas() {
        // A kernel that is too large for code to address is refused there.
        let _ = try_run(kernel, isa, batch, &inputs, rng.usize(1..4));
    }
}

fn run_plan(plan: &Plan, rng: &mut Rng) {
    let batch = plan.batch.fixed().unwrap_or_else(|| rng.usize(1..3));
    let options = Options { threads: Some(rng.usize(1..3)), ..Options::default() };
    let Ok(session) = Session::new(plan.clone(), &options) else { return };
    let elements = |port: &Port| port.sample_len().and_then(|len| len.checked_mul(batch));
    let ports = plan.inputs.iter().chain(&plan.outputs);
    if ports.map(elements).any(|len| len.is_none_or(|len| len > MOST_ELEMENTS)) {
        return;
    }
    let guarded = |port: &Port| Guarded::new(&vec![0.25; elements(port).unwrap_or(0)]);
    let mut inputs: Vec<Guarded> = plan.inputs.iter().map(guarded).collect();
    let mut outputs: Vec<Guarded> = plan.outputs.iter().map(guarded).collect();
    let inputs: Vec<&[f32]> = inputs.iter_mut().map(|input| &*input.slice_mut()).collect();
    let mut outputs: Vec<&mut [f32]> = outputs.iter_mut().map(Guarded::slice_mut).collect();
    // A batch for which there is no memory is refused.
    let _ = session.run_into(&mut session.workspace(), batch, &inputs, &mut outputs);
}
