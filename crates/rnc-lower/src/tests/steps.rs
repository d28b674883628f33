//! What steps, operands and lifetimes lowering makes.

use rnc_plan::kernel::{Activation, Conv, Instruction, Source, Space};
use rnc_plan::{Batch, Buffer};

use super::{Access, KernelSpec, Operand, check, kinds, plan, plan_of, program};

fn conv_of(plan: &super::Plan, step: usize) -> &Conv {
    let KernelSpec::Conv(spec) = &plan.steps[step].kernel else { panic!("step {step} of {:?}", kinds(plan)) };
    spec
}

const BASIC_BLOCK: &str = "graph @g(%x: f32[N,3,8,8]) -> (%y) {
   @s = random(1) : f32[16,3,3,3] @w = random(2) : f32[16,16,3,3] @b = random(3) : f32[16] @f = random(4) : f32[10,16]
   %stem = conv2d(%x, @s, bias=@b) {pad=1, activation=relu}
   %a = conv2d(%stem, @w, bias=@b) {pad=1, activation=relu}
   %c = conv2d(%a, @w, bias=@b, residual=%stem) {pad=1, activation=relu}
   %p = global_average_pool(%c)
   %v = reshape(%p) {shape=[N,16]}
   %y = gemm(%v, @f) {trans_b=true}
 }";

#[test]
fn a_basic_block_is_six_steps_with_the_residual_in_place() {
    let plan = check(BASIC_BLOCK);
    assert_eq!(kinds(&plan), ["conv", "winograd", "winograd", "pool", "gemm", "copy"]);
    assert_eq!(plan.batch, Batch::Symbolic);
    let stem = conv_of(&plan, 0);
    assert_eq!((stem.source, stem.activation, stem.residual), (Source::Planar, Activation::Relu, false));
    assert_eq!(plan.steps[0].operands[1], Operand::Input(0));
    // Result and residual of the third step are the stem's buffer; the weights, used twice, are packed once.
    assert_eq!(plan.steps[2].operands[0], plan.steps[0].operands[0]);
    assert_eq!(plan.steps[2].operands[4], plan.steps[0].operands[0]);
    assert_eq!(plan.steps[2].operands[2..4], plan.steps[1].operands[2..4]);
    // Six steps, but the flatten is none: the pool's buffer is the GEMM's source.
    assert_eq!(plan.steps[4].operands[1], plan.steps[3].operands[0]);
    let lifetimes: Vec<_> = plan.buffers.iter().map(|b| (b.name.as_str(), b.first_step, b.last_step)).collect();
    assert_eq!(lifetimes, [("stem", 0, 3), ("a", 1, 2), ("p", 3, 4), ("y", 4, 5)]);
    assert_eq!(plan.arena_bytes, plan.arena_lower_bound);
    assert_eq!(plan.arena_bytes, 2 * 16 * 8 * 8 * 4);
}

#[test]
fn a_residual_that_is_needed_later_keeps_its_buffer() {
    let plan = check(
        "graph @g(%x: f32[N,16,4,4]) -> (%b) {
           @w = random(2) : f32[16,16,3,3]
           %s = conv2d(%x, @w) {pad=1} %a = conv2d(%s, @w, residual=%s) {pad=1} %b = conv2d(%a, @w, residual=%s) {pad=1}
         }",
    );
    let result = |step: usize| plan.steps[step].operands[0];
    assert_eq!(kinds(&plan), ["copy", "conv", "conv", "conv", "copy"]);
    assert_ne!(result(2), result(1), "the source of a convolution is no place for its result");
    assert_eq!(result(3), result(1));
}

#[test]
fn an_output_keeps_its_value() {
    let plan = check(
        "graph @g(%x: f32[N,16,4,4]) -> (%s, %b) {
           @w = random(2) : f32[16,16,3,3] %s = conv2d(%x, @w) {pad=1} %t = relu(%s) %b = conv2d(%t, @w, residual=%s) {pad=1}
         }",
    );
    assert_eq!(kinds(&plan), ["copy", "conv", "copy", "elementwise", "conv", "copy"]);
    assert_eq!(plan.steps[2].name, "s");
}

#[test]
fn conversions_are_made_once() {
    let plan = check(
        "graph @g(%x: f32[N,20,4,4]) -> (%y) {
           @w = random(2) : f32[20,20,3,3] %a = conv2d(%x, @w) {pad=1} %b = conv2d(%x, @w) {pad=1} %y = add(%a, %b)
         }",
    );
    assert_eq!(kinds(&plan), ["copy", "conv", "conv", "elementwise", "copy"]);
}

#[test]
fn pre_activation_is_one_program() {
    let plan = check(
        "graph @g(%x: f32[N,20,4,4]) -> (%y) {
           @w = random(2) : f32[20,20,1,1] @s = random(3) : f32[1,20,1,1] @b = random(4) : f32[1,20,1,1]
           %c = conv2d(%x, @w) %m = mul(%c, @s) %a = add(%m, @b) %r = relu(%a) %y = conv2d(%r, @w)
         }",
    );
    assert_eq!(kinds(&plan), ["copy", "conv", "elementwise", "conv", "copy"]);
    let spec = program(&plan, 2);
    assert_eq!(spec.operands, [Access::Full, Access::PerChannelShared, Access::PerChannelShared]);
    assert_eq!(spec.space, Space::Blocked { blocks: 2, pixels: 16 });
    assert_eq!(spec.program.len(), 6);
    assert_eq!(plan.steps[2].name, "r");
    assert_eq!(plan.steps[2].operands[0], plan.steps[2].operands[1], "in place");
}

#[test]
fn programs_are_bounded() {
    let chain: Vec<_> = (0..40).map(|i| format!("%v{} = neg(%v{i})", i + 1)).collect();
    let chain = chain.join(" ");
    let plan = check(&format!("graph @g(%v0: f32[N,20,4,4]) -> (%v40) {{ {chain} }}"));
    let longest =
        (0..plan.steps.len()).filter(|i| kinds(&plan)[*i] == "elementwise").map(|i| program(&plan, i).program.len());
    assert_eq!(longest.max(), Some(16));
    assert_eq!(kinds(&plan), ["elementwise"; 3]);
}

#[test]
fn equal_subexpressions_are_computed_once() {
    let plan = check("graph @g(%x: f32[N,20]) -> (%y) { %a = add(%x, %x) %y = mul(%a, %a) }");
    // `%a` is used twice, so it is a step of its own.
    assert_eq!(kinds(&plan), ["elementwise", "elementwise"]);
    assert_eq!(
        program(&plan, 0).program,
        [Instruction::Operand(0), Instruction::Binary(rnc_plan::kernel::Binary::Add, 0, 0)]
    );
    assert_eq!(plan.steps[0].operands, [Operand::Buffer(0), Operand::Input(0)]);
    assert_eq!(plan.steps[1].operands, [Operand::Output(0), Operand::Buffer(0)]);
}

#[test]
fn results_go_straight_to_the_output_where_the_layout_allows() {
    let plan =
        check("graph @g(%x: f32[N,32]) -> (%y) { @w = random(1) : f32[32,32] %y = gemm(%x, @w) {trans_b=true} }");
    assert_eq!(kinds(&plan), ["gemm"]);
    assert_eq!(plan.steps[0].operands[..2], [Operand::Output(0), Operand::Input(0)]);
    assert!(plan.buffers.is_empty());
    let plan = check(
        "graph @g(%x: f32[N,33]) -> (%y) { @w = random(1) : f32[33,33] %m = gemm(%x, @w) %y = softmax(%m) {axis=1} }",
    );
    assert_eq!(kinds(&plan), ["copy", "gemm", "copy", "softmax"]);
}

#[test]
fn concatenations_of_whole_blocks_are_single_loops() {
    let plan = check(
        "graph @g(%x: f32[N,32,4,4]) -> (%y) {
           @w = random(1) : f32[32,32,1,1] @v = random(1) : f32[16,64,1,1]
           %a = conv2d(%x, @w) %b = conv2d(%a, @w) %c = concat(%a, %b) {axis=1} %y = conv2d(%c, @v)
         }",
    );
    assert_eq!(kinds(&plan), ["copy", "conv", "conv", "copy", "copy", "conv", "copy"]);
    for step in [3, 4] {
        let KernelSpec::Copy(copy) = &plan.steps[step].kernel else { panic!() };
        assert_eq!(copy.boxes.len(), 1);
        assert_eq!(copy.boxes[0].loops.len(), 1);
    }
}

#[test]
fn dead_nodes_make_no_steps_and_the_plan_is_the_same_each_time() {
    let text = BASIC_BLOCK.replace("%p =", "%dead = relu(%x) %deader = neg(%dead) %p =");
    let (one, two) = (plan(&text), plan(&text));
    assert_eq!(kinds(&one), kinds(&plan(BASIC_BLOCK)));
    assert_eq!((&one.steps, &one.buffers, &one.constants), (&two.steps, &two.buffers, &two.constants));
    assert_eq!(one.data.bytes(), two.data.bytes());
}

#[test]
fn resnet_50_reaches_the_lower_bound() {
    let plan = plan_of(&super::graph(&resnet_50()));
    let count = |kind: &str| kinds(&plan).iter().filter(|k| **k == kind).count();
    assert_eq!((count("conv"), count("winograd"), count("strassen")), (7, 15, 31));
    assert_eq!(plan.steps.len(), 53 + 2 + 2);
    assert_eq!(plan.arena_bytes, plan.arena_lower_bound);
    let in_place = plan.steps.iter().filter(|s| s.operands.len() == 5 && s.operands[0] == s.operands[4]).count();
    assert_eq!(in_place, 16);
    let bytes: usize = plan.buffers.iter().map(|b: &Buffer| b.bytes).sum();
    assert!(plan.arena_bytes * 4 < bytes);
}

/// ResNet-50 as the passes leave it: projections before the blocks' own convolutions, as the exporters order them.
fn resnet_50() -> String {
    let mut lines = vec![String::from("graph @resnet50(%x: f32[N,3,224,224]) -> (%y) {")];
    let mut conv = |name: &str, x: &str, [o, i, k]: [usize; 3], rest: &str| {
        lines.push(format!(
            "@{name}.w = random(1, -0.1, 0.1) : f32[{o},{i},{k},{k}] @{name}.b = random(2) : f32[{o}]
             %{name} = conv2d(%{x}, @{name}.w, bias=@{name}.b{rest}"
        ));
        if name == "stem" {
            lines.push("%pool = max_pool(%stem) {kernel=3, stride=2, pad=1}".into());
        }
    };
    conv("stem", "x", [64, 3, 7], ") {stride=2, pad=3, activation=relu}");
    let (mut x, mut channels) = (String::from("pool"), 64);
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let (narrow, wide) = (64 << stage, 256 << stage);
        for block in 0..blocks {
            let name = |part: &str| format!("s{stage}b{block}{part}");
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            conv(&name("a"), &x, [narrow, channels, 1], ") {activation=relu}");
            conv(
                &name("b"),
                &name("a"),
                [narrow, narrow, 3],
                &format!(") {{stride={stride}, pad=1, activation=relu}}"),
            );
            if block == 0 {
                conv(&name("d"), &x, [wide, channels, 1], &format!(") {{stride={stride}}}"));
                x = name("d");
            }
            conv(&name("c"), &name("b"), [wide, narrow, 1], &format!(", residual=%{x}) {{activation=relu}}"));
            (x, channels) = (name("c"), wide);
        }
    }
    lines.push(format!(
        "%gap = global_average_pool(%{x}) %flat = reshape(%gap) {{shape=[N,2048]}}
         @fc.w = random(1, -0.1, 0.1) : f32[1000,2048] @fc.b = random(2) : f32[1000]
         %y = gemm(%flat, @fc.w, bias=@fc.b) {{trans_b=true}} }}"
    ));
    lines.join("\n")
}

#[test]
fn exact_plans_compute_convolutions_directly() {
    let graph = super::graph(BASIC_BLOCK);
    let options = crate::LowerOptions { exact: true, ..crate::LowerOptions::default() };
    let plan = crate::lower(&rnc_ir::verify(&graph).unwrap(), &options).unwrap();
    assert_eq!(kinds(&plan), ["conv", "conv", "conv", "pool", "gemm", "copy"]);
}
