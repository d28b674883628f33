//! The register tile of convolution and GEMM, written once against [`Emitter`].
//!
//! A tile is some pixels × some vectors of output channels, all held in registers while the loop runs over the input's channel blocks, the
//! taps and the channels of a block. Each step loads the weights' vectors and multiplies them with one broadcast channel of every pixel.

use rnc_plan::kernel::Activation;

use crate::emitter::{Address, Emitter, Lane, Pointer, V};
use crate::taps::{self, Run, Tap};

/// Everything that the code of a tile depends on. Offsets are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Pixels of the result.
    pub pixels: Vec<Pixel>,
    /// Vectors of output channels.
    pub columns: Vec<Column>,
    /// Taps in the order of summation.
    pub taps: Vec<Tap>,
    /// Input channels.
    pub channels: Channels,
    /// Add what [`Pointer::Residual`] points to, laid out like the result, to the first chain's sum.
    pub residual: bool,
    /// Applied last.
    pub activation: Activation,
    /// What to ask for along the way.
    pub ahead: Ahead,
}

/// Weights that a tile asks for before they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ahead {
    /// None.
    Nothing,
    /// This many cache lines from [`Pointer::Extra`] on.
    Lines(usize),
    /// Those of some of the columns, this many bytes ahead of the ones in use.
    Stream {
        /// How far.
        distance: i32,
        /// First column.
        first: usize,
        /// Columns.
        count: usize,
    },
}

/// A pixel's place relative to the tile's pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pixel {
    /// From [`Pointer::X`] to its first tap's first channel.
    pub x: i32,
    /// From [`Pointer::Out`].
    pub out: i32,
}

/// A vector of output channels relative to the tile's pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// From [`Pointer::W`].
    pub w: i32,
    /// From [`Pointer::Out`].
    pub out: i32,
    /// From [`Pointer::Bias`].
    pub bias: i32,
}

/// The loop over input channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channels {
    /// Channels of a full block.
    pub block: usize,
    /// Full blocks.
    pub full: usize,
    /// Channels of the partial block behind them.
    pub rest: usize,
    /// Blocks in a chain, see [`rnc_plan::chain`].
    pub chain: usize,
    /// Bytes from one block of the source to the next.
    pub stride: i32,
    /// Channels of a group if a lane reads nothing but its own, which are those of its block: see [`rnc_plan::weights::lane_group`]. Then they are the block, and X
    /// points to the channel of the tile's first lane.
    pub group: Option<usize>,
    /// Taps of the whole window: a block of weights is `window * channels * 64` bytes.
    pub window: i32,
}

/// Bytes of the weights of one channel and tap for 16 output channels.
const WEIGHT_BYTES: i32 = 64;

/// Bytes of a cache line.
const LINE_BYTES: i32 = 64;

/// Multiply-adds that are laid out without a loop before the loop over the channels of a block is used: more would only make the code longer.
const MAX_UNROLLED: usize = 128;

/// Multiply-adds of a block that are laid out without a loop over the window's rows: what the caches of decoded instructions hold. Longer code runs as fast as it is
/// decoded: the 7×7 layer of ResNet-50 has 1372 for a channel.
const MAX_WITHOUT_ROWS: usize = 1100;

/// Whether a tile's registers fit an emitter: its sums, a vector of weights a column, and two at the least for an activation's bounds.
pub const fn fits(pixels: usize, columns: usize, vectors: usize) -> bool {
    pixels * columns + if columns < 2 { 2 } else { columns } <= vectors
}

/// Writes the leaf of a tile.
pub fn write(tile: &Tile, emitter: &mut dyn Emitter) {
    assert!(
        fits(tile.pixels.len(), tile.columns.len(), emitter.vectors()),
        "the tile needs more registers than there are"
    );
    let mut writer = Writer { tile, emitter, x: 0, w: 0 };
    writer.start();
    writer.sum();
    writer.end();
}

/// A loop around tiles. Steps are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repeat {
    /// Iterations.
    pub count: usize,
    /// How far X moves from one iteration to the next.
    pub x: i32,
    /// How far W moves.
    pub w: i32,
    /// How far the result moves.
    pub out: i32,
}

/// Writes a leaf that computes several tiles, which share X and W, again and again.
pub fn write_repeated(tiles: &[Tile], repeat: Repeat, emitter: &mut dyn Emitter) {
    emitter.begin_loop(repeat.count);
    for tile in tiles {
        write(tile, emitter);
        let Channels { block, full, rest, stride, window, .. } = tile.channels;
        let blocks = full as i32 + i32::from(rest > 0);
        emitter.advance(Pointer::X, -blocks * stride);
        emitter.advance(Pointer::W, -((full * block + rest) as i32 * window * WEIGHT_BYTES));
    }
    emitter.advance(Pointer::X, repeat.x);
    emitter.advance(Pointer::W, repeat.w);
    emitter.advance(Pointer::Out, repeat.out);
    emitter.end_loop();
}

struct Writer<'a> {
    tile: &'a Tile,
    emitter: &'a mut dyn Emitter,
    /// How far X and W have been advanced since the block began.
    x: i32,
    w: i32,
}

impl<'a> Writer<'a> {
    fn sum_register(&self, pixel: usize, column: usize) -> V {
        V(pixel * self.tile.columns.len() + column)
    }

    fn weight_register(&self, column: usize) -> V {
        V(self.tile.pixels.len() * self.tile.columns.len() + column)
    }

    fn start(&mut self) {
        for (j, column) in self.tile.columns.iter().enumerate() {
            self.emitter.load(self.sum_register(0, j), Address::new(Pointer::Bias, column.bias));
        }
        for i in 1..self.tile.pixels.len() {
            for j in 0..self.tile.columns.len() {
                self.emitter.copy(self.sum_register(i, j), self.sum_register(0, j));
            }
        }
    }

    /// The chains one by one. What those before came to waits in the result's memory; the last one leaves the whole in the registers.
    fn sum(&mut self) {
        let Channels { full, rest, chain, .. } = self.tile.channels;
        let blocks = full + usize::from(rest > 0);
        if blocks <= chain {
            self.blocks(full, rest);
            self.add_residual();
            return;
        }
        self.blocks(chain, 0);
        self.add_residual();
        self.store();
        let (whole, left) = (full / chain - 1, full % chain);
        self.repeat(whole, |writer| {
            writer.chain(chain, 0);
            writer.store();
        });
        if left > 0 || rest > 0 {
            self.chain(left, rest);
        }
    }

    /// A chain behind the first.
    fn chain(&mut self, full: usize, rest: usize) {
        let zero = self.sum_register(0, 0);
        self.emitter.splat(zero, 0.0);
        self.each(|emitter, sum, _| {
            if sum != zero {
                emitter.copy(sum, zero);
            }
        });
        self.blocks(full, rest);
        self.each(|emitter, sum, out| emitter.add(sum, Address::new(Pointer::Out, out)));
    }

    /// Adds the products of so many blocks, and of the partial one if it has channels.
    fn blocks(&mut self, full: usize, rest: usize) {
        self.repeat(full, |writer| writer.block(writer.tile.channels.block));
        if rest > 0 {
            self.block(rest);
        }
    }

    /// Writes what is done so many times: nothing for none, no loop for one.
    fn repeat(&mut self, count: usize, body: impl FnOnce(&mut Self)) {
        if count > 1 {
            self.emitter.begin_loop(count);
        }
        if count > 0 {
            body(self);
        }
        if count > 1 {
            self.emitter.end_loop();
        }
    }

    /// All taps of one channel block; leaves X and W at the next block.
    fn block(&mut self, channels: usize) {
        let steps = self.steps_per_iteration(channels);
        for run in self.runs(steps) {
            let weights = channels as i32 * WEIGHT_BYTES;
            self.advance_w(run.taps.first().map_or(0, |tap| tap.index) * weights);
            let [x, w] = [self.x, self.w];
            self.repeat(run.count, |writer| {
                for tap in run.taps {
                    writer.tap(tap, channels, steps);
                }
                if run.count > 1 {
                    writer.advance_x(x + run.x);
                    writer.advance_w(w + run.index * weights);
                }
            });
            if run.count > 1 {
                // Back to the last row: one beyond it may be out of an offset's reach.
                self.emitter.advance(Pointer::X, -run.x);
                self.emitter.advance(Pointer::W, -run.index * weights);
                let last = run.count as i32 - 1;
                (self.x, self.w) = (x + last * run.x, w + last * run.index * weights);
            }
        }
        self.advance_x(self.tile.channels.stride);
        self.advance_w(self.tile.channels.window * channels as i32 * WEIGHT_BYTES);
        (self.x, self.w) = (0, 0);
    }

    /// All channels of a tap.
    fn tap(&mut self, tap: &Tap, channels: usize, steps: usize) {
        self.advance_w(tap.index * channels as i32 * WEIGHT_BYTES);
        let iterations = channels / steps;
        let lines = self.lines_per_iteration(iterations);
        self.repeat(iterations, |writer| {
            for step in 0..steps {
                writer.step(tap, step as i32);
                for line in lines * step / steps..lines * (step + 1) / steps {
                    writer.emitter.prefetch(Address::new(Pointer::Extra, line as i32 * LINE_BYTES));
                }
                writer.ask_ahead(step as i32);
            }
            writer.emitter.advance(Pointer::Extra, lines as i32 * LINE_BYTES);
            if iterations > 1 {
                writer.emitter.advance(Pointer::X, 4 * steps as i32);
                writer.emitter.advance(Pointer::W, WEIGHT_BYTES * steps as i32);
            }
        });
        if iterations > 1 {
            self.x += 4 * channels as i32;
            self.w += WEIGHT_BYTES * channels as i32;
        }
    }

    /// Channels that an iteration of the innermost loop handles: all of the block's if the code stays small, else a divisor.
    fn steps_per_iteration(&self, channels: usize) -> usize {
        let work = self.tile.taps.len() * self.tile.pixels.len() * self.tile.columns.len();
        (1..=channels)
            .rev()
            .filter(|steps| channels.is_multiple_of(*steps))
            .find(|steps| work * steps <= MAX_UNROLLED || *steps <= 4)
            .unwrap_or(1)
    }

    /// Asks for the weights that stream in for a step.
    fn ask_ahead(&mut self, step: i32) {
        if let Ahead::Stream { distance, first, count } = self.tile.ahead {
            for column in &self.tile.columns[first..first + count] {
                self.emitter.prefetch(Address::new(Pointer::W, column.w + step * WEIGHT_BYTES + distance));
            }
        }
    }

    /// The taps, as a loop over rows of them if the code would be long without.
    fn runs(&self, steps: usize) -> Vec<Run<'a>> {
        let taps = &self.tile.taps;
        if taps.len() * steps * self.tile.pixels.len() * self.tile.columns.len() > MAX_WITHOUT_ROWS {
            return taps::runs(taps);
        }
        vec![Run { taps, count: 1, x: 0, index: 0 }]
    }

    /// Spreads the lines to ask for evenly over all full blocks, taps and iterations.
    fn lines_per_iteration(&self, iterations: usize) -> usize {
        let Ahead::Lines(lines) = self.tile.ahead else { return 0 };
        lines.div_ceil((self.tile.channels.full * self.tile.taps.len() * iterations).max(1))
    }

    fn advance_x(&mut self, target: i32) {
        self.emitter.advance(Pointer::X, target - self.x);
        self.x = target;
    }

    fn advance_w(&mut self, target: i32) {
        self.emitter.advance(Pointer::W, target - self.w);
        self.w = target;
    }

    /// One channel of one tap: `sum[pixel][column] += x[pixel] * w[column]`.
    fn step(&mut self, tap: &Tap, step: i32) {
        let columns = self.tile.columns.len();
        let weights: Vec<V> = (0..columns).map(|j| self.weight_register(j)).collect();
        for (column, register) in self.tile.columns.iter().zip(&weights) {
            self.emitter.load(*register, Address::new(Pointer::W, column.w + step * WEIGHT_BYTES));
        }
        let inside = self.tile.pixels.iter().zip(&tap.inside).enumerate().filter(|(_, (_, inside))| **inside);
        for (i, (pixel, _)) in inside {
            let sums: Vec<V> = (0..columns).map(|j| self.sum_register(i, j)).collect();
            let x = pixel.x + tap.x - self.x;
            if let Some(channels) = self.tile.channels.group {
                for ((sum, weights), column) in sums.into_iter().zip(&weights).zip(&self.tile.columns) {
                    let from = Address::new(Pointer::X, x + column.bias);
                    self.emitter.multiply_add_grouped(sum, *weights, from, Lane { channels, channel: step as usize });
                }
            } else {
                self.emitter.multiply_add(&sums, &weights, Address::new(Pointer::X, x + step * 4));
            }
        }
    }

    /// Does something to every sum, whose offset from the result's pointer it is given.
    fn each(&mut self, mut act: impl FnMut(&mut dyn Emitter, V, i32)) {
        for (i, pixel) in self.tile.pixels.iter().enumerate() {
            for (j, column) in self.tile.columns.iter().enumerate() {
                let sum = self.sum_register(i, j);
                act(self.emitter, sum, pixel.out + column.out);
            }
        }
    }

    fn add_residual(&mut self) {
        if self.tile.residual {
            self.each(|emitter, sum, out| emitter.add(sum, Address::new(Pointer::Residual, out)));
        }
    }

    fn store(&mut self) {
        self.each(|emitter, sum, out| emitter.store(Address::new(Pointer::Out, out), sum));
    }

    /// Activation and store. The weights' registers are free by now.
    fn end(&mut self) {
        let (low, high) = self.bounds();
        self.each(|emitter, sum, out| {
            if let Some(low) = low {
                emitter.at_least(sum, low);
            }
            if let Some(high) = high {
                emitter.at_most(sum, high);
            }
            emitter.store(Address::new(Pointer::Out, out), sum);
        });
    }

    /// Loads the activation's bounds. See [`fits`].
    fn bounds(&mut self) -> (Option<V>, Option<V>) {
        let low = self.weight_register(0);
        match self.tile.activation {
            Activation::None => (None, None),
            Activation::Relu => {
                self.emitter.splat(low, 0.0);
                (Some(low), None)
            }
            Activation::Clip { min, max } => {
                let high = V(low.0 + 1);
                self.emitter.splat(low, min.get());
                self.emitter.splat(high, max.get());
                (Some(low), Some(high))
            }
        }
    }
}
