//! `Resize`: which elements of the operand each element of the result is made of.
//!
//! The definitions are those of ONNX's `Resize` (opset 19) <https://onnx.ai/onnx/operators/onnx__Resize.html>. A resize of several axes is one after the other,
//! so an axis alone says all: element `j` of the result is a weighted sum of some elements of the operand, its *taps*.

use crate::types::Shape;

/// Attributes of [`Op::Resize`](crate::Op::Resize).
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// The result's shape.
    pub shape: Shape,
    /// Result size over operand size, by axis, as coordinates are computed with: they need not be the exact quotients.
    pub scales: Vec<f32>,
    /// What is between the elements of the operand.
    pub interpolation: Interpolation,
    /// Where the result's elements lie among the operand's.
    pub coordinates: Coordinates,
    /// Widen the filter where the result is smaller, so that no element is passed over.
    pub antialias: bool,
    /// Leave elements beyond the border out, and make up for their weights, instead of repeating the edge.
    pub exclude_outside: bool,
}

/// What is between the elements of the operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interpolation {
    /// The nearest element.
    Nearest(Rounding),
    /// A line between two elements.
    Linear,
    /// A cubic between four (Keys, 1981), with this coefficient.
    Cubic {
        /// -0.5 or -0.75 usually.
        a: f32,
    },
}

/// Which of two elements is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// The nearer; in the middle the first.
    PreferFloor,
    /// The nearer; in the middle the second.
    PreferCeil,
    /// The first.
    Floor,
    /// The second.
    Ceil,
}

/// Where element `j` of the result lies among the operand's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coordinates {
    /// `(j + ½) / scale - ½`.
    HalfPixel,
    /// The same about the middle of the operand, where the scale is not the exact quotient.
    HalfPixelSymmetric,
    /// [`Coordinates::HalfPixel`], but `-½` if the result has one element.
    PytorchHalfPixel,
    /// `j (size - 1) / (result - 1)`.
    AlignCorners,
    /// `j / scale`.
    Asymmetric,
}

impl Rounding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PreferFloor, Self::PreferCeil, Self::Floor, Self::Ceil];

    /// ONNX's name, which the text syntax also has.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreferFloor => "round_prefer_floor",
            Self::PreferCeil => "round_prefer_ceil",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
        }
    }
}

impl Coordinates {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::HalfPixel, Self::HalfPixelSymmetric, Self::PytorchHalfPixel, Self::AlignCorners, Self::Asymmetric];

    /// ONNX's name, which the text syntax also has.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HalfPixel => "half_pixel",
            Self::HalfPixelSymmetric => "half_pixel_symmetric",
            Self::PytorchHalfPixel => "pytorch_half_pixel",
            Self::AlignCorners => "align_corners",
            Self::Asymmetric => "asymmetric",
        }
    }
}

/// An element of the operand, and its part in one of the result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    /// Index along the axis.
    pub source: usize,
    /// Factor, never 0.
    pub weight: f64,
}

impl Resize {
    /// The taps of each element of the result along an axis of `size` elements, in ascending order.
    ///
    /// # Panics
    /// If there is no such axis, or `size` is 0.
    pub fn taps(&self, axis: usize, size: usize) -> Vec<Vec<Tap>> {
        let result = self.shape.dims()[axis].fixed().unwrap_or(size);
        // ONNX's scale is an f32, and runtimes divide in f32, which takes its rounding back; the quotient itself has none.
        let quotient = result as f64 / size as f64;
        let scale = if (quotient as f32).to_bits() == self.scales[axis].to_bits() {
            quotient
        } else {
            f64::from(self.scales[axis])
        };
        (0..result).map(|j| self.row(self.coordinate(j, [size, result], scale), size, scale)).collect()
    }

    /// Whether an axis stays as it is.
    pub fn keeps(&self, axis: usize, size: usize) -> bool {
        let itself = |(j, taps): (usize, &Vec<Tap>)| *taps == [Tap { source: j, weight: 1.0 }];
        self.shape.dims()[axis].fixed().is_none_or(|result| result == size)
            && self.taps(axis, size).iter().enumerate().all(itself)
    }

    fn coordinate(&self, j: usize, [size, result]: [usize; 2], scale: f64) -> f64 {
        let (j, size) = (j as f64, size as f64);
        let exact = scale * size;
        match self.coordinates {
            Coordinates::HalfPixelSymmetric => {
                let offset = size / 2.0 * (1.0 - result as f64 / exact);
                offset + (j + 0.5) / scale - 0.5
            }
            Coordinates::PytorchHalfPixel if result == 1 => -0.5,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (j + 0.5) / scale - 0.5,
            Coordinates::AlignCorners if result == 1 => 0.0,
            Coordinates::AlignCorners => j * (size - 1.0) / (exact - 1.0),
            Coordinates::Asymmetric => j / scale,
        }
    }

    /// The taps about a coordinate.
    fn row(&self, at: f64, size: usize, scale: f64) -> Vec<Tap> {
        // In (0, 1]: of an element itself, the one before it is the first.
        let first = at.ceil() - 1.0;
        let ratio = at - first;
        let (start, weights) = self.filter(ratio, scale);
        let last = size as i64 - 1;
        let mut row: Vec<Tap> = Vec::with_capacity(weights.len());
        for (i, weight) in weights.into_iter().enumerate() {
            let index = first as i64 + start + i as i64;
            let outside = !(0..=last).contains(&index);
            let source = index.clamp(0, last) as usize;
            match row.last_mut() {
                _ if weight == 0.0 || (outside && self.exclude_outside) => {}
                Some(tap) if tap.source == source => tap.weight += weight,
                _ => row.push(Tap { source, weight }),
            }
        }
        if self.exclude_outside {
            let sum: f64 = row.iter().map(|tap| tap.weight).sum();
            for tap in &mut row {
                tap.weight /= sum;
            }
        }
        row
    }

    /// The first tap, counted from the element before the coordinate, and the weights from there on.
    fn filter(&self, ratio: f64, scale: f64) -> (i64, Vec<f64>) {
        let narrow = scale.min(1.0);
        match self.interpolation {
            Interpolation::Nearest(rounding) => {
                let is_first = ratio < 1.0
                    && match rounding {
                        Rounding::PreferFloor => ratio <= 0.5,
                        Rounding::PreferCeil => ratio < 0.5,
                        Rounding::Floor => true,
                        Rounding::Ceil => false,
                    };
                (0, if is_first { vec![1.0, 0.0] } else { vec![0.0, 1.0] })
            }
            Interpolation::Linear if self.antialias => widened(1.0, narrow, ratio, |x| (1.0 - x.abs()).clamp(0.0, 1.0)),
            Interpolation::Linear => (0, vec![1.0 - ratio, ratio]),
            Interpolation::Cubic { a } if self.antialias => widened(2.0, narrow, ratio, |x| cubic(f64::from(a), x)),
            Interpolation::Cubic { a } => (-1, (-1..3).map(|i| cubic(f64::from(a), f64::from(i) - ratio)).collect()),
        }
    }
}

/// A filter of this radius, widened for a scale below 1.
fn widened(radius: f64, scale: f64, ratio: f64, filter: impl Fn(f64) -> f64) -> (i64, Vec<f64>) {
    let start = (-radius / scale).floor() as i64 + 1;
    let weights: Vec<f64> = (start..2 - start).map(|i| filter((i as f64 - ratio) * scale)).collect();
    let sum: f64 = weights.iter().sum();
    (start, weights.into_iter().map(|weight| weight / sum).collect())
}

fn cubic(a: f64, x: f64) -> f64 {
    let x = x.abs();
    match x {
        0.0..=1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        1.0..2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resize(result: usize, scale: f32, interpolation: Interpolation) -> Resize {
        Resize {
            shape: Shape::new([result]),
            scales: vec![scale],
            interpolation,
            coordinates: Coordinates::HalfPixel,
            antialias: false,
            exclude_outside: false,
        }
    }

    fn row(taps: &[Tap]) -> Vec<(usize, f64)> {
        taps.iter().map(|tap| (tap.source, tap.weight)).collect()
    }

    #[test]
    fn twice_the_size_repeats_each_element_or_takes_a_quarter_of_its_neighbour() {
        let nearest = resize(4, 2.0, Interpolation::Nearest(Rounding::PreferFloor)).taps(0, 2);
        assert_eq!(nearest.iter().map(|taps| taps[0].source).collect::<Vec<_>>(), [0, 0, 1, 1]);
        let linear = resize(4, 2.0, Interpolation::Linear).taps(0, 2);
        assert_eq!(row(&linear[0]), [(0, 1.0)]);
        assert_eq!(row(&linear[1]), [(0, 0.75), (1, 0.25)]);
        assert_eq!(row(&linear[3]), [(1, 1.0)]);
    }

    #[test]
    fn a_rounded_scale_does_not_move_elements_that_lie_at_whole_coordinates() {
        let nearest = Interpolation::Nearest(Rounding::Floor);
        for (size, result) in [(6, 8), (9, 12), (6, 2), (6, 4), (49, 98), (3, 64)] {
            let scale = (result as f64 / size as f64) as f32;
            let asymmetric = Resize { coordinates: Coordinates::Asymmetric, ..resize(result, scale, nearest) };
            let sources: Vec<_> = asymmetric.taps(0, size).iter().map(|taps| taps[0].source).collect();
            assert_eq!(sources, (0..result).map(|j| j * size / result).collect::<Vec<_>>(), "{size} to {result}");
        }
    }

    #[test]
    fn weights_add_up_to_one_whatever_the_filter() {
        for interpolation in [Interpolation::Linear, Interpolation::Cubic { a: -0.75 }] {
            for (result, scale) in [(3, 0.3), (7, 0.7), (25, 2.5)] {
                for flags in 0..4 {
                    let mut resize = resize(result, scale, interpolation);
                    (resize.antialias, resize.exclude_outside) = (flags & 1 == 1, flags & 2 == 2);
                    for taps in resize.taps(0, 10) {
                        let sum: f64 = taps.iter().map(|tap| tap.weight).sum();
                        assert!(
                            (sum - 1.0).abs() < 1e-12 && taps.iter().all(|tap| tap.source < 10),
                            "{resize:?} {taps:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_size_keeps_every_element() {
        for coordinates in [Coordinates::HalfPixel, Coordinates::AlignCorners, Coordinates::Asymmetric] {
            let same = Resize { coordinates, ..resize(5, 1.0, Interpolation::Linear) };
            assert!(same.keeps(0, 5) && !resize(5, 1.25, Interpolation::Linear).keeps(0, 4));
        }
    }
}
