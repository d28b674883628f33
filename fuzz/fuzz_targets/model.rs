//! An ONNX model.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rnc_tests::fuzz::Kind;

fuzz_target!(|bytes: &[u8]| {
    Kind::Model.feed(bytes);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    rnc_fuzz::mutate(Kind::Model, &mut data[..max_size], size, seed)
});
