//! How evenly a kernel's tasks spread over threads.
//!
//! A run gives each thread a range of consecutive tasks, as many as the others or one more (`rnc-runtime/src/run.rs`). A cut into few large tasks is the fastest
//! on one thread and leaves others idle on many: kernels compare the time until the last thread is done.

/// Consecutive tasks of thread `thread` of `threads`.
fn range(tasks: usize, thread: usize, threads: usize) -> std::ops::Range<usize> {
    tasks * thread / threads..tasks * (thread + 1) / threads
}

/// The time until the last of so many threads is done with tasks that take these times.
pub fn makespan(times: &[f64], threads: usize) -> f64 {
    if threads == 1 {
        return times.iter().sum();
    }
    let spread = (0..threads).map(|thread| times[range(times.len(), thread, threads)].iter().sum());
    spread.fold(0.0, f64::max)
}

/// Work that is cut into blocks of rows: a task is one block with one of the `outputs` panels of output channels, block by block, and whoever has a task of a block
/// transforms its rows first.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    /// How often all of the work is there, one after the other.
    pub copies: usize,
    /// Rows.
    pub rows: usize,
    /// Most rows in a block.
    pub most: usize,
    /// Panels of output channels.
    pub outputs: usize,
    /// Multiply-adds that one row takes with one panel, and what its transform takes.
    pub products: f64,
    /// See `products`.
    pub transform: f64,
}

/// Rows below which a block takes as long as with so many: a sum waits four cycles for its last multiply-add. Weights from the second- or third-level cache keep up
/// with that: ResNet-50's layers take 1 to 5 % longer with four rows than with 28 (one thread of a Zen 4; 15 % for the 16 MB of a 7×7 layer by F(2×2)).
const LEAST_ROWS: f64 = 4.0;

/// What the products of a block take beside those of its rows, in rows: weights come from further away the more often they come. See [`LEAST_ROWS`].
const WEIGHT_ROWS: f64 = 0.15;

/// More blocks than these times the fewest are not looked at, and not more than so many numbers of blocks: where the fewest are many, they spread well enough.
const MOST_CUTS: usize = 8;
/// See [`MOST_CUTS`].
const MOST_COUNTS: usize = 256;

impl Blocks {
    /// The number of blocks with which so many threads are done first; the fewest that do.
    pub fn count(&self, threads: usize) -> usize {
        let fewest = self.rows.div_ceil(self.most);
        if threads == 1 {
            return fewest;
        }
        let counts = (fewest..=self.rows.min(fewest * MOST_CUTS)).take(MOST_COUNTS);
        let times = counts.map(|count| (count, self.time(count, threads)));
        // A gain of less than a percent is not worth the smaller blocks.
        let better = |best: (usize, f64), next: (usize, f64)| if next.1 < best.1 * 0.99 { next } else { best };
        times.reduce(better).map_or(1, |(count, _)| count)
    }

    /// Rows of a block.
    pub fn block(&self, index: usize, count: usize) -> std::ops::Range<usize> {
        self.rows * index / count..self.rows * (index + 1) / count
    }

    /// The time until the last of so many threads is done with so many blocks, in multiply-adds.
    pub fn time(&self, count: usize, threads: usize) -> f64 {
        let thread = |thread: usize| {
            let tasks = range(self.copies * count * self.outputs, thread, threads);
            let blocks = tasks.start / self.outputs..tasks.end.div_ceil(self.outputs);
            let time = |block: usize| {
                let rows = self.block(block % count, count).len() as f64;
                let shared = tasks.end.min((block + 1) * self.outputs) - tasks.start.max(block * self.outputs);
                shared as f64 * (rows.max(LEAST_ROWS) + WEIGHT_ROWS) * self.products + rows * self.transform
            };
            // Without tasks there is nothing to do.
            if tasks.is_empty() { 0.0 } else { blocks.map(time).sum() }
        };
        (0..threads).map(thread).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_all_tasks_and_differ_by_one_at_the_most() {
        for (tasks, threads) in [(1, 3), (7, 3), (64, 64), (100, 7)] {
            let ranges: Vec<_> = (0..threads).map(|thread| range(tasks, thread, threads)).collect();
            assert_eq!(ranges.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..tasks).collect::<Vec<_>>());
            let sizes = ranges.iter().map(ExactSizeIterator::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "whole numbers are exact")]
    fn the_last_thread_counts() {
        assert_eq!(makespan(&[1.0, 2.0, 3.0, 4.0], 1), 10.0);
        assert_eq!(makespan(&[1.0, 2.0, 3.0, 4.0], 2), 7.0);
        assert_eq!(makespan(&[1.0, 2.0], 5), 2.0);
    }

    #[test]
    fn one_thread_has_the_fewest_blocks_and_many_threads_have_more() {
        // 28×28 with 128 channels by F(4×4): 49 tiles, of which 28 fill the registers.
        let blocks =
            Blocks { copies: 1, rows: 49, most: 28, outputs: 8, products: 36.0 * 128.0, transform: 36.0 * 8.0 * 5.0 };
        assert_eq!(blocks.count(1), 2);
        assert_eq!(blocks.count(2), 2);
        for threads in [3, 5, 8, 16] {
            let count = blocks.count(threads);
            assert!(blocks.time(count, threads) <= blocks.time(2, threads), "{threads}: {count}");
            assert!((count * 8).is_multiple_of(threads) || count * 8 > 2 * threads, "{threads}: {count}");
        }
    }
}
