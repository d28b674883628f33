//! Winograd's minimal filtering: what the transforms of a [`Winograd`](crate::kernel::Winograd) step are.
//!
//! F(m×m, 3×3) computes `m×m` results of a 3×3 convolution from a patch of `(m+2)×(m+2)` pixels by one product a position instead of nine
//! a result: `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` (A. Lavin, S. Gray, *Fast Algorithms for Convolutional Neural Networks*, 2015). Summed over channels,
//! each position is a matrix product.
//!
//! F(4) interpolates at 0, ±√½, ±√2 and ∞: as many operations as the usual 0, ±1, ±2, ∞ for half of the error. F(2) uses 0, ±1 and ∞.
//!
//! A convolution with stride 2 falls into two along each axis: the first and the last tap see every other pixel with stride 1, the middle one sees
//! the pixels between them. The former is F(m) with the taps `(0, w0, w2)`, in which the point 0 has nothing to do; the latter is `m` products
//! with one weight. Together they take `2m+1` positions an axis for the `3m` multiplications of the direct way.

/// The interpolation points of F(4) besides 0 and ∞ are `±A` and `±B`.
pub const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// See [`A`].
pub const B: f64 = std::f64::consts::SQRT_2;

/// One of the algorithms: results per axis and stride. Both axes are treated alike.
///
/// Along an axis, a patch of pixels becomes as many positions; positions are multiplied with *points*, which is what the three weights become. With
/// stride 1 every position has a point of its own; with stride 2 the last point is shared by the last `tile` positions, which are the pixels
/// that only the middle weight sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filtering {
    tile: usize,
    stride: usize,
}

impl Filtering {
    /// F(tile×tile, 3×3) with a stride. `None` unless the tile is 2 or 4 and the stride 1 or 2.
    pub const fn new(tile: usize, stride: usize) -> Option<Self> {
        if matches!((tile, stride), (2 | 4, 1 | 2)) { Some(Self { tile, stride }) } else { None }
    }

    /// Results of a tile along an axis.
    pub const fn tile(self) -> usize {
        self.tile
    }

    /// Pixels from one result's window to the next.
    pub const fn stride(self) -> usize {
        self.stride
    }

    /// Pixels of a patch along an axis, and as many positions.
    pub const fn positions(self) -> usize {
        self.stride * (self.tile - 1) + 3
    }

    /// Points along an axis: what three weights become.
    pub const fn points(self) -> usize {
        self.tile + 2
    }

    /// Positions that are sums of pixels; those behind them are pixels.
    pub const fn mixed(self) -> usize {
        if self.stride == 1 { self.tile + 2 } else { self.tile + 1 }
    }

    /// Positions along an axis that are multiplied with a point.
    pub const fn copies(self, point: usize) -> usize {
        if self.stride == 2 && point == self.tile + 1 { self.tile } else { 1 }
    }

    /// Rows of G: what three weights in a row become. One row a point.
    pub fn weight_transform(self) -> Vec<[f64; 3]> {
        let rows = weight_transform(self.tile);
        if self.stride == 1 {
            return rows;
        }
        let even = rows[1..].iter().map(|row| [row[1], 0.0, row[2]]);
        even.chain([[0.0, 1.0, 0.0]]).collect()
    }

    /// Rows of Bᵀ: what the pixels of a patch in a row become. One row a position.
    pub fn data_transform(self) -> Vec<Vec<f64>> {
        let rows = data_transform(self.tile);
        if self.stride == 1 {
            return rows;
        }
        let row = |element: &dyn Fn(usize) -> f64| (0..self.positions()).map(element).collect();
        let even = rows[1..].iter().map(|even| row(&|i| if i % 2 == 0 { even[i / 2 + 1] } else { 0.0 }));
        even.chain((0..self.tile).map(|copy| row(&|i| if i == 2 * copy + 1 { 1.0 } else { 0.0 }))).collect()
    }

    /// Rows of Aᵀ: how the results in a row are made of the products.
    pub fn result_transform(self) -> Vec<Vec<f64>> {
        let rows = result_transform(self.tile);
        if self.stride == 1 {
            return rows;
        }
        let odd = |y: usize| (0..self.tile).map(move |copy| if copy == y { 1.0 } else { 0.0 });
        rows.iter().enumerate().map(|(y, row)| row[1..].iter().copied().chain(odd(y)).collect()).collect()
    }

    /// Transforms a patch of pixels, row by row, into its positions: the columns first, then the rows. The operations are those of the kernels, so the bits
    /// are, too.
    pub fn positions_of(self, patch: &[f32]) -> Vec<f32> {
        let size = self.positions();
        in_two_dimensions(patch, [size, size], |row| self.mix(row))
    }

    /// Transforms products, row by row, into results: the columns first, then the rows. The operations are those of the kernels.
    pub fn results_of(self, products: &[f32]) -> Vec<f32> {
        in_two_dimensions(products, [self.positions(), self.tile], |row| self.merge(row))
    }

    fn mix(self, d: &[f32]) -> Vec<f32> {
        if self.stride == 2 {
            // The taps (0, w0, w2) on every other pixel, then the pixels between them.
            let even: Vec<f32> = std::iter::once(0.0).chain(d.iter().copied().step_by(2)).collect();
            let mixed = Self { stride: 1, ..self }.mix(&even);
            return mixed[1..].iter().chain(d[1..].iter().step_by(2)).copied().collect();
        }
        if self.tile == 2 {
            return vec![d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]];
        }
        let [product, sum] = [A * A * B * B, -(A * A + B * B)].map(|factor| factor as f32);
        let end = |far: f32, middle: f32, near: f32| near.mul_add(product, middle.mul_add(sum, far));
        let pair = |square: f64, point: f64| {
            let [square, point] = [-square as f32, point as f32];
            let (even, odd) = (d[2].mul_add(square, d[4]), d[1].mul_add(square, d[3]));
            [odd.mul_add(point, even), odd.mul_add(-point, even)]
        };
        let ([r1, r2], [r3, r4]) = (pair(B * B, A), pair(A * A, B));
        vec![end(d[4], d[2], d[0]), r1, r2, r3, r4, end(d[5], d[3], d[1])]
    }

    fn merge(self, d: &[f32]) -> Vec<f32> {
        if self.stride == 2 {
            let (mixed, copied) = d.split_at(self.mixed());
            let results = Self { stride: 1, ..self }.merge(&[&copied[..1], mixed].concat());
            let add = |(i, (y, copy)): (usize, (&f32, &f32))| if i == 0 { *y } else { y + copy };
            return results.iter().zip(copied).enumerate().map(add).collect();
        }
        let (sum_a, difference_a) = (d[1] + d[2], d[1] - d[2]);
        if self.tile == 2 {
            return vec![d[0] + sum_a, difference_a + d[3]];
        }
        let (sum_b, difference_b) = (d[3] + d[4], d[3] - d[4]);
        let [a, b, a2, b2, a3, b3] = [A, B, A * A, B * B, A * A * A, B * B * B].map(|factor| factor as f32);
        vec![
            d[0] + sum_a + sum_b,
            difference_b.mul_add(b, difference_a * a),
            sum_b.mul_add(b2, sum_a * a2),
            difference_b.mul_add(b3, difference_a.mul_add(a3, d[5])),
        ]
    }

    /// The point of a position.
    pub const fn point(self, position: usize) -> usize {
        if position < self.mixed() { position } else { self.tile + 1 }
    }
}

/// Transforms the columns of a `from × from` matrix, then the rows of the result, giving `to × to`.
fn in_two_dimensions(matrix: &[f32], [from, to]: [usize; 2], one: impl Fn(&[f32]) -> Vec<f32>) -> Vec<f32> {
    let columns: Vec<Vec<f32>> =
        (0..from).map(|x| one(&(0..from).map(|y| matrix[y * from + x]).collect::<Vec<_>>())).collect();
    (0..to).flat_map(|y| one(&columns.iter().map(|column| column[y]).collect::<Vec<_>>())).collect()
}

/// Rows of G: what three weights in a row become. One row a position, so `m + 2`.
fn weight_transform(m: usize) -> Vec<[f64; 3]> {
    match m {
        2 => vec![[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
        4 => {
            let scale = |x: f64, y: f64| 1.0 / (2.0 * x * x * (x * x - y * y));
            let row = |x: f64, scale: f64| [scale, scale * x, scale * x * x];
            let (at_a, at_b) = (scale(A, B), scale(B, A));
            let at_zero = 1.0 / (A * A * B * B);
            vec![[at_zero, 0.0, 0.0], row(A, at_a), row(-A, at_a), row(B, at_b), row(-B, at_b), [0.0, 0.0, 1.0]]
        }
        _ => unreachable!("there is no F({m})"),
    }
}

/// Rows of Bᵀ: what `m + 2` pixels in a row become. One row a position.
fn data_transform(m: usize) -> Vec<Vec<f64>> {
    let (p, s) = (A * A * B * B, A * A + B * B);
    match m {
        2 => vec![
            vec![1.0, 0.0, -1.0, 0.0],
            vec![0.0, 1.0, 1.0, 0.0],
            vec![0.0, -1.0, 1.0, 0.0],
            vec![0.0, -1.0, 0.0, 1.0],
        ],
        4 => {
            let row = |x: f64, y: f64| vec![0.0, -x * y * y, -y * y, x, 1.0, 0.0];
            let (zero, infinity) = (vec![p, 0.0, -s, 0.0, 1.0, 0.0], vec![0.0, p, 0.0, -s, 0.0, 1.0]);
            vec![zero, row(A, B), row(-A, B), row(B, A), row(-B, A), infinity]
        }
        _ => unreachable!("there is no F({m})"),
    }
}

/// Rows of Aᵀ: how `m` results in a row are made of `m + 2` products.
fn result_transform(m: usize) -> Vec<Vec<f64>> {
    match m {
        2 => vec![vec![1.0, 1.0, 1.0, 0.0], vec![0.0, 1.0, -1.0, 1.0]],
        4 => (0..4)
            .map(|power| {
                let at = |x: f64| x.powi(power);
                vec![at(0.0), at(A), at(-A), at(B), at(-B), if power == 3 { 1.0 } else { 0.0 }]
            })
            .collect(),
        _ => unreachable!("there is no F({m})"),
    }
}

/// Transforms 3×3 filters.
pub struct WeightTransform {
    g: Vec<[f64; 3]>,
}

impl WeightTransform {
    /// The transform of an algorithm.
    pub fn new(filtering: Filtering) -> Self {
        Self { g: filtering.weight_transform() }
    }

    /// Calls `put` with each pair of points, row by row, and its value of `G g Gᵀ` for a row-major filter `g`, computed in f64 and rounded once.
    pub fn apply(&self, filter: &[f32; 9], mut put: impl FnMut(usize, f32)) {
        let filter = filter.map(f64::from);
        for (i, by) in self.g.iter().enumerate() {
            let row: [f64; 3] =
                std::array::from_fn(|x| by[0] * filter[x] + by[1] * filter[3 + x] + by[2] * filter[6 + x]);
            for (j, by) in self.g.iter().enumerate() {
                put(i * self.g.len() + j, (by[0] * row[0] + by[1] * row[1] + by[2] * row[2]) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Filtering> {
        [(2, 1), (4, 1), (2, 2), (4, 2)].into_iter().filter_map(|(tile, stride)| Filtering::new(tile, stride))
    }

    #[test]
    fn filters_in_one_dimension_as_a_convolution_does() {
        for f in all() {
            let (data, result, g) = (f.data_transform(), f.result_transform(), f.weight_transform());
            let weights = [0.3, -1.7, 0.9];
            let pixels: Vec<f64> = (0..f.positions()).map(|i| (i as f64 * 1.3).sin()).collect();
            let product: Vec<f64> = (0..f.positions())
                .map(|p| {
                    let u: f64 = (0..3).map(|i| g[f.point(p)][i] * weights[i]).sum();
                    let v: f64 = (0..f.positions()).map(|i| data[p][i] * pixels[i]).sum();
                    u * v
                })
                .collect();
            for y in 0..f.tile() {
                let found: f64 = (0..f.positions()).map(|p| result[y][p] * product[p]).sum();
                let expected: f64 = (0..3).map(|i| weights[i] * pixels[y * f.stride() + i]).sum();
                assert!((found - expected).abs() < 1e-12, "{f:?}, result {y}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn every_position_is_a_copy_of_one_point() {
        for f in all() {
            for point in 0..f.points() {
                let positions = (0..f.positions()).filter(|p| f.point(*p) == point).count();
                assert_eq!(positions, f.copies(point), "{f:?}, point {point}");
            }
        }
    }

    #[test]
    fn transforms_a_filter_by_rows_and_columns() {
        let mut filter = [0.0; 9];
        filter[4] = 1.0;
        for f in all() {
            let g = f.weight_transform();
            WeightTransform::new(f).apply(&filter, |place, value| {
                let expected = g[place / f.points()][1] * g[place % f.points()][1];
                // The value has been rounded to f32, once.
                assert!((f64::from(value) - expected).abs() <= expected.abs() * 6e-8, "{f:?}, {place}");
            });
        }
    }
}
