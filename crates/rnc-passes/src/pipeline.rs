//! The list of passes, and running it.

use rnc_ir::{Graph, VerifyError, verify};

use crate::log::{Log, Stats};
use crate::matching::PassError;
use crate::{
    batchnorm_to_scale_shift, canonicalize_linear, canonicalize_pool, compose_moves, decompose_gemm, eliminate_dead,
    eliminate_identity, fold_batchnorm, fold_constants, fold_into_next, fold_pad, fold_scale_shift, fuse_activation,
    fuse_hard_swish, fuse_residual_add, fuse_silu, merge_identical, move_transposes,
};

/// One entry of [`PASSES`].
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Name, as users write it.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The pass.
    pub run: fn(&mut Graph, &mut Log) -> Result<Stats, PassError>,
}

/// All passes in the order in which [`optimize`] runs them. A pass that stands here twice runs twice.
pub const PASSES: &[Pass] = &[
    Pass { name: "eliminate_dead", about: "removes nodes that no output needs", run: eliminate_dead::run },
    Pass { name: "eliminate_identity", about: "removes operators that change nothing", run: eliminate_identity::run },
    Pass { name: "fold_constants", about: "computes nodes whose operands are constants", run: fold_constants::run },
    Pass {
        name: "decompose_gemm",
        about: "writes a gemm that is no layer as matmul, mul and add",
        run: decompose_gemm::run,
    },
    Pass {
        name: "move_transposes",
        about: "computes in the order of axes that needs fewer transpositions",
        run: move_transposes::run,
    },
    // The constants of what was computed in another order.
    Pass { name: "fold_constants", about: "computes nodes whose operands are constants", run: fold_constants::run },
    Pass { name: "compose_moves", about: "makes one of two slices, transpositions, …", run: compose_moves::run },
    Pass {
        name: "canonicalize_pool",
        about: "writes whole-image means and maxima as pools",
        run: canonicalize_pool::run,
    },
    Pass {
        name: "canonicalize_linear",
        about: "writes matrix products as one form of gemm",
        run: canonicalize_linear::run,
    },
    Pass { name: "fold_pad", about: "moves padding into the window that reads it", run: fold_pad::run },
    // Exporters write conv → bn, conv → add (a bias) → bn, and conv → bn → mul → add (Caffe): hence the first twice.
    Pass {
        name: "fold_scale_shift",
        about: "folds per-channel constants into a convolution",
        run: fold_scale_shift::run,
    },
    Pass {
        name: "fold_batchnorm",
        about: "folds a batch norm into the convolution before it",
        run: fold_batchnorm::run,
    },
    Pass {
        name: "fold_scale_shift",
        about: "folds per-channel constants into a convolution",
        run: fold_scale_shift::run,
    },
    Pass {
        name: "fold_into_next",
        about: "folds a batch norm or per-channel constants into the convolution behind",
        run: fold_into_next::run,
    },
    Pass {
        name: "batchnorm_to_scale_shift",
        about: "writes a remaining batch norm as a multiply and an add",
        run: batchnorm_to_scale_shift::run,
    },
    Pass { name: "fuse_silu", about: "writes x · sigmoid(x) as one function", run: fuse_silu::run },
    Pass { name: "fuse_hard_swish", about: "writes x · hard_sigmoid(x) as one function", run: fuse_hard_swish::run },
    // Residuals before activations: conv → add → relu becomes conv(residual) → relu and then one convolution.
    Pass { name: "fuse_residual_add", about: "adds a shortcut inside a convolution", run: fuse_residual_add::run },
    Pass { name: "fuse_activation", about: "applies relu and clip inside conv2d and gemm", run: fuse_activation::run },
    Pass { name: "merge_identical", about: "computes equal values once", run: merge_identical::run },
    Pass { name: "eliminate_dead", about: "removes nodes that no output needs", run: eliminate_dead::run },
];

/// Why a graph could not be optimized.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is not in [`PASSES`].
    #[error("there is no pass `{name}`; the passes are {}", names().join(", "))]
    UnknownPass {
        /// The name asked for.
        name: String,
    },
    /// The pass to stop behind is not among those that would run.
    #[error("`{name}` is not among the passes that are to run: {}", .passes.join(", "))]
    NotInList {
        /// The name asked for.
        name: String,
        /// The passes that are to run.
        passes: Vec<&'static str>,
    },
    /// The graph was broken before any pass ran.
    #[error("the graph is invalid before the first pass: {0}")]
    InvalidInput(#[source] Box<VerifyError>),
    /// A pass failed.
    #[error("pass `{pass}` failed: {source}")]
    Pass {
        /// The pass.
        pass: &'static str,
        /// What happened.
        source: PassError,
    },
    /// A pass left an invalid graph behind.
    #[error("pass `{pass}` broke the graph: {source}")]
    Invalid {
        /// The pass.
        pass: &'static str,
        /// The invariant that does not hold.
        source: Box<VerifyError>,
    },
}

/// What one run of a pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassReport {
    /// The pass.
    pub pass: &'static str,
    /// Its counts.
    pub stats: Stats,
}

/// What a run of several passes did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One entry for each run of a pass, in order.
    pub passes: Vec<PassReport>,
    /// Every application and every refusal.
    pub log: Log,
}

/// Called after every pass, once the graph is verified, with the pass's name and the graph. For printing each stage and for bisection.
pub type Observer<'a> = &'a mut dyn FnMut(&str, &Graph);

/// Runs all [`PASSES`] in order.
///
/// # Errors
/// If the graph is invalid before or after a pass, or a pass fails. The error names the pass; the graph is as that pass left it.
pub fn optimize(graph: &mut Graph, observe: Observer<'_>) -> Result<Report, Error> {
    run(graph, PASSES, observe)
}

/// Runs the named passes in the order given; a name may come twice.
///
/// # Errors
/// As [`optimize`], and if a name is not in [`PASSES`], before anything is changed.
pub fn run_named(graph: &mut Graph, names: &[&str], observe: Observer<'_>) -> Result<Report, Error> {
    run(graph, &named(names)?, observe)
}

/// The passes with these names.
///
/// # Errors
/// If a name is not in [`PASSES`].
pub fn named(names: &[impl AsRef<str>]) -> Result<Vec<Pass>, Error> {
    let find = |name: &str| {
        let pass = PASSES.iter().find(|pass| pass.name == name);
        pass.copied().ok_or_else(|| Error::UnknownPass { name: name.to_owned() })
    };
    names.iter().map(|name| find(name.as_ref())).collect()
}

/// The first passes of a list, up to and including the first run of the one with this name.
///
/// # Errors
/// If it is not in the list.
pub fn until<'p>(passes: &'p [Pass], name: &str) -> Result<&'p [Pass], Error> {
    let found = passes.iter().position(|pass| pass.name == name);
    let missing = || Error::NotInList { name: name.to_owned(), passes: passes.iter().map(|pass| pass.name).collect() };
    Ok(&passes[..=found.ok_or_else(missing)?])
}

/// Runs passes in the order given.
///
/// # Errors
/// As [`optimize`].
pub fn run(graph: &mut Graph, passes: &[Pass], observe: Observer<'_>) -> Result<Report, Error> {
    let mut report = Report::default();
    run_into(graph, passes, &mut report, observe).map(|()| report)
}

/// Runs passes in the order given up to and including this many applications of all of them together. The report is of what was done, also if a pass failed: as
/// [`optimize`] may.
pub fn run_limited(graph: &mut Graph, passes: &[Pass], applications: usize) -> (Report, Result<(), Error>) {
    let mut report = Report { log: Log::limited(applications), ..Report::default() };
    let result = run_into(graph, passes, &mut report, &mut |_, _| {});
    (report, result)
}

fn run_into(graph: &mut Graph, passes: &[Pass], report: &mut Report, observe: Observer<'_>) -> Result<(), Error> {
    verify(graph).map_err(|source| Error::InvalidInput(Box::new(source)))?;
    for &Pass { name, run, .. } in passes {
        report.log.enter(name);
        let stats = run(graph, &mut report.log).map_err(|source| Error::Pass { pass: name, source })?;
        verify(graph).map_err(|source| Error::Invalid { pass: name, source: Box::new(source) })?;
        observe(name, graph);
        report.passes.push(PassReport { pass: name, stats });
    }
    Ok(())
}

fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = PASSES.iter().map(|pass| pass.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rnc_ir::{Op, parse};

    use super::*;
    use crate::random_graphs::networks;
    use crate::resnet50::resnet50;
    use crate::testing::{assert_same_numbers, ops};

    const BLOCK: &str = "graph @block(%x: f32[N,4,6,6]) -> (%out) {
           @w1 = random(1) : f32[4,4,3,3]
           @w2 = random(2) : f32[4,4,3,3]
           @g = random(3, 0.5, 1.5) : f32[4]
           @b = random(4) : f32[4]
           %c1 = conv2d(%x, @w1) {pad=1}
           %n1 = batch_norm(%c1, @g, @b, @b, @g) {epsilon=1e-5}
           %r1 = relu(%n1)
           %c2 = conv2d(%r1, @w2) {pad=1}
           %n2 = batch_norm(%c2, @g, @b, @b, @g) {epsilon=1e-5}
           %a = add(%n2, %x)
           %out = relu(%a)
         }";

    #[test]
    fn makes_two_convolutions_of_a_residual_block() {
        let mut graph = parse(BLOCK).unwrap();
        let before = graph.clone();
        let mut seen = Vec::new();
        let report = optimize(&mut graph, &mut |pass, graph| seen.push((pass.to_owned(), graph.len()))).unwrap();
        assert_eq!(ops(&graph), ["conv2d", "conv2d"]);
        assert_same_numbers(&before, &graph);
        let Op::Conv2d(last) = graph.op(graph.find("out").unwrap()) else { panic!("{graph}") };
        assert!(last.residual && last.bias && last.activation == rnc_ir::op::Activation::Relu);
        assert!(seen.iter().map(|(pass, _)| pass.as_str()).eq(PASSES.iter().map(|pass| pass.name)));
        assert!(seen[0].1 > seen[seen.len() - 1].1);
        let folds = report.passes.iter().find(|p| p.pass == "fold_batchnorm").unwrap();
        assert_eq!(folds.stats, Stats { applied: 2, refused: 0 });
    }

    #[test]
    fn leaves_53_convolutions_of_resnet50_and_nothing_between_them() {
        let before = parse(&resnet50()).unwrap();
        let mut graph = before.clone();
        optimize(&mut graph, &mut |_, _| {}).unwrap();
        let convs: Vec<_> =
            graph.ids().filter_map(|id| if let Op::Conv2d(conv) = graph.op(id) { Some(conv) } else { None }).collect();
        let relu = convs.iter().filter(|conv| conv.activation == rnc_ir::op::Activation::Relu).count();
        let residual = convs.iter().filter(|conv| conv.residual).count();
        assert_eq!((convs.len(), relu, residual), (53, 49, 16));
        assert!(convs.iter().all(|conv| conv.bias));
        let mut others = ops(&graph);
        others.retain(|op| *op != "conv2d");
        assert_eq!(others, ["max_pool", "global_average_pool", "reshape", "gemm"]);
        assert_same_numbers(&before, &graph);
    }

    #[test]
    fn runs_the_named_passes_in_the_order_given() {
        let mut graph = parse(BLOCK).unwrap();
        let report = run_named(&mut graph, &["fuse_activation", "fold_batchnorm"], &mut |_, _| {}).unwrap();
        assert_eq!(report.passes.iter().map(|p| p.pass).collect::<Vec<_>>(), ["fuse_activation", "fold_batchnorm"]);
        assert_eq!(ops(&graph), ["conv2d", "relu", "conv2d", "add", "relu"]);
    }

    #[test]
    fn stops_behind_the_first_run_of_a_pass() {
        let names = |passes: &[Pass]| passes.iter().map(|pass| pass.name).collect::<Vec<_>>();
        let first = until(PASSES, "fold_scale_shift").unwrap();
        assert_eq!(names(first), names(&PASSES[..first.len()]));
        assert_eq!(first.iter().filter(|pass| pass.name == "fold_scale_shift").count(), 1);
        let few = named(&["fold_pad", "fuse_silu"]).unwrap();
        let error = until(&few, "fuse_activation").unwrap_err();
        assert_eq!(error.to_string(), "`fuse_activation` is not among the passes that are to run: fold_pad, fuse_silu");
    }

    #[test]
    fn a_limit_of_applications_leaves_a_valid_graph_with_the_same_numbers_wherever_it_is() {
        let before = parse(BLOCK).unwrap();
        let all = optimize(&mut before.clone(), &mut |_, _| {}).unwrap().log;
        for limit in 0..=all.applications().count() + 1 {
            let mut graph = before.clone();
            let (report, result) = run_limited(&mut graph, PASSES, limit);
            result.unwrap();
            assert_eq!(report.log.applications().count(), limit.min(all.applications().count()));
            assert_same_numbers(&before, &graph);
        }
    }

    #[test]
    fn refuses_an_unknown_name_before_anything_runs() {
        let mut graph = parse(BLOCK).unwrap();
        let error = run_named(&mut graph, &["fold_batchnorm", "fold_batch_norm"], &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("`fold_batch_norm`; the passes are batchnorm_to_scale_shift, canonicalize"));
        assert!(graph.same(&parse(BLOCK).unwrap()));
    }

    #[test]
    fn refuses_an_invalid_graph_and_says_that_no_pass_broke_it() {
        let error = optimize(&mut Graph::new("empty"), &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error}");
    }

    #[test]
    fn finds_nothing_left_to_do_in_what_it_made() {
        let mut graph = parse(BLOCK).unwrap();
        optimize(&mut graph, &mut |_, _| {}).unwrap();
        let again = optimize(&mut graph, &mut |_, _| {}).unwrap();
        assert!(again.passes.iter().all(|pass| pass.stats.applied == 0), "{}", again.log);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn keeps_the_numbers_of_random_networks(text in networks()) {
            let before = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let mut after = before.clone();
            optimize(&mut after, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_same_numbers(&before, &after);
        }
    }
}
