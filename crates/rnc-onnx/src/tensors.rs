//! Constant tensors: `TensorProto`s with their data inside or in a file.

use std::path::Path;

use onnx_protobuf::TensorProto;
use onnx_protobuf::tensor_proto::{DataLocation, DataType};
use rnc_ir::Tensor;

use crate::error::Fault;
use crate::external;
use crate::shape_arithmetic::{Array, Elem, MAX_ELEMENTS, Scalar};

/// Tensors have at most this many dimensions.
pub(crate) const MAX_RANK: usize = 32;

/// What is known of a constant.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// An `f32` tensor of any size.
    Tensor(Tensor),
    /// A small tensor that shape arithmetic may work with.
    Array(Array),
}

/// Reads a constant. Floats become tensors; int64, int32, bool and float64 become arrays.
pub(crate) fn load(proto: &TensorProto, base_dir: Option<&Path>) -> Result<Known, Fault> {
    let elem = elem(proto.data_type)?;
    let dims = dims(proto)?;
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| n.checked_mul(8).is_some());
    let count = count.ok_or_else(|| Fault::new("dims", format!("{dims:?}"), "a tensor that fits into memory"))?;
    if proto.segment.is_some() {
        return Err(Fault::new("data", "a segment of a tensor", "whole tensors"));
    }
    if elem == Elem::F32 {
        return Ok(Known::Tensor(Tensor::f32(dims, floats(proto, base_dir, count)?)));
    }
    if count > MAX_ELEMENTS {
        let supported = format!("float32, or at most {MAX_ELEMENTS} elements");
        return Err(Fault::new("data", format!("{count} elements of {elem}"), supported));
    }
    let data = match elem {
        Elem::I64 => numbers(proto, base_dir, &proto.int64_data, count, i64::from_le_bytes)?
            .into_iter()
            .map(Scalar::Int)
            .collect(),
        Elem::I32 => scalars(numbers(proto, base_dir, &proto.int32_data, count, i32::from_le_bytes)?),
        Elem::Bool if proto.int32_data.is_empty() => {
            scalars(numbers(proto, base_dir, &[], count, |[b]: [u8; 1]| i32::from(b != 0))?)
        }
        Elem::Bool => scalars(
            numbers(proto, base_dir, &proto.int32_data, count, |_: [u8; 1]| 0)?
                .into_iter()
                .map(|v| i32::from(v != 0))
                .collect(),
        ),
        Elem::F64 | Elem::F32 => numbers(proto, base_dir, &proto.double_data, count, f64::from_le_bytes)?
            .into_iter()
            .map(Scalar::Float)
            .collect(),
    };
    Ok(Known::Array(Array { elem, dims, data }))
}

/// The element type of an ONNX data type number.
pub(crate) fn elem(data_type: i32) -> Result<Elem, Fault> {
    let fault = |found: String| {
        Fault::new("element type", found, "float32 (and int64, int32, bool, float64 in shape arithmetic)")
    };
    let Some(data_type) = protobuf::Enum::from_i32(data_type) else {
        return Err(fault(format!("number {data_type}")));
    };
    match data_type {
        DataType::FLOAT => Ok(Elem::F32),
        DataType::INT64 => Ok(Elem::I64),
        DataType::INT32 => Ok(Elem::I32),
        DataType::BOOL => Ok(Elem::Bool),
        DataType::DOUBLE => Ok(Elem::F64),
        other => Err(fault(format!("{other:?}").to_lowercase())),
    }
}

fn dims(proto: &TensorProto) -> Result<Vec<usize>, Fault> {
    let fault = || {
        Fault::new(
            "dims",
            format!("{:?}", &proto.dims[..proto.dims.len().min(MAX_RANK + 1)]),
            format!("at most {MAX_RANK} sizes from 0"),
        )
    };
    if proto.dims.len() > MAX_RANK {
        return Err(fault());
    }
    proto.dims.iter().map(|d| usize::try_from(*d).map_err(|_| fault())).collect()
}

fn floats(proto: &TensorProto, base_dir: Option<&Path>, count: usize) -> Result<Vec<f32>, Fault> {
    numbers(proto, base_dir, &proto.float_data, count, f32::from_le_bytes)
}

/// The `count` elements of a tensor, from `typed` (the data field of its type), from raw bytes, or from a file.
fn numbers<T: Copy, const BYTES: usize>(
    proto: &TensorProto,
    base_dir: Option<&Path>,
    typed: &[T],
    count: usize,
    from_le_bytes: impl Fn([u8; BYTES]) -> T,
) -> Result<Vec<T>, Fault> {
    let decode = |bytes: &[u8]| bytes.as_chunks::<BYTES>().0.iter().map(|b| from_le_bytes(*b)).collect();
    let expected = format!("{count} elements, as the dimensions {:?} say", proto.dims);
    if proto.data_location.enum_value() == Ok(DataLocation::EXTERNAL) {
        return Ok(decode(&external::read(proto, base_dir, count * BYTES)?));
    }
    match (typed.is_empty(), proto.raw_data.is_empty()) {
        (false, false) => Err(Fault::new("data", "both raw and typed data", "one of them")),
        (false, true) if typed.len() == count => Ok(typed.to_vec()),
        (false, true) => Err(Fault::new("data", format!("{} elements", typed.len()), expected)),
        (true, _) if proto.raw_data.len() == count * BYTES => Ok(decode(&proto.raw_data)),
        (true, _) => Err(Fault::new("data", format!("{} bytes of raw data", proto.raw_data.len()), expected)),
    }
}

fn scalars(values: Vec<i32>) -> Vec<Scalar> {
    values.into_iter().map(|v| Scalar::Int(i64::from(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{external_tensor, raw_tensor};

    fn load_raw(ty: DataType, dims: &[i64], raw: &[u8]) -> Result<Known, Fault> {
        load(&raw_tensor("t", ty, dims, raw), None)
    }

    fn array(known: Known) -> Array {
        match known {
            Known::Array(array) => array,
            Known::Tensor(tensor) => Array::of_tensor(&tensor),
        }
    }

    #[test]
    fn reads_raw_and_typed_data_of_each_type() {
        let ints = |v: &[i64]| v.iter().map(|x| Scalar::Int(*x)).collect::<Vec<_>>();
        let floats = |v: &[f64]| v.iter().map(|x| Scalar::Float(*x)).collect::<Vec<_>>();
        let raw = |ty, bytes: &[u8], n| array(load_raw(ty, &[n], bytes).unwrap()).data;
        assert_eq!(
            raw(DataType::FLOAT, &[1.5f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat(), 2),
            floats(&[1.5, 2.0])
        );
        assert_eq!(raw(DataType::INT64, &(-3i64).to_le_bytes(), 1), ints(&[-3]));
        assert_eq!(raw(DataType::INT32, &(-3i32).to_le_bytes(), 1), ints(&[-3]));
        assert_eq!(raw(DataType::BOOL, &[0, 7], 2), ints(&[0, 1]));
        assert_eq!(raw(DataType::DOUBLE, &0.25f64.to_le_bytes(), 1), floats(&[0.25]));

        let typed = |ty, fill: &dyn Fn(&mut TensorProto)| {
            let mut proto = raw_tensor("t", ty, &[2], &[]);
            fill(&mut proto);
            array(load(&proto, None).unwrap()).data
        };
        assert_eq!(typed(DataType::FLOAT, &|t| t.float_data = vec![1.0, 2.0]), floats(&[1.0, 2.0]));
        assert_eq!(typed(DataType::INT64, &|t| t.int64_data = vec![1, 2]), ints(&[1, 2]));
        assert_eq!(typed(DataType::INT32, &|t| t.int32_data = vec![1, 2]), ints(&[1, 2]));
        assert_eq!(typed(DataType::BOOL, &|t| t.int32_data = vec![0, 5]), ints(&[0, 1]));
        assert_eq!(typed(DataType::DOUBLE, &|t| t.double_data = vec![1.0, 2.0]), floats(&[1.0, 2.0]));
    }

    #[test]
    fn refuses_data_of_another_length_than_the_dimensions_say() {
        for dims in [&[2][..], &[], &[1 << 62], &[i64::MAX, i64::MAX], &[-1], &[0, i64::MAX, i64::MAX, 2], &[1; 40]] {
            let result = load_raw(DataType::FLOAT, dims, &[0; 12]);
            assert!(result.is_err(), "{dims:?}");
        }
        let mut both = raw_tensor("t", DataType::FLOAT, &[1], &[0; 4]);
        both.float_data = vec![0.0];
        assert!(load(&both, None).is_err());
        assert!(load_raw(DataType::INT64, &[MAX_ELEMENTS as i64 + 1], &[]).is_err());
    }

    #[test]
    fn takes_a_tensor_without_elements() {
        assert!(array(load_raw(DataType::INT64, &[0], &[]).unwrap()).data.is_empty());
    }

    #[test]
    fn refuses_other_types_by_name() {
        let text = |ty| format!("{:?}", load_raw(ty, &[1], &[0; 2]).unwrap_err());
        assert!(text(DataType::FLOAT16).contains("float16"));
        assert!(text(DataType::STRING).contains("string"));
        let unknown = TensorProto { data_type: 99, ..TensorProto::default() };
        assert!(format!("{:?}", load(&unknown, None).unwrap_err()).contains("99"));
    }

    #[test]
    fn reads_external_data() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("w"), [1.0f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat()).unwrap();
        let proto = external_tensor("w", &[2], &[("location", "w")]);
        let Known::Tensor(tensor) = load(&proto, Some(dir.path())).unwrap() else { panic!("not a tensor") };
        assert_eq!(tensor.as_f32(), Some(&[1.0, 2.0][..]));
    }
}
