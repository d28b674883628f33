//! One level of Strassen's matrix product: what a [`Strassen`](crate::kernel::Strassen) step computes.
//!
//! A pointwise convolution is the product of a matrix A of pixels × input channels and a matrix B of input × output channels. Cut both in halves along
//! both sides, and seven products of quarters do instead of eight (V. Strassen, *Gaussian Elimination is not Optimal*, 1969):
//!
//! ```text
//! P1 = (A11 + A22)·(B11 + B22)   P5 = (A11 + A12)·B22           C11 = P1 + P4 - P5 + P7
//! P2 = (A21 + A22)·B11           P6 = (A21 - A11)·(B11 + B12)   C12 = P3 + P5
//! P3 = A11·(B12 - B22)           P7 = (A12 - A22)·(B21 + B22)   C21 = P2 + P4
//! P4 = A22·(B21 - B11)                                          C22 = P1 - P2 + P3 + P6
//! ```
//!
//! Winograd's form has three sums fewer, but a bound of the error that is half as large again (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*,
//! section 23.2.2), and sums cost next to nothing here: those of B are made when the plan is. The halves of the channels are the first and the last; the
//! halves of the pixels are those with even and with odd numbers, so that a pair lies together.

/// Products.
pub const PRODUCTS: usize = 7;

/// What four weights `[B11, B12, B21, B22]` become, in the order of the products; computed in f64 and rounded once.
pub fn weights(quarters: [f32; 4]) -> [f32; PRODUCTS] {
    let [b11, b12, b21, b22] = quarters.map(f64::from);
    [b11 + b22, b11, b12 - b22, b21 - b11, b22, b11 + b12, b21 + b22].map(|sum| sum as f32)
}

/// What four elements `[A11, A12, A21, A22]` become, in the order of the products.
pub fn data([a11, a12, a21, a22]: [f32; 4]) -> [f32; PRODUCTS] {
    [a11 + a22, a21 + a22, a11, a22, a11 + a12, a21 - a11, a12 - a22]
}

/// `[C11, C12, C21, C22]` of the products. Sums go from left to right.
pub fn results([p1, p2, p3, p4, p5, p6, p7]: [f32; PRODUCTS]) -> [f32; 4] {
    [p1 + p4 - p5 + p7, p3 + p5, p2 + p4, p1 - p2 + p3 + p6]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "whole numbers are exact")]
    fn multiplies_as_eight_products_do() {
        // Small whole numbers, so that nothing is rounded.
        let a = [3.0, -5.0, 7.0, 2.0];
        let b = [-4.0, 6.0, 1.0, 9.0];
        let (s, t) = (data(a), weights(b));
        let found = results(std::array::from_fn(|i| s[i] * t[i]));
        let expected = [
            a[0] * b[0] + a[1] * b[2],
            a[0] * b[1] + a[1] * b[3],
            a[2] * b[0] + a[3] * b[2],
            a[2] * b[1] + a[3] * b[3],
        ];
        assert_eq!(found, expected);
    }
}
