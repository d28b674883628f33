//! The whole way from a graph to numbers, held against the reference interpreter: small graphs, models of the zoo, and random networks;
//! on every instruction set of this machine, with 1 and 2 threads, for batches of 1 and 3.
//!
//! Within the tolerance the numbers must be the interpreter's on the graph as imported. Among themselves they must be the same bits.

mod check;
#[path = "../../../crates/rnc-passes/src/random_graphs.rs"]
mod random_graphs;
mod resnet50;

use proptest::prelude::*;
use rnc::zoo::{ZooOptions, build};

use check::check;

/// Graphs for what a random network has seldom or never: each is one subject.
const GRAPHS: &[(&str, &str)] = &[
    (
        "a residual block",
        "graph @block(%x: f32[N,20,9,7]) -> (%out) {
           @w1 = random(1, -0.2, 0.2) : f32[20,20,3,3]
           @w2 = random(2, -0.2, 0.2) : f32[20,20,3,3]
           @g = random(3, 0.5, 1.5) : f32[20]
           @b = random(4) : f32[20]
           %c1 = conv2d(%x, @w1) {pad=1}
           %n1 = batch_norm(%c1, @g, @b, @b, @g) {epsilon=1e-5}
           %r1 = relu(%n1)
           %c2 = conv2d(%r1, @w2) {pad=1}
           %n2 = batch_norm(%c2, @g, @b, @b, @g) {epsilon=1e-5}
           %a = add(%n2, %x)
           %out = relu(%a)
         }",
    ),
    (
        "convolutions of every geometry",
        "graph @geometry(%x: f32[N,12,11,13]) -> (%a, %b, %c, %d, %e) {
           @w1 = random(1, -0.3, 0.3) : f32[33,12,1,1]
           @w2 = random(2, -0.3, 0.3) : f32[18,12,5,3]
           @w3 = random(3, -0.3, 0.3) : f32[24,4,3,3]
           @w4 = random(4, -0.3, 0.3) : f32[12,1,3,3]
           @w5 = random(5, -0.3, 0.3) : f32[16,12,3,3]
           @bias = random(6) : f32[33]
           %a = conv2d(%x, @w1, bias=@bias) {stride=2}
           %b = conv2d(%x, @w2) {stride=[1,2], pad=[2,0,1,3]}
           %c = conv2d(%x, @w3) {groups=3, pad=1}
           %d = conv2d(%x, @w4) {groups=12, pad=1, stride=2}
           %e = conv2d(%x, @w5) {dilation=[2,3], pad=3}
         }",
    ),
    (
        "a pyramid of features, a choice, and functions without a kernel of their own",
        "graph @pyramid(%x: f32[N,20,8,6]) -> (%sum, %up, %chosen, %odd) {
           @w = random(1, -0.3, 0.3) : f32[20,20,1,1]
           @e = constant [2.5] : f32[]
           @zero = constant [0.0] : f32[]
           %small = average_pool(%x) {kernel=2, stride=2}
           %lateral = conv2d(%small, @w)
           %larger = resize(%lateral) {shape=[N,20,8,6], scales=[1.0,1.0,2.0,2.0], mode=nearest, rounding=floor, coordinates=asymmetric}
           %sum = add(%larger, %x)
           %up = resize(%sum) {shape=[N,20,11,17], scales=[1.0,1.0,1.375,2.8333333], mode=linear, coordinates=half_pixel}
           %above = greater(%x, @zero)
           %erf = erf(%sum)
           %chosen = where(%above, %erf, %x)
           %magnitude = abs(%x)
           %power = pow(%magnitude, @e)
           %log = log(%power)
           %round = round(%log)
           %odd = sign(%round)
         }",
    ),
    (
        "pools and heads",
        "graph @head(%x: f32[N,37,9,9]) -> (%probabilities, %average, %max) {
           @w = random(1, -0.3, 0.3) : f32[11,37]
           @b = random(2) : f32[11]
           %p = max_pool(%x) {kernel=3, stride=2, pad=1}
           %average = average_pool(%x) {kernel=3, stride=2, pad=1, count_include_pad=true}
           %max = global_max_pool(%p)
           %g = global_average_pool(%p)
           %f = reshape(%g) {shape=[N,37]}
           %l = gemm(%f, @w, bias=@b) {trans_b=true}
           %probabilities = softmax(%l) {axis=1}
         }",
    ),
    (
        "squeeze and excite, silu, concatenation, slices",
        "graph @mixed(%x: f32[N,20,8,6]) -> (%out, %half) {
           @w1 = random(1, -0.3, 0.3) : f32[20,20,1,1]
           @w2 = random(2, -0.3, 0.3) : f32[12,20,3,3]
           %s = reduce_mean(%x) {axes=[2,3], keep_dims=true}
           %c = conv2d(%s, @w1)
           %g = sigmoid(%c)
           %m = mul(%x, %g)
           %y = conv2d(%m, @w2) {pad=1}
           %t = sigmoid(%y)
           %silu = mul(%y, %t)
           %out = concat(%silu, %x) {axis=1}
           %half = slice(%out) {starts=[0,3,0,0], sizes=[all,9,4,6], steps=[1,2,2,1]}
         }",
    ),
    (
        "channels last",
        "graph @nhwc(%x: f32[N,10,12,3]) -> (%out) {
           @w = random(1, -0.3, 0.3) : f32[24,3,3,3]
           %t = transpose(%x) {perm=[0,3,1,2]}
           %c = conv2d(%t, @w) {pad=1, stride=2}
           %r = relu(%c)
           %out = transpose(%r) {perm=[0,2,3,1]}
         }",
    ),
    (
        "a value that is input, used twice, and output",
        "graph @shared(%x: f32[N,5,4,4]) -> (%y, %z, %y as \"again\") {
           @w = random(1, -0.5, 0.5) : f32[5,5,3,3]
           %y = conv2d(%x, @w) {pad=1}
           %s = add(%y, %x)
           %z = sub(%s, %y)
         }",
    ),
];

#[test]
fn small_graphs_give_the_reference_interpreters_numbers_and_the_same_bits_everywhere() {
    for (name, text) in GRAPHS {
        let graph = rnc::ir::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        check(&graph, name);
    }
}

#[test]
fn models_of_the_zoo_give_the_reference_interpreters_numbers_and_the_same_bits_everywhere() {
    for (name, image) in [("resnet18", 64), ("resnet50", 32), ("resnext50_32x4d", 32)] {
        let graph = build(name, &ZooOptions { image, classes: 50, ..ZooOptions::default() }).unwrap();
        check(&graph, name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_give_the_reference_interpreters_numbers_and_the_same_bits_everywhere(
        text in random_graphs::networks()
    ) {
        let graph = rnc::ir::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        check(&graph, &text);
    }
}
