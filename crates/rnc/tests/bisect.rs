//! Bisection on passes that are wrong on purpose, each in the middle of the real ones.

mod support;

use rnc::bisect::{Answer, Guilty, Question, bisect};
use rnc::ir::op::{Binary, Conv2d, Unary};
use rnc::ir::{Graph, NodeId, Op, parse};
use rnc::passes::{Log, PASSES, Pass, PassError, Stats};
use support::{Folder, fixture, rnc};

/// Applies a rewrite wherever it can.
fn rewrite(
    graph: &mut Graph,
    log: &mut Log,
    mut apply: impl FnMut(&mut Graph, NodeId) -> Result<bool, PassError>,
) -> Result<Stats, PassError> {
    let mut stats = Stats::default();
    for id in graph.topological_order() {
        let mut tried = graph.clone();
        if !graph.contains(id) || !apply(&mut tried, id)? {
            continue;
        }
        if !log.may_apply() {
            break;
        }
        log.applied(format!("%{}", graph.node(id).name()), "rewritten wrongly");
        *graph = tried;
        stats.applied += 1;
    }
    Ok(stats)
}

fn replaced(graph: &mut Graph, id: NodeId, op: Op, operands: &[NodeId]) -> Result<bool, PassError> {
    let node = graph.node(id).name().to_owned();
    graph.replace_op(id, op, operands).map(|()| true).map_err(|source| PassError { node, source: Box::new(source) })
}

/// Leaves out the `relu` in the middle of a block.
fn drop_relu(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    rewrite(graph, log, |graph, id| {
        if *graph.op(id) != Op::Unary(Unary::Relu) || graph.node(id).name() != "layer2.0.relu1" {
            return Ok(false);
        }
        replaced(graph, id, Op::Identity, &[graph.operands(id)[0]])
    })
}

/// Takes `add` for commutative, and `sub`, too: writes all sums as differences.
fn sum_to_difference(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    rewrite(graph, log, |graph, id| {
        if *graph.op(id) != Op::Binary(Binary::Add) {
            return Ok(false);
        }
        let operands = graph.operands(id).to_vec();
        replaced(graph, id, Op::Binary(Binary::Sub), &operands)
    })
}

/// Forgets what a convolution adds.
fn forget_residual(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    rewrite(graph, log, |graph, id| match graph.op(id).clone() {
        Op::Conv2d(conv) if conv.residual => {
            let operands = graph.operands(id)[..graph.operands(id).len() - 1].to_vec();
            replaced(graph, id, Op::Conv2d(Conv2d { residual: false, ..conv }), &operands)
        }
        _ => Ok(false),
    })
}

/// Pads 3×3 convolutions with stride 2 as TensorFlow does.
fn pad_behind(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    rewrite(graph, log, |graph, id| match graph.op(id).clone() {
        Op::Conv2d(mut conv) if conv.window.stride == [2, 2] && conv.window.pad_begin == [1, 1] => {
            (conv.window.pad_begin, conv.window.pad_end) = ([0, 0], [2, 2]);
            let operands = graph.operands(id).to_vec();
            replaced(graph, id, Op::Conv2d(conv), &operands)
        }
        _ => Ok(false),
    })
}

/// Takes convolutions of the same operand and type for equal, whatever their weights.
fn merge_convolutions(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    rewrite(graph, log, |graph, id| {
        let Op::Conv2d(_) = graph.op(id) else { return Ok(false) };
        let alike = |other: &NodeId| {
            matches!(graph.op(*other), Op::Conv2d(_))
                && graph.ty(*other) == graph.ty(id)
                && graph.operands(*other)[0] == graph.operands(id)[0]
        };
        let order = graph.topological_order();
        let Some(first) = order.into_iter().take_while(|other| *other != id).find(alike) else { return Ok(false) };
        graph.replace_uses(id, first);
        graph.remove(id);
        Ok(true)
    })
}

/// Gives `relu` two operands.
fn fail_halfway(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    rewrite(graph, log, |graph, id| {
        let operand = graph.operands(id).first().copied();
        match graph.node(id).name() {
            "layer1.0.relu1" => replaced(graph, id, Op::Unary(Unary::Relu), &[operand.unwrap()]),
            "layer1.1.relu1" => replaced(graph, id, Op::Unary(Unary::Relu), &[operand.unwrap(); 2]),
            _ => Ok(false),
        }
    })
}

/// The real passes with another one behind the one of this name.
fn planted(wrong: Pass, behind: &str) -> Vec<Pass> {
    let at = PASSES.iter().position(|pass| pass.name == behind).unwrap() + 1;
    [&PASSES[..at], &[wrong], &PASSES[at..]].concat()
}

fn ask(graph: &Graph, passes: &[Pass], batch: usize, seed: u64) -> Answer {
    bisect(&Question { graph, passes, batch, seed, tolerance: 1e-3 }).unwrap()
}

/// What bisection says of a pass on the fixture, a ResNet-18, after checking that it is that pass and that the reproducer shows it.
fn guilty(name: &'static str, run_pass: fn(&mut Graph, &mut Log) -> Result<Stats, PassError>, behind: &str) -> Guilty {
    let pass = Pass { name, about: "is wrong", run: run_pass };
    let Answer::Guilty(guilty) = ask(&fixture().graph, &planted(pass, behind), 1, 3) else {
        panic!("{name} was not found")
    };
    assert_eq!(guilty.pass, name, "{guilty:?}");
    assert!(guilty.reproducer.starts_with(&format!("// passes: {name}\n")), "{}", guilty.reproducer);
    let graph = parse(&guilty.reproducer).unwrap_or_else(|error| panic!("{error}\n{}", guilty.reproducer));
    let Answer::Guilty(again) = ask(&graph, &[pass], 1, 4) else {
        panic!("{name} does nothing to\n{}", guilty.reproducer)
    };
    assert_eq!(again.pass, name);
    *guilty
}

/// Operators of a reproducer.
fn operators(guilty: &Guilty) -> usize {
    guilty.reproducer.lines().filter(|line| line.trim_start().starts_with('%')).count()
}

#[test]
fn the_real_passes_are_not_guilty() {
    let Answer::Same { applications, error } = ask(&fixture().graph, PASSES, 2, 3) else { panic!("guilty") };
    assert!(applications > 40 && error < 1e-5, "{applications} {error}");
}

#[test]
fn finds_each_of_five_planted_faults_and_the_smallest_graph_that_shows_it() {
    for (name, pass, behind, what, size) in [
        ("drop_relu", drop_relu as fn(&mut Graph, &mut Log) -> _, "fold_batchnorm", "%layer2.0.relu1", 1),
        ("sum_to_difference", sum_to_difference, "fold_pad", "%layer1.0.add", 1),
        ("forget_residual", forget_residual, "fuse_residual_add", "%layer1.0", 1),
        ("pad_behind", pad_behind, "eliminate_dead", "%layer2.0.conv1", 1),
        ("merge_convolutions", merge_convolutions, "fold_constants", "%layer", 2),
    ] {
        let guilty = guilty(name, pass, behind);
        assert!(guilty.what.contains(what), "{name}: {}", guilty.what);
        assert_eq!(operators(&guilty), size, "{name}:\n{}", guilty.reproducer);
        assert!(guilty.difference.contains("is off by"), "{}", guilty.difference);
    }
}

#[test]
fn finds_a_pass_that_fails() {
    let guilty = guilty("fail_halfway", fail_halfway, "fold_pad");
    assert!(guilty.difference.contains("pass `fail_halfway` failed: rewriting `%layer1.1.relu1`"), "{guilty:?}");
    assert_eq!(operators(&guilty), 1, "{}", guilty.reproducer);
}

#[test]
fn the_command_says_that_all_is_well() {
    let run = rnc(&["bisect", &fixture().model]).succeeds();
    assert!(run.stdout.contains("applications keep the results"), "{}", run.stdout);
    let folder = Folder::new();
    // Nothing is exact enough.
    let (file, out) = (&fixture().model, folder.path("guilty.rnc"));
    let run = rnc(&["bisect", file, "--tolerance", "0", "-o", &out]).exits(4);
    assert!(run.stdout.contains("changes the results: fold_batchnorm: %"), "{}", run.stdout);
    let reproducer = std::fs::read_to_string(&out).unwrap();
    assert!(reproducer.starts_with("// passes: fold_batchnorm\ngraph @"), "{reproducer}");
    rnc(&["opt", &out, "--passes", "fold_batchnorm"]).succeeds();
    rnc(&["bisect", file, "--passes", "fold_bn"]).exits(2);
}
