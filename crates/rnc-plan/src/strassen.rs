//! Strassen's matrix product: what a [`Strassen`](crate::kernel::Strassen) step computes.
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
//! Each of the seven may be computed in the same way: 49 products of sixteenths do instead of 64. Winograd's form has three sums fewer, but a bound of the error that is half as
//! large again (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, section 23.2.2), and sums cost next to nothing here: those of B are made when the plan is.
//!
//! The channels are cut into parts that follow each other, the pixels into those whose numbers have the same remainder, so that a *group* of as many pixels as there are parts
//! lies together. An *element* of a matrix of parts × parts has the number `row · parts + column`.

use std::ops::{Add, Sub};

/// Products of one level.
pub const PRODUCTS: usize = 7;

/// A term of a sum: the number of a quarter (`11`, `12`, `21`, `22`) or of a product, and its sign. The first of a sum is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is added or subtracted.
    pub of: usize,
    /// Whether it is subtracted.
    pub negative: bool,
}

const fn plus(of: usize) -> Term {
    Term { of, negative: false }
}

const fn minus(of: usize) -> Term {
    Term { of, negative: true }
}

/// The left factor of each product.
pub const DATA: [&[Term]; PRODUCTS] = [
    &[plus(0), plus(3)],
    &[plus(2), plus(3)],
    &[plus(0)],
    &[plus(3)],
    &[plus(0), plus(1)],
    &[plus(2), minus(0)],
    &[plus(1), minus(3)],
];

/// The right factor of each product.
const WEIGHTS: [&[Term]; PRODUCTS] = [
    &[plus(0), plus(3)],
    &[plus(0)],
    &[plus(1), minus(3)],
    &[plus(2), minus(0)],
    &[plus(3)],
    &[plus(0), plus(1)],
    &[plus(2), plus(3)],
];

/// The quarters of the result, as sums of products from left to right.
pub const RESULTS: [&[Term]; 4] = [
    &[plus(0), plus(3), minus(4), plus(6)],
    &[plus(2), plus(4)],
    &[plus(1), plus(3)],
    &[plus(0), minus(1), plus(2), plus(5)],
];

/// How often matrices are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Levels {
    /// Once: 7 products of quarters.
    One,
    /// The quarters once more: 49 products of sixteenths, in the order of the first level's and then of the second's.
    Two,
}

impl Levels {
    /// All.
    pub const ALL: [Self; 2] = [Self::One, Self::Two];

    /// How many they are.
    pub const fn number(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// Parts of a side of a matrix: a power of two.
    pub const fn parts(self) -> usize {
        1 << self.number()
    }

    /// Products.
    pub const fn products(self) -> usize {
        PRODUCTS.pow(self.number() as u32)
    }

    /// With two levels: the element that lies at quarter `inner` of quarter `outer`.
    pub const fn element(outer: usize, inner: usize) -> usize {
        let (row, column) = (outer / 2 * 2 + inner / 2, outer % 2 * 2 + inner % 2);
        row * Self::Two.parts() + column
    }

    /// The left factors of the products, of the elements of A.
    ///
    /// # Panics
    /// If there are not `parts()²` elements, or not `products()` factors.
    pub fn data(self, elements: &[f32], factors: &mut [f32]) {
        self.factors(&DATA, |element| elements[element], |product, sum| factors[product] = sum);
    }

    /// The right factors of the products, of the elements of B; computed in f64 and rounded once.
    ///
    /// # Panics
    /// See [`Levels::data`].
    pub fn weights(self, elements: &[f32], factors: &mut [f32]) {
        self.factors(&WEIGHTS, |element| f64::from(elements[element]), |product, sum| factors[product] = sum as f32);
    }

    fn factors<T: Copy + Add<Output = T> + Sub<Output = T>>(
        self,
        sums: &[&[Term]; PRODUCTS],
        element: impl Fn(usize) -> T,
        mut to: impl FnMut(usize, T),
    ) {
        match self {
            Self::One => sums.iter().enumerate().for_each(|(product, terms)| to(product, sum(terms, &element))),
            Self::Two => {
                for (outer, terms) in sums.iter().enumerate() {
                    let quarters: [T; 4] =
                        std::array::from_fn(|inner| sum(terms, |quarter| element(Self::element(quarter, inner))));
                    for (inner, terms) in sums.iter().enumerate() {
                        to(outer * PRODUCTS + inner, sum(terms, |quarter| quarters[quarter]));
                    }
                }
            }
        }
    }

    /// The elements of C, of the products. Each is a sum of sums: of the second level first.
    ///
    /// # Panics
    /// If there are not `products()` products, or not `parts()²` elements.
    pub fn results(self, products: &[f32], elements: &mut [f32]) {
        match self {
            Self::One => {
                for (element, terms) in elements.iter_mut().zip(RESULTS) {
                    *element = sum(terms, |product| products[product]);
                }
            }
            Self::Two => {
                for (inner, terms) in RESULTS.into_iter().enumerate() {
                    let quarter = |outer: usize| sum(terms, |product| products[outer * PRODUCTS + product]);
                    let quarters: [f32; PRODUCTS] = std::array::from_fn(quarter);
                    for (outer, terms) in RESULTS.into_iter().enumerate() {
                        elements[Self::element(outer, inner)] = sum(terms, |product| quarters[product]);
                    }
                }
            }
        }
    }
}

fn sum<T: Add<Output = T> + Sub<Output = T>>(terms: &[Term], value: impl Fn(usize) -> T) -> T {
    let (first, rest) = terms.split_first().expect("a sum has terms");
    rest.iter().fold(
        value(first.of),
        |sum, term| {
            if term.negative { sum - value(term.of) } else { sum + value(term.of) }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "whole numbers are exact")]
    fn multiplies_as_the_definition_does() {
        for levels in Levels::ALL {
            let n = levels.parts();
            // Small whole numbers, so that nothing is rounded.
            let matrix = |seed: usize| -> Vec<f32> { (0..n * n).map(|i| ((i * 7 + seed) % 11) as f32 - 5.0).collect() };
            let (a, b) = (matrix(3), matrix(8));
            let (mut s, mut t) = (vec![0.0; levels.products()], vec![0.0; levels.products()]);
            levels.data(&a, &mut s);
            levels.weights(&b, &mut t);
            let products: Vec<f32> = s.iter().zip(&t).map(|(s, t)| s * t).collect();
            let mut found = vec![0.0; n * n];
            levels.results(&products, &mut found);
            let element = |i: usize| (0..n).map(|k| a[i / n * n + k] * b[k * n + i % n]).sum::<f32>();
            assert_eq!(found, (0..n * n).map(element).collect::<Vec<_>>(), "{levels:?}");
        }
    }

    #[test]
    fn every_sum_begins_with_a_positive_term() {
        for terms in DATA.iter().chain(&WEIGHTS).chain(&RESULTS) {
            assert!(!terms[0].negative, "{terms:?}");
        }
    }
}
