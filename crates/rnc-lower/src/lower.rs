//! The driver: from the graph to the plan, node by node.

use std::collections::{HashMap, HashSet};

use rnc_ir::{Graph, NodeId, Op, Verified};
use rnc_plan::images::Images;
use rnc_plan::kernel::PoolKind;
use rnc_plan::{ALIGN, Batch, Buffer, Listing, Machine, Operand, Plan, Port, Step, Tuning};

use crate::choose::Chooser;
use crate::context::{Context, PendingBuffer};
use crate::error::{LowerError, Reason, Unsupported};
use crate::fuse::Groups;
use crate::memory::{self, Placement, Request};
use crate::tuner::Tuner;
use crate::{batch, conv, elementwise, linear, movement, pool, reduce, resize, softmax};

/// What a plan says about where it comes from, and what its choices depend on.
#[derive(Clone)]
pub struct LowerOptions<'a> {
    /// The graph's text, which the plan keeps.
    pub listing: Listing,
    /// The program and version that makes the plan.
    pub producer: String,
    /// Only algorithms that compute the sums that the model says: no Winograd, no Strassen.
    pub exact: bool,
    /// The machine that times are estimated for.
    pub machine: Machine,
    /// Who measures candidates; without one, estimates decide.
    pub tuner: Option<&'a dyn Tuner>,
}

impl Default for LowerOptions<'_> {
    fn default() -> Self {
        Self {
            listing: Listing::default(),
            producer: concat!("rnc ", env!("CARGO_PKG_VERSION")).to_owned(),
            exact: false,
            machine: Machine::default(),
            tuner: None,
        }
    }
}

/// Lowers what the graph's outputs need to a plan. The plan is the same for the same graph and options.
///
/// The leading dimension of all values is the batch. Where that does not work out, and no dimension is open, the graph is taken as one that knows no
/// batch: all of a tensor is one sample.
///
/// # Errors
/// If some nodes cannot be lowered (all of them are named), if the inputs have no common batch, or if constants or arena do not fit into
/// memory.
pub fn lower(graph: &Verified<'_>, options: &LowerOptions<'_>) -> Result<Plan, LowerError> {
    let graph = graph.graph();
    let with_batch = batch::of(graph).and_then(|batch| lower_as(graph, batch, options));
    match with_batch {
        Err(error @ (LowerError::Unsupported(_) | LowerError::Batches { .. })) if !batch::is_open(graph) => {
            // What keeps a graph from both is told for the more usual one.
            lower_as(graph, Batch::Single, options).map_err(|_| error)
        }
        result => result,
    }
}

fn lower_as(graph: &Graph, batch: Batch, options: &LowerOptions<'_>) -> Result<Plan, LowerError> {
    let order = needed(graph);
    let mut failures: HashMap<NodeId, Reason> = HashMap::new();
    let mut samples: HashMap<NodeId, Vec<usize>> = HashMap::new();
    for id in &order {
        match graph.op(*id) {
            Op::Constant(_) => {}
            _ => match batch::sample(graph.ty(*id), batch) {
                Ok(dims) => drop(samples.insert(*id, dims)),
                Err(reason) => drop(failures.insert(*id, reason)),
            },
        }
    }
    let groups = Groups::of(graph, &order, &samples);
    if let Some(tuner) = options.tuner {
        tuner.expect(order.iter().filter(|id| matches!(graph.op(**id), Op::Conv2d(_))).count());
    }
    let chooser = Chooser { machine: &options.machine, exact: options.exact, tuner: options.tuner };
    let mut cx = Context::new(graph, batch, samples, chooser);
    for id in &order {
        let lowered = if failures.contains_key(id) { Ok(()) } else { lower_node(&mut cx, *id, &groups) };
        if let Err(reason) = lowered {
            failures.insert(*id, reason);
            cx.define_failed(*id);
        }
    }
    if failures.is_empty() {
        return finish(cx, options);
    }
    let unsupported = |(id, reason): (&NodeId, Reason)| {
        let node = graph.node(*id);
        let Reason { found, supported } = reason;
        Unsupported { node: node.name().to_owned(), operator: node.op().name(), found, supported }
    };
    let failed = order.iter().filter_map(|id| Some((id, failures.remove(id)?)));
    Err(LowerError::Unsupported(failed.map(unsupported).collect()))
}

/// The nodes that outputs need, and all inputs, in topological order.
fn needed(graph: &Graph) -> Vec<NodeId> {
    let mut seen: HashSet<NodeId> = graph.inputs().iter().copied().collect();
    let mut stack: Vec<NodeId> = graph.outputs().iter().map(|o| o.value).collect();
    while let Some(id) = stack.pop() {
        if seen.insert(id) {
            stack.extend(graph.operands(id));
        }
    }
    graph.topological_order().into_iter().filter(|id| seen.contains(id)).collect()
}

/// Lowers one node (with those that it absorbed) and writes the outputs that it is.
fn lower_node(cx: &mut Context<'_>, id: NodeId, groups: &Groups) -> Result<(), Reason> {
    let graph = cx.graph;
    if groups.is_absorbed(id) {
        return Ok(());
    }
    let members = groups.members(id);
    let known = |operand: &NodeId| graph.node(*operand).constant().is_some() || cx.samples.contains_key(operand);
    if !members.iter().flat_map(|m| graph.operands(*m)).all(known) {
        // The operand has been reported.
        cx.define_failed(id);
        return Ok(());
    }
    dispatch(cx, id, &members)?;
    cx.consume(&members);
    cx.finish_outputs(id)
}

fn dispatch(cx: &mut Context<'_>, id: NodeId, members: &[NodeId]) -> Result<(), Reason> {
    let graph = cx.graph;
    match graph.op(id) {
        Op::Input | Op::Constant(_) => Ok(()),
        Op::Conv2d(conv) => conv::lower(cx, id, conv),
        Op::BatchNorm(_) | Op::Unary(_) | Op::Binary(_) | Op::Where => elementwise::lower(cx, id, members),
        Op::MaxPool(pool) => pool::max(cx, id, pool),
        Op::AveragePool(average) => pool::average(cx, id, average),
        Op::GlobalAveragePool => pool::global(cx, id, PoolKind::Average),
        Op::GlobalMaxPool => pool::global(cx, id, PoolKind::Max),
        Op::Gemm(gemm) => linear::gemm(cx, id, gemm),
        Op::MatMul => linear::matmul(cx, id),
        Op::Softmax(softmax) => softmax::lower(cx, id, softmax.axis),
        Op::Concat(concat) => movement::concat(cx, id, concat.axis),
        Op::Reshape(_) | Op::Identity => movement::alias(cx, id),
        Op::Transpose(transpose) => movement::transpose(cx, id, &transpose.perm),
        Op::Slice(slice) => movement::slice(cx, id, slice),
        Op::Pad(pad) => movement::pad(cx, id, pad),
        Op::Expand(_) => movement::expand(cx, id),
        Op::Resize(resize) => resize::lower(cx, id, resize),
        Op::Reduce(reduce) => reduce::lower(cx, id, reduce),
    }
}

/// Places the buffers and packs the constants.
fn finish(cx: Context<'_>, options: &LowerOptions<'_>) -> Result<Plan, LowerError> {
    let Context { graph, batch, packer, steps, buffers, .. } = cx;
    let too_large = || LowerError::TooLarge { what: "arena", graph: graph.name().to_owned() };
    let requests = requests(&steps, &buffers).ok_or_else(too_large)?;
    let Placement { offsets, arena, lower_bound } = memory::place(&requests).ok_or_else(too_large)?;
    let place = |((pending, request), offset): ((PendingBuffer, &Request), usize)| {
        let Request { bytes, first, last } = *request;
        Buffer { name: pending.name, offset, bytes, first_step: first, last_step: last }
    };
    let (constants, data) = packer.finish(graph.name())?;
    // Not the sample's: a single number has no dimensions.
    let port = |name: &str, id: &NodeId| {
        let dims = graph.ty(*id).shape.dims().iter().skip(batch::leading_dims(batch));
        Port { name: name.to_owned(), dims: dims.filter_map(|dim| dim.fixed()).collect() }
    };
    Ok(Plan {
        name: graph.name().to_owned(),
        producer: options.producer.clone(),
        batch,
        inputs: graph.inputs().iter().map(|id| port(graph.node(*id).name(), id)).collect(),
        outputs: graph.outputs().iter().map(|o| port(&o.name, &o.value)).collect(),
        buffers: buffers.into_iter().zip(&requests).zip(offsets).map(place).collect(),
        constants,
        steps,
        arena_bytes: arena,
        arena_lower_bound: lower_bound,
        listing: options.listing.clone(),
        images: Images::default(),
        tuning: Tuning { machine: options.machine.name.clone(), measured: options.tuner.map(Tuner::place) },
        data,
    })
}

/// Sizes and lifetimes of the buffers; `None` if a size overflows. Every buffer was made for a step that writes it.
fn requests(steps: &[Step], buffers: &[PendingBuffer]) -> Option<Vec<Request>> {
    let mut requests = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        let bytes = buffer.elements.checked_mul(size_of::<f32>())?.checked_next_multiple_of(ALIGN)?;
        requests.push(Request { bytes, first: usize::MAX, last: 0 });
    }
    for (index, step) in steps.iter().enumerate() {
        for operand in &step.operands {
            if let Operand::Buffer(buffer) = operand {
                requests[*buffer].first = requests[*buffer].first.min(index);
                requests[*buffer].last = index;
            }
        }
    }
    Some(requests)
}
