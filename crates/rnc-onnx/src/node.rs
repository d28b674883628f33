//! One node under import: its attributes, its operands, and what it adds to the graph.

use onnx_protobuf::NodeProto;
use rnc_ir::op::{Binary, Reduce, ReduceKind, Reshape, Unary};
use rnc_ir::{Dim, Op, Shape, Tensor};

use crate::attributes::Attributes;
use crate::error::{Fault, Place};
use crate::shape_arithmetic::{Array, Elem, Scalar};
use crate::state::{State, Value};
use crate::tensors::{Known, MAX_RANK};

/// The import of one node.
pub(crate) struct NodeCx<'c, 'm> {
    pub state: &'c mut State,
    pub node: &'m NodeProto,
    pub attributes: Attributes<'m>,
    /// The intermediate results that this node has added.
    pub helpers: Vec<Value>,
}

impl NodeCx<'_, '_> {
    pub(crate) fn opset(&self) -> i64 {
        self.state.opset
    }

    /// An operand that may be left out (an empty name, or none).
    pub(crate) fn optional(&self, position: usize) -> Option<Value> {
        let name = self.node.input.get(position).filter(|name| !name.is_empty())?;
        Some(self.state.values.get(name).copied().unwrap_or(Value::Unknown))
    }

    /// An operand that must be there.
    pub(crate) fn operand(&self, position: usize, what: &str) -> Result<Value, Fault> {
        self.optional(position).ok_or_else(|| Fault::new(operand_subject(position, what), "nothing", "a value"))
    }

    /// Checks that the node has at most this many operands.
    pub(crate) fn at_most(&self, operands: usize) -> Result<(), Fault> {
        match self.node.input.len() {
            n if n <= operands => Ok(()),
            n => Err(Fault::new("operands", n.to_string(), format!("at most {operands}"))),
        }
    }

    pub(crate) fn output_name(&self) -> &str {
        self.node.output.first().map_or("", String::as_str)
    }

    /// Adds the node's (first) result.
    pub(crate) fn emit(&mut self, op: Op, operands: &[Value]) -> Result<Value, Fault> {
        let name = self.node.output.first().map_or("", String::as_str);
        self.state.emit(name, op, operands)
    }

    /// Adds an intermediate result, called like the node's result with a suffix.
    pub(crate) fn emit_helper(&mut self, suffix: &str, op: Op, operands: &[Value]) -> Result<Value, Fault> {
        let name = self.state.helper_name(&format!("{}.{suffix}", self.output_name()));
        let value = self.state.emit(&name, op, operands)?;
        self.helpers.push(value);
        Ok(value)
    }

    /// Adds an intermediate result, called like the node's result and its own operator. [`NodeCx::finish`] makes the last one the node's.
    pub(crate) fn step(&mut self, op: Op, operands: &[Value]) -> Result<Value, Fault> {
        self.emit_helper(op.name(), op, operands)
    }

    pub(crate) fn unary(&mut self, function: Unary, x: Value) -> Result<Value, Fault> {
        self.step(Op::Unary(function), &[x])
    }

    pub(crate) fn binary(&mut self, function: Binary, a: Value, b: Value) -> Result<Value, Fault> {
        self.step(Op::Binary(function), &[a, b])
    }

    /// The function of a value and a number.
    pub(crate) fn with_number(&mut self, function: Binary, a: Value, b: f32) -> Result<Value, Fault> {
        let b = self.scalar_constant("number", b);
        self.binary(function, a, b)
    }

    /// The elements of a value under other dimensions.
    pub(crate) fn reshaped(&mut self, x: Value, dims: impl IntoIterator<Item = Dim>) -> Result<Value, Fault> {
        self.step(Op::Reshape(Reshape { shape: Shape::new(dims) }), &[x])
    }

    /// A reduction that keeps the axes, with size 1.
    pub(crate) fn reduced(&mut self, kind: ReduceKind, x: Value, axes: &[usize]) -> Result<Value, Fault> {
        self.step(Op::Reduce(Reduce { kind, axes: axes.to_vec(), keep_dims: true }), &[x])
    }

    /// Makes an intermediate result of this node its result: it gets the name that the model has for it.
    pub(crate) fn finish(&mut self, value: Value) -> Result<Value, Fault> {
        let name = self.output_name().to_owned();
        match value {
            Value::Node(id) if self.helpers.contains(&value) => {
                self.state.graph.rename(id, &name);
                Ok(value)
            }
            Value::Node(_) => self.emit(Op::Identity, &[value]),
            Value::Constant(_) | Value::Unknown => Ok(value),
        }
    }

    /// The node's result as a computed array.
    pub(crate) fn result(&mut self, array: Array) -> Result<Value, Fault> {
        let name = self.node.output.first().map_or("", String::as_str);
        self.state.add_array(name, array)
    }

    /// An operand whose elements must be known when the model is imported.
    pub(crate) fn array(&self, position: usize, what: &str) -> Result<Array, Fault> {
        let value = self.operand(position, what)?;
        self.state.array(value)?.ok_or_else(|| {
            let found = match value {
                Value::Node(id) => {
                    format!("`{}`, which is computed when the model runs", self.state.graph.node(id).name())
                }
                Value::Constant(_) | Value::Unknown => "a large constant".to_owned(),
            };
            Fault::new(operand_subject(position, what), found, "a small constant, or shape arithmetic")
        })
    }

    /// A list (or single number) of integers, some of which may depend on the batch size.
    pub(crate) fn scalars(&self, position: usize, what: &str) -> Result<Vec<Scalar>, Fault> {
        let array = self.array(position, what)?;
        if array.elem.is_float() || array.dims.len() > 1 {
            return Err(Fault::new(operand_subject(position, what), array.to_string(), "a list of integers"));
        }
        Ok(array.data)
    }

    /// A list of integers that do not depend on the batch size.
    pub(crate) fn integers(&self, position: usize, what: &str) -> Result<Vec<i64>, Fault> {
        let scalars = self.scalars(position, what)?;
        let known: Option<Vec<i64>> = scalars.iter().map(|s| s.as_integer()).collect();
        known.ok_or_else(|| {
            let found = Array::vector(scalars).to_string();
            Fault::new(
                operand_subject(position, what),
                found,
                "known integers (a fixed batch size can be given with --dim)",
            )
        })
    }

    /// A single `f32` that is known.
    pub(crate) fn float(&self, position: usize, what: &str) -> Result<f32, Fault> {
        let array = self.array(position, what)?;
        match array.single().and_then(Scalar::as_float).filter(|_| array.elem == Elem::F32) {
            Some(float) => Ok(float as f32),
            None => Err(Fault::new(operand_subject(position, what), array.to_string(), "one float32 number")),
        }
    }

    /// An `f32` scalar constant for a helper operand.
    pub(crate) fn scalar_constant(&mut self, suffix: &str, value: f32) -> Value {
        let name = self.state.helper_name(&format!("{}.{suffix}", self.output_name()));
        self.state.add_constant(&name, Known::Tensor(Tensor::f32([], vec![value])))
    }

    /// Shape of an operand's value.
    pub(crate) fn shape(&self, value: Value) -> Result<Shape, Fault> {
        self.state.shape(value)
    }

    /// A chain of a binary function over all operands, as `Sum`, `Max`, `Min` are.
    pub(crate) fn chain(&mut self, binary: Binary, operands: &[Value]) -> Result<Value, Fault> {
        let (first, rest) = operands.split_first().ok_or_else(|| Fault::new("operands", "none", "one or more"))?;
        let Some((last, middle)) = rest.split_last() else {
            return self.emit(Op::Identity, &[*first]);
        };
        let mut sum = *first;
        for (i, value) in middle.iter().enumerate() {
            sum = self.emit_helper(&format!("partial{i}"), Op::Binary(binary), &[sum, *value])?;
        }
        self.emit(Op::Binary(binary), &[sum, *last])
    }
}

/// An axis counted from either end, as one counted from the front.
pub(crate) fn normal_axis(axis: i64, rank: usize) -> Result<usize, Fault> {
    axis_of(axis, rank).ok_or_else(|| Fault::new("axis", axis.to_string(), format!("an axis of {rank} dimensions")))
}

/// Axes counted from either end in the order given, each once.
pub(crate) fn axes_in_order(axes: &[i64], rank: usize) -> Result<Vec<usize>, Fault> {
    let result = axes.iter().map(|axis| normal_axis(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = vec![false; rank];
    if result.iter().any(|axis| std::mem::replace(&mut seen[*axis], true)) {
        return Err(Fault::new("axes", format!("{:?}", &axes[..axes.len().min(16)]), "each axis once"));
    }
    Ok(result)
}

/// Axes counted from either end, each once; ascending.
pub(crate) fn normal_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, Fault> {
    let mut result = axes_in_order(axes, rank)?;
    result.sort_unstable();
    Ok(result)
}

/// An axis counted from either end, or an index into that many elements; `None` if it is out of range.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let from_front = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(from_front).ok().filter(|axis| *axis < rank)
}

/// Where a node is.
pub(crate) fn place(node: &NodeProto, opset: i64) -> Place {
    let first_output = || node.output.iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
    let name = if node.name.is_empty() { first_output() } else { node.name.clone() };
    let operator = match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
    };
    Place::Node { name, operator, opset }
}

/// Refuses ranks that no model has: work on a value grows with its rank.
pub(crate) fn check_rank(rank: usize) -> Result<(), Fault> {
    if rank <= MAX_RANK {
        return Ok(());
    }
    Err(Fault::new("rank of the result", rank.to_string(), format!("at most {MAX_RANK} dimensions")))
}

/// How an operand is called in a problem.
pub(crate) fn operand_subject(position: usize, what: &str) -> String {
    format!("operand {position} ({what})")
}
