//! Small ONNX models for tests.

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_proto::{DataLocation, DataType};
use onnx_protobuf::tensor_shape_proto::dimension;
use onnx_protobuf::{
    AttributeProto, Message, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, ValueInfoProto,
};
use rnc_ir::{Graph, Op};

use crate::proto::{self, attribute};
pub(crate) use crate::proto::{float, int, ints, node, string};
use crate::{ImportError, ImportOptions, Problem, export, import_bytes};

/// A dimension of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SymDim {
    Value(i64),
    Param(&'static str),
    None,
}

impl From<i64> for SymDim {
    fn from(value: i64) -> Self {
        Self::Value(value)
    }
}

pub(crate) fn floats(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto { floats: values.to_vec(), ..attribute(name, AttributeType::FLOATS) }
}

pub(crate) fn tensor(name: &str, value: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(value).into(), ..attribute(name, AttributeType::TENSOR) }
}

pub(crate) fn raw_tensor(name: &str, ty: DataType, dims: &[i64], raw: &[u8]) -> TensorProto {
    proto::raw_tensor(name, ty, dims, raw.to_vec())
}

pub(crate) fn float_tensor(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto { float_data: data.to_vec(), ..raw_tensor(name, DataType::FLOAT, dims, &[]) }
}

/// A tensor of small different numbers.
pub(crate) fn weights(name: &str, dims: &[i64]) -> TensorProto {
    let count: i64 = dims.iter().product();
    float_tensor(name, dims, &(0..count).map(|i| (i % 17) as f32 * 0.125 + 0.25).collect::<Vec<_>>())
}

pub(crate) fn int_tensor(name: &str, dims: &[i64], data: &[i64]) -> TensorProto {
    TensorProto { int64_data: data.to_vec(), ..raw_tensor(name, DataType::INT64, dims, &[]) }
}

pub(crate) fn external_tensor(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: (*key).into(),
        value: (*value).into(),
        ..StringStringEntryProto::default()
    };
    TensorProto {
        external_data: entries.iter().map(entry).collect(),
        data_location: DataLocation::EXTERNAL.into(),
        ..raw_tensor(name, DataType::FLOAT, dims, &[])
    }
}

pub(crate) fn input(name: &str, dims: &[SymDim]) -> ValueInfoProto {
    typed_input(name, DataType::FLOAT, dims)
}

pub(crate) fn typed_input(name: &str, ty: DataType, dims: &[SymDim]) -> ValueInfoProto {
    let dim = |dim: &SymDim| {
        proto::dimension(match dim {
            SymDim::Value(n) => Some(dimension::Value::DimValue(*n)),
            SymDim::Param(name) => Some(dimension::Value::DimParam((*name).into())),
            SymDim::None => None,
        })
    };
    proto::value_info(name, ty, dims.iter().map(dim).collect())
}

/// A model under construction. The batch dimension of inputs is `N`.
pub(crate) struct Model(pub ModelProto);

impl Model {
    pub(crate) fn new(opset: i64) -> Self {
        let mut model = ModelProto { ir_version: 8, ..ModelProto::default() };
        model.opset_import.push(OperatorSetIdProto { version: opset, ..OperatorSetIdProto::default() });
        model.graph.mut_or_insert_default().name = "test".into();
        Self(model)
    }

    /// An input of the batch and these dimensions.
    pub(crate) fn batch_input(self, name: &str, rest: &[i64]) -> Self {
        let dims: Vec<_> = [SymDim::Param("N")].into_iter().chain(rest.iter().map(|n| SymDim::Value(*n))).collect();
        self.input(input(name, &dims))
    }

    /// An input of fixed dimensions.
    pub(crate) fn fixed_input(self, name: &str, dims: &[i64]) -> Self {
        self.input(input(name, &dims.iter().map(|n| SymDim::Value(*n)).collect::<Vec<_>>()))
    }

    pub(crate) fn input(mut self, input: ValueInfoProto) -> Self {
        self.0.graph.mut_or_insert_default().input.push(input);
        self
    }

    pub(crate) fn init(mut self, tensor: TensorProto) -> Self {
        self.0.graph.mut_or_insert_default().initializer.push(tensor);
        self
    }

    pub(crate) fn node(
        mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: impl Into<Vec<AttributeProto>>,
    ) -> Self {
        self.0.graph.mut_or_insert_default().node.push(node(op, inputs, outputs, attributes));
        self
    }

    pub(crate) fn output(mut self, name: &str) -> Self {
        let info = ValueInfoProto { name: name.into(), ..ValueInfoProto::default() };
        self.0.graph.mut_or_insert_default().output.push(info);
        self
    }

    pub(crate) fn try_import(self) -> Result<Graph, ImportError> {
        import_bytes(&self.0.write_to_bytes().unwrap(), None, &ImportOptions::default())
    }

    /// The graph, checked to survive an export and another import.
    #[track_caller]
    pub(crate) fn import(self) -> Graph {
        match self.try_import() {
            Ok(graph) => {
                let bytes = export(&graph).unwrap();
                let again = import_bytes(&bytes, None, &ImportOptions::default()).unwrap();
                assert!(again.same(&graph), "after an export and an import:\n{again}\nbefore:\n{graph}");
                graph
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// What the import reports.
    #[track_caller]
    pub(crate) fn problems(self) -> Vec<Problem> {
        match self.try_import() {
            Err(ImportError::Unsupported { problems }) => problems,
            other => panic!("expected problems, found {other:?}"),
        }
    }
}

/// The operator of the value of this name.
#[track_caller]
pub(crate) fn op<'g>(graph: &'g Graph, name: &str) -> &'g Op {
    graph.op(graph.find(name).unwrap_or_else(|| panic!("no value `{name}`")))
}

/// The type of the value of this name, as text.
#[track_caller]
pub(crate) fn ty(graph: &Graph, name: &str) -> String {
    graph.ty(graph.find(name).unwrap_or_else(|| panic!("no value `{name}`"))).to_string()
}
