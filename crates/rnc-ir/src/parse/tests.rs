//! Reading what people write, and what nobody should.

use super::*;
use crate::verify::verify;

/// Every operator, with attributes that are defaults and such that are not.
pub(super) const EVERY_OPERATOR: &str = r#"graph @every(%x: f32[N,4,8,8], %i: i64[3]) -> (%soft, %i as "i/0", @"spare \"c\"" as "c") {
  @w = constant [1.0, -0.5, 1e-20, inf, -inf, nan, 0.0, -0.0] : f32[4,2,1,1]
  @b = constant [0.0, 1.0, 2.0, 3.0] : f32[4]
  %conv = conv2d(%x, @w, bias=@b, residual=%x) {groups=2, activation=clip(-1.0, inf)} : f32[N,4,8,8]
  %conv2 = conv2d(%conv, @w) {stride=[2,1], pad=[0,1,2,3], dilation=3, groups=2, activation=relu} : f32[N,4,5,12]
  %conv3 = conv2d(%x, @w, residual=%conv) {groups=2} : f32[N,4,8,8]
  %bn = batch_norm(%conv3, @b, @b, @b, @b) {epsilon=1e-5} : f32[N,4,8,8]
  %relu = relu(%bn) : f32[N,4,8,8]
  %leaky = leaky_relu(%relu) {alpha=0.01} : f32[N,4,8,8]
  %clip = clip(%leaky) {min=0.0, max=6.0} : f32[N,4,8,8]
  %sigmoid = sigmoid(%clip) : f32[N,4,8,8]
  %hs = hard_sigmoid(%sigmoid) {alpha=0.2, beta=0.5} : f32[N,4,8,8]
  %hw = hard_swish(%hs) : f32[N,4,8,8]
  %silu = silu(%hw) : f32[N,4,8,8]
  %tanh = tanh(%silu) : f32[N,4,8,8]
  %exp = exp(%tanh) : f32[N,4,8,8]
  %sqrt = sqrt(%exp) : f32[N,4,8,8]
  %abs = abs(%sqrt) : f32[N,4,8,8]
  %neg = neg(%i) : i64[3]
  %rec = reciprocal(%abs) : f32[N,4,8,8]
  %floor = floor(%rec) : f32[N,4,8,8]
  %ceil = ceil(%floor) : f32[N,4,8,8]
  %add = add(%ceil, %x) : f32[N,4,8,8]
  %sub = sub(%add, %add) : f32[N,4,8,8]
  %mul = mul(%sub, %x) : f32[N,4,8,8]
  %div = div(%mul, %x) : f32[N,4,8,8]
  %max = max(%div, %x) : f32[N,4,8,8]
  %min = min(%max, %x) : f32[N,4,8,8]
  %mp = max_pool(%min) {kernel=[3,2], stride=2, pad=1, ceil_mode=true} : f32[N,4,5,5]
  %ap = average_pool(%min) {kernel=3, stride=2, pad=1, count_include_pad=true} : f32[N,4,4,4]
  %gmp = global_max_pool(%mp) : f32[N,4,1,1]
  %gap = global_average_pool(%ap) : f32[N,4,1,1]
  %cat = concat(%gmp, %gap) {axis=1} : f32[N,8,1,1]
  %flat = reshape(%cat) {shape=[N,8]} : f32[N,8]
  @fcw = constant : f32[4,8] hash=00000000000000ff
  %fc = gemm(%flat, @fcw, bias=@b) {alpha=0.5, beta=-0.0, trans_b=true, activation=relu} : f32[N,4]
  @m = constant [1.0, 2.0, 3.0, 4.0] : f32[4,1]
  %mm = matmul(%fc, @m) : f32[N,1]
  %wide = expand(%mm) {shape=[N,4]} : f32[N,4]
  %t = transpose(%x) {perm=[0,2,3,1]} : f32[N,8,8,4]
  %s = slice(%t) {starts=[0,7,0,1], sizes=[all,4,all,2], steps=[1,-2,1,1]} : f32[N,4,8,2]
  %s2 = slice(%i) {starts=[1], sizes=[2]} : i64[2]
  %pad = pad(%s) {begin=[0,1,0,0], end=[0,0,2,0], value=-0.0} : f32[N,5,10,2]
  %pad2 = pad(%pad) {begin=[0,0,0,0], end=[0,0,0,0]} : f32[N,5,10,2]
  %mean = reduce_mean(%pad2) {axes=[1,3], keep_dims=true} : f32[N,1,10,1]
  %sum = reduce_sum(%mean) {axes=[2,3]} : f32[N,1]
  %top = reduce_max(%sum) {axes=[1], keep_dims=true} : f32[N,1]
  %scaled = mul(%top, %wide) : f32[N,4]
  %id = identity(%scaled) : f32[N,4]
  %soft = softmax(%id) {axis=1} : f32[N,4]
  @"spare \"c\"" = constant [-9223372036854775808, 7] : i64[2]
}
"#;

/// The only big constant of [`EVERY_OPERATOR`], so that its hash is the one that the text says.
fn every_operator() -> String {
    let fc = pseudo_random(DType::F32, &[4, 8], 0xff, [-1.0, 1.0]);
    EVERY_OPERATOR.replace("00000000000000ff", &format!("{:016x}", fc.content_hash()))
}

fn fc_source(_: &str, ty: &TensorType, _: u64) -> Option<Tensor> {
    Some(pseudo_random(ty.dtype, &ty.shape.fixed()?, 0xff, [-1.0, 1.0]))
}

#[test]
fn reads_every_operator_and_prints_it_as_it_was() {
    let text = every_operator();
    let graph = parse_with(&text, &fc_source).unwrap();
    verify(&graph).unwrap();
    assert_eq!(graph.to_string(), text);
}

#[test]
fn has_every_operator_in_the_text_above() {
    // 15 functions of one operand, 6 of two, 3 reductions, and the other 18 variants of `Op`.
    let graph = parse(EVERY_OPERATOR).unwrap();
    let mut names: Vec<_> = graph.ids().map(|id| graph.op(id).name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 42, "{names:?}");
}

#[test]
fn reads_what_people_write() {
    let graph = parse(
        "// a comment\ngraph@g(%x:f32[N,1,4,4])->(%y as \"out\"){@w=random(7):f32[1,1,3,3]// another\n\
         @s = random(3, 0.5, 0.75) : f32[2,2] @i = random(1, 0, 10) : i64[20]\n\
         %y=conv2d(%x,@w){kernel=3,stride=1,pad=[1,1,1,1],groups=1,activation=none}}",
    )
    .unwrap();
    let y = graph.find("y").unwrap();
    assert_eq!(graph.ty(y).to_string(), "f32[N,1,4,4]");
    assert_eq!(graph.outputs()[0].name, "out");
    let elements = |name| graph.node(graph.find(name).unwrap()).constant().unwrap();
    assert!(elements("w").as_f32().unwrap().iter().all(|x| (-1.0..=1.0).contains(x)));
    assert!(elements("s").as_f32().unwrap().iter().all(|x| (0.5..=0.75).contains(x)));
    let ints = elements("i").as_i64().unwrap();
    assert!(ints.iter().all(|x| (0..10).contains(x)) && ints.iter().any(|x| *x != ints[0]));
}

#[test]
fn makes_up_big_constants_from_their_hash_and_variances_above_zero() {
    let text = |hash| {
        format!(
            "graph @g(%x: f32[1,32,1,1]) -> (%y) {{\n@m = constant : f32[32] hash={hash}\n@v = constant : f32[32] hash={hash}\n\
             %y = batch_norm(%x, @m, @m, @m, @v) {{epsilon=0}}\n}}"
        )
    };
    let graph = parse(&text("00000000deadbeef")).unwrap();
    let elements = |name| graph.node(graph.find(name).unwrap()).constant().unwrap().as_f32().unwrap();
    assert!(elements("v").iter().all(|x| (0.5..=1.5).contains(x)));
    assert!(elements("m").iter().any(|x| *x < 0.0) && elements("m").iter().any(|x| *x > 0.0));
    assert!(graph.same(&parse(&text("00000000deadbeef")).unwrap()));
    assert!(!graph.same(&parse(&text("00000000deadbee0")).unwrap()));
}

#[test]
fn asks_the_source_with_name_type_and_hash_and_checks_the_type() {
    let text = "graph @g() -> () {\n  @a.b = constant : f32[2,10] hash=00000000000000aa\n}\n";
    let given = Tensor::f32([2, 10], vec![3.0; 20]);
    let graph = parse_with(text, &|name, ty, hash| {
        assert_eq!((name, ty.to_string().as_str(), hash), ("a.b", "f32[2,10]", 0xaa));
        Some(given.clone())
    });
    assert_eq!(graph.unwrap().node(parse(text).unwrap().find("a.b").unwrap()).constant(), Some(&given));
    let error = parse_with(text, &|_, _, _| Some(Tensor::f32([1], vec![0.0]))).unwrap_err().to_string();
    assert_eq!(error, "line 2, column 19: @a.b: is f32[2,10] in the text, but the constant source gave f32[1]");
}

/// Line, column and message for a body (from line 2 on) of a graph with the inputs `%x` and `%i`.
fn refusal(body: &str) -> String {
    let text = format!("graph @g(%x: f32[N,4,8,8], %i: i64[3]) -> (%x) {{\n{body}\n}}\n");
    parse(&text).expect_err(body).to_string()
}

#[test]
fn says_where_the_syntax_ends() {
    for (body, message) in [
        ("%y relu(%x)", "line 2, column 4: expected `=`, found `relu`"),
        ("%y = relu(%x", "line 3, column 1: expected `,` or `)`, found `}`"),
        ("y = relu(%x)", "line 2, column 1: expected a node (@name = … or %name = …) or `}`, found `y`"),
        ("\n  %ü = relu(%x)", "line 3, column 4: expected a token, found 'ü'"),
        ("%\"ü\" = ?", "line 2, column 8: expected a token, found '?'"),
        ("%\"a\\q\" = relu(%x)", "line 2, column 4: expected an escape (\\\" \\\\ \\n \\t \\u{hex}), found \\q"),
        ("%\"a = relu(%x)", "line 2, column 15: expected a closing quote, found the end of the line"),
        ("%\"\" = relu(%x)", "line 2, column 2: expected a name, found an empty one"),
        (
            "%-1 = relu(%x)",
            "line 2, column 2: expected a name (letters, digits, `_` and `.`, or a text in quotes), found `-1`",
        ),
        ("%y = relu(%x) : f64[1]", "line 2, column 17: expected a type (f32[…] or i64[…]), found `f64`"),
        ("%y = relu(%x) : f32[M]", "line 2, column 21: expected a dimension (a number or N), found `M`"),
        (
            "%y = relu(%x) : f32[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
            "line 2, column 20: expected at most 16 dimensions, found 17",
        ),
        ("} %y", "line 2, column 3: expected the end of the text, found `%`"),
    ] {
        assert_eq!(refusal(body), message);
    }
    assert_eq!(parse("").unwrap_err().to_string(), "line 1, column 1: expected `graph`, found the end of the text");
}

#[test]
fn says_which_name_or_attribute_is_wrong() {
    for (body, message) in [
        ("%y = relu(%z)", "line 2, column 11: %z is not defined above;"),
        ("%y = relu(@x)", "line 2, column 11: @x is not defined above;"),
        ("%y = relu(%y)", "line 2, column 11: %y is not defined above;"),
        (
            "@x = constant [1] : f32[1]",
            "line 2, column 2: the name `x` is defined twice; values and constants share one space of names",
        ),
        ("%y = rleu(%x)", "line 2, column 6: there is no operator `rleu`"),
        ("%y = relu(%x) {alpha=1}", "line 2, column 16: `relu`: found attribute alpha, but the operator has none"),
        ("%y = clip(%x) {min=0}", "line 2, column 6: `clip`: needs attribute max"),
        ("%y = clip(%x) {min=0, max=6, min=0}", "line 2, column 30: `clip`: attribute min is there twice"),
        (
            "%y = softmax(%x) {axis=1, axes=1}",
            "line 2, column 27: `softmax`: there is no attribute axes; the operator has axis",
        ),
        ("%y = softmax(%x) {axis=-1}", "line 2, column 24: expected a number that is not negative, found `-1`"),
        ("%y = softmax(%x) {axis=[1]}", "line 2, column 24: expected a number, found a list of 1"),
        (
            "%y = max_pool(%x) {kernel=[3,3,3]}",
            "line 2, column 27: expected a number or [height,width], found a list of 3",
        ),
        (
            "%y = max_pool(%x) {kernel=3, pad=[1,1]}",
            "line 2, column 34: expected a number or [top,left,bottom,right], found a list of 2",
        ),
        ("%y = max_pool(%x) {kernel=3, ceil_mode=yes}", "line 2, column 40: expected true or false, found `yes`"),
        ("%y = leaky_relu(%x) {alpha=1e99}", "line 2, column 28: expected a number in the range of f32, found `1e99`"),
        (
            "%y = gemm(%x, %x) {activation=clip(1)}",
            "line 2, column 31: expected none, relu or clip(min, max), found `clip` of 1 arguments",
        ),
        (
            "%y = relu(bias=%x)",
            "line 2, column 11: `relu`: found operand bias, but no operand of the operator has a label",
        ),
        (
            "%y = gemm(%x, %x, residual=%x)",
            "line 2, column 19: `gemm`: there is no operand residual; those with a label are bias",
        ),
        ("%y = gemm(%x, bias=%x, %x)", "line 2, column 24: `gemm`: operands with a label come last"),
        ("%y = gemm(%x, bias=%x, bias=%x)", "line 2, column 24: `gemm`: operand bias is there twice"),
    ] {
        let found = refusal(body);
        assert!(found.starts_with(message), "{found}\n{message}");
    }
    let error = parse("graph @g() -> (%y) {}").unwrap_err().to_string();
    assert!(error.starts_with("line 1, column 16: %y is not defined above"), "{error}");
}

#[test]
fn checks_types_against_inference() {
    assert_eq!(
        refusal("%y = relu(%x) : f32[N,4,8,9]"),
        "line 2, column 17: %y is written as f32[N,4,8,9], but its operands give f32[N,4,8,8]"
    );
    assert_eq!(
        refusal("%y = relu(%i)"),
        "line 2, column 6: `relu`: operand 0 (x) should be an f32 tensor, found i64[3]"
    );
    assert_eq!(refusal("%y = conv2d(%x)"), "line 2, column 6: `conv2d` takes 2 operands, found 1");
    assert!(refusal("%y = conv2d(%x, %i)").contains("operand 1 (weight)"));
}

#[test]
fn refuses_constants_that_do_not_add_up_or_are_too_large() {
    for (body, message) in [
        ("@c = constant [1, 2] : f32[3]", "line 2, column 15: @c: 2 elements are written, expected 3 for [3]"),
        ("@c = constant [1.5] : i64[1]", "line 2, column 16: expected an integer, found `1.5`"),
        ("@c = constant [(] : f32[1]", "line 2, column 16: expected a number, found `(`"),
        ("@c = constant [] : f32[N]", "line 2, column 20: @c: is f32[N], expected numbers"),
        (
            "@c = constant : f32[99999999999,99999999999] hash=0000000000000000",
            "line 2, column 17: @c: is f32[99999999999,",
        ),
        (
            "@c = constant : f32[99999999] hash=0000000000000000",
            "line 2, column 15: @c: with its 99999999 elements, more than",
        ),
        ("@c = constant : f32[1] hash=abc", "line 2, column 29: expected 16 hexadecimal digits, found `abc`"),
        ("@c = random(1) : i64[67108865]", "line 2, column 12: @c: with its 67108865 elements, more than 67108864"),
        ("@c = random(1, 2) : f32[1]", "line 2, column 12: expected random(seed) or random(seed, low, high), found 2"),
        (
            "@c = random(1, 2, 1) : f32[1]",
            "line 2, column 12: expected finite bounds, the lower one first, found 2 and 1",
        ),
        ("@c = random(-1) : f32[1]", "line 2, column 13: expected a seed"),
        ("@c = relu(%x)", "line 2, column 6: expected `constant` or `random`, found `relu`"),
    ] {
        let found = refusal(body);
        assert!(found.starts_with(message), "{found}\n{message}");
    }
}
