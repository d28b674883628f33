//! A plan gives the same bits on every instruction set, with every number of threads, for every batch that a sample may be in, again and again, at the same time, and after it was
//! written and read.

use std::path::Path;

use ndarray::{ArrayD, Axis, IxDyn, Slice};
use rnc::ir::Graph;
use rnc::zoo::{ZooOptions, build};
use rnc::{CompileOptions, Isa, Options, Session};
use rnc_tests::alone;

const BATCHES: std::ops::RangeInclusive<usize> = 1..=8;
const THREADS: std::ops::RangeInclusive<usize> = 1..=8;

fn member(name: &str, image: usize) -> Graph {
    build(name, &ZooOptions { image, classes: 10, ..ZooOptions::default() }).unwrap()
}

/// What the family's members do not have together: grouped, dilated and depthwise convolutions, odd channels, gates and two outputs.
fn odd_ones() -> Graph {
    let text = "graph @odd(%x: f32[N,3,19,23]) -> (%y, %z) {
           @a = random(1, -0.2, 0.2) : f32[21,3,5,5]
           @d = random(2, -0.2, 0.2) : f32[21,1,3,3]
           @g = random(3, -0.2, 0.2) : f32[42,7,3,3]
           @w = random(4, -0.2, 0.2) : f32[17,42,1,1]
           %1 = conv2d(%x, @a) {stride=2, pad=2}
           %2 = relu(%1)
           %3 = conv2d(%2, @d) {pad=1, groups=21}
           %4 = sigmoid(%3)
           %5 = mul(%2, %4)
           %6 = conv2d(%5, @g) {pad=2, dilation=2, groups=3}
           %7 = max_pool(%6) {kernel=3, stride=2, pad=1}
           %y = conv2d(%7, @w)
           %z = global_average_pool(%6)
         }";
    rnc::ir::parse(text).unwrap()
}

/// Compiles a model, writes the plan, and compares every way to run the file with the plan in memory on one sample at a time.
fn gives_the_same_bits(graph: Graph) {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.bin");
    let plan = rnc::compile_graph(graph, &CompileOptions::default()).unwrap();
    rnc::write_plan(&plan, &path).unwrap();

    let port = &plan.inputs[0];
    let dims = [&[*BATCHES.end()], port.dims.as_slice()].concat();
    let mut rng = fastrand::Rng::with_seed(1);
    let samples = ArrayD::from_shape_simple_fn(IxDyn(&dims), || rng.f32() * 2.0 - 1.0);
    let name = port.name.clone();
    let in_memory = Session::new(plan, &options(Isa::best(), 1)).unwrap();
    let expected: Vec<_> = BATCHES.map(|n| run(&in_memory, &name, &samples, n - 1..n)).collect();

    let isas: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| isa.is_supported()).collect();
    for isa in isas {
        for threads in THREADS {
            let session = load(&path, isa, threads);
            // One after the other on the pool, and then some at the same time, when the pool has one of them and the others run on their callers' threads.
            for batch in BATCHES {
                compare(
                    &run(&session, &name, &samples, 0..batch),
                    &expected[..batch],
                    &format!("{isa}, {threads} threads, {batch} samples"),
                );
            }
            std::thread::scope(|scope| {
                for batch in BATCHES.filter(|batch| batch % 3 == 0) {
                    let (session, name, samples, expected) = (&session, &name, &samples, &expected);
                    scope.spawn(move || {
                        let found = run(session, name, samples, 0..batch);
                        compare(
                            &found,
                            &expected[..batch],
                            &format!("{isa}, {threads} threads, {batch} samples beside others"),
                        );
                    });
                }
            });
        }
    }
}

fn options(isa: Isa, threads: usize) -> Options {
    Options { isa: Some(isa), threads: Some(threads), ..Options::default() }
}

fn load(path: &Path, isa: Isa, threads: usize) -> Session {
    Session::load(path, &options(isa, threads)).unwrap()
}

type Results = Vec<ArrayD<f32>>;

fn run(session: &Session, name: &str, samples: &ArrayD<f32>, which: std::ops::Range<usize>) -> Results {
    let given = samples.slice_axis(Axis(0), Slice::from(which));
    session.run(&[(name, given)]).unwrap().into_iter().map(|(_, array)| array).collect()
}

/// Compares the results of a batch with those of its samples alone.
#[track_caller]
fn compare(found: &Results, alone: &[Results], what: &str) {
    for (output, found) in found.iter().enumerate() {
        for (sample, alone) in alone.iter().enumerate() {
            let found = found.slice_axis(Axis(0), Slice::from(sample..=sample));
            let same = found.shape() == alone[output].shape()
                && found.iter().zip(&alone[output]).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "output {output} of sample {sample} has other bits: {what}");
        }
    }
}

#[test]
fn of_a_basic_block_network() {
    gives_the_same_bits(member("resnet18", 40));
}

#[test]
fn of_a_grouped_bottleneck_network() {
    gives_the_same_bits(member("resnext50_32x4d", 32));
}

#[test]
fn of_a_network_with_squeeze_and_excitation() {
    gives_the_same_bits(member("seresnet50", 32));
}

#[test]
fn of_odd_shapes_and_two_outputs() {
    gives_the_same_bits(odd_ones());
}
