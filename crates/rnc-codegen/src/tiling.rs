//! Chooses the register tile of a convolution and cuts the result's pixels into tiles.

use rnc_plan::TileSize;

use crate::grid;
use crate::isa::Isa;

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    /// Rows and columns of the result.
    pub output: [usize; 2],
    /// Vectors of output channels that read the same input channels, and so can share a panel.
    pub vectors: usize,
    /// Multiply-adds that one element of the result takes.
    pub depth: usize,
    /// Threads that share the tiles.
    pub threads: usize,
}

const fn tile(pixels: usize, columns: usize) -> TileSize {
    TileSize { pixels, columns }
}

const AVX512: [TileSize; 3] = [tile(14, 2), tile(28, 1), tile(9, 3)];
const AVX2: [TileSize; 2] = [tile(6, 2), tile(12, 1)];
const BASELINE: [TileSize; 3] = [tile(4, 2), tile(5, 2), tile(11, 1)];

/// The tiles that fit an instruction set's registers, the one that is best for large layers first.
pub const fn candidates(isa: Isa) -> &'static [TileSize] {
    match isa {
        Isa::Avx512 => &AVX512,
        Isa::Avx2 => &AVX2,
        Isa::Baseline => &BASELINE,
    }
}

/// Share of the threads' time that a measured tile may leave idle: it was measured on one thread.
const MOST_IDLE: f64 = 0.03;

/// The tile that was measured to be the best, if there is one and it occupies the threads; else that with the least estimated time. For many threads there are smaller ones,
/// too.
pub fn choose(isa: Isa, problem: Problem, measured: Option<TileSize>) -> TileSize {
    let occupies = |size: &TileSize| {
        let alone = estimate(isa, Problem { threads: 1, ..problem }, *size) / problem.threads as f64;
        alone >= (1.0 - MOST_IDLE) * estimate(isa, problem, *size)
    };
    if let Some(size) = measured.filter(|size| candidates(isa).contains(size)).filter(occupies) {
        return size;
    }
    let time = |size: &TileSize| estimate(isa, problem, *size);
    let large = candidates(isa).iter().copied();
    let part = |parts: usize| large.clone().map(move |size| tile(size.pixels.div_ceil(parts), size.columns));
    let sizes = large.clone().chain([2, 3, 4].into_iter().flat_map(part).filter(|_| problem.threads > 1));
    sizes.min_by(|a, b| time(a).total_cmp(&time(b))).expect("every instruction set has tiles")
}

/// Tasks beyond which threads are taken to share the work evenly.
const MANY_TASKS: usize = 1 << 14;

/// Multiply-adds that can start in a cycle, and loads. Zen 4 and some client CPUs start one multiply-add of 512 bits: the tiles that this favours have as many of them there, and fewer loads.
const FMA_PORTS: f64 = 2.0;
/// See [`FMA_PORTS`].
const LOAD_PORTS: f64 = 2.0;

/// Cycles of one input channel and tap over the whole result until the last thread is done, up to a constant factor.
fn estimate(isa: Isa, problem: Problem, size: TileSize) -> f64 {
    let tiles = cut(problem.output, size.pixels);
    let panel = |columns: usize| -> Vec<f64> {
        let columns = columns as f64;
        tiles
            .iter()
            .map(|tile| {
                let pixels = tile.len() as f64;
                let work = pixels * columns / FMA_PORTS;
                // One for a pixel; with 128 bits, one for each multiply-add at every other pixel.
                let broadcasts = match isa {
                    Isa::Avx512 | Isa::Avx2 => pixels,
                    Isa::Baseline => pixels * f64::midpoint(columns, 1.0),
                };
                let loads = (broadcasts + columns) / LOAD_PORTS;
                // Cranelift keeps eight sums in registers, and some of more than that in memory.
                let spills = if isa == Isa::Baseline && pixels * columns > 8.0 { 0.25 * work } else { 0.0 };
                // A sum waits four cycles for its last multiply-add. Weights come from further away than pixels do.
                let weights = 0.25 * columns;
                let call = 40.0 / problem.depth as f64;
                work.max(loads).max(4.0) + spills + weights + call
            })
            .collect()
    };
    let (full, rest) = (problem.vectors / size.columns, problem.vectors % size.columns);
    let (times, last) = (panel(size.columns), if rest > 0 { panel(rest) } else { Vec::new() });
    if problem.threads == 1 || full * tiles.len() > MANY_TASKS {
        return (full as f64 * times.iter().sum::<f64>() + last.iter().sum::<f64>()) / problem.threads as f64;
    }
    grid::makespan(&[times.repeat(full), last].concat(), problem.threads)
}

/// A pixel of the result, as row and column.
pub type Place = [usize; 2];

/// Small results may be cut without regard to rows: every tile then has code of its own.
const MOST_IRREGULAR_TILES: usize = 12;

/// Cuts a result into tiles of at most `pixels` pixels: equal parts of the whole if it is small, whole rows if a tile holds one, else
/// equal parts of rows.
pub fn cut([height, width]: [usize; 2], pixels: usize) -> Vec<Vec<Place>> {
    if (height * width).div_ceil(pixels) <= MOST_IRREGULAR_TILES {
        let places = |part: std::ops::Range<usize>| part.map(|i| [i / width, i % width]).collect();
        return split(height * width, pixels).map(places).collect();
    }
    if width <= pixels {
        let rows = split(height, pixels / width);
        return rows.map(|rows| rows.flat_map(|y| (0..width).map(move |x| [y, x])).collect()).collect();
    }
    (0..height).flat_map(|y| split(width, pixels).map(move |columns| columns.map(|x| [y, x]).collect())).collect()
}

/// Splits `0..len` into the fewest parts of at most `most`, as equal as can be, larger ones first.
fn split(len: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let parts = len.div_ceil(most);
    let (size, larger) = (len / parts, len % parts);
    (0..parts).map(move |i| {
        let start = i * size + i.min(larger);
        start..start + size + usize::from(i < larger)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tile::fits;

    #[test]
    fn covers_every_pixel_once_in_tiles_that_fit() {
        for height in [1, 2, 7, 13] {
            for width in [1, 2, 7, 14, 15, 56, 113] {
                for pixels in [3, 6, 14, 28] {
                    let tiles = cut([height, width], pixels);
                    assert!(tiles.iter().all(|t| !t.is_empty() && t.len() <= pixels));
                    let mut all: Vec<_> = tiles.concat();
                    all.sort_unstable();
                    let expected: Vec<_> = (0..height).flat_map(|y| (0..width).map(move |x| [y, x])).collect();
                    assert_eq!(all, expected, "{height}x{width} in {pixels}");
                }
            }
        }
    }

    #[test]
    fn gives_tiles_that_fit_the_registers() {
        for (isa, vectors) in [(Isa::Baseline, 15), (Isa::Avx2, 15), (Isa::Avx512, 31)] {
            assert!(candidates(isa).iter().all(|t| fits(t.pixels, t.columns, vectors)), "{isa}");
        }
    }

    #[test]
    fn takes_what_was_measured_if_it_occupies_the_threads() {
        let problem = Problem { output: [7, 7], vectors: 32, depth: 4608, threads: 1 };
        let [measured, unknown] = [tile(9, 3), tile(10, 3)];
        assert_eq!(choose(Isa::Avx512, problem, Some(measured)), measured);
        assert_ne!(choose(Isa::Avx512, problem, Some(unknown)), unknown);
        // 6 tiles × 11 panels: some of 64 threads would have two tasks.
        let many = Problem { threads: 64, ..problem };
        assert_ne!(choose(Isa::Avx512, many, Some(measured)), measured);
    }

    #[test]
    fn leaves_few_registers_idle_on_the_layers_of_resnet50() {
        for size in [112, 56, 28, 14, 7] {
            let output = [size, size];
            let tile = choose(Isa::Avx512, Problem { output, vectors: 16, depth: 1024, threads: 1 }, None);
            let tiles = cut(output, tile.pixels);
            let idle = tiles.iter().map(|t| 28 - t.len() * tile.columns).sum::<usize>();
            assert!(
                idle * 8 <= tiles.len() * 28,
                "{size}: {tile:?} leaves {idle} of {} registers idle",
                tiles.len() * 28
            );
        }
    }
}
