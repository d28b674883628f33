//! Graphs written as ONNX: opset 17, IR version 8, weights inside of the file.
//!
//! What ONNX does not have becomes several nodes: fused residuals and activations, `Silu`. Everything else is one node,
//! so that an import of the bytes gives the same graph. A value keeps its name, unless it is a graph output of another name.

mod nodes;

use std::collections::{HashMap, HashSet};

use onnx_protobuf::tensor_proto::DataType;
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
};
use rnc_ir::{DType, Dim, Graph, NodeId, Op, Tensor, TensorData, TensorType};

use crate::error::ExportError;
use crate::proto;

/// Protobuf's limit for a message, which a file is.
const MAX_BYTES: u64 = i32::MAX as u64;
/// The name of the batch dimension.
const BATCH: &str = "N";

/// Writes a graph as an ONNX model.
///
/// The opset is 17, or 19 if an average pool has dilations or there is a resize, whose present form came with that.
///
/// # Errors
/// If the weights do not fit into one file, or the graph holds something that ONNX has no form for.
pub fn export(graph: &Graph) -> Result<Vec<u8>, ExportError> {
    let constants = graph.ids().filter_map(|id| graph.node(id).constant());
    let bytes = constants.map(|t| t.dims().iter().product::<usize>() as u64 * t.dtype().bytes() as u64).sum();
    if bytes > MAX_BYTES {
        return Err(ExportError::TooLarge { bytes, limit: MAX_BYTES });
    }
    let mut exporter = Exporter::new(graph);
    for id in graph.topological_order() {
        exporter.node(id)?;
    }
    exporter.finish()
}

/// A model that is being written.
struct Exporter<'g> {
    graph: &'g Graph,
    opset: i64,
    /// Name of each value in the model.
    names: HashMap<NodeId, String>,
    taken: HashSet<String>,
    proto: GraphProto,
}

impl<'g> Exporter<'g> {
    fn new(graph: &'g Graph) -> Self {
        let needs_19 = |id| match graph.op(id) {
            Op::AveragePool(average) => average.pool.window.dilation != [1, 1],
            op => matches!(op, Op::Resize(_)),
        };
        let opset = if graph.ids().any(needs_19) { 19 } else { 17 };
        let proto = GraphProto { name: graph.name().to_owned(), ..GraphProto::default() };
        let mut exporter = Self { graph, opset, names: HashMap::new(), taken: HashSet::new(), proto };
        exporter.choose_names();
        exporter
    }

    /// In ONNX an output is called as its value is. So outputs name their values, and inputs keep their names; an output
    /// that finds its value named otherwise gets an `Identity` in the end. Then come all other values.
    fn choose_names(&mut self) {
        for id in self.graph.inputs() {
            self.choose_name(*id, self.graph.node(*id).name());
        }
        self.taken.extend(self.graph.outputs().iter().map(|o| o.name.clone()));
        for output in self.graph.outputs() {
            let is_given = matches!(self.graph.op(output.value), Op::Input);
            if !is_given && !self.names.contains_key(&output.value) && !self.names.values().any(|n| *n == output.name) {
                self.names.insert(output.value, output.name.clone());
            }
        }
        for id in self.graph.ids() {
            if !self.names.contains_key(&id) {
                self.choose_name(id, self.graph.node(id).name());
            }
        }
    }

    fn choose_name(&mut self, id: NodeId, wanted: &str) {
        let name = self.fresh(wanted);
        self.names.insert(id, name);
    }

    /// A name that nothing in the model has yet.
    fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut suffix = 0usize;
        while !self.taken.insert(name.clone()) {
            suffix += 1;
            name = format!("{wanted}.{suffix}");
        }
        name
    }

    fn name(&self, id: NodeId) -> &str {
        self.names.get(&id).map_or("", String::as_str)
    }

    /// Adds a node that gives `output`.
    fn push(&mut self, op: &str, inputs: &[&str], output: &str, attributes: impl Into<Vec<AttributeProto>>) {
        let node = NodeProto { name: output.to_owned(), ..proto::node(op, inputs, &[output], attributes) };
        self.proto.node.push(node);
    }

    /// Adds an initializer for a helper operand of `of`; gives its name.
    fn helper(&mut self, of: &str, suffix: &str, tensor: &Tensor) -> String {
        let name = self.fresh(&format!("{of}.{suffix}"));
        self.proto.initializer.push(initializer(&name, tensor));
        name
    }

    fn integers(&mut self, of: &str, suffix: &str, values: Vec<i64>) -> String {
        self.helper(of, suffix, &Tensor::i64([values.len()], values))
    }

    fn node(&mut self, id: NodeId) -> Result<(), ExportError> {
        let graph = self.graph;
        match graph.op(id) {
            Op::Input => Ok(()),
            Op::Constant(tensor) => {
                let tensor = initializer(self.name(id), tensor);
                self.proto.initializer.push(tensor);
                Ok(())
            }
            _ => nodes::write(self, id),
        }
    }

    fn finish(mut self) -> Result<Vec<u8>, ExportError> {
        for id in self.graph.inputs() {
            self.proto.input.push(value_info(self.name(*id), self.graph.ty(*id)));
        }
        for output in self.graph.outputs() {
            let name = self.name(output.value).to_owned();
            if name != output.name {
                if self.graph.inputs().iter().any(|id| self.name(*id) == output.name) {
                    return Err(ExportError::OutputName { output: output.name.clone() });
                }
                self.push("Identity", &[&name], &output.name, []);
            }
            self.proto.output.push(value_info(&output.name, self.graph.ty(output.value)));
        }
        let opset = OperatorSetIdProto { version: self.opset, ..OperatorSetIdProto::default() };
        let model = ModelProto {
            ir_version: if self.opset < 19 { 8 } else { 9 },
            opset_import: vec![opset],
            producer_name: "rnc".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.proto).into(),
            ..ModelProto::default()
        };
        let bytes = model.compute_size();
        if bytes > MAX_BYTES {
            return Err(ExportError::TooLarge { bytes, limit: MAX_BYTES });
        }
        model.write_to_bytes().map_err(|e| ExportError::Encode { reason: e.to_string() })
    }
}

fn initializer(name: &str, tensor: &Tensor) -> TensorProto {
    let dims: Vec<i64> = tensor.dims().iter().map(|d| *d as i64).collect();
    let raw = match tensor.data() {
        TensorData::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    proto::raw_tensor(name, data_type(tensor.dtype()), &dims, raw)
}

fn value_info(name: &str, ty: &TensorType) -> ValueInfoProto {
    let dim = |dim: &Dim| -> Dimension {
        proto::dimension(Some(match dim {
            Dim::Fixed(n) => dimension::Value::DimValue(*n as i64),
            Dim::Batch => dimension::Value::DimParam(BATCH.into()),
        }))
    };
    proto::value_info(name, data_type(ty.dtype), ty.shape.dims().iter().map(dim).collect())
}

fn data_type(dtype: DType) -> DataType {
    match dtype {
        DType::F32 => DataType::FLOAT,
        DType::I64 => DataType::INT64,
    }
}

#[cfg(test)]
mod tests;
