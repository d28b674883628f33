//! Batch normalisation and softmax.

use ndarray::{Array1, ArrayD, Axis, Ix1};
use rnc_ir::op::BatchNorm;

use super::internal;
use crate::error::Fault;
use crate::value::Operands;

/// `(x - mean) / sqrt(var + epsilon) * scale + bias` along axis 1, in `f64`.
pub(super) fn batch_norm(attrs: BatchNorm, operands: Operands<'_>) -> Result<ArrayD<f32>, Fault> {
    let x = operands.f32(0)?;
    let parameter = |i| -> Result<Array1<f32>, Fault> {
        let parameter = operands.f32_of_rank::<Ix1>(i)?;
        if x.shape().get(1) == Some(&parameter.len()) {
            Ok(parameter)
        } else {
            Err(internal(format!("operand {i} has {} elements, x has shape {:?}", parameter.len(), x.shape())))
        }
    };
    let (scale, bias, mean, var) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let mut result = x.clone();
    for (c, mut channel) in result.axis_iter_mut(Axis(1)).enumerate() {
        let deviation = (f64::from(var[c]) + f64::from(attrs.epsilon)).sqrt();
        channel.mapv_inplace(|x| {
            let normal = (f64::from(x) - f64::from(mean[c])) / deviation;
            (normal * f64::from(scale[c]) + f64::from(bias[c])) as f32
        });
    }
    Ok(result)
}

/// `exp(x - max) / sum` along `axis`, in `f64`.
pub(super) fn softmax(axis: usize, x: &ArrayD<f32>) -> Result<ArrayD<f32>, Fault> {
    if axis >= x.ndim() {
        return Err(internal(format!("shape {:?} has no axis {axis}", x.shape())));
    }
    let mut result = x.clone();
    for mut lane in result.lanes_mut(Axis(axis)) {
        // A NaN needs no care here: it is in the sum whatever the maximum is.
        let max = lane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exps = lane.mapv(|x| (f64::from(x) - f64::from(max)).exp());
        let sum = exps.sum();
        lane.assign(&exps.mapv(|e| (e / sum) as f32));
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::value::Value;

    #[test]
    fn normalises_each_channel_with_its_own_statistics() {
        let x = Value::from(array![[[[1.0f32, 3.0]], [[2.0, 4.0]]]]);
        let [scale, bias, mean, var] =
            [[2.0f32, 1.0], [0.5, -1.0], [1.0, 4.0], [3.0, 0.0]].map(|p| Value::from(array![p[0], p[1]]));
        let attrs = BatchNorm { epsilon: 1.0 };
        let y = batch_norm(attrs, Operands(&[&x, &scale, &bias, &mean, &var]));
        assert_eq!(y, Ok(array![[[[0.5, 2.5]], [[-3.0, -1.0]]]].into_dyn()));
        // Two dimensions, too: rows of features.
        let x = Value::from(array![[1.0f32, 2.0], [3.0, 4.0]]);
        let y = batch_norm(attrs, Operands(&[&x, &scale, &bias, &mean, &var]));
        assert_eq!(y, Ok(array![[0.5, -3.0], [2.5, -1.0]].into_dyn()));
    }

    #[test]
    fn refuses_parameters_of_another_length() {
        let x = Value::from(array![[1.0f32, 2.0, 3.0]]);
        let p = Value::from(array![1.0f32, 1.0]);
        assert!(batch_norm(BatchNorm { epsilon: 1e-5 }, Operands(&[&x, &p, &p, &p, &p])).is_err());
    }

    #[test]
    fn softmax_sums_to_one_along_its_axis_only() {
        let (e, one) = (std::f32::consts::E, 1.0f32);
        let x = array![[0.0f32, 1.0], [0.0, 0.0]].into_dyn();
        let y = softmax(1, &x).expect("an axis of x");
        let expected = array![[one / (one + e), e / (one + e)], [0.5, 0.5]];
        assert!(y.iter().zip(&expected).all(|(y, e)| (y - e).abs() < 1e-7), "{y}");
        let y = softmax(0, &x).expect("an axis of x");
        assert!(y.iter().zip(&array![[0.5, e / (one + e)], [0.5, one / (one + e)]]).all(|(y, e)| (y - e).abs() < 1e-7));
        assert!(softmax(2, &x).is_err());
    }

    #[test]
    fn softmax_does_not_overflow_and_propagates_nan() {
        let x = array![[1000.0f32, 1000.0], [-1000.0, f32::NEG_INFINITY], [1.0, f32::NAN]].into_dyn();
        let y = softmax(1, &x).expect("an axis of x");
        assert_eq!((y[[0, 0]], y[[0, 1]], y[[1, 0]], y[[1, 1]]), (0.5, 0.5, 1.0, 0.0));
        assert!(y[[2, 0]].is_nan() && y[[2, 1]].is_nan());
    }
}
