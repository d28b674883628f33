//! What an import knows so far.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use rnc_ir::op::Unary;
use rnc_ir::{DType, Graph, NodeId, Op, Shape, Suffixes};

use crate::error::Fault;
use crate::shape_arithmetic::{self, Array, Elem, MAX_ELEMENTS};
use crate::tensors::Known;

/// `ConstantOfShape` makes at most this many elements in one model (1 GiB of floats): their number is not bounded by the
/// size of the model's file.
const MAX_MADE: usize = 1 << 28;
/// Shape arithmetic computes at most this many elements in one model.
const MAX_COMPUTED: usize = 1 << 24;

/// What an ONNX name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A value that is computed when the model runs.
    Node(NodeId),
    /// A constant, by its index in [`State::constants`]. It enters the graph when a node uses it.
    Constant(usize),
    /// The result of something that was reported as a problem.
    Unknown,
}

struct Constant {
    name: String,
    known: Known,
    node: Option<NodeId>,
}

/// What an import knows so far.
pub(crate) struct State {
    pub graph: Graph,
    /// Version of the default operator set.
    pub opset: i64,
    /// What each ONNX name stands for.
    pub values: HashMap<String, Value>,
    /// Names that are an operand of some node or an output of the graph.
    pub used: HashSet<String>,
    /// All names of values in the model: names for helper nodes stay clear of them.
    pub names: HashSet<String>,
    /// Of names that helpers share.
    suffixes: Suffixes,
    /// The model's folder, where external data lies.
    pub base_dir: Option<PathBuf>,
    constants: Vec<Constant>,
    made: usize,
    computed: usize,
}

impl State {
    pub(crate) fn new(graph: Graph, opset: i64, base_dir: Option<PathBuf>) -> Self {
        Self {
            graph,
            opset,
            values: HashMap::new(),
            used: HashSet::new(),
            names: HashSet::new(),
            suffixes: Suffixes::default(),
            base_dir,
            constants: Vec::new(),
            made: 0,
            computed: 0,
        }
    }

    pub(crate) fn add_constant(&mut self, name: &str, known: Known) -> Value {
        self.constants.push(Constant { name: name.to_owned(), known, node: None });
        Value::Constant(self.constants.len() - 1)
    }

    /// The node of a value; a constant enters the graph now.
    pub(crate) fn node(&mut self, value: Value) -> Result<NodeId, Fault> {
        let index = match value {
            Value::Node(id) => return Ok(id),
            Value::Unknown => return Err(Fault::Poisoned),
            Value::Constant(index) => index,
        };
        let constant = &mut self.constants[index];
        if let Some(id) = constant.node {
            return Ok(id);
        }
        let tensor = match &constant.known {
            Known::Tensor(tensor) => tensor.clone(),
            Known::Array(array) => array.to_tensor()?,
        };
        let id = self.graph.add_constant(&constant.name, tensor);
        constant.node = Some(id);
        Ok(id)
    }

    pub(crate) fn shape(&self, value: Value) -> Result<Shape, Fault> {
        match value {
            Value::Node(id) => Ok(self.graph.ty(id).shape.clone()),
            Value::Constant(index) => Ok(match &self.constants[index].known {
                Known::Tensor(tensor) => tensor.ty().shape,
                Known::Array(array) => Shape::new(array.dims.iter().copied()),
            }),
            Value::Unknown => Err(Fault::Poisoned),
        }
    }

    pub(crate) fn elem(&self, value: Value) -> Result<Elem, Fault> {
        match value {
            Value::Node(id) => Ok(match self.graph.ty(id).dtype {
                DType::F32 => Elem::F32,
                DType::I64 => Elem::I64,
            }),
            Value::Constant(index) => Ok(match &self.constants[index].known {
                Known::Tensor(_) => Elem::F32,
                Known::Array(array) => array.elem,
            }),
            Value::Unknown => Err(Fault::Poisoned),
        }
    }

    /// The elements of a constant that is small enough for shape arithmetic.
    pub(crate) fn array(&self, value: Value) -> Result<Option<Array>, Fault> {
        match value {
            Value::Node(_) => Ok(None),
            Value::Constant(index) => Ok(match &self.constants[index].known {
                Known::Tensor(tensor) if tensor.dims().iter().product::<usize>() > MAX_ELEMENTS => None,
                Known::Tensor(tensor) => Some(Array::of_tensor(tensor)),
                Known::Array(array) => Some(array.clone()),
            }),
            Value::Unknown => Err(Fault::Poisoned),
        }
    }

    /// The operands of an operator that the importer computes itself: integer arithmetic always, float arithmetic as far
    /// as it belongs to such a chain (some operand came out of one) or is about single numbers.
    fn evaluable(&self, op: &Op, operands: &[Value]) -> Result<Option<Vec<Array>>, Fault> {
        if !shape_arithmetic::evaluates(op) {
            return Ok(None);
        }
        let mut arrays = Vec::with_capacity(operands.len());
        let mut in_chain = false;
        for value in operands {
            let Some(array) = self.array(*value)? else { return Ok(None) };
            in_chain |= matches!(value, Value::Constant(i) if matches!(self.constants[*i].known, Known::Array(_)));
            arrays.push(array);
        }
        let single =
            matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Reshape(_)) && arrays.iter().all(|a| a.data.len() == 1);
        Ok((in_chain || single).then_some(arrays))
    }

    /// Adds a node of this name, or computes its value now if it belongs to shape arithmetic.
    pub(crate) fn emit(&mut self, name: &str, op: Op, operands: &[Value]) -> Result<Value, Fault> {
        if let Some(arrays) = self.evaluable(&op, operands)? {
            let array = shape_arithmetic::evaluate(&op, &arrays)?;
            return self.add_array(name, array);
        }
        if needs_floats(&op) {
            for (i, value) in operands.iter().enumerate() {
                let elem = self.elem(*value)?;
                if elem != Elem::F32 {
                    let supported = "float32 (integers only in shape arithmetic, from operands known at import)";
                    return Err(Fault::new(format!("operand {i}"), elem.to_string(), supported));
                }
            }
        }
        let ids = operands.iter().map(|value| self.node(*value)).collect::<Result<Vec<_>, _>>()?;
        self.graph.add(name, op, &ids).map(Value::Node).map_err(|e| type_fault(&e))
    }

    /// Keeps a computed array. They are bounded together: a file can ask for many large ones in a few bytes each.
    pub(crate) fn add_array(&mut self, name: &str, array: Array) -> Result<Value, Fault> {
        self.computed += array.data.len();
        if self.computed > MAX_COMPUTED {
            let found = format!("more than {MAX_COMPUTED} elements in the model");
            return Err(Fault::new("shape arithmetic", found, "arrays as small as shapes are"));
        }
        Ok(self.add_constant(name, Known::Array(array)))
    }

    /// Counts elements of weights that are about to be made of nothing.
    pub(crate) fn reserve(&mut self, elements: usize) -> Result<(), Fault> {
        let made = self.made.checked_add(elements).filter(|n| *n <= MAX_MADE);
        self.made = made.ok_or_else(|| {
            let found = format!("{elements} elements on top of {}", self.made);
            Fault::new("size of constants", found, format!("at most {MAX_MADE} elements made by ConstantOfShape"))
        })?;
        Ok(())
    }

    /// A name for a helper node that no value of the model has.
    pub(crate) fn helper_name(&mut self, base: &str) -> String {
        let name = self.suffixes.free(base, |name| self.names.contains(name));
        self.names.insert(name.clone());
        name
    }
}

/// Operators that the graph could hold on integers, but that are about floats in ONNX models that run.
fn needs_floats(op: &Op) -> bool {
    match op {
        Op::Unary(Unary::Abs | Unary::Neg) | Op::Binary(_) => true,
        // Inference sees to it, or any type will do.
        Op::Input
        | Op::Constant(_)
        | Op::Conv2d(_)
        | Op::BatchNorm(_)
        | Op::Where
        | Op::Unary(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::Gemm(_)
        | Op::MatMul
        | Op::Softmax(_)
        | Op::Concat(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Expand(_)
        | Op::Resize(_)
        | Op::Reduce(_)
        | Op::Identity => false,
    }
}

pub(crate) fn type_fault(error: &rnc_ir::TypeError) -> Fault {
    Fault::new("types", error.to_string(), "operands and attributes that fit each other")
}
