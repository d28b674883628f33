//! One level of Strassen's matrix product in Winograd's form: what a [`Strassen`](crate::kernel::Strassen) step computes.
//!
//! A pointwise convolution is the product of a matrix A of pixels × input channels and a matrix B of input × output channels. Cut both in halves along
//! both sides, and seven products of quarters do instead of eight:
//!
//! ```text
//! S1 = A21 + A22   T1 = B12 - B11   P1 = A11·B11   P5 = S1·T1    C11 = P1 + P2
//! S2 = S1 - A11    T2 = B22 - T1    P2 = A12·B21   P6 = S2·T2    C12 = P1 + P6 + P5 + P3
//! S3 = A11 - A21   T3 = B22 - B12   P3 = S4·B22    P7 = S3·T3    C21 = P1 + P6 + P7 - P4
//! S4 = A12 - S2    T4 = T2 - B21    P4 = A22·T4                  C22 = P1 + P6 + P7 + P5
//! ```
//!
//! (S. Winograd, 1971; see N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, section 23.2.) The halves of the channels are the first and the
//! last; the halves of the pixels are those with even and with odd numbers, so that a pair lies together. The sums of B are made when the plan is.

/// Products.
pub const PRODUCTS: usize = 7;

/// What four weights `[B11, B12, B21, B22]` become, in the order of the products; computed in f64 and rounded once.
pub fn weights([b11, b12, b21, b22]: [f32; 4]) -> [f32; PRODUCTS] {
    let [f11, f12, f21, f22] = [b11, b12, b21, b22].map(f64::from);
    let t1 = f12 - f11;
    let t2 = f22 - t1;
    [b11, b21, b22, (t2 - f21) as f32, t1 as f32, t2 as f32, (f22 - f12) as f32]
}

/// What four elements `[A11, A12, A21, A22]` become, in the order of the products.
pub fn data([a11, a12, a21, a22]: [f32; 4]) -> [f32; PRODUCTS] {
    let s1 = a21 + a22;
    let s2 = s1 - a11;
    [a11, a12, a12 - s2, a22, s1, s2, a11 - a21]
}

/// `[C11, C12, C21, C22]` of the products.
pub fn results([p1, p2, p3, p4, p5, p6, p7]: [f32; PRODUCTS]) -> [f32; 4] {
    let u2 = p1 + p6;
    let u3 = u2 + p7;
    [p1 + p2, u2 + p5 + p3, u3 - p4, u3 + p5]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
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
