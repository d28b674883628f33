//! How many threads a step is worth: waking and joining costs about a microsecond, so small steps stay on few.

use rnc_plan::cost::Cost;
use rnc_plan::kernel::KernelSpec;

/// Floating-point operations that are worth a thread of their own: some 2 µs on one core.
const FLOPS: u64 = 200_000;

/// Bytes moved that are worth a thread of their own: likewise.
const BYTES: u64 = 64 << 10;

/// Threads that one sample of a step is worth.
pub fn threads(kernel: &KernelSpec) -> usize {
    let Cost { flops, bytes, .. } = rnc_plan::cost::cost(kernel);
    usize::try_from((flops / FLOPS).max(bytes / BYTES)).unwrap_or(usize::MAX).max(1)
}
