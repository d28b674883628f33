//! The taps of a window, and which of them a loop can go over.

/// One tap of the window. Offsets are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tap {
    /// From a pixel's first tap.
    pub x: i32,
    /// Index of the tap among all of the window's, those left out included.
    pub index: i32,
    /// For each pixel, whether the tap lies inside of the source.
    pub inside: Vec<bool>,
}

/// Taps, and how often they come at equal distances: a row of the window, and how many rows there are like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// What comes again and again.
    pub taps: &'a [Tap],
    /// How often.
    pub count: usize,
    /// From one to the next, in bytes of the source.
    pub x: i32,
    /// From one to the next, in taps of the window.
    pub index: i32,
}

/// Longest row that is looked for.
const LONGEST_ROW: usize = 64;

/// All taps, in order, as runs: each is the longest that begins where it does, of the shortest row that makes it.
pub fn runs(taps: &[Tap]) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    let mut rest = taps;
    while !rest.is_empty() {
        let rows = (1..=LONGEST_ROW.min(rest.len())).map(|len| run(rest, len));
        let best = rows.reduce(|best, next| if next.all() > best.all() { next } else { best }).expect("there is a tap");
        runs.push(best);
        rest = &rest[best.all()..];
    }
    runs
}

/// The run of the first `len` taps. One that comes once has no use of more than a tap.
fn run(taps: &[Tap], len: usize) -> Run<'_> {
    let row = &taps[..len];
    let Some(second) = taps.get(len) else { return Run { taps: &row[..1], count: 1, x: 0, index: 0 } };
    let (x, index) = (second.x - row[0].x, second.index - row[0].index);
    let like = |(number, other): &(usize, &[Tap])| {
        let at = |first: i32, step: i32| i64::from(first) + *number as i64 * i64::from(step);
        let same = |a: &Tap, b: &Tap| {
            at(a.x, x) == i64::from(b.x) && at(a.index, index) == i64::from(b.index) && a.inside == b.inside
        };
        row.iter().zip(*other).all(|(a, b)| same(a, b))
    };
    let count = taps.chunks_exact(len).enumerate().take_while(like).count();
    if count == 1 { Run { taps: &row[..1], count, x: 0, index: 0 } } else { Run { taps: row, count, x, index } }
}

impl Run<'_> {
    /// Taps in all.
    pub const fn all(&self) -> usize {
        self.taps.len() * self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The taps of these rows and columns of a window of 5 × 5 on an image whose rows are 100 bytes apart; two pixels, one of which may lie outside.
    fn taps(rows: std::ops::Range<i32>, columns: std::ops::Range<i32>, outside: [i32; 2]) -> Vec<Tap> {
        let at = |row| columns.clone().map(move |column| [row, column]);
        let tap = |[row, column]: [i32; 2]| Tap {
            x: row * 100 + column * 4,
            index: row * 5 + column,
            inside: vec![true, [row, column] != outside],
        };
        rows.flat_map(at).map(tap).collect()
    }

    const NOWHERE: [i32; 2] = [-1, -1];

    #[test]
    fn a_window_is_a_run_of_its_rows() {
        let window = taps(1..5, 0..4, NOWHERE);
        assert_eq!(runs(&window), [Run { taps: &window[..4], count: 4, x: 100, index: 5 }]);
    }

    #[test]
    fn a_row_is_a_run_of_its_taps() {
        let row = taps(2..3, 0..5, NOWHERE);
        assert_eq!(runs(&row), [Run { taps: &row[..1], count: 5, x: 4, index: 1 }]);
    }

    #[test]
    fn a_tap_on_padding_stands_alone_and_a_row_may_begin_anywhere() {
        let window = taps(0..5, 0..5, [0, 2]);
        let found: Vec<_> = runs(&window).iter().map(|run| (run.taps.len(), run.count)).collect();
        assert_eq!(found, [(1, 2), (1, 1), (5, 4), (1, 2)]);
    }

    #[test]
    fn runs_cover_every_tap_once_and_in_order() {
        for outside in [NOWHERE, [0, 0], [0, 4], [2, 2], [4, 4]] {
            for (rows, columns) in [(0..5, 0..5), (0..1, 0..1), (0..2, 1..4), (3..5, 4..5)] {
                let window = taps(rows, columns, outside);
                let one = |run: &Run<'_>, number: i32, tap: &Tap| Tap {
                    x: tap.x + number * run.x,
                    index: tap.index + number * run.index,
                    inside: tap.inside.clone(),
                };
                let all = runs(&window).into_iter().flat_map(|run| {
                    (0..run.count as i32).flat_map(move |number| run.taps.iter().map(move |tap| one(&run, number, tap)))
                });
                assert_eq!(all.collect::<Vec<_>>(), window);
            }
        }
    }
}
