//! Winograd's minimal filtering: what the transforms of a [`Winograd`](crate::kernel::Winograd) step are.
//!
//! F(m×m, 3×3) computes `m×m` results of a 3×3 convolution from a patch of `(m+2)×(m+2)` pixels by one product a position instead of nine
//! a result: `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` (A. Lavin, S. Gray, *Fast Algorithms for Convolutional Neural Networks*, 2015). Summed over channels,
//! each position is a matrix product.
//!
//! F(4) interpolates at 0, ±√½, ±√2 and ∞: as many operations as the usual 0, ±1, ±2, ∞ for half of the error. F(2) uses 0, ±1 and ∞.

/// The interpolation points of F(4) besides 0 and ∞ are `±A` and `±B`.
pub const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// See [`A`].
pub const B: f64 = std::f64::consts::SQRT_2;

/// Rows of G: what three weights in a row become. One row a position, so `m + 2`.
///
/// # Panics
/// Unless `m` is 2 or 4.
pub fn weight_transform(m: usize) -> Vec<[f64; 3]> {
    match m {
        2 => vec![[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
        4 => {
            let scale = |x: f64, y: f64| 1.0 / (2.0 * x * x * (x * x - y * y));
            let row = |x: f64, scale: f64| [scale, scale * x, scale * x * x];
            let (at_a, at_b) = (scale(A, B), scale(B, A));
            let at_zero = 1.0 / (A * A * B * B);
            vec![[at_zero, 0.0, 0.0], row(A, at_a), row(-A, at_a), row(B, at_b), row(-B, at_b), [0.0, 0.0, 1.0]]
        }
        _ => panic!("there is no F({m})"),
    }
}

/// Rows of Bᵀ: what `m + 2` pixels in a row become. One row a position.
///
/// # Panics
/// Unless `m` is 2 or 4.
pub fn data_transform(m: usize) -> Vec<Vec<f64>> {
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
        _ => panic!("there is no F({m})"),
    }
}

/// Rows of Aᵀ: how `m` results in a row are made of `m + 2` products.
///
/// # Panics
/// Unless `m` is 2 or 4.
pub fn result_transform(m: usize) -> Vec<Vec<f64>> {
    match m {
        2 => vec![vec![1.0, 1.0, 1.0, 0.0], vec![0.0, 1.0, -1.0, 1.0]],
        4 => (0..4)
            .map(|power| {
                let at = |x: f64| x.powi(power);
                vec![at(0.0), at(A), at(-A), at(B), at(-B), if power == 3 { 1.0 } else { 0.0 }]
            })
            .collect(),
        _ => panic!("there is no F({m})"),
    }
}

/// Transforms 3×3 filters.
pub struct WeightTransform {
    g: Vec<[f64; 3]>,
}

impl WeightTransform {
    /// The transform of F(m).
    ///
    /// # Panics
    /// Unless `m` is 2 or 4.
    pub fn new(m: usize) -> Self {
        Self { g: weight_transform(m) }
    }

    /// Calls `put` with each position, row by row, and its value of `G g Gᵀ` for a row-major filter `g`, computed in f64 and rounded once.
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

    #[test]
    fn filters_in_one_dimension_as_a_convolution_does() {
        for m in [2, 4] {
            let (data, result) = (data_transform(m), result_transform(m));
            let g = weight_transform(m);
            let weights = [0.3, -1.7, 0.9];
            let pixels: Vec<f64> = (0..m + 2).map(|i| (i as f64 * 1.3).sin()).collect();
            let product: Vec<f64> = (0..m + 2)
                .map(|p| {
                    let u: f64 = (0..3).map(|i| g[p][i] * weights[i]).sum();
                    let v: f64 = (0..m + 2).map(|i| data[p][i] * pixels[i]).sum();
                    u * v
                })
                .collect();
            for y in 0..m {
                let found: f64 = (0..m + 2).map(|p| result[y][p] * product[p]).sum();
                let expected: f64 = (0..3).map(|i| weights[i] * pixels[y + i]).sum();
                assert!((found - expected).abs() < 1e-12, "F({m}), result {y}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn transforms_a_filter_by_rows_and_columns() {
        let mut filter = [0.0; 9];
        filter[4] = 1.0;
        let g = weight_transform(2);
        WeightTransform::new(2).apply(&filter, |position, value| {
            let expected = g[position / 4][1] * g[position % 4][1];
            assert!((f64::from(value) - expected).abs() < 1e-15, "position {position}");
        });
    }
}
