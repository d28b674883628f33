//! What cannot be lowered is said by node, all at once, and never panics.

use super::try_lower;
use crate::LowerError;

fn refused(input: &str, body: &str, output: &str) -> String {
    match try_lower(&format!("graph @g(%x: {input}) -> ({output}) {{ {body} }}")) {
        Ok(plan) => panic!("lowered: {:#?}", plan.steps),
        Err(e) => e.to_string(),
    }
}

/// The same beside a convolution of two images, so that the leading dimension must be the batch.
fn refused_in_a_batch(input: &str, body: &str, outputs: &str) -> String {
    let text = format!(
        "graph @g(%x: {input}, %image: f32[2,3,4,4]) -> ({outputs}, %conv) {{
           @k = random(9) : f32[3,3,1,1] %conv = conv2d(%image, @k) {body}
         }}"
    );
    try_lower(&text).map_or_else(|error| error.to_string(), |plan| panic!("lowered: {:#?}", plan.steps))
}

fn says_in_a_batch(input: &str, body: &str, parts: &[&str]) {
    let message = refused_in_a_batch(input, body, "%y");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn says(input: &str, body: &str, parts: &[&str]) {
    let message = refused(input, body, "%y");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn weights_must_be_constant() {
    says(
        "f32[3,3,1,1]",
        "@c = random(1) : f32[3,3,1,1] %w = mul(@c, @c) %y = conv2d(%x, %w)",
        &["`y` (conv2d)", "the weights `w`", "mul"],
    );
    says("f32[3,3]", "%r = relu(%x) %y = gemm(%x, %r)", &["`y` (gemm)", "the elements of B `r`"]);
    says("f32[N,3]", "@w = random(1) : f32[3,3] %r = relu(%x) %y = gemm(%x, @w, bias=%r)", &["the elements of C `r`"]);
}

#[test]
fn samples_must_not_be_mixed() {
    says_in_a_batch("f32[2,2]", "%y = transpose(%x) {perm=[1,0]}", &["`y` (transpose)", "moves the batch"]);
    says_in_a_batch(
        "f32[2,3]",
        "%y = slice(%x) {starts=[1,0], sizes=[2,3], steps=[-1,1]}",
        &["`y` (slice)", "cut or reordered"],
    );
    says_in_a_batch(
        "f32[2,3]",
        "%y = slice(%x) {starts=[0,0], sizes=[1,3]}",
        &["leading dimension is 1", "leading dimension is the batch, 2"],
    );
    says_in_a_batch("f32[2,3]", "%y = softmax(%x) {axis=0}", &["axis 0, the batch"]);
    says_in_a_batch("f32[2,3]", "%y = concat(%x, %x) {axis=0}", &["leading dimension is 4"]);
    says_in_a_batch("f32[2,3]", "%y = pad(%x) {begin=[1,0], end=[0,0]}", &["leading dimension is 3"]);
    says_in_a_batch("f32[2,2]", "@w = random(1) : f32[2,2] %y = gemm(%x, @w) {trans_a=true}", &["A is transposed"]);
    says_in_a_batch(
        "f32[2,2,2]",
        "%r = reshape(%x) {shape=[2,4]} %s = slice(%r) {starts=[0,0], sizes=[2,2]} %y = add(%x, %s)",
        &["[2] meets one of [2, 2]"],
    );
}

#[test]
fn constants_must_be_the_same_for_every_sample() {
    says_in_a_batch(
        "f32[2,2]",
        "@c = constant [1.0, 2.0] : f32[2,1] %y = add(%x, @c)",
        &["`y` (add)", "different elements for different samples"],
    );
    says_in_a_batch(
        "f32[2,2]",
        "@c = constant [1.0, 2.0] : f32[2,1] %y = concat(%x, @c) {axis=1}",
        &["constant `c`", "different samples"],
    );
    let message = refused("f32[N,2]", "@c = constant [1.0, 2.0] : f32[2,1]", "%x as \"y\", @c");
    assert!(message.contains("`c` (constant)") && message.contains("leading dimension is 2"), "{message}");
}

#[test]
fn every_node_at_fault_is_named() {
    let message = refused_in_a_batch(
        "f32[2,2]",
        "%a = softmax(%x) {axis=0} %b = relu(%a) %c = transpose(%b) {perm=[1,0]} %d = reshape(%c) {shape=[4]} %e = relu(%d) %f = neg(%c)",
        "%e, %f",
    );
    for part in ["4 nodes cannot", "`a` (softmax)", "`c` (transpose)", "`d` (reshape)", "`e` (relu)"] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert!(!message.contains("`b`") && !message.contains("`f`"), "{message}");
}

#[test]
fn inputs_must_share_a_batch() {
    let error = |text: &str| try_lower(text).expect_err("refused");
    assert!(matches!(error("graph @g() -> (@c) { @c = constant [1.0] : f32[1,1] }"), LowerError::NoInputs { .. }));
    let mixed = error("graph @g(%a: f32[N,3], %b: f32[1,3]) -> (%a as \"y\") { }");
    assert!(matches!(&mixed, LowerError::Batches { first, other, .. } if first == "a" && other == "b"), "{mixed}");
    let scalar = error("graph @g(%a: f32[], %b: f32[N,3]) -> (%a as \"y\", %b) { }");
    assert!(scalar.to_string().contains("`a` (input)"), "{scalar}");
    let integers = error("graph @g(%a: i64[N,3], %b: f32[N,3]) -> (%b as \"y\") { }");
    assert!(integers.to_string().contains("i64[N,3]"), "{integers}");
}

#[test]
fn sizes_beyond_the_plans_limits_are_refused_by_node() {
    says(
        "f32[N,1,2,2]",
        "%p = pad(%x) {begin=[0,0,0,0], end=[0,0,0,399999998]} %y = relu(%p)",
        &["`p` (pad)", "at most"],
    );
    says("f32[N,1,2,19999999]", "%y = max_pool(%x) {kernel=1}", &["`y` (max_pool)"]);
    says("f32[N,3,4,4]", "@w = random(1) : f32[3,3,1,1] %y = conv2d(%x, @w) {pad=5000}", &["`y` (conv2d)", "pad"]);
    says(
        "f32[N,3,1,4]",
        "%y = max_pool(%x) {kernel=[2,1], dilation=[2,1], pad=[1,0,1,0]}",
        &["`y` (max_pool)", "nothing but padding"],
    );
    says("f32[N,1000000,100000]", "%y = relu(%x)", &["`x` (input)", "at most"]);
    says("f32[N,134217728,2,2]", "%y = global_average_pool(%x)", &["`y` (global_average_pool)"]);
}
