//! Arithmetic on single elements.

use rnc_ir::op::Binary;

use super::array::{Elem, Scalar};
use Scalar::{Batch, Float, Int, Unknown};

/// Comparisons of ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A binary function on elements of type `elem`, rounded to it.
///
/// One operation on `f32`s, computed in `f64` and rounded, gives the correctly rounded `f32`.
pub(super) fn binary(function: Binary, elem: Elem, a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Int(x), Int(y)) => integers(function, x, y).map_or(Unknown, |value| elem.integer(value)),
        (Float(x), Float(y)) => elem.number(floats(function, x, y)),
        (Batch(_) | Int(_) | Float(_), Batch(_)) | (Batch(_), Int(_) | Float(_)) => symbolic(function, elem, a, b),
        // Elements of one array are of one kind, and the operands have one type.
        (Int(_), Float(_)) | (Float(_), Int(_)) | (Unknown, _) | (_, Unknown) => Unknown,
    }
}

fn integers(function: Binary, x: i64, y: i64) -> Option<i64> {
    match function {
        Binary::Add => x.checked_add(y),
        Binary::Sub => x.checked_sub(y),
        Binary::Mul => x.checked_mul(y),
        Binary::Div => x.checked_div(y),
        Binary::Max => Some(x.max(y)),
        Binary::Min => Some(x.min(y)),
        Binary::Pow => x.checked_pow(u32::try_from(y).ok()?),
        Binary::Equal => Some(i64::from(x == y)),
        Binary::Greater => Some(i64::from(x > y)),
        Binary::GreaterOrEqual => Some(i64::from(x >= y)),
    }
}

#[allow(clippy::float_cmp, reason = "that is what Equal says")]
fn floats(function: Binary, x: f64, y: f64) -> f64 {
    match function {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Max | Binary::Min if x.is_nan() || y.is_nan() => f64::NAN,
        Binary::Max => x.max(y),
        Binary::Min => x.min(y),
        Binary::Pow => x.powf(y),
        Binary::Equal => f64::from(u8::from(x == y)),
        Binary::Greater => f64::from(u8::from(x > y)),
        Binary::GreaterOrEqual => f64::from(u8::from(x >= y)),
    }
}

/// At least one side is a multiple of the batch size N, of which only N ≥ 1 is known.
fn symbolic(function: Binary, elem: Elem, a: Scalar, b: Scalar) -> Scalar {
    let multiple = |k: Option<i64>| match k {
        Some(0) => elem.integer(0),
        Some(k) if k > 0 => Batch(k),
        Some(_) | None => Unknown,
    };
    match (function, a, b) {
        (Binary::Add, Batch(j), Batch(k)) => multiple(j.checked_add(k)),
        (Binary::Sub, Batch(j), Batch(k)) => multiple(j.checked_sub(k)),
        (Binary::Div, Batch(j), Batch(k)) if j % k == 0 => elem.integer(j / k),
        (Binary::Div, Batch(j), Batch(k)) if elem.is_float() => elem.number(j as f64 / k as f64),
        // Integer division rounds j·N / (k·N) as it rounds j / k.
        (Binary::Div, Batch(j), Batch(k)) => elem.integer(j / k),
        (Binary::Max, Batch(j), Batch(k)) => Batch(j.max(k)),
        (Binary::Min, Batch(j), Batch(k)) => Batch(j.min(k)),
        (Binary::Mul, Batch(_), Batch(_)) => Unknown,
        (_, Batch(k), number) => match (function, number.as_integer()) {
            (Binary::Add | Binary::Sub, Some(0)) => a,
            (Binary::Mul, Some(factor)) => multiple(k.checked_mul(factor)),
            (Binary::Div, Some(divisor)) if divisor > 0 && k % divisor == 0 => Batch(k / divisor),
            (Binary::Max, Some(other)) if other <= k => a,
            (Binary::Min, Some(other)) if other <= k => number,
            (_, _) => Unknown,
        },
        (Binary::Add | Binary::Mul | Binary::Max | Binary::Min, number, Batch(_)) => {
            symbolic(function, elem, b, number)
        }
        (Binary::Div, number, Batch(_)) if number.as_integer() == Some(0) => number,
        (
            Binary::Add
            | Binary::Sub
            | Binary::Mul
            | Binary::Div
            | Binary::Max
            | Binary::Min
            | Binary::Pow
            | Binary::Equal
            | Binary::Greater
            | Binary::GreaterOrEqual,
            _,
            _,
        ) => Unknown,
    }
}

/// Whether the comparison holds; `None` if that depends on the batch size, or is unknown.
pub(super) fn compare(comparison: Comparison, a: Scalar, b: Scalar) -> Option<bool> {
    use std::cmp::Ordering;
    let ordering = match (a, b) {
        (Int(x), Int(y)) | (Batch(x), Batch(y)) => x.cmp(&y),
        (Float(x), Float(y)) => match x.partial_cmp(&y) {
            Some(ordering) => ordering,
            None => return Some(false),
        },
        // k·N ≥ k, so anything below k is below k·N; and k·N equals no number that k does not divide.
        (Batch(k), number) if number.as_float().is_some_and(|n| n < k as f64) => Ordering::Greater,
        (number, Batch(k)) if number.as_float().is_some_and(|n| n < k as f64) => Ordering::Less,
        (Batch(k), number) | (number, Batch(k)) if comparison == Comparison::Equal => {
            return match number.as_integer() {
                Some(n) if n % k != 0 => Some(false),
                Some(_) | None => None,
            };
        }
        // k·N ≥ k even where it is not greater.
        (Batch(k), number) if number.as_integer() == Some(k) => {
            return match comparison {
                Comparison::GreaterOrEqual => Some(true),
                Comparison::Less => Some(false),
                Comparison::Equal | Comparison::Greater | Comparison::LessOrEqual => None,
            };
        }
        (number, Batch(k)) if number.as_integer() == Some(k) => {
            return match comparison {
                Comparison::LessOrEqual => Some(true),
                Comparison::Greater => Some(false),
                Comparison::Equal | Comparison::Less | Comparison::GreaterOrEqual => None,
            };
        }
        (Int(_), Float(_)) | (Float(_), Int(_)) | (Batch(_) | Unknown, _) | (_, Batch(_) | Unknown) => return None,
    };
    Some(match comparison {
        Comparison::Equal => ordering.is_eq(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
    })
}

/// The element as one of another type, as ONNX's Cast has it: floats lose their fraction.
pub(super) fn cast(to: Elem, scalar: Scalar) -> Scalar {
    match scalar {
        Int(i) => to.integer(i),
        Float(f) => to.number(f),
        Batch(_) if to == Elem::Bool => Int(1),
        Batch(k) => Batch(k),
        Unknown => Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i64s(function: Binary, a: Scalar, b: Scalar) -> Scalar {
        binary(function, Elem::I64, a, b)
    }

    #[test]
    fn computes_integers_with_truncation_and_without_overflow() {
        assert_eq!(i64s(Binary::Div, Int(-7), Int(2)), Int(-3));
        assert_eq!(i64s(Binary::Div, Int(7), Int(0)), Unknown);
        assert_eq!(i64s(Binary::Div, Int(i64::MIN), Int(-1)), Unknown);
        assert_eq!(i64s(Binary::Mul, Int(i64::MAX), Int(2)), Unknown);
        assert_eq!(binary(Binary::Add, Elem::I32, Int(i64::from(i32::MAX)), Int(1)), Unknown);
    }

    #[test]
    fn rounds_floats_to_their_type() {
        let third = binary(Binary::Div, Elem::F32, Float(1.0), Float(3.0));
        assert_eq!(third, Float(f64::from(1.0f32 / 3.0)));
        assert!(matches!(binary(Binary::Max, Elem::F32, Float(f64::NAN), Float(1.0)), Float(x) if x.is_nan()));
    }

    #[test]
    fn keeps_multiples_of_the_batch_size_and_gives_up_on_the_rest() {
        let n = Batch(1);
        assert_eq!(i64s(Binary::Mul, n, Int(12)), Batch(12));
        assert_eq!(i64s(Binary::Mul, Int(12), n), Batch(12));
        assert_eq!(i64s(Binary::Div, Batch(12), Int(4)), Batch(3));
        assert_eq!(i64s(Binary::Div, Batch(12), Int(5)), Unknown);
        assert_eq!(i64s(Binary::Div, Batch(12), Batch(3)), Int(4));
        assert_eq!(i64s(Binary::Sub, n, n), Int(0));
        assert_eq!(i64s(Binary::Mul, n, Int(0)), Int(0));
        assert_eq!(i64s(Binary::Mul, n, Int(-1)), Unknown);
        assert_eq!(i64s(Binary::Mul, n, n), Unknown);
        assert_eq!(i64s(Binary::Add, n, Int(0)), n);
        assert_eq!(i64s(Binary::Add, n, Int(1)), Unknown);
        assert_eq!(i64s(Binary::Sub, Int(0), n), Unknown);
        assert_eq!(i64s(Binary::Max, n, Int(1)), n);
        assert_eq!(i64s(Binary::Max, Int(-1), n), n);
        assert_eq!(i64s(Binary::Min, n, Int(1)), Int(1));
        assert_eq!(i64s(Binary::Max, n, Int(2)), Unknown);
        assert_eq!(i64s(Binary::Mul, Batch(i64::MAX), Int(2)), Unknown);
        assert_eq!(binary(Binary::Mul, Elem::F32, n, Float(2.0)), Batch(2));
        assert_eq!(binary(Binary::Mul, Elem::F32, n, Float(0.5)), Unknown);
    }

    #[test]
    fn compares_the_batch_size_with_what_it_cannot_be() {
        assert_eq!(compare(Comparison::Equal, Batch(1), Int(-1)), Some(false));
        assert_eq!(compare(Comparison::Equal, Batch(1), Int(4)), None);
        assert_eq!(compare(Comparison::Equal, Batch(3), Int(4)), Some(false));
        assert_eq!(compare(Comparison::Equal, Int(4), Batch(3)), Some(false));
        assert_eq!(compare(Comparison::Equal, Batch(2), Batch(2)), Some(true));
        assert_eq!(compare(Comparison::Greater, Batch(1), Int(0)), Some(true));
        assert_eq!(compare(Comparison::Less, Int(0), Batch(1)), Some(true));
        assert_eq!(compare(Comparison::Greater, Batch(1), Int(1)), None);
        assert_eq!(compare(Comparison::GreaterOrEqual, Batch(1), Int(1)), Some(true));
        assert_eq!(compare(Comparison::Less, Batch(1), Int(1)), Some(false));
        assert_eq!(compare(Comparison::LessOrEqual, Int(1), Batch(1)), Some(true));
        assert_eq!(compare(Comparison::Greater, Int(1), Batch(1)), Some(false));
        assert_eq!(compare(Comparison::Less, Batch(1), Int(9)), None);
        assert_eq!(compare(Comparison::LessOrEqual, Int(2), Int(2)), Some(true));
        assert_eq!(compare(Comparison::Equal, Float(f64::NAN), Float(f64::NAN)), Some(false));
    }

    #[test]
    fn casts_towards_zero() {
        assert_eq!(cast(Elem::I64, Float(-2.9)), Int(-2));
        assert_eq!(cast(Elem::Bool, Float(0.5)), Int(1));
        assert_eq!(cast(Elem::F32, Int(16_777_217)), Float(16_777_216.0));
        assert_eq!(cast(Elem::Bool, Batch(1)), Int(1));
        assert_eq!(cast(Elem::I32, Batch(2)), Batch(2));
    }
}
