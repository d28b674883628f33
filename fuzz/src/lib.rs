//! What the targets share: a mutator that knows the form of what is fed.

use fastrand::Rng;
use rnc_tests::fuzz::Kind;

/// The two functions that libFuzzer calls, for a [`Kind`].
#[macro_export]
macro_rules! target {
    ($kind:ident) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            rnc_tests::fuzz::Kind::$kind.feed(bytes);
        });

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            // The memory is as large as the larger of the two.
            let size = size.min(max_size);
            $crate::mutate(rnc_tests::fuzz::Kind::$kind, &mut data[..max_size], size, seed)
        });
    };
}

/// Changes the first `size` bytes of `data`, which has room for more, and says how many there are then. Half of the mutants are made by form, as protobuf messages or as text, and half
/// as libFuzzer makes them, from what it saw in comparisons.
pub fn mutate(kind: Kind, data: &mut [u8], size: usize, seed: u32) -> usize {
    let mut rng = Rng::with_seed(seed.into());
    if rng.bool() {
        let mutant = kind.mutant(&data[..size], &mut rng);
        if let Some(room) = data.get_mut(..mutant.len()) {
            room.copy_from_slice(&mutant);
            return mutant.len();
        }
    }
    let room = data.len();
    libfuzzer_sys::fuzzer_mutate(data, size, room)
}
