//! The smallest arena that there is, for few buffers: what the planner's greedy search is held against.
//!
//! In some best placement every buffer lies at the bottom or on another one that is alive with it: otherwise it could move down. Taken in the order of their offsets, buffers then
//! lie where they fall to if they are dropped one after the other, so that all orders of dropping contain a best one. They are searched depth first; a branch ends where what is still to come
//! cannot fit below the best arena so far, and where an order would drop a buffer below the one before.

use super::{Request, live_sums};

/// Size of the smallest arena. Takes exponential time: some 12 buffers at the most.
pub(crate) fn smallest_arena(requests: &[Request]) -> usize {
    let live = live_sums(requests);
    let lower_bound = live.iter().copied().max().unwrap_or(0);
    let best = requests.iter().map(|request| request.bytes).sum();
    let mut search = Search { requests, lower_bound, best };
    let start = State { waiting: (0..requests.len()).collect(), heights: vec![0; live.len()], live, last: (0, 0) };
    search.drop_each(&start);
    search.best
}

struct Search<'a> {
    requests: &'a [Request],
    lower_bound: usize,
    /// The smallest arena found so far.
    best: usize,
}

#[derive(Clone)]
struct State {
    /// Buffers that were not dropped yet.
    waiting: Vec<usize>,
    /// By step: how high those lie that were dropped.
    heights: Vec<usize>,
    /// By step: bytes of those that are waiting.
    live: Vec<usize>,
    /// Offset and number of the one dropped last. Of buffers at one offset, the first goes first.
    last: (usize, usize),
}

impl Search<'_> {
    fn drop_each(&mut self, state: &State) {
        if state.waiting.is_empty() {
            self.best = state.heights.iter().copied().max().unwrap_or(0);
            return;
        }
        for (place, index) in state.waiting.iter().enumerate() {
            let request = self.requests[*index];
            let life = request.first..=request.last;
            let offset = state.heights[life.clone()].iter().copied().max().unwrap_or(0);
            if (offset, *index) < state.last {
                continue;
            }
            let mut next = state.clone();
            next.waiting.remove(place);
            next.heights[life.clone()].fill(offset + request.bytes);
            next.live[life].iter_mut().for_each(|live| *live -= request.bytes);
            next.last = (offset, *index);
            let least = next.heights.iter().zip(&next.live).map(|(height, live)| height + live).max();
            if least.is_some_and(|least| least < self.best) {
                self.drop_each(&next);
            }
            if self.best == self.lower_bound {
                return;
            }
        }
    }
}
