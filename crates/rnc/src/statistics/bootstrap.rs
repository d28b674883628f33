//! Confidence intervals of ratios by the bootstrap (Efron, 1979).
//!
//! Runs that follow each other on a shared machine are slow or fast together, so drawing single runs would see less noise than there is.
//! What is drawn are rounds: groups of runs, each taken at one time.

use super::quantile;

/// Fewest rounds that an interval is made of: fewer have too few combinations.
pub const LEAST_ROUNDS: usize = 6;
/// How often rounds are drawn.
const DRAWS: usize = 2000;
/// Where the normal distribution leaves 2.5 % above.
const Z: f64 = 1.959_963_984_540_054;

/// A number about rounds that can also be had of rounds that were drawn.
pub trait Resampled {
    /// How many rounds there are.
    fn rounds(&self) -> usize;
    /// The number if round `i` were there `times[i]` times. At least one is.
    fn of(&self, times: &[u32]) -> f64;
}

/// The median of the samples of all rounds.
#[derive(Clone, Debug)]
pub struct Medians {
    rounds: usize,
    /// Samples in their order, each with its round.
    sorted: Vec<(f64, u32)>,
}

impl Medians {
    /// Of the samples of each round.
    pub fn new(rounds: impl IntoIterator<Item: IntoIterator<Item = f64>>) -> Self {
        let mut medians = Self { rounds: 0, sorted: Vec::new() };
        for (round, samples) in rounds.into_iter().enumerate() {
            medians.rounds = round + 1;
            medians.sorted.extend(samples.into_iter().map(|sample| (sample, round as u32)));
        }
        medians.sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        medians
    }
}

impl Resampled for Medians {
    fn rounds(&self) -> usize {
        self.rounds
    }

    fn of(&self, times: &[u32]) -> f64 {
        let copies = || self.sorted.iter().map(|(sample, round)| (*sample, u64::from(times[*round as usize])));
        let all: u64 = copies().map(|(_, copies)| copies).sum();
        let Some(last) = all.checked_sub(1) else { return f64::NAN };
        // Sample number `last / 2` from below, and its successor if the number of samples is even.
        let (lower, upper) = (last / 2, last.div_ceil(2));
        let mut before = 0;
        let mut found = f64::NAN;
        for (sample, copies) in copies() {
            if before <= lower && lower < before + copies {
                found = sample;
            }
            if before <= upper && upper < before + copies {
                return f64::midpoint(found, sample);
            }
            before += copies;
        }
        found
    }
}

/// All that was spent over all that was done: the inverse of a throughput.
#[derive(Clone, Debug)]
pub struct Rates(Vec<(f64, f64)>);

impl Rates {
    /// Of time and work of each round.
    pub fn new(rounds: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self(rounds.into_iter().collect())
    }
}

impl Resampled for Rates {
    fn rounds(&self) -> usize {
        self.0.len()
    }

    fn of(&self, times: &[u32]) -> f64 {
        let mut sums = (0.0, 0.0);
        for ((time, work), copies) in self.0.iter().zip(times) {
            sums.0 += time * f64::from(*copies);
            sums.1 += work * f64::from(*copies);
        }
        sums.0 / sums.1
    }
}

/// Whether round `i` of the one was at the same time as round `i` of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// It was: what disturbed the machine disturbed both, and they are drawn together.
    Interleaved,
    /// It was not.
    Apart,
}

/// A ratio, and where it lies with a confidence of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Of all rounds as they are.
    pub ratio: f64,
    /// Lower end and upper end. `None` of fewer rounds than [`LEAST_ROUNDS`].
    pub interval: Option<[f64; 2]>,
}

/// The ratio `new / old` with its interval: percentiles of what rounds that are drawn give, moved out as far as a small number of rounds asks for
/// ("expanded percentiles": Hesterberg, *What Teachers Should Know About the Bootstrap*, 2015). The same rounds always give the same interval.
pub fn ratio(old: &impl Resampled, new: &impl Resampled, pairing: Pairing) -> Estimate {
    let once = |of: &dyn Resampled| of.of(&vec![1; of.rounds()]);
    let ratio = once(new) / once(old);
    let rounds = old.rounds().min(new.rounds());
    if rounds < LEAST_ROUNDS {
        return Estimate { ratio, interval: None };
    }
    let together = pairing == Pairing::Interleaved && old.rounds() == new.rounds();
    let mut random = fastrand::Rng::with_seed(0);
    let (mut of_old, mut of_new) = (vec![0; old.rounds()], vec![0; new.rounds()]);
    let mut ratios: Vec<f64> = (0..DRAWS)
        .map(|_| {
            draw(&mut random, &mut of_old);
            if together {
                of_new.copy_from_slice(&of_old);
            } else {
                draw(&mut random, &mut of_new);
            }
            new.of(&of_new) / old.of(&of_old)
        })
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let tail = tail(rounds);
    let interval = quantile(&ratios, tail).zip(quantile(&ratios, 1.0 - tail)).map(|(low, high)| [low, high]);
    Estimate { ratio, interval }
}

/// Draws as many rounds as there are, with replacement.
fn draw(random: &mut fastrand::Rng, times: &mut [u32]) {
    times.fill(0);
    for _ in 0..times.len() {
        times[random.usize(..times.len())] += 1;
    }
}

/// What to leave out at each end. Percentiles of 2.5 % would be too narrow for few rounds: those drawn vary less, by (n - 1) / n, and the number of rounds
/// calls for Student's distribution instead of the normal one.
fn tail(rounds: usize) -> f64 {
    let n = rounds as f64;
    let freedom = n - 1.0;
    // Student's quantile of the normal one by the Cornish-Fisher expansion (Abramowitz and Stegun, 26.7.5).
    let [z3, z5, z7] = [3, 5, 7].map(|power| Z.powi(power));
    let t = Z
        + (z3 + Z) / (4.0 * freedom)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / (96.0 * freedom.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * Z) / (384.0 * freedom.powi(3));
    libm::erfc((n / freedom).sqrt() * t / std::f64::consts::SQRT_2) / 2.0
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::super::median;
    use super::*;

    /// Times of a machine that drifts: each round has a speed of its own, each run noise, and some runs are disturbed.
    fn rounds(random: &mut fastrand::Rng, speeds: &[f64], median: f64, noise: f64) -> Medians {
        let round = |speed: &f64| {
            let run = |_| {
                let disturbed = if random.f64() < 0.05 { 1.5 } else { 1.0 };
                median * speed * disturbed * (1.0 + noise * (random.f64() - 0.5))
            };
            (0..8).map(run).collect::<Vec<_>>()
        };
        Medians::new(speeds.iter().map(round).collect::<Vec<_>>())
    }

    fn speeds(random: &mut fastrand::Rng, drift: f64) -> Vec<f64> {
        (0..20).map(|_| 1.0 + drift * random.f64()).collect()
    }

    #[test]
    fn rounds_that_are_drawn_twice_count_twice() {
        let medians = Medians::new([vec![1.0, 9.0], vec![5.0], vec![2.0, 3.0, 7.0]]);
        let of = |times: [u32; 3]| {
            let parts: [&[f64]; 3] = [&[1.0, 9.0], &[5.0], &[2.0, 3.0, 7.0]];
            let copies = parts.iter().zip(times).flat_map(|(part, times)| part.repeat(times as usize));
            median(&copies.collect::<Vec<_>>()).unwrap()
        };
        for times in [[1, 1, 1], [3, 0, 0], [0, 3, 0], [1, 0, 2], [0, 1, 2], [2, 1, 0]] {
            assert_eq!(medians.of(&times), of(times), "{times:?}");
        }
    }

    #[test]
    fn a_throughput_is_the_sum_of_work_over_the_sum_of_time() {
        let rates = Rates::new([(1.0, 10.0), (2.0, 10.0)]);
        assert_eq!(rates.of(&[1, 1]), 3.0 / 20.0);
        assert_eq!(rates.of(&[0, 2]), 0.2);
    }

    #[test]
    fn the_interval_has_the_true_ratio_about_95_times_in_100() {
        let mut random = fastrand::Rng::with_seed(1);
        for pairing in [Pairing::Interleaved, Pairing::Apart] {
            let mut covered = 0;
            for _ in 0..200 {
                let of_old = speeds(&mut random, 0.1);
                let of_new = if pairing == Pairing::Interleaved { of_old.clone() } else { speeds(&mut random, 0.1) };
                let old = rounds(&mut random, &of_old, 10.0, 0.05);
                let new = rounds(&mut random, &of_new, 9.0, 0.05);
                let [low, high] = ratio(&old, &new, pairing).interval.unwrap();
                covered += usize::from(low <= 0.9 && 0.9 <= high);
            }
            assert!(covered >= 182, "{pairing:?}: {covered} of 200");
        }
    }

    #[test]
    fn ten_percent_are_seen_on_a_machine_that_drifts_by_more_if_rounds_are_interleaved() {
        let mut random = fastrand::Rng::with_seed(2);
        let speeds = speeds(&mut random, 0.3);
        let old = rounds(&mut random, &speeds, 10.0, 0.05);
        let new = rounds(&mut random, &speeds, 11.0, 0.05);
        let [low, high] = ratio(&old, &new, Pairing::Interleaved).interval.unwrap();
        assert!(low > 1.05 && low < 1.1 && 1.1 < high && high < 1.15, "{low} {high}");
        let [apart_low, apart_high] = ratio(&old, &new, Pairing::Apart).interval.unwrap();
        assert!(apart_high - apart_low > 3.0 * (high - low), "the drift is in it: {apart_low} {apart_high}");
    }

    #[test]
    fn the_same_samples_have_a_ratio_of_one_and_the_same_interval_each_time() {
        let mut random = fastrand::Rng::with_seed(3);
        let speeds = speeds(&mut random, 0.1);
        let samples = rounds(&mut random, &speeds, 10.0, 0.05);
        assert_eq!(ratio(&samples, &samples, Pairing::Interleaved), Estimate { ratio: 1.0, interval: Some([1.0; 2]) });
        let apart = ratio(&samples, &samples, Pairing::Apart);
        let [low, high] = apart.interval.unwrap();
        assert!(low < 1.0 && 1.0 < high, "{low} {high}");
        assert_eq!(apart, ratio(&samples, &samples, Pairing::Apart));
    }

    #[test]
    fn few_rounds_have_no_interval() {
        let few = Medians::new(vec![[1.0]; LEAST_ROUNDS - 1]);
        let more = Medians::new(vec![[2.0]; LEAST_ROUNDS]);
        assert_eq!(ratio(&few, &more, Pairing::Apart), Estimate { ratio: 2.0, interval: None });
        assert_eq!(ratio(&more, &more, Pairing::Apart).interval, Some([1.0, 1.0]));
    }

    #[test]
    fn tails_are_those_of_hesterberg() {
        // 1 - pnorm(sqrt(n / (n - 1)) * qt(0.975, n - 1))
        for (rounds, expected) in [(6, 0.0024), (10, 0.0085), (20, 0.0159), (1_000_000, 0.025)] {
            assert!((tail(rounds) - expected).abs() < 1e-4, "{rounds}: {}", tail(rounds));
        }
    }
}
