//! Operators that move elements and compute nothing.

use ndarray::{ArrayD, ArrayView, Axis, IxDyn, Slice as Range, concatenate};
use rnc_ir::op::{Pad, Slice};
use rnc_ir::resize::Resize;

use super::internal;
use crate::error::Fault;
use crate::value::{Operands, Value};

/// All operands joined along `axis`.
pub(super) fn concat(axis: usize, operands: Operands<'_>) -> Result<Value, Fault> {
    fn join<'a, T: Clone + 'a>(axis: usize, parts: Option<Vec<&'a ArrayD<T>>>) -> Result<ArrayD<T>, Fault> {
        let parts = parts.ok_or_else(|| internal("operands of different types"))?;
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        if views.iter().any(|view| view.ndim() <= axis) {
            return Err(internal(format!("an operand has no axis {axis}")));
        }
        concatenate(Axis(axis), &views).map_err(|e| internal(format!("operands do not join: {e}")))
    }
    Ok(match operands.any(0)? {
        Value::F32(_) => Value::F32(join(axis, operands.0.iter().map(|v| v.as_f32()).collect())?),
        Value::I64(_) => Value::I64(join(axis, operands.0.iter().map(|v| v.as_i64()).collect())?),
    })
}

/// The same elements, row-major, under `dims`.
pub(super) fn reshape<T: Clone>(x: &ArrayD<T>, dims: &[usize]) -> Result<ArrayD<T>, Fault> {
    let elements = x.as_standard_layout().into_owned();
    elements
        .into_shape_with_order(IxDyn(dims))
        .map_err(|_| internal(format!("{:?} has another number of elements than {dims:?}", x.shape())))
}

/// Axes reordered: result axis `i` is operand axis `perm[i]`.
pub(super) fn transpose<T: Clone>(x: &ArrayD<T>, perm: &[usize]) -> Result<ArrayD<T>, Fault> {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..x.ndim()) {
        return Err(internal(format!("{perm:?} is not a permutation of the axes of {:?}", x.shape())));
    }
    Ok(x.view().permuted_axes(IxDyn(perm)).as_standard_layout().into_owned())
}

/// A strided box: along each axis, element `i` of the result is element `start + i * step`.
pub(super) fn slice<T: Clone>(x: &ArrayD<T>, attrs: &Slice) -> Result<ArrayD<T>, Fault> {
    if [attrs.starts.len(), attrs.sizes.len(), attrs.steps.len()] != [x.ndim(); 3] {
        return Err(internal(format!("shape {:?} has another number of axes than {attrs:?}", x.shape())));
    }
    let mut result = x.clone();
    for axis in 0..x.ndim() {
        let len = x.shape()[axis];
        let (start, step) = (attrs.starts[axis], attrs.steps[axis]);
        let element = |i: usize| {
            let offset = step.checked_mul(isize::try_from(i).ok()?)?;
            start.checked_add_signed(offset).filter(|element| *element < len)
        };
        let elements: Option<Vec<usize>> = (0..attrs.sizes[axis].unwrap_or(len)).map(element).collect();
        let elements = elements.ok_or_else(|| internal(format!("{attrs:?} leaves axis {axis} of {:?}", x.shape())))?;
        result = result.select(Axis(axis), &elements);
    }
    Ok(result)
}

/// The operand inside a border of a constant value.
pub(super) fn pad(x: &ArrayD<f32>, attrs: &Pad) -> Result<ArrayD<f32>, Fault> {
    if [attrs.begin.len(), attrs.end.len()] != [x.ndim(); 2] {
        return Err(internal(format!("shape {:?} has another number of axes than {attrs:?}", x.shape())));
    }
    let size = |axis: usize| x.shape()[axis].checked_add(attrs.begin[axis])?.checked_add(attrs.end[axis]);
    let dims: Option<Vec<usize>> = (0..x.ndim()).map(size).collect();
    let dims = dims.ok_or_else(|| internal(format!("{attrs:?} makes {:?} too large", x.shape())))?;
    let mut result = ArrayD::from_elem(IxDyn(&dims), attrs.value);
    result
        .slice_each_axis_mut(|axis| {
            let begin = attrs.begin[axis.axis.index()];
            Range::from(begin..begin + x.shape()[axis.axis.index()])
        })
        .assign(x);
    Ok(result)
}

/// `NumPy` broadcasting to `dims`.
pub(super) fn expand<T: Clone>(x: &ArrayD<T>, dims: &[usize]) -> Result<ArrayD<T>, Fault> {
    x.broadcast(IxDyn(dims))
        .as_ref()
        .map(ArrayView::to_owned)
        .ok_or_else(|| internal(format!("shape {:?} does not broadcast to {dims:?}", x.shape())))
}

/// Axis by axis; sums in `f64`, rounded once at the end.
pub(super) fn resize(x: &ArrayD<f32>, resize: &Resize) -> ArrayD<f32> {
    let mut wide = x.mapv(f64::from);
    for axis in 0..x.ndim() {
        let taps = resize.taps(axis, x.shape()[axis]);
        let mut dims = wide.shape().to_vec();
        dims[axis] = taps.len();
        let mut result = ArrayD::zeros(dims);
        for (mut slice, taps) in result.axis_iter_mut(Axis(axis)).zip(&taps) {
            for tap in taps {
                slice.scaled_add(tap.weight, &wide.index_axis(Axis(axis), tap.source));
            }
        }
        wide = result;
    }
    wide.mapv(|value| value as f32)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn matrix() -> ArrayD<i64> {
        array![[1, 2, 3], [4, 5, 6]].into_dyn()
    }

    #[test]
    fn joins_operands_along_an_axis() {
        let (a, b) = (Value::from(array![[1.0f32], [2.0]]), Value::from(array![[3.0f32, 4.0], [5.0, 6.0]]));
        let expected = Value::from(array![[1.0f32, 3.0, 4.0], [2.0, 5.0, 6.0]]);
        assert_eq!(concat(1, Operands(&[&a, &b])), Ok(expected));
        assert!(concat(0, Operands(&[&a, &b])).is_err());
        assert!(concat(2, Operands(&[&a, &b])).is_err());
        assert!(concat(0, Operands(&[&a, &Value::from(array![[1i64]])])).is_err());
        assert_eq!(concat(0, Operands(&[&a])), Ok(a.clone()));
    }

    #[test]
    fn reshapes_in_logical_order() {
        assert_eq!(reshape(&matrix(), &[3, 2]), Ok(array![[1, 2], [3, 4], [5, 6]].into_dyn()));
        assert_eq!(reshape(&matrix().reversed_axes(), &[6]), Ok(array![1, 4, 2, 5, 3, 6].into_dyn()));
        assert!(reshape(&matrix(), &[4]).is_err());
    }

    #[test]
    fn transposes_by_a_permutation() {
        assert_eq!(transpose(&matrix(), &[1, 0]), Ok(array![[1, 4], [2, 5], [3, 6]].into_dyn()));
        let x = ArrayD::<f32>::zeros(IxDyn(&[2, 3, 4]));
        assert_eq!(transpose(&x, &[2, 0, 1]).map(|y| y.shape().to_vec()), Ok(vec![4, 2, 3]));
        assert!(transpose(&matrix(), &[0, 0]).is_err());
        assert!(transpose(&matrix(), &[0]).is_err());
    }

    #[test]
    fn slices_forwards_backwards_and_whole_axes() {
        let attrs = |starts: [usize; 2], sizes: [Option<usize>; 2], steps: [isize; 2]| Slice {
            starts: starts.to_vec(),
            sizes: sizes.to_vec(),
            steps: steps.to_vec(),
        };
        assert_eq!(slice(&matrix(), &attrs([0, 1], [None, Some(2)], [1, 1])), Ok(array![[2, 3], [5, 6]].into_dyn()));
        assert_eq!(slice(&matrix(), &attrs([0, 0], [Some(1), Some(2)], [1, 2])), Ok(array![[1, 3]].into_dyn()));
        let backwards = slice(&matrix(), &attrs([1, 2], [Some(2), Some(2)], [-1, -2]));
        assert_eq!(backwards, Ok(array![[6, 4], [3, 1]].into_dyn()));
        assert_eq!(
            slice(&matrix(), &attrs([0, 0], [Some(0), None], [1, 1])).map(|y| y.shape().to_vec()),
            Ok(vec![0, 3])
        );
        assert!(slice(&matrix(), &attrs([0, 2], [None, Some(2)], [1, 1])).is_err());
        assert!(slice(&matrix(), &attrs([0, 0], [None, Some(2)], [1, -1])).is_err());
        assert!(slice(&matrix(), &attrs([0, 0], [None, Some(3)], [1, isize::MAX])).is_err());
    }

    #[test]
    fn pads_with_a_value() {
        let x = array![[1.0f32, 2.0], [3.0, 4.0]].into_dyn();
        let attrs = Pad { begin: vec![1, 0], end: vec![0, 2], value: 9.0 };
        let expected = array![[9.0, 9.0, 9.0, 9.0], [1.0, 2.0, 9.0, 9.0], [3.0, 4.0, 9.0, 9.0]];
        assert_eq!(pad(&x, &attrs), Ok(expected.into_dyn()));
        assert!(pad(&x, &Pad { begin: vec![1], ..attrs.clone() }).is_err());
        assert!(pad(&x, &Pad { end: vec![usize::MAX, 0], ..attrs }).is_err());
    }

    #[test]
    fn expands_by_broadcasting() {
        let row = array![1i64, 2].into_dyn();
        assert_eq!(expand(&row, &[2, 2]), Ok(array![[1, 2], [1, 2]].into_dyn()));
        assert!(expand(&row, &[2, 3]).is_err());
    }
}
