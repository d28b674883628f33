//! Random programs against the reference interpreter. `examples/random_programs.rs` runs as many as one likes.

use rnc_tests::random::{Outcome, check, program};

#[test]
fn random_programs_are_computed_as_they_say() {
    let mut agree = 0;
    for seed in 0..300 {
        let program = program(seed);
        match check(&program) {
            Ok(Outcome::Agrees) => agree += 1,
            Ok(Outcome::Refused(_)) => {}
            Err(failure) => panic!("seed {seed}: {failure}\n{}", program.graph),
        }
    }
    assert!(agree > 280, "{agree} of 300 were compiled");
}
