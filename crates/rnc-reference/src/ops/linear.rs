//! Matrix products.

use ndarray::{Array2, ArrayD, ArrayView2, ArrayViewD, Axis, Dimension, Ix2, IxDyn};
use rnc_ir::op::Gemm;

use super::elementwise::{activate, broadcast_dims};
use super::internal;
use crate::error::Fault;
use crate::value::Operands;

/// `activation(alpha · A' · B' + beta · C)`: all in `f64`, rounded, activated.
pub(super) fn gemm(attrs: &Gemm, operands: Operands<'_>) -> Result<ArrayD<f32>, Fault> {
    let a: Array2<f32> = operands.f32_of_rank::<Ix2>(0)?;
    let b: Array2<f32> = operands.f32_of_rank::<Ix2>(1)?;
    let a = if attrs.trans_a { a.t() } else { a.view() };
    let b = if attrs.trans_b { b.t() } else { b.view() };
    let mut sum = product(&a, &b)?;
    sum.mapv_inplace(|sum| sum * f64::from(attrs.alpha));
    if attrs.bias {
        let c = operands.f32(2)?;
        let c = c
            .broadcast(sum.dim())
            .ok_or_else(|| internal(format!("shape {:?} does not broadcast to {:?}", c.shape(), sum.dim())))?;
        sum.zip_mut_with(&c, |sum, c| *sum += f64::from(attrs.beta) * f64::from(*c));
    }
    Ok(sum.mapv(|sum| activate(attrs.activation, sum as f32)).into_dyn())
}

/// Matrix product by `NumPy`'s rules: leading axes broadcast, a vector is a row on the left and a column on the right.
pub(super) fn matmul(operands: Operands<'_>) -> Result<ArrayD<f32>, Fault> {
    let (a, b) = (operands.f32(0)?, operands.f32(1)?);
    if a.ndim() == 0 || b.ndim() == 0 {
        return Err(internal("a scalar is not a matrix"));
    }
    let (a_is_row, b_is_column) = (a.ndim() == 1, b.ndim() == 1);
    let a = if a_is_row { a.view().insert_axis(Axis(0)) } else { a.view() };
    let b = if b_is_column { b.view().insert_axis(Axis(1)) } else { b.view() };
    let (rows, columns) = (a.shape()[a.ndim() - 2], b.shape()[b.ndim() - 1]);
    let stack = broadcast_dims(&a.shape()[..a.ndim() - 2], &b.shape()[..b.ndim() - 2])?;

    let mut result = ArrayD::<f32>::zeros(IxDyn(&[&stack[..], &[rows, columns]].concat()));
    for index in ndarray::indices(IxDyn(&stack)) {
        let (a, b) = (matrix(&a, &stack, index.slice())?, matrix(&b, &stack, index.slice())?);
        let sums = product(&a.view(), &b.view())?;
        let mut place = result.view_mut();
        for i in index.slice() {
            place.index_axis_inplace(Axis(0), *i);
        }
        place.assign(&sums.mapv(|sum| sum as f32));
    }
    // The axis that a vector was given is taken away again.
    if b_is_column {
        result = result.index_axis_move(Axis(stack.len() + 1), 0);
    }
    if a_is_row {
        result = result.index_axis_move(Axis(stack.len()), 0);
    }
    Ok(result)
}

/// The matrix of a stack at an index of the broadcast stack.
fn matrix(x: &ArrayViewD<'_, f32>, stack: &[usize], index: &[usize]) -> Result<Array2<f32>, Fault> {
    let dims = [stack, &x.shape()[x.ndim() - 2..]].concat();
    let mut view = x.broadcast(IxDyn(&dims)).ok_or_else(|| internal("stacks of matrices do not broadcast"))?;
    for i in index {
        view.index_axis_inplace(Axis(0), *i);
    }
    view.to_owned().into_dimensionality::<Ix2>().map_err(|e| internal(e.to_string()))
}

/// The product of an M×K and a K×N matrix, row by row.
fn product(a: &ArrayView2<'_, f32>, b: &ArrayView2<'_, f32>) -> Result<Array2<f64>, Fault> {
    if a.ncols() != b.nrows() {
        return Err(internal(format!("inner dimensions of {:?} and {:?} differ", a.dim(), b.dim())));
    }
    let mut result = Array2::zeros((a.nrows(), b.ncols()));
    for (mut sums, a) in result.rows_mut().into_iter().zip(a.rows()) {
        for (a, b) in a.iter().zip(b.rows()) {
            sums.zip_mut_with(&b, |sum, b| *sum += f64::from(*a) * f64::from(*b));
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array4, array};
    use rnc_ir::op::Activation;

    use super::*;
    use crate::value::Value;

    fn plain() -> Gemm {
        Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false, bias: false, activation: Activation::None }
    }

    fn shape_of(a: &Value, b: &Value) -> Vec<usize> {
        matmul(Operands(&[a, b])).expect("a valid product").shape().to_vec()
    }

    #[test]
    fn multiplies_matrices_transposed_as_asked() {
        let (a, b) = (array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]], array![[1.0f32, 0.0], [0.0, 2.0], [1.0, 1.0]]);
        let expected = array![[4.0, 7.0], [10.0, 16.0]].into_dyn();
        for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = Value::from(if trans_a { a.t().to_owned() } else { a.clone() });
            let b = Value::from(if trans_b { b.t().to_owned() } else { b.clone() });
            assert_eq!(gemm(&Gemm { trans_a, trans_b, ..plain() }, Operands(&[&a, &b])), Ok(expected.clone()));
        }
    }

    #[test]
    fn scales_adds_and_activates() {
        let (a, b) = (Value::from(array![[1.0f32, -1.0], [2.0, 0.0]]), Value::from(array![[1.0f32, 2.0], [3.0, 5.0]]));
        let attrs = Gemm { alpha: 2.0, beta: 0.5, bias: true, ..plain() };
        let relu = Gemm { activation: Activation::Relu, ..attrs };
        for (c, expected) in [
            (Value::from(array![10.0f32, 20.0]), array![[1.0f32, 4.0], [9.0, 18.0]]),
            (Value::from(array![[10.0f32], [20.0]]), array![[1.0, -1.0], [14.0, 18.0]]),
            (Value::from(ndarray::arr0(2.0f32)), array![[-3.0, -5.0], [5.0, 9.0]]),
        ] {
            assert_eq!(gemm(&attrs, Operands(&[&a, &b, &c])), Ok(expected.clone().into_dyn()));
            assert_eq!(gemm(&relu, Operands(&[&a, &b, &c])), Ok(expected.mapv(|x| x.max(0.0)).into_dyn()));
        }
    }

    #[test]
    fn refuses_operands_that_do_not_fit_instead_of_panicking() {
        let a = Value::from(array![[1.0f32, 2.0]]);
        assert!(gemm(&plain(), Operands(&[&a, &a])).is_err());
        assert!(matmul(Operands(&[&a, &a])).is_err());
        assert!(matmul(Operands(&[&a, &Value::from(ndarray::arr0(1.0f32))])).is_err());
        assert!(matmul(Operands(&[&a, &Value::from(array![1i64])])).is_err());
    }

    #[test]
    fn vectors_are_rows_on_the_left_and_columns_on_the_right() {
        let (m, row) = (Value::from(array![[1.0f32, 2.0], [3.0, 4.0]]), Value::from(array![10.0f32, 1.0]));
        assert_eq!(matmul(Operands(&[&m, &row])), Ok(array![12.0f32, 34.0].into_dyn()));
        assert_eq!(matmul(Operands(&[&row, &m])), Ok(array![13.0f32, 24.0].into_dyn()));
        assert_eq!(matmul(Operands(&[&row, &row])), Ok(ndarray::arr0(101.0f32).into_dyn()));
        let stack = Value::from(Array3::<f32>::zeros((5, 2, 3)));
        assert_eq!(shape_of(&stack, &Value::from(array![0.0f32, 0.0, 0.0])), [5, 2]);
        assert_eq!(shape_of(&row, &stack), [5, 3]);
    }

    #[test]
    fn leading_axes_broadcast() {
        let a = Value::from(array![[[1.0f32, 2.0]], [[3.0, 4.0]]]);
        let b = Value::from(array![[1.0f32, 0.0], [0.0, 10.0]]);
        assert_eq!(matmul(Operands(&[&a, &b])), Ok(array![[[1.0f32, 20.0]], [[3.0, 40.0]]].into_dyn()));
        let (x, y) = (Array4::<f32>::zeros((2, 1, 3, 4)), Array3::<f32>::zeros((6, 4, 5)));
        assert_eq!(shape_of(&Value::from(x), &Value::from(y)), [2, 6, 3, 5]);
    }

    #[test]
    fn sums_in_f64() {
        let (a, b) =
            (Value::from(array![[16_777_216.0f32, 1.0, -16_777_216.0]]), Value::from(array![1.0f32, 1.0, 1.0]));
        assert_eq!(matmul(Operands(&[&a, &b])), Ok(array![1.0].into_dyn()));
        let b = Value::from(array![[1.0f32], [1.0], [1.0]]);
        assert_eq!(gemm(&plain(), Operands(&[&a, &b])), Ok(array![[1.0]].into_dyn()));
    }
}
