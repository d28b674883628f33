//! Makers of ONNX messages.

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_proto::DataType;
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{AttributeProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};
use protobuf::Enum;

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: value, ..attribute(name, AttributeType::INT) }
}

pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::INTS) }
}

pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: value, ..attribute(name, AttributeType::FLOAT) }
}

pub(crate) fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.as_bytes().to_vec(), ..attribute(name, AttributeType::STRING) }
}

pub(crate) fn attribute(name: &str, ty: AttributeType) -> AttributeProto {
    AttributeProto { name: name.into(), type_: ty.into(), ..AttributeProto::default() }
}

/// A node of the default domain.
pub(crate) fn node(
    op: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: impl Into<Vec<AttributeProto>>,
) -> NodeProto {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    NodeProto {
        op_type: op.into(),
        input: names(inputs),
        output: names(outputs),
        attribute: attributes.into(),
        ..NodeProto::default()
    }
}

/// A tensor with its data as little-endian bytes.
pub(crate) fn raw_tensor(name: &str, ty: DataType, dims: &[i64], raw: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: ty.value(),
        dims: dims.to_vec(),
        raw_data: raw,
        ..TensorProto::default()
    }
}

/// The declaration of an input or output.
pub(crate) fn value_info(name: &str, ty: DataType, dims: Vec<Dimension>) -> ValueInfoProto {
    let shape = TensorShapeProto { dim: dims, ..TensorShapeProto::default() };
    let tensor =
        type_proto::Tensor { elem_type: ty.value(), shape: Some(shape).into(), ..type_proto::Tensor::default() };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), type_: Some(ty).into(), ..ValueInfoProto::default() }
}

pub(crate) fn dimension(value: Option<dimension::Value>) -> Dimension {
    Dimension { value, ..Dimension::default() }
}
