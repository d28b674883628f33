use super::*;
use fastrand::Rng;
use std::time::Instant;

struct Tetris<'a> {
    requests: &'a [Request],
    heights: Vec<usize>,
    best: usize,
    nodes: usize,
}
impl Tetris<'_> {
    fn drop_rest(&mut self, rest: u32) {
        self.nodes += 1;
        let mut live = self.heights.clone();
        for (i, r) in self.requests.iter().enumerate() {
            if rest >> i & 1 == 1 {
                for h in &mut live[r.first..=r.last] {
                    *h += r.bytes;
                }
            }
        }
        let bound = live.iter().copied().max().unwrap_or(0);
        if bound >= self.best {
            return;
        }
        if rest == 0 {
            self.best = bound;
            return;
        }
        for (i, r) in self.requests.iter().enumerate() {
            if rest >> i & 1 == 0 {
                continue;
            }
            let span = r.first..=r.last;
            let old = self.heights[span.clone()].to_vec();
            let top = old.iter().max().unwrap() + r.bytes;
            self.heights[span.clone()].fill(top);
            self.drop_rest(rest & !(1 << i));
            self.heights[span].copy_from_slice(&old);
        }
    }
}
fn exact(requests: &[Request]) -> (usize, usize) {
    let steps = requests.iter().map(|r| r.last + 1).max().unwrap_or(0);
    let mut t = Tetris { requests, heights: vec![0; steps], best: usize::MAX, nodes: 0 };
    t.drop_rest((1u32 << requests.len()) - 1);
    (t.best, t.nodes)
}

/// Always `full` units alive: what dies is replaced.
fn full(rng: &mut Rng, count: usize, full: usize) -> Vec<Request> {
    let mut rs: Vec<Request> = vec![];
    let mut alive: Vec<usize> = vec![];
    let mut free = full;
    let mut step = 0;
    while rs.len() < count {
        while free > 0 {
            let bytes = if rng.usize(0..3) == 0 { free } else { rng.usize(1..=free) };
            free -= bytes;
            alive.push(rs.len());
            rs.push(Request { bytes: 64 * bytes, first: step, last: usize::MAX });
        }
        step += 1;
        let dies = rng.usize(1..=alive.len());
        for _ in 0..dies {
            let k = rng.usize(0..alive.len());
            let i = alive.swap_remove(k);
            rs[i].last = step - 1;
            free += rs[i].bytes / 64;
        }
    }
    for r in &mut rs {
        r.last = r.last.min(step - 1);
    }
    rs.truncate(count);
    rng.shuffle(&mut rs);
    rs
}

#[test]
fn explore_small() {
    for n in [5, 6, 7, 8, 9, 10, 11, 12] {
        for big in [4, 8, 16, 40] {
            let mut rng = Rng::with_seed(n as u64 * 100 + big as u64);
            let (mut tp, mut te, mut eq, mut above, mut worst, mut nodes, mut wlb) = (0.0, 0.0, 0, 0, 1.0f64, 0, 1f64);
            let sets = std::env::var("SETS").map_or(2000, |s| s.parse().unwrap());
            let mut shown = 0;
            for _ in 0..sets {
                let rs = full(&mut rng, n, big);
                let t = Instant::now();
                let p = place(&rs).unwrap();
                tp += t.elapsed().as_secs_f64();
                let t = Instant::now();
                let (e, k) = exact(&rs);
                te += t.elapsed().as_secs_f64();
                nodes += k;
                assert!(p.arena >= e && e >= p.lower_bound);
                if e > p.lower_bound {
                    above += 1;
                }
                if p.arena == e {
                    eq += 1
                } else if shown < 1 {
                    shown += 1;
                    println!(
                        "{} {e} {:?}",
                        p.arena,
                        rs.iter().map(|r| (r.bytes / 64, r.first, r.last)).collect::<Vec<_>>()
                    );
                }
                worst = worst.max(p.arena as f64 / e as f64);
                wlb = wlb.max(e as f64 / p.lower_bound as f64);
            }
            println!(
                "n {n} big {big}: equal {eq}/{sets}, opt above LB {above} (by {wlb:.3}), worst {worst:.4}, place {tp:.2}s exact {te:.2}s nodes {nodes}"
            );
        }
    }
}
