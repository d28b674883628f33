//! What lowering knows while it walks the graph: where values live, and the plan so far.

use std::collections::HashMap;

use rnc_ir::{Graph, NodeId};
use rnc_plan::kernel::{Access, BLOCK, Elementwise, Instruction, KernelSpec, Space, blocks};
use rnc_plan::{Batch, Choice, Operand, Step, footprint};

use crate::batch;
use crate::choose::Chooser;
use crate::error::Reason;
use crate::layout::{Layout, coincide, len, same_blocked};
use crate::pack::Packer;
use crate::view;

/// Names a value: a node's, or one that lowering makes on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ValueId(usize);

/// A sample, and where it lives.
#[derive(Debug)]
struct Value {
    name: String,
    dims: Vec<usize>,
    /// The layout that it is in for certain, and where.
    home: (Layout, Operand),
    /// Where it is in the other layout, once something asked for it.
    other: Option<Operand>,
    /// Values of one class share memory; their uses are counted together.
    class: usize,
}

/// A buffer without a place yet.
#[derive(Debug)]
pub(crate) struct PendingBuffer {
    pub name: String,
    pub elements: usize,
}

/// The state of lowering.
pub(crate) struct Context<'g> {
    pub graph: &'g Graph,
    pub batch: Batch,
    pub chooser: Chooser<'g>,
    pub packer: Packer<'g>,
    pub steps: Vec<Step>,
    pub buffers: Vec<PendingBuffer>,
    /// Sample dimensions of all nodes that have a batch.
    pub samples: HashMap<NodeId, Vec<usize>>,
    values: Vec<Value>,
    of_node: HashMap<NodeId, ValueId>,
    /// By class: uses of its values that are still to be lowered.
    uses_left: Vec<usize>,
    output_written: Vec<bool>,
}

impl<'g> Context<'g> {
    /// A context in which the graph's inputs that are in `samples` exist.
    pub(crate) fn new(
        graph: &'g Graph,
        batch: Batch,
        samples: HashMap<NodeId, Vec<usize>>,
        chooser: Chooser<'g>,
    ) -> Self {
        let mut cx = Self {
            graph,
            batch,
            chooser,
            packer: Packer::default(),
            steps: Vec::new(),
            buffers: Vec::new(),
            samples,
            values: Vec::new(),
            of_node: HashMap::new(),
            uses_left: Vec::new(),
            output_written: vec![false; graph.outputs().len()],
        };
        for (port, id) in graph.inputs().iter().enumerate() {
            if cx.samples.contains_key(id) {
                cx.define(*id, Layout::Planar, Operand::Input(port));
            }
        }
        cx
    }

    /// A node's name, with the graph's lifetime.
    pub(crate) fn name(&self, node: NodeId) -> &'g str {
        self.graph.node(node).name()
    }

    /// The elements of an operand that must be a constant.
    pub(crate) fn constant(&self, node: NodeId, what: &str) -> Result<&'g [f32], Reason> {
        let node = self.graph.node(node);
        node.constant().and_then(|t| t.as_f32()).ok_or_else(|| {
            let found =
                format!("{what} `{}` are computed by `{}`, of type {}", node.name(), node.op().name(), node.ty());
            Reason::new(found, format!("{what} that are an f32 constant"))
        })
    }

    /// The value of a node. A constant becomes one in front of its first use as such.
    pub(crate) fn value(&mut self, node: NodeId) -> Result<ValueId, Reason> {
        match self.of_node.get(&node) {
            Some(value) => Ok(*value),
            None => self.materialize(node),
        }
    }

    /// An axis of a value as one of its sample.
    pub(crate) fn sample_axis(&self, axis: usize) -> Result<usize, Reason> {
        let leading = batch::leading_dims(self.batch);
        axis.checked_sub(leading).ok_or_else(|| Reason::new("works along axis 0, the batch", "axes within a sample"))
    }

    /// Sample dimensions of a node that is being lowered.
    pub(crate) fn sample(&self, node: NodeId) -> Vec<usize> {
        self.samples[&node].clone()
    }

    pub(crate) fn dims(&self, value: ValueId) -> &[usize] {
        &self.values[value.0].dims
    }

    /// Whether the value exists in this layout without a conversion.
    pub(crate) fn has(&self, value: ValueId, layout: Layout) -> bool {
        self.values[value.0].existing(layout).is_some()
    }

    /// Where the value lies in this layout; a conversion is inserted if it does not yet. Blocked only for samples with an extent.
    pub(crate) fn place(&mut self, id: ValueId, layout: Layout) -> Result<Operand, Reason> {
        let value = &self.values[id.0];
        if let Some(place) = value.existing(layout) {
            return Ok(place);
        }
        let (from, source) = value.home;
        let suffix = match layout {
            Layout::Blocked => "blocked",
            Layout::Planar => "planar",
        };
        let (name, dims) = (format!("{}.{suffix}", value.name), value.dims.clone());
        let result = self.buffer(&name, &dims, layout)?;
        self.emit(&name, KernelSpec::Copy(view::convert(&dims, from, layout)), vec![result, source])?;
        self.values[id.0].other = Some(result);
        Ok(result)
    }

    /// Where a copy may read the value without a conversion.
    pub(crate) fn any_place(&self, id: ValueId) -> (Layout, Operand) {
        self.values[id.0].home
    }

    /// A new buffer for a sample.
    pub(crate) fn buffer(&mut self, name: &str, dims: &[usize], layout: Layout) -> Result<Operand, Reason> {
        let elements = len(dims, layout).ok_or_else(|| {
            Reason::new(format!("a sample of {dims:?} has no {layout:?} layout"), "samples of rank 1 and 3 there")
        })?;
        self.buffers.push(PendingBuffer { name: name.to_owned(), elements });
        Ok(Operand::Buffer(self.buffers.len() - 1))
    }

    /// Where a node's result in this layout goes: straight to the graph's output if that is its only use and the layout allows it, else to
    /// `in_place` if given, else to a new buffer.
    pub(crate) fn result(
        &mut self,
        node: NodeId,
        layout: Layout,
        in_place: Option<Operand>,
    ) -> Result<Operand, Reason> {
        let dims = self.sample(node);
        let port = self.graph.outputs().iter().position(|o| o.value == node);
        match port {
            Some(port) if self.graph.use_count(node) == 1 && (layout == Layout::Planar || coincide(&dims)) => {
                self.output_written[port] = true;
                Ok(Operand::Output(port))
            }
            _ => in_place.map_or_else(|| self.buffer(self.name(node), &dims, layout), Ok),
        }
    }

    /// Says where the value of a node lies.
    pub(crate) fn define(&mut self, node: NodeId, layout: Layout, place: Operand) -> ValueId {
        let class = self.class(self.graph.use_count(node));
        let value = self.insert(self.name(node), self.sample(node), class, layout, place);
        self.of_node.insert(node, value);
        value
    }

    /// Makes a node's value the elements of another in row-major order.
    pub(crate) fn define_alias(&mut self, node: NodeId, of: ValueId) -> Result<ValueId, Reason> {
        let dims = self.sample(node);
        let value = self.alias(of, dims)?;
        self.uses_left[self.values[value.0].class] += self.graph.use_count(node);
        self.of_node.insert(node, value);
        Ok(value)
    }

    /// A value that lowering made on the way; nothing but the next step uses it.
    pub(crate) fn temporary(&mut self, name: &str, dims: Vec<usize>, layout: Layout, place: Operand) -> ValueId {
        let class = self.class(0);
        self.insert(name, dims, class, layout, place)
    }

    /// The value's elements, in row-major order, as a sample of other dimensions (with as many elements). It shares memory.
    pub(crate) fn alias(&mut self, id: ValueId, dims: Vec<usize>) -> Result<ValueId, Reason> {
        if self.dims(id) == dims {
            return Ok(id);
        }
        let value = &self.values[id.0];
        let blocked = value.existing(Layout::Blocked).filter(|_| same_blocked(&value.dims, &dims));
        let planar = value.existing(Layout::Planar);
        let (home, other) = match (blocked, planar) {
            (Some(place), other) => ((Layout::Blocked, place), other),
            (None, Some(place)) => ((Layout::Planar, place), None),
            (None, None) => ((Layout::Planar, self.place(id, Layout::Planar)?), None),
        };
        let value = &self.values[id.0];
        let (name, class) = (value.name.clone(), value.class);
        self.values.push(Value { name, dims, home, other, class });
        Ok(ValueId(self.values.len() - 1))
    }

    /// Whether nothing needs the value's memory after the nodes `users` (which are lowered as one).
    pub(crate) fn dies_after(&self, value: ValueId, users: &[NodeId]) -> bool {
        let class = self.values[value.0].class;
        let operands = users.iter().flat_map(|user| self.graph.operands(*user));
        let uses = operands.filter(|o| self.of_node.get(o).is_some_and(|v| self.values[v.0].class == class)).count();
        self.uses_left[class] == uses
    }

    /// Notes that the operands of `users` were used.
    pub(crate) fn consume(&mut self, users: &[NodeId]) {
        let graph = self.graph;
        for operand in users.iter().flat_map(|user| graph.operands(*user)) {
            if let Some(value) = self.of_node.get(operand) {
                self.uses_left[self.values[value.0].class] -= 1;
            }
        }
    }

    /// Copies a node's value to the outputs that it is, unless it was written there.
    pub(crate) fn finish_outputs(&mut self, node: NodeId) -> Result<(), Reason> {
        for (port, output) in self.graph.outputs().iter().enumerate() {
            if output.value == node && !self.output_written[port] {
                let value = self.value(node)?;
                let (layout, source) = self.any_place(value);
                let copy = view::convert(self.dims(value), layout, Layout::Planar);
                self.emit(&output.name, KernelSpec::Copy(copy), vec![Operand::Output(port), source])?;
                self.output_written[port] = true;
                self.uses_left[self.values[value.0].class] -= 1;
            }
        }
        Ok(())
    }

    /// Gives a node that failed a place, so that its users can be looked at.
    pub(crate) fn define_failed(&mut self, node: NodeId) {
        if self.samples.contains_key(&node) {
            // Any operand will do: there will be no plan.
            self.define(node, Layout::Planar, Operand::Input(0));
        }
        for (port, output) in self.graph.outputs().iter().enumerate() {
            self.output_written[port] |= output.value == node;
        }
    }

    /// Adds a step. Kernels that the plan's limits exclude are refused here, so that the node is named.
    pub(crate) fn emit(&mut self, name: &str, kernel: KernelSpec, operands: Vec<Operand>) -> Result<(), Reason> {
        footprint::operands(&kernel).map_err(|e| Reason::new(e.to_string(), "sizes and windows that a plan allows"))?;
        self.steps.push(Step { name: name.to_owned(), kernel, operands, choice: None });
        Ok(())
    }

    /// Says how the kernel of the last step was chosen.
    pub(crate) fn explain(&mut self, choice: Choice) {
        if let Some(step) = self.steps.last_mut() {
            step.choice = Some(choice);
        }
    }

    /// Makes a constant a value: a step that writes its elements for every sample.
    fn materialize(&mut self, node: NodeId) -> Result<ValueId, Reason> {
        let (name, ty) = (self.name(node), self.graph.ty(node));
        let data = self.constant(node, "the elements")?;
        let here = |reason: Reason| {
            Reason::new(format!("constant `{name}` is used as a value, but {}", reason.found), reason.supported)
        };
        let dims = batch::sample(ty, self.batch).map_err(here)?;
        let whole = ty.shape.fixed().unwrap_or_default();
        let rank = whole.len() + 1 - batch::leading_dims(self.batch);
        let (_, data) = batch::constant_sample(&whole, data, rank).map_err(here)?;
        let mut lanes = data.to_vec();
        lanes.resize(data.len().next_multiple_of(BLOCK), 0.0);
        let constant = Operand::Constant(self.packer.vector(name, lanes));
        let flat = vec![data.len()];
        let place = self.buffer(name, &flat, Layout::Blocked)?;
        let kernel = Elementwise {
            space: Space::Blocked { blocks: blocks(data.len()), pixels: 1 },
            operands: vec![Access::PerChannelShared],
            program: vec![Instruction::Operand(0)],
        };
        self.emit(name, KernelSpec::Elementwise(kernel), vec![place, constant])?;
        let class = self.class(self.graph.use_count(node));
        let value = self.insert(name, flat, class, Layout::Blocked, place);
        let value = self.alias(value, dims)?;
        self.of_node.insert(node, value);
        Ok(value)
    }

    fn class(&mut self, uses: usize) -> usize {
        self.uses_left.push(uses);
        self.uses_left.len() - 1
    }

    fn insert(&mut self, name: &str, dims: Vec<usize>, class: usize, layout: Layout, place: Operand) -> ValueId {
        self.values.push(Value { name: name.to_owned(), dims, home: (layout, place), other: None, class });
        ValueId(self.values.len() - 1)
    }
}

impl Value {
    /// Where it is in this layout already.
    fn existing(&self, layout: Layout) -> Option<Operand> {
        let (home, place) = self.home;
        if home == layout || coincide(&self.dims) { Some(place) } else { self.other }
    }
}
