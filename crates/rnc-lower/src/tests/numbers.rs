//! Plans compute what their graphs say. One small graph for each operator and each way that it is lowered.

use proptest::prelude::*;

use rnc_plan::kernel::KernelSpec;

use super::{check, check_graph, graph};

/// A graph of one node or more on an input `%x`.
fn one(input: &str, body: &str, output: &str) {
    check(&format!("graph @g(%x: {input}) -> ({output}) {{ {body} }}"));
}

#[test]
fn convolutions() {
    let conv = |c: usize, o: usize, k: &str, groups: usize, attributes: &str| {
        one(
            &format!("f32[N,{c},7,6]"),
            &format!(
                "@w = random(1) : f32[{o},{},{k}] @b = random(2) : f32[{o}]
                 %r = relu(%x) %y = conv2d(%r, @w, bias=@b) {{groups={groups}{attributes}}}",
                c / groups
            ),
            "%y",
        );
    };
    conv(16, 32, "3,3", 1, ", pad=1");
    conv(3, 20, "3,3", 1, ", pad=1, stride=2");
    conv(20, 3, "1,1", 1, ", activation=relu");
    conv(24, 40, "3,2", 1, ", pad=[2,0,1,2], stride=[2,1], dilation=[1,2]");
    conv(32, 32, "3,3", 32, ", pad=1");
    conv(64, 64, "3,3", 16, ", pad=1");
    conv(48, 48, "3,3", 2, ", pad=1, stride=2, activation=clip(-0.5, 0.5)");
    conv(40, 20, "3,3", 5, "");
    conv(16, 16, "2,2", 1, ", pad=[3,4,1,1]");
}

/// Shapes for which each of the fast algorithms is chosen: weights are packed for it as the kernel reads them.
#[test]
fn fast_algorithms() {
    let algorithm = |c: usize, o: usize, size: usize, kernel: usize, groups: usize| {
        let plan = check(&format!(
            "graph @g(%x: f32[N,{c},{size},{size}]) -> (%y) {{
               @w = random(1) : f32[{o},{},{kernel},{kernel}] @b = random(2) : f32[{o}]
               %r = relu(%x) %y = conv2d(%r, @w, bias=@b) {{groups={groups}, pad={}}}
             }}",
            c / groups,
            kernel / 2,
        ));
        let fast = plan.steps.iter().find_map(|step| match &step.kernel {
            KernelSpec::Strassen(strassen) => Some(format!("strassen {:?}", strassen.levels)),
            KernelSpec::Winograd(winograd) => Some(format!("winograd {}", winograd.tile)),
            _ => None,
        });
        fast.unwrap_or_else(|| "direct".to_owned())
    };
    assert_eq!(algorithm(160, 160, 13, 1, 1), "strassen One");
    assert_eq!(algorithm(256, 128, 13, 1, 1), "strassen Two");
    assert_eq!(algorithm(64, 64, 13, 3, 1), "winograd 4");
    // Groups of 8, with zeros between them, of 32 and of 48.
    assert_eq!(algorithm(64, 64, 14, 3, 8), "winograd 4");
    assert_eq!(algorithm(64, 96, 14, 3, 2), "winograd 4");
    assert_eq!(algorithm(64, 64, 14, 3, 16), "direct");
}

#[test]
fn a_stem_reads_the_planar_input() {
    one("f32[N,3,9,8]", "@w = random(1) : f32[20,3,3,3] %y = conv2d(%x, @w) {pad=1, stride=2, activation=relu}", "%y");
    one("f32[N,5,9,8]", "@w = random(1) : f32[20,5,3,3] %y = conv2d(%x, @w) {pad=1}", "%y");
}

#[test]
fn residual_blocks() {
    check(
        "graph @g(%x: f32[N,20,5,5]) -> (%c) {
           @w = random(1) : f32[20,20,3,3] @v = random(2) : f32[20,20,1,1]
           %a = conv2d(%x, @v) {activation=relu}
           %b = conv2d(%a, @w, residual=%a) {pad=1, activation=relu}
           %c = conv2d(%b, @w, residual=%b) {pad=1, activation=relu}
         }",
    );
}

#[test]
fn linear_layers() {
    one(
        "f32[N,32]",
        "@w = random(1) : f32[10,32] @b = random(2) : f32[10] %y = gemm(%x, @w, bias=@b) {trans_b=true}",
        "%y",
    );
    one(
        "f32[N,20]",
        "@w = random(1) : f32[20,16] @b = random(2) : f32[1,16] %y = gemm(%x, @w, bias=@b) {alpha=0.5, beta=2.0}",
        "%y",
    );
    one(
        "f32[N,20]",
        "@w = random(1) : f32[20,16] @b = constant [3.0] : f32[] %y = gemm(%x, @w, bias=@b) {activation=relu}",
        "%y",
    );
    one("f32[N,20]", "@w = random(1) : f32[20,17] %y = matmul(%x, @w)", "%y");
    one("f32[N,20,1,1]", "@w = random(1) : f32[18,20,1,1] %y = conv2d(%x, @w) {stride=2}", "%y");
}

#[test]
fn pools() {
    for attributes in [
        "kernel=3, stride=2, pad=1",
        "kernel=[2,3], stride=[2,1]",
        "kernel=3, stride=2, pad=[0,1,1,0], ceil_mode=true",
        "kernel=2, stride=2, ceil_mode=true",
    ] {
        one("f32[N,20,7,8]", &format!("%y = max_pool(%x) {{{attributes}}}"), "%y");
        one("f32[N,20,7,8]", &format!("%y = average_pool(%x) {{{attributes}}}"), "%y");
        one("f32[N,20,7,8]", &format!("%y = average_pool(%x) {{{attributes}, count_include_pad=true}}"), "%y");
    }
    one("f32[N,20,7,8]", "%y = global_average_pool(%x) %z = global_max_pool(%x)", "%y, %z");
}

#[test]
fn reductions() {
    for axes in ["[2,3]", "[2]", "[3]", "[1]", "[1,3]", "[1,2,3]", "[1,2]"] {
        for kind in ["mean", "sum", "max"] {
            one("f32[N,20,3,4]", &format!("%y = reduce_{kind}(%x) {{axes={axes}, keep_dims=true}}"), "%y");
        }
        if axes != "[1,2,3]" {
            one("f32[N,20,3,4]", &format!("%r = relu(%x) %y = reduce_sum(%r) {{axes={axes}}}"), "%y");
        }
    }
    one("f32[N,3,20]", "%y = reduce_mean(%x) {axes=[2]}", "%y");
    one("f32[N,5,2,3,4]", "%y = reduce_sum(%x) {axes=[2,4]}", "%y");
}

#[test]
fn unary_functions() {
    for function in [
        "relu(%x)",
        "leaky_relu(%x) {alpha=0.1}",
        "clip(%x) {min=-0.25, max=0.5}",
        "clip(%x) {min=-inf, max=0.5}",
        "sigmoid(%x)",
        "hard_sigmoid(%x) {alpha=0.2, beta=0.5}",
        "hard_swish(%x)",
        "silu(%x)",
        "tanh(%x)",
        "exp(%x)",
        "abs(%x)",
        "neg(%x)",
        "floor(%x)",
        "ceil(%x)",
        "clip(%x) {min=-inf, max=inf}",
    ] {
        one("f32[N,5,2,3]", &format!("%y = {function}"), "%y");
    }
    one("f32[N,5]", "%a = abs(%x) %s = sqrt(%a) %y = reciprocal(%s)", "%y");
}

#[test]
fn operands_that_broadcast() {
    for (operand, constant) in [
        ("@c", "@c = random(1) : f32[20,1,1]"),
        ("@c", "@c = random(1) : f32[1,20,1,1]"),
        ("@c", "@c = constant [0.5] : f32[]"),
        ("@c", "@c = random(1) : f32[1,1,1,4]"),
        ("@c", "@c = random(1) : f32[20,3,4]"),
        ("@c", "@c = random(1) : f32[3,1]"),
        ("%g", "%g = global_average_pool(%x)"),
        ("%g", "%g = reduce_mean(%x) {axes=[1], keep_dims=true}"),
        ("%g", "%g = reduce_mean(%x) {axes=[1,2,3], keep_dims=true}"),
        ("%g", "%g = reduce_mean(%x) {axes=[3], keep_dims=true}"),
        (
            "%g",
            "%g = reduce_mean(%x) {axes=[2], keep_dims=true} @c = random(1) : f32[20,3,4] %h = add(%x, @c) %x2 = add(%h, %g)",
        ),
    ] {
        for function in ["add", "sub", "mul", "max", "min"] {
            one(
                "f32[N,20,3,4]",
                &format!("%r = relu(%x) {constant} %y = {function}(%r, {operand}) %z = {function}({operand}, %r)"),
                "%y, %z",
            );
        }
    }
    one("f32[N,20]", "@c = random(1, 1.0, 2.0) : f32[20] %y = div(%x, @c)", "%y");
    one("f32[N,3,5]", "@c = random(1) : f32[5] %y = mul(%x, @c)", "%y");
    one("f32[N,4,8]", "@c = random(1) : f32[4,1] %s = mul(%x, %x) %y = mul(%s, @c)", "%y");
    one("f32[N,3,5]", "%m = reduce_mean(%x) {axes=[2], keep_dims=true} %y = sub(%x, %m)", "%y");
    one("f32[1,3,5]", "@c = random(1) : f32[5] %y = mul(%x, @c) %r = reduce_max(%x) {axes=[1]} %z = add(%y, %r)", "%z");
}

#[test]
fn batch_normalisation() {
    let norm =
        "@s = random(1) : f32[20] @b = random(2) : f32[20] @m = random(3) : f32[20] @v = random(4, 0.5, 1.5) : f32[20]";
    one("f32[N,20,3,4]", &format!("{norm} %n = batch_norm(%x, @s, @b, @m, @v) {{epsilon=1e-5}} %y = relu(%n)"), "%y");
    one("f32[N,20]", &format!("{norm} %y = batch_norm(%x, @s, @b, @m, @v) {{epsilon=1e-5}}"), "%y");
    one("f32[N,20,3]", &format!("{norm} %y = batch_norm(%x, @s, @b, @m, @v) {{epsilon=1e-5}}"), "%y");
}

#[test]
fn movements() {
    for input in ["%x", "%r"] {
        for body in [
            "slice(%x) {starts=[0,4,1,0], sizes=[all,10,2,4]}",
            "slice(%x) {starts=[0,39,2,3], sizes=[all,20,3,2], steps=[1,-2,-1,-2]}",
            "slice(%x) {starts=[0,0,0,0], sizes=[all,4,1,4], steps=[1,8,1,1]}",
            "pad(%x) {begin=[0,3,1,0], end=[0,0,2,1], value=0.5}",
            "pad(%x) {begin=[0,0,1,1], end=[0,0,1,1]}",
            "transpose(%x) {perm=[0,2,3,1]}",
            "transpose(%x) {perm=[0,1,3,2]}",
            "reshape(%x) {shape=[N,480]}",
            "reshape(%x) {shape=[N,40,12,1]}",
            "reshape(%x) {shape=[N,20,6,4]}",
            "reshape(%x) {shape=[N,2,20,3,4]}",
            "softmax(%x) {axis=1}",
            "softmax(%x) {axis=3}",
            "concat(%x, %x) {axis=1}",
            "concat(%x, %x, %x) {axis=3}",
            "identity(%x)",
        ] {
            let body = body.replace("%x", input);
            // Both straight to the output, and on to a kernel that reads the blocked layout.
            one(
                "f32[N,40,3,4]",
                &format!("@c = random(9) : f32[1,40,1,1] %r = mul(%x, @c) %y = {body} %z = sigmoid(%y)"),
                "%y, %z",
            );
            one("f32[N,40,3,4]", &format!("@c = random(9) : f32[1,40,1,1] %r = mul(%x, @c) %y = {body}"), "%y");
        }
    }
    one("f32[N,20,1,1]", "%y = expand(%x) {shape=[N,20,3,5]}", "%y");
    one("f32[N,1,3,1]", "%r = relu(%x) %y = expand(%r) {shape=[N,20,3,5]} %z = neg(%y)", "%z");
    one("f32[2,20]", "%y = reshape(%x) {shape=[2,4,5]} %z = concat(%y, %y) {axis=2}", "%z");
}

#[test]
fn channel_shuffles() {
    one(
        "f32[N,40,3,4]",
        "%r = relu(%x) %a = reshape(%r) {shape=[N,2,20,3,4]} %b = transpose(%a) {perm=[0,2,1,3,4]} %y = reshape(%b) {shape=[N,40,3,4]}
         @w = random(1) : f32[16,40,1,1] %z = conv2d(%y, @w)",
        "%z",
    );
}

#[test]
fn outputs_of_every_kind() {
    check("graph @g(%x: f32[N,3,2,2]) -> (%x as \"y\") { }");
    check("graph @g(%x: f32[N,32]) -> (%x as \"y\", %x as \"z\", %r, %r as \"again\") { %r = relu(%x) }");
    check("graph @g(%x: f32[N,20,2,2]) -> (%r, %s, %i) { %r = relu(%x) %s = neg(%r) %i = identity(%x) }");
    check("graph @g(%x: f32[2,3]) -> (%x as \"y\", @c) { @c = constant [1.0, 2.0, 1.0, 2.0] : f32[2,2] }");
    check(
        "graph @g(%x: f32[1,3]) -> (@c, @d as \"e\", @d as \"f\") { @c = random(1) : f32[1,20,2,2] @d = random(1) : f32[1,3,2,2,2] }",
    );
}

#[test]
fn constants_as_values() {
    check(
        "graph @g(%x: f32[1,20,3,4]) -> (%z) {
           @c = random(1) : f32[1,7,3,4] @r = random(2) : f32[1,27,3,4] @w = random(3) : f32[27,27,1,1]
           %y = concat(%x, @c) {axis=1} %z = conv2d(%y, @w, residual=@r)
         }",
    );
}

#[test]
fn squeeze_and_excite() {
    let plan = check(
        "graph @g(%x: f32[N,32,4,4]) -> (%z) {
           @w = random(1) : f32[32,32,3,3] @a = random(2) : f32[8,32,1,1] @b = random(3) : f32[32,8,1,1]
           %c = conv2d(%x, @w) {pad=1} %p = global_average_pool(%c)
           %s = conv2d(%p, @a) {activation=relu} %t = conv2d(%s, @b) %g = sigmoid(%t)
           %m = mul(%c, %g) %n = add(%m, %x) %y = relu(%n) %q = global_average_pool(%y) %z = reshape(%q) {shape=[N,32]}
         }",
    );
    assert_eq!(
        super::kinds(&plan),
        ["copy", "conv", "pool", "gemm", "gemm", "elementwise", "elementwise", "pool", "copy"]
    );
}

#[test]
fn fixed_batches_are_batches() {
    check(
        "graph @g(%x: f32[3,3,8,8]) -> (%y) {
           @w = random(1) : f32[20,3,3,3] @m = random(2) : f32[10,20]
           %c = conv2d(%x, @w) {stride=2, pad=1} %p = global_average_pool(%c) %f = reshape(%p) {shape=[3,20]}
           %y = gemm(%f, @m) {trans_b=true}
         }",
    );
}

#[test]
fn resizes_of_images_and_of_other_values() {
    let modes = [
        "mode=nearest, rounding=floor, coordinates=asymmetric",
        "mode=linear, coordinates=half_pixel",
        "mode=cubic, a=-0.75, coordinates=align_corners, exclude_outside=true",
        "mode=linear, coordinates=pytorch_half_pixel, antialias=true",
    ];
    for mode in modes {
        one("f32[N,20,4,6]", &format!("%y = resize(%x) {{shape=[N,20,8,9], scales=[1.0,1.0,2.0,1.5], {mode}}}"), "%y");
        one("f32[N,20,5,6]", &format!("%y = resize(%x) {{shape=[N,20,5,3], scales=[1.0,1.0,1.0,0.5], {mode}}}"), "%y");
        one("f32[N,3,4,6]", &format!("%y = resize(%x) {{shape=[N,6,2,6], scales=[1.0,2.0,0.5,1.0], {mode}}}"), "%y");
        one("f32[N,4,6]", &format!("%y = resize(%x) {{shape=[N,4,12], scales=[1.0,1.0,2.0], {mode}}}"), "%y");
        one(
            "f32[N,4,2,2,3]",
            &format!("%y = resize(%x) {{shape=[N,4,4,2,6], scales=[1.0,1.0,2.0,1.0,2.0], {mode}}}"),
            "%y",
        );
    }
    one(
        "f32[N,20,4,4]",
        "%r = resize(%x) {shape=[N,20,4,4], scales=[1.0,1.0,1.0,1.0], mode=linear, coordinates=half_pixel} %y = relu(%r)",
        "%y",
    );
}

#[test]
fn products_of_values() {
    one("f32[N,4,6]", "%t = transpose(%x) {perm=[0,2,1]} %y = matmul(%x, %t)", "%y");
    one("f32[N,2,4,6]", "%t = transpose(%x) {perm=[0,1,3,2]} %s = matmul(%t, %x) %y = softmax(%s) {axis=3}", "%y");
    one("f32[N,3,5,6]", "@w = random(1) : f32[6,19] %y = matmul(%x, @w)", "%y");
    one("f32[N,3,5,6]", "@w = random(1) : f32[1,1,4,5] %y = matmul(@w, %x)", "%y");
    one("f32[4,3]", "%t = transpose(%x) {perm=[1,0]} %y = matmul(%x, %t)", "%y");
    one("f32[4,4]", "%y = matmul(%x, %x)", "%y");
    one("f32[3,3]", "%t = tanh(%x) %y = matmul(%x, %t) %z = relu(%y)", "%y, %z");
    one("f32[5]", "@m = random(1) : f32[5,7] %a = matmul(%x, @m) %b = matmul(%x, %x)", "%a, %b");
    one("f32[2,1,4,3]", "@w = random(1) : f32[6,3,2] %y = matmul(%x, @w)", "%y");
}

/// Found by random program 2036392: the resize looked for an axis.
#[test]
fn a_resize_of_a_number_is_the_number() {
    one(
        "f32[12]",
        "%m = reduce_mean(%x) {axes=[0]} %y = resize(%m) {shape=[], scales=[], mode=linear, coordinates=half_pixel}",
        "%y",
    );
}

#[test]
fn graphs_that_know_no_batch() {
    for (input, body) in [
        ("f32[]", "%y = exp(%x)"),
        ("f32[5]", "@c = random(1) : f32[5] %y = add(%x, @c)"),
        ("f32[2,3,4]", "%y = transpose(%x) {perm=[2,0,1]}"),
        ("f32[4,3]", "%y = slice(%x) {starts=[3,0], sizes=[2,2], steps=[-2,1]}"),
        ("f32[2,3]", "%y = pad(%x) {begin=[1,0], end=[0,2], value=0.5}"),
        ("f32[2,3]", "@c = random(1) : f32[1,3] %y = concat(%x, @c) {axis=0}"),
        ("f32[3,4]", "%y = softmax(%x) {axis=0}"),
        ("f32[3,4,5]", "%y = reduce_mean(%x) {axes=[0,2], keep_dims=false}"),
        ("f32[3,4]", "%y = reduce_sum(%x) {axes=[0,1], keep_dims=false}"),
        ("f32[2,20,3,3]", "@c = random(1) : f32[2,1,1,3] %y = mul(%x, @c)"),
        ("f32[3,4]", "%y = reshape(%x) {shape=[2,6]}"),
    ] {
        let plan = check(&format!("graph @g(%x: {input}) -> (%y) {{ {body} }}"));
        assert!(plan.batch == rnc_plan::Batch::Single, "{body}");
    }
}

/// A layer on the value of the last one with the same shape before it, if any.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Conv { out: usize, kernel: usize, stride: usize, residual: bool },
    Add { back: usize },
    Gate,
    Relu,
    Affine,
    Concat { back: usize },
    Pool,
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        3 => (prop_oneof![Just(16usize), Just(20), Just(32)], 1usize..4, 1usize..3, any::<bool>())
            .prop_map(|(out, kernel, stride, residual)| Layer::Conv { out, kernel, stride, residual }),
        2 => (1usize..4).prop_map(|back| Layer::Add { back }),
        1 => Just(Layer::Gate),
        1 => Just(Layer::Relu),
        1 => Just(Layer::Affine),
        1 => (1usize..4).prop_map(|back| Layer::Concat { back }),
        1 => Just(Layer::Pool),
    ]
}

/// The text of a network of these layers.
fn network(layers: &[Layer]) -> String {
    let mut text = String::from("graph @net(%v0: f32[N,3,9,10]) -> (%out) {\n");
    let mut shapes = vec![[3usize, 9, 10]];
    for (i, layer) in layers.iter().enumerate() {
        let (x, v, [c, h, w]) = (format!("%v{i}"), format!("%v{}", i + 1), shapes[i]);
        let like = |back: usize, joins: &dyn Fn([usize; 3]) -> bool| {
            (0..=i).rev().skip(back).find(|j| joins(shapes[*j])).unwrap_or(i)
        };
        let (line, shape) = match *layer {
            Layer::Conv { out, kernel, stride, residual } => {
                let size = |s: usize| (s + kernel / 2 * 2 - kernel) / stride + 1;
                let shape = [out, size(h), size(w)];
                let with = (0..=i).rev().find(|j| residual && shapes[*j] == shape);
                let with = with.map_or(String::new(), |j| format!(", residual=%v{j}"));
                let weights = format!("@w{i} = random({i}, -0.2, 0.2) : f32[{out},{c},{kernel},{kernel}]");
                (
                    format!(
                        "{weights} {v} = conv2d({x}, @w{i}{with}) {{stride={stride}, pad={}, activation=relu}}",
                        kernel / 2
                    ),
                    shape,
                )
            }
            Layer::Add { back } => (format!("{v} = add({x}, %v{})", like(back, &|s| s == shapes[i])), shapes[i]),
            Layer::Gate => {
                (format!("%p{i} = global_average_pool({x}) %s{i} = sigmoid(%p{i}) {v} = mul({x}, %s{i})"), shapes[i])
            }
            Layer::Relu => (format!("{v} = relu({x})"), shapes[i]),
            Layer::Affine => (format!("@c{i} = random({i}) : f32[{c},1,1] {v} = mul({x}, @c{i})"), shapes[i]),
            Layer::Concat { back } => {
                let j = like(back, &|s| s[1..] == shapes[i][1..]);
                (format!("{v} = concat({x}, %v{j}) {{axis=1}}"), [c + shapes[j][0], h, w])
            }
            Layer::Pool => (format!("{v} = max_pool({x}) {{kernel=1, stride=2}}"), [c, h.div_ceil(2), w.div_ceil(2)]),
        };
        text.push_str(&line);
        text.push('\n');
        shapes.push(shape);
    }
    let last = layers.len();
    format!("{text} %gap = global_average_pool(%v{last}) %out = reshape(%gap) {{shape=[N,{}]}}\n}}", shapes[last][0])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn random_networks(layers in prop::collection::vec(layer(), 1..12), batch in 1usize..4) {
        check_graph(&graph(&network(&layers)), batch);
    }
}
