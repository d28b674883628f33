//! Reductions over axes.

use ndarray::{ArrayD, Axis};
use rnc_ir::op::{Reduce, ReduceKind};

use super::elementwise::maximum;
use super::internal;
use crate::error::Fault;

/// Mean, sum or maximum over axes; sums are in `f64`. Over no element at all (a batch of none) a sum is 0, a maximum -inf and
/// a mean NaN.
pub(super) fn reduce(attrs: &Reduce, x: &ArrayD<f32>) -> Result<ArrayD<f32>, Fault> {
    let add = |sum: f64, x: f32| sum + f64::from(x);
    Ok(match attrs.kind {
        ReduceKind::Sum => fold(attrs, x, 0.0, add)?.mapv(|sum| sum as f32),
        ReduceKind::Mean => {
            let sums = fold(attrs, x, 0.0, add)?;
            let count: usize = attrs.axes.iter().map(|axis| x.shape()[*axis]).product();
            sums.mapv(|sum| (sum / count as f64) as f32)
        }
        ReduceKind::Max => fold(attrs, x, f32::NEG_INFINITY, maximum)?,
    })
}

/// Combines all elements whose indices agree on the axes that stay.
fn fold<S: Copy>(attrs: &Reduce, x: &ArrayD<f32>, start: S, combine: impl Fn(S, f32) -> S) -> Result<ArrayD<S>, Fault> {
    if attrs.axes.iter().any(|axis| *axis >= x.ndim()) || !attrs.axes.is_sorted_by(|a, b| a < b) {
        return Err(internal(format!("{:?} are not ascending axes of {:?}", attrs.axes, x.shape())));
    }
    let mut dims = x.raw_dim();
    attrs.axes.iter().for_each(|axis| dims[*axis] = 1);
    let mut result = ArrayD::from_elem(dims, start);
    for (mut index, x) in x.indexed_iter() {
        attrs.axes.iter().for_each(|axis| index[*axis] = 0);
        result[&index] = combine(result[&index], *x);
    }
    if !attrs.keep_dims {
        for axis in attrs.axes.iter().rev() {
            result = result.index_axis_move(Axis(*axis), 0);
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    fn run(kind: ReduceKind, axes: &[usize], keep_dims: bool, x: &ArrayD<f32>) -> ArrayD<f32> {
        reduce(&Reduce { kind, axes: axes.to_vec(), keep_dims }, x).expect("axes of x")
    }

    #[test]
    fn reduces_over_the_axes_asked_for() {
        let x = array![[[1.0f32, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 9.0]]].into_dyn();
        assert_eq!(run(ReduceKind::Sum, &[0], false, &x), array![[6.0, 8.0], [10.0, 13.0]].into_dyn());
        assert_eq!(run(ReduceKind::Mean, &[1, 2], false, &x), array![2.5, 6.75].into_dyn());
        assert_eq!(run(ReduceKind::Mean, &[1, 2], true, &x), array![[[2.5]], [[6.75]]].into_dyn());
        assert_eq!(run(ReduceKind::Max, &[0, 2], false, &x), array![6.0, 9.0].into_dyn());
        assert_eq!(run(ReduceKind::Max, &[0, 1, 2], false, &x), ndarray::arr0(9.0).into_dyn());
    }

    #[test]
    fn sums_in_f64() {
        let x = array![16_777_216.0f32, 1.0, 1.0, -16_777_216.0].into_dyn();
        assert_eq!(run(ReduceKind::Sum, &[0], false, &x), ndarray::arr0(2.0).into_dyn());
        assert_eq!(run(ReduceKind::Mean, &[0], false, &x), ndarray::arr0(0.5).into_dyn());
    }

    #[test]
    fn the_maximum_propagates_nan_and_takes_negative_numbers() {
        let y =
            run(ReduceKind::Max, &[1], false, &array![[-3.0f32, -2.0], [1.0, f32::NAN], [f32::NAN, 1.0]].into_dyn());
        assert_eq!(y.get(0), Some(&-2.0));
        assert!(y[1].is_nan() && y[2].is_nan());
    }

    #[test]
    fn reduces_over_no_elements() {
        let x = Array3::<f32>::zeros((2, 0, 1)).into_dyn();
        assert_eq!(run(ReduceKind::Sum, &[1, 2], false, &x), array![0.0, 0.0].into_dyn());
        let lowest = f32::NEG_INFINITY;
        assert_eq!(run(ReduceKind::Max, &[1, 2], false, &x), array![lowest, lowest].into_dyn());
        assert!(run(ReduceKind::Mean, &[1, 2], false, &x).iter().all(|mean| mean.is_nan()));
    }

    #[test]
    fn refuses_axes_that_x_does_not_have() {
        for axes in [vec![1], vec![0, 0]] {
            let attrs = Reduce { kind: ReduceKind::Mean, axes, keep_dims: true };
            assert!(reduce(&attrs, &array![1.0f32].into_dyn()).is_err());
        }
    }
}
