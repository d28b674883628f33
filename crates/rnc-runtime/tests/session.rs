//! Sessions on a plan made by hand: what is checked, and what may happen at the same time.

use std::time::Duration;

use ndarray::{ArrayD, IxDyn, array};
use rnc_plan::images::Images;
use rnc_plan::kernel::{Access, Binary, Elementwise, Instruction, KernelSpec, Space, Unary};
use rnc_plan::{Batch, Buffer, ConstantData, Listing, Operand, Plan, Port, Step, Tuning};
use rnc_runtime::{Options, RunError, Session};

use Instruction::{Binary as B, Operand as O, Unary as U};

/// `y = relu(a + b)`, `z = y * y`, over samples of `len` elements. The sum lives in a buffer.
fn plan(len: usize, batch: Batch) -> Plan {
    let port = |name: &str| Port { name: name.to_owned(), dims: vec![len] };
    let elementwise = |operands: usize, program: Vec<Instruction>| {
        KernelSpec::Elementwise(Elementwise {
            space: Space::Flat { len },
            operands: vec![Access::Full; operands],
            program,
        })
    };
    let sum = elementwise(2, vec![O(0), O(1), B(Binary::Add, 0, 1)]);
    let relu = elementwise(1, vec![O(0), U(Unary::Relu, 0)]);
    let square = elementwise(1, vec![O(0), U(Unary::Relu, 0), B(Binary::Mul, 1, 1)]);
    let step = |name: &str, kernel, operands| Step::new(name, kernel, operands);
    let bytes = (len * 4).next_multiple_of(64);
    Plan {
        name: "by hand".into(),
        producer: "test".into(),
        batch,
        inputs: vec![port("a"), port("b")],
        outputs: vec![port("y"), port("z")],
        buffers: vec![Buffer { name: "sum".into(), offset: 0, bytes, first_step: 0, last_step: 2 }],
        constants: vec![],
        steps: vec![
            step("sum", sum, vec![Operand::Buffer(0), Operand::Input(0), Operand::Input(1)]),
            step("y", relu, vec![Operand::Output(0), Operand::Buffer(0)]),
            step("z", square, vec![Operand::Output(1), Operand::Buffer(0)]),
        ],
        arena_bytes: bytes,
        arena_lower_bound: bytes,
        listing: Listing::default(),
        images: Images::default(),
        tuning: Tuning::default(),
        data: ConstantData::empty(),
    }
}

fn session(len: usize, batch: Batch, threads: usize) -> Session {
    Session::new(plan(len, batch), &Options { threads: Some(threads), ..Options::default() }).expect("a sound plan")
}

fn filled(batch: usize, len: usize, value: f32) -> ArrayD<f32> {
    ArrayD::from_elem(IxDyn(&[batch, len]), value)
}

#[test]
fn runs_inputs_in_any_order_and_gives_outputs_in_the_models_order() {
    let session = session(3, Batch::Symbolic, 1);
    let (a, b) = (array![[1.0, -2.0, 3.0]].into_dyn(), array![[1.0, 1.0, -5.0]].into_dyn());
    let outputs = session.run(&[("b", b.view()), ("a", a.view())]).unwrap();
    assert_eq!(outputs[0], ("y".to_owned(), array![[2.0, 0.0, 0.0]].into_dyn()));
    assert_eq!(outputs[1], ("z".to_owned(), array![[4.0, 0.0, 0.0]].into_dyn()));
}

#[test]
fn takes_views_that_are_not_contiguous() {
    let session = session(2, Batch::Symbolic, 1);
    let a = array![[1.0, 3.0], [2.0, 4.0]].into_dyn();
    let outputs = session.run(&[("a", a.t()), ("b", filled(2, 2, 0.0).view())]).unwrap();
    assert_eq!(outputs[0].1, array![[1.0, 2.0], [3.0, 4.0]].into_dyn());
}

#[test]
fn gives_the_same_for_any_number_of_threads_and_any_batch() {
    // Large enough to be worth more than one thread.
    let len = 100_003;
    for threads in [1, 2, 5] {
        let session = session(len, Batch::Symbolic, threads);
        for batch in [3, 1, 2] {
            let outputs =
                session.run(&[("a", filled(batch, len, 1.5).view()), ("b", filled(batch, len, 0.5).view())]).unwrap();
            assert_eq!(outputs[0].1, filled(batch, len, 2.0));
            assert_eq!(outputs[1].1, filled(batch, len, 4.0));
        }
    }
}

#[test]
fn many_threads_share_a_session() {
    let session = session(5000, Batch::Symbolic, 2);
    std::thread::scope(|scope| {
        for i in 0..4u8 {
            let session = &session;
            scope.spawn(move || {
                for _ in 0..50 {
                    let (a, b) = (filled(2, 5000, f32::from(i)), filled(2, 5000, 1.0));
                    let outputs = session.run(&[("a", a.view()), ("b", b.view())]).unwrap();
                    assert_eq!(outputs[0].1, filled(2, 5000, f32::from(i) + 1.0));
                }
            });
        }
    });
}

#[test]
fn refuses_inputs_that_do_not_fit_and_names_what_would() {
    let session = session(3, Batch::Symbolic, 1);
    let a = filled(1, 3, 0.0);
    let message = |inputs: &[(&str, ndarray::ArrayViewD<'_, f32>)]| session.run(inputs).unwrap_err().to_string();
    assert_eq!(message(&[("x", a.view())]), "the model has no input `x`; it has a, b");
    assert_eq!(message(&[("a", a.view())]), "input `b` must be given once, and was given 0 times");
    assert_eq!(
        message(&[("a", a.view()), ("a", a.view()), ("b", a.view())]),
        "input `a` must be given once, and was given 2 times"
    );
    let wide = filled(1, 4, 0.0);
    assert_eq!(message(&[("a", a.view()), ("b", wide.view())]), "input `b` must have shape [N, 3], found [1, 4]");
    let two = filled(2, 3, 0.0);
    assert_eq!(
        message(&[("a", a.view()), ("b", two.view())]),
        "input `b` has a batch of 2, but the inputs before it have 1"
    );
    let none = filled(0, 3, 0.0);
    assert_eq!(message(&[("a", none.view()), ("b", none.view())]), "input `a` must have shape [N, 3], found [0, 3]");
    let scalar = ArrayD::from_elem(IxDyn(&[]), 0.0);
    assert_eq!(message(&[("a", scalar.view()), ("b", a.view())]), "input `a` must have shape [N, 3], found []");
}

#[test]
fn a_fixed_batch_is_kept_to() {
    let session = session(3, Batch::Fixed(2), 1);
    let one = filled(1, 3, 0.0);
    let error = session.run(&[("a", one.view()), ("b", one.view())]).unwrap_err();
    assert_eq!(error.to_string(), "input `a` must have shape [2, 3], found [1, 3]");
    assert!(matches!(
        session.run_into(&mut session.workspace(), 1, &[&[0.0; 3], &[0.0; 3]], &mut [&mut [0.0; 3], &mut [0.0; 3]]),
        Err(RunError::Batch { expected: 2, found: 1, .. })
    ));
}

#[test]
fn slices_of_a_wrong_length_or_number_are_refused() {
    let session = session(3, Batch::Symbolic, 1);
    let mut workspace = session.workspace();
    let (mut y, mut z) = ([0.0; 3], [0.0; 2]);
    let error = session.run_into(&mut workspace, 1, &[&[0.0; 3], &[0.0; 3]], &mut [&mut y, &mut z]).unwrap_err();
    assert_eq!(error.to_string(), "the memory for `z` must hold 3 elements, found 2");
    let error = session.run_into(&mut workspace, 1, &[&[0.0; 3]], &mut [&mut y, &mut z]).unwrap_err();
    assert_eq!(error.to_string(), "the model has 2 inputs, found 1");
    let error = session.run_into(&mut workspace, usize::MAX, &[&[], &[]], &mut [&mut y, &mut z]).unwrap_err();
    assert!(matches!(error, RunError::Length { .. }));
}

#[test]
fn a_measuring_workspace_counts_time_for_every_step() {
    let session = session(4000, Batch::Symbolic, 1);
    let mut workspace = session.measuring_workspace();
    let (a, b) = (vec![1.0; 4000], vec![2.0; 4000]);
    let (mut y, mut z) = (vec![0.0; 4000], vec![0.0; 4000]);
    session.run_into(&mut workspace, 1, &[&a, &b], &mut [&mut y, &mut z]).unwrap();
    let times = workspace.step_nanoseconds().unwrap();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|time| *time > 0));
    assert!(session.workspace().step_nanoseconds().is_none());
}

#[test]
fn a_workspace_of_another_session_is_refused() {
    let (small, large) = (session(3, Batch::Symbolic, 1), session(300, Batch::Symbolic, 1));
    let (mut y, mut z) = ([0.0; 3], [0.0; 3]);
    let error = small.run_into(&mut large.workspace(), 1, &[&[0.0; 3], &[0.0; 3]], &mut [&mut y, &mut z]).unwrap_err();
    assert!(matches!(error, RunError::ForeignWorkspace));
}

#[test]
fn an_observer_sees_every_step_s_result_before_the_next_one_runs() {
    for threads in [1, 2] {
        let session = session(3, Batch::Symbolic, threads);
        let (a, b) = (filled(2, 3, 1.5), filled(2, 3, -3.0));
        let inputs = [("a", a.view()), ("b", b.view())];
        let mut seen = Vec::new();
        let outputs = session
            .run_observed(&inputs, &mut |observed| {
                seen.push((observed.step, observed.first, observed.samples, observed.result.to_vec()));
            })
            .unwrap();
        assert_eq!(outputs, session.run(&inputs).unwrap());
        // Samples of the buffer may have room between them; what is there is not of interest.
        let step = |i: usize| seen.iter().filter(move |(step, ..)| *step == i);
        assert!(step(0).all(|(.., result)| result[..3] == [-1.5; 3]), "{seen:?}");
        assert!(step(1).all(|(.., result)| result[..3] == [0.0; 3]), "{seen:?}");
        for i in 0..3 {
            assert_eq!(step(i).map(|(.., samples, _)| samples).sum::<usize>(), 2, "{seen:?}");
        }
        assert!(seen.iter().map(|(step, first, ..)| (first, step)).is_sorted(), "{seen:?}");
    }
}

#[test]
fn a_run_in_the_background_gives_what_a_run_gives() {
    let session = session(3, Batch::Symbolic, 2);
    let (a, b) = (filled(4, 3, 1.0), filled(4, 3, -0.5));
    let inputs = [("a", a.view()), ("b", b.view())];
    let expected = session.run(&inputs).unwrap();
    let running: Vec<_> = (0..4).map(|_| session.start(&inputs).unwrap()).collect();
    for mut running in running {
        let outputs = loop {
            match running.wait_timeout(Duration::from_millis(1)) {
                Ok(outputs) => break outputs.unwrap(),
                Err(still) => running = still,
            }
        };
        assert_eq!(outputs, expected);
    }
    let running = session.start(&inputs).unwrap();
    while !running.is_done() {
        std::thread::yield_now();
    }
    assert_eq!(running.wait().unwrap(), expected);
    assert!(matches!(session.start(&inputs[..1]), Err(RunError::InputCount { .. })));
}

#[test]
fn runs_that_are_dropped_at_any_moment_leave_the_session_as_it_was() {
    // Large enough to be worth more than one thread.
    let len = 100_003;
    for threads in [1, 2, 3] {
        let session = session(len, Batch::Symbolic, threads);
        let (a, b) = (filled(2, len, 1.5), filled(2, len, 0.5));
        let inputs = [("a", a.view()), ("b", b.view())];
        let expected = session.run(&inputs).unwrap();
        for microseconds in 0..200 {
            let running = session.start(&inputs).unwrap();
            std::thread::sleep(Duration::from_micros(microseconds));
            drop(running);
            if microseconds % 20 == 0 {
                assert_eq!(session.run(&inputs).unwrap(), expected);
            }
        }
    }
}
