//! Chooses how a convolution is computed: by estimated time, or by measured time if there is someone to measure.

use std::cmp::Ordering;

use rnc_plan::kernel::{Conv, KernelSpec, Source, Strassen, Window, Winograd};
use rnc_plan::strassen::Levels;
use rnc_plan::weights::Bundles;
use rnc_plan::winograd::Filtering;
use rnc_plan::{Candidate, Choice, Machine, TileSize};

use crate::accuracy;
use crate::estimate;
use crate::tuner::{Trial, Tuner};

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// As the model says it.
    Direct,
    /// By Strassen's product.
    Strassen(Levels),
    /// By Winograd's method.
    Winograd(Filtering),
}

impl Algorithm {
    /// The kernel that computes a convolution so.
    pub(crate) fn kernel(self, conv: Conv) -> KernelSpec {
        match self {
            Self::Direct => KernelSpec::Conv(conv),
            Self::Strassen(levels) => KernelSpec::Strassen(Strassen { conv, levels }),
            Self::Winograd(filtering) => KernelSpec::Winograd(Winograd { conv, tile: filtering.tile() }),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Direct => "direct".to_owned(),
            Self::Strassen(Levels::One) => "strassen".to_owned(),
            Self::Strassen(Levels::Two) => "strassen levels=2".to_owned(),
            Self::Winograd(filtering) => format!("winograd F({0}×{0})", filtering.tile()),
        }
    }
}

/// What choices depend on.
#[derive(Clone, Copy)]
pub(crate) struct Chooser<'a> {
    /// The machine that times are estimated for.
    pub machine: &'a Machine,
    /// Only [`Algorithm::Direct`].
    pub exact: bool,
    /// Who measures, if anyone.
    pub tuner: Option<&'a dyn Tuner>,
}

/// Candidates that are estimated to take so many times as long as the best one are not worth a measurement.
const WORTH_MEASURING: f64 = 1.6;

impl Chooser<'_> {
    /// The fastest algorithm for a convolution with these weights (`[O][I][kh][kw]`), and how it was found.
    pub(crate) fn choose(&self, conv: &Conv, weights: &[f32]) -> (Algorithm, Choice) {
        let mut ways = self.ways(conv);
        if let Some(tuner) = self.tuner {
            ways = measured(tuner, conv, ways);
        }
        // Sorting keeps the order of equals: the simpler one first.
        ways.sort_by(Way::cmp);
        let Way { algorithm, tile, .. } = ways[0];
        let error = accuracy::sample_error(conv, algorithm, weights);
        let candidates = ways.into_iter().map(Way::candidate).collect();
        (algorithm, Choice { candidates, error: Some(error), tile })
    }

    fn ways(&self, conv: &Conv) -> Vec<Way> {
        let fast = levels(conv).map(Algorithm::Strassen);
        let fast = fast.chain(filterings(conv).map(Algorithm::Winograd)).filter(|_| !self.exact);
        let way = |algorithm| Way {
            algorithm,
            tile: None,
            estimated: estimate::microseconds(self.machine, conv, algorithm),
            measured: None,
        };
        std::iter::once(Algorithm::Direct).chain(fast).map(way).collect()
    }
}

/// One way to compute a convolution. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
struct Way {
    algorithm: Algorithm,
    tile: Option<TileSize>,
    estimated: f64,
    measured: Option<f64>,
}

impl Way {
    /// What was measured comes before what was not worth it.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |way: &Self| (way.measured.is_none(), way.measured.unwrap_or(way.estimated));
        let ((a_guess, a), (b_guess, b)) = (key(self), key(other));
        a_guess.cmp(&b_guess).then(a.total_cmp(&b))
    }

    fn candidate(self) -> Candidate {
        let tile = self.tile.map_or_else(String::new, |tile| format!(" {}×{}", tile.pixels, tile.columns));
        Candidate {
            name: self.algorithm.name() + &tile,
            estimated: self.estimated as f32,
            measured: self.measured.map(|time| time as f32),
        }
    }
}

/// Measures what is worth it: algorithms that may be the fastest, the direct one with each register tile.
fn measured(tuner: &dyn Tuner, conv: &Conv, ways: Vec<Way>) -> Vec<Way> {
    let best = ways.iter().map(|way| way.estimated).fold(f64::INFINITY, f64::min);
    let (mut worth, rest): (Vec<Way>, Vec<Way>) =
        ways.into_iter().partition(|way| way.estimated <= best * WORTH_MEASURING);
    if let Some(direct) = worth.iter().copied().find(|way| way.algorithm == Algorithm::Direct) {
        worth.extend(tuner.tiles(conv).into_iter().map(|tile| Way { tile: Some(tile), ..direct }));
    }
    let trial = |way: &Way| Trial { kernel: way.algorithm.kernel(conv.clone()), tile: way.tile };
    let times = tuner.measure(&worth.iter().map(trial).collect::<Vec<_>>());
    worth.iter_mut().zip(times).for_each(|(way, time)| way.measured = time);
    worth.extend(rest);
    worth
}

/// How often Strassen's method can cut the matrices whose product the convolution is, if it is one.
fn levels(conv: &Conv) -> impl Iterator<Item = Levels> {
    let fits = |levels: &Levels| {
        let kernel = Algorithm::Strassen(*levels).kernel(conv.clone());
        rnc_plan::footprint::operands(&kernel).is_ok()
    };
    Levels::ALL.into_iter().filter(fits)
}

/// The forms of Winograd's method that compute the convolution.
fn filterings(conv: &Conv) -> impl Iterator<Item = Filtering> {
    let Window { kernel, stride, dilation, .. } = conv.window;
    let shape = kernel == [3, 3] && stride[0] == stride[1] && dilation == [1, 1];
    let fits = shape && Bundles::of(conv).is_some() && conv.source == Source::Blocked;
    [4, 2].into_iter().filter(move |_| fits).filter_map(move |tile| Filtering::new(tile, stride[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_plan::Measured;
    use rnc_plan::kernel::{Activation, Extent};

    /// The estimated choice on the default machine.
    fn algorithm(conv: &Conv) -> Algorithm {
        let machine = Machine::default();
        let chooser = Chooser { machine: &machine, exact: false, tuner: None };
        chooser.choose(conv, &weights(conv)).0
    }

    fn weights(conv: &Conv) -> Vec<f32> {
        let [kh, kw] = conv.window.kernel;
        vec![0.5; conv.output.channels * (conv.input.channels / conv.groups) * kh * kw]
    }

    /// A layer of so many channels whose result is `size` × `size`.
    fn layer(channels: usize, size: usize, stride: usize) -> Conv {
        let output = Extent { channels, height: size, width: size };
        Conv {
            input: Extent { channels, height: size * stride, width: size * stride },
            source: Source::Blocked,
            output,
            groups: 1,
            window: Window { kernel: [3, 3], stride: [stride; 2], pad: [1, 1], dilation: [1, 1] },
            residual: false,
            activation: Activation::None,
        }
    }

    #[test]
    fn takes_the_algorithm_that_measured_best_on_the_layers_of_resnet50() {
        let winograd = |tile, stride| Algorithm::Winograd(Filtering::new(tile, stride).unwrap());
        for (channels, size, stride, best) in [
            (64, 56, 1, winograd(4, 1)),
            (128, 28, 1, winograd(4, 1)),
            (256, 14, 1, winograd(4, 1)),
            (512, 7, 1, winograd(2, 1)),
            (128, 28, 2, winograd(4, 2)),
            (256, 14, 2, winograd(2, 2)),
            (512, 7, 2, Algorithm::Direct),
        ] {
            assert_eq!(algorithm(&layer(channels, size, stride)), best, "{channels} channels, stride {stride}");
        }
    }

    #[test]
    fn multiplies_large_matrices_by_strassens_product() {
        for (inputs, outputs, size, stride, best) in [
            (64, 64, 56, 1, Algorithm::Direct),
            (64, 256, 56, 1, Algorithm::Direct),
            (256, 128, 56, 1, Algorithm::Strassen(Levels::Two)),
            (128, 512, 28, 1, Algorithm::Strassen(Levels::Two)),
            (256, 512, 28, 2, Algorithm::Strassen(Levels::Two)),
            (1024, 256, 14, 1, Algorithm::Strassen(Levels::Two)),
            (512, 2048, 7, 1, Algorithm::Strassen(Levels::One)),
            (2048, 512, 14, 1, Algorithm::Strassen(Levels::One)),
            (160, 160, 56, 1, Algorithm::Strassen(Levels::One)),
            (1000, 256, 14, 1, Algorithm::Direct),
        ] {
            let conv = layer(outputs, size, stride);
            let window = Window { kernel: [1, 1], pad: [0, 0], ..conv.window };
            let conv = Conv { input: Extent { channels: inputs, ..conv.input }, window, ..conv };
            assert_eq!(algorithm(&conv), best, "{inputs} to {outputs} channels");
        }
    }

    #[test]
    fn computes_directly_what_winograd_cannot_and_what_is_not_worth_it() {
        let base = layer(64, 56, 1);
        let window = base.window;
        for conv in [
            Conv { groups: 16, ..base.clone() },
            Conv { window: Window { stride: [3, 3], ..window }, ..base.clone() },
            Conv { window: Window { stride: [1, 2], ..window }, ..base.clone() },
            Conv { window: Window { dilation: [2, 2], ..window }, ..base.clone() },
            Conv { window: Window { kernel: [1, 1], ..window }, ..base.clone() },
            Conv { source: Source::Planar, ..base.clone() },
            layer(64, 1, 1),
            layer(3, 32, 1),
        ] {
            assert_eq!(algorithm(&conv), Algorithm::Direct, "{conv:?}");
        }
    }

    /// Says that a direct convolution with 28 pixels in a tile is the fastest.
    struct Tiles;

    impl Tuner for Tiles {
        fn tiles(&self, _: &Conv) -> Vec<TileSize> {
            vec![TileSize { pixels: 14, columns: 2 }, TileSize { pixels: 28, columns: 1 }]
        }

        fn measure(&self, trials: &[Trial]) -> Vec<Option<f64>> {
            let is_fast = |trial: &Trial| trial.tile.is_some_and(|tile| tile.pixels == 28);
            trials
                .iter()
                .map(|trial| {
                    (trial.tile.is_none_or(|tile| tile.pixels > 14)).then(|| if is_fast(trial) { 1.0 } else { 2.0 })
                })
                .collect()
        }

        fn place(&self) -> Measured {
            Measured { host: "here".into(), isa: "avx2".into() }
        }
    }

    #[test]
    fn what_was_measured_counts_before_what_was_estimated() {
        let conv = layer(256, 14, 1);
        let machine = Machine::default();
        let conv = Conv { window: Window { kernel: [1, 1], pad: [0, 0], ..conv.window }, ..conv };
        let chooser = Chooser { machine: &machine, exact: false, tuner: Some(&Tiles) };
        let (algorithm, choice) = chooser.choose(&conv, &weights(&conv));
        assert_eq!((algorithm, choice.tile), (Algorithm::Direct, Some(TileSize { pixels: 28, columns: 1 })));
        let names: Vec<_> = choice.candidates.iter().map(|c| (c.name.as_str(), c.measured)).collect();
        let expected = [
            ("direct 28×1", Some(1.0)),
            ("direct", Some(2.0)),
            ("strassen", Some(2.0)),
            ("strassen levels=2", Some(2.0)),
            ("direct 14×2", None),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn exact_means_direct() {
        let machine = Machine::default();
        let chooser = Chooser { machine: &machine, exact: true, tuner: None };
        let conv = layer(64, 56, 1);
        let (algorithm, choice) = chooser.choose(&conv, &weights(&conv));
        assert_eq!((algorithm, choice.candidates.len()), (Algorithm::Direct, 1));
    }
}
