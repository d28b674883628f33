//! The text syntax, written. [`parse`](mod@crate::parse) describes it and reads it.

use std::fmt::{self, Display, Write};

use crate::graph::{Graph, NodeId};
use crate::op::{Activation, AveragePool, Gemm, Op, Pad, Pool, Reduce, Slice, Unary, Window};
use crate::resize::{Interpolation, Resize};
use crate::types::{Tensor, TensorData};

/// Constants of more elements print as their content hash.
pub const MAX_WHOLE_ELEMENTS: usize = 16;

/// The graph as text: nodes in topological order, constants before their first user, those without a user last.
///
/// Graphs that are equal by [`Graph::same`] may print in different orders; parsing what was printed and printing it
/// again gives the same text, except for the hashes of big constants if the parser had no source for them.
pub fn print(graph: &Graph) -> String {
    graph.to_string()
}

impl Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "graph @{}(", Name(self.name()))?;
        list(f, self.inputs(), |f, id| write!(f, "{}: {}", reference(self, *id), self.ty(*id)))?;
        f.write_str(") -> (")?;
        list(f, self.outputs(), |f, output| {
            reference(self, output.value).fmt(f)?;
            if output.name == self.node(output.value).name() {
                Ok(())
            } else {
                write!(f, " as {}", Quoted(&output.name))
            }
        })?;
        f.write_str(") {\n")?;
        for id in printing_order(self) {
            write!(f, "  {} = ", reference(self, id))?;
            match self.op(id) {
                Op::Constant(tensor) => constant(f, tensor)?,
                op => node(f, self, id, op)?,
            }
            f.write_str("\n")?;
        }
        f.write_str("}\n")
    }
}

fn printing_order(graph: &Graph) -> Vec<NodeId> {
    let topological = graph.topological_order();
    let is_constant = |id: NodeId| matches!(graph.op(id), Op::Constant(_));
    let mut printed = std::collections::HashSet::new();
    let mut order = Vec::with_capacity(topological.len());
    for id in topological.iter().copied().filter(|id| !is_constant(*id) && *graph.op(*id) != Op::Input) {
        let constants = graph.operands(id).iter().copied().filter(|id| is_constant(*id));
        order.extend(constants.filter(|id| printed.insert(*id)));
        order.push(id);
    }
    order.extend(topological.into_iter().filter(|id| is_constant(*id) && !printed.contains(id)));
    order
}

fn constant(f: &mut fmt::Formatter<'_>, tensor: &Tensor) -> fmt::Result {
    let (ty, count) = (tensor.ty(), tensor.dims().iter().product::<usize>());
    if count > MAX_WHOLE_ELEMENTS {
        return write!(f, "constant : {ty} hash={:016x}", tensor.content_hash());
    }
    f.write_str("constant [")?;
    match tensor.data() {
        TensorData::F32(values) => list(f, values, |f, x| Float(*x).fmt(f))?,
        TensorData::I64(values) => list(f, values, |f, x| x.fmt(f))?,
    }
    write!(f, "] : {ty}")
}

fn node(f: &mut fmt::Formatter<'_>, graph: &Graph, id: NodeId, op: &Op) -> fmt::Result {
    write!(f, "{}(", op.name())?;
    let labels = operand_labels(op);
    let plain = graph.operands(id).len() - labels.len().min(graph.operands(id).len());
    let operands: Vec<_> = graph.operands(id).iter().enumerate().collect();
    list(f, &operands, |f, (i, operand)| {
        if let Some(label) = i.checked_sub(plain).and_then(|i| labels.get(i)) {
            write!(f, "{label}=")?;
        }
        reference(graph, **operand).fmt(f)
    })?;
    f.write_str(")")?;
    let attributes = attributes(op);
    if !attributes.is_empty() {
        f.write_str(" {")?;
        list(f, &attributes, |f, (name, value)| write!(f, "{name}={value}"))?;
        f.write_str("}")?;
    }
    write!(f, " : {}", graph.ty(id))
}

/// Labels of the operands that are there or not, which are the last ones.
pub fn operand_labels(op: &Op) -> Vec<&'static str> {
    match op {
        Op::Conv2d(conv) => {
            [("bias", conv.bias), ("residual", conv.residual)].iter().filter(|l| l.1).map(|l| l.0).collect()
        }
        Op::Gemm(gemm) if gemm.bias => vec!["bias"],
        Op::Gemm(_)
        | Op::Input
        | Op::Constant(_)
        | Op::BatchNorm(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
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
        | Op::Identity => Vec::new(),
    }
}

/// Names and values of attributes.
pub type Attributes = Vec<(&'static str, String)>;

/// An operator's attributes as they are printed and in that order, without those that have their default.
pub fn attributes(op: &Op) -> Attributes {
    match op {
        Op::Conv2d(conv) => {
            let mut list = window(&conv.window);
            push_unless(&mut list, "groups", &conv.groups, &1);
            push_activation(&mut list, conv.activation);
            list
        }
        Op::BatchNorm(norm) => vec![("epsilon", Float(norm.epsilon).to_string())],
        Op::Unary(unary) => self::unary(*unary),
        Op::MaxPool(pool) => self::pool(pool),
        Op::AveragePool(AveragePool { pool, count_include_pad }) => {
            let mut list = self::pool(pool);
            push_unless(&mut list, "count_include_pad", count_include_pad, &false);
            list
        }
        Op::Gemm(gemm) => self::gemm(gemm),
        Op::Softmax(axis) | Op::Concat(axis) => vec![("axis", axis.axis.to_string())],
        Op::Reshape(reshape) | Op::Expand(reshape) => vec![("shape", reshape.shape.to_string())],
        Op::Resize(resize) => self::resize(resize),
        Op::Transpose(transpose) => vec![("perm", bracketed(&transpose.perm))],
        Op::Slice(slice) => self::slice(slice),
        Op::Pad(Pad { begin, end, value }) => {
            let mut list = vec![("begin", bracketed(begin)), ("end", bracketed(end))];
            push_float_unless(&mut list, "value", *value, 0.0);
            list
        }
        Op::Reduce(Reduce { kind: _, axes, keep_dims }) => {
            let mut list = vec![("axes", bracketed(axes))];
            push_unless(&mut list, "keep_dims", keep_dims, &false);
            list
        }
        Op::Input
        | Op::Constant(_)
        | Op::Binary(_)
        | Op::Where
        | Op::GlobalAveragePool
        | Op::GlobalMaxPool
        | Op::MatMul
        | Op::Identity => Vec::new(),
    }
}

/// All of a window but the kernel.
fn window(window: &Window) -> Attributes {
    let Window { kernel: _, stride, pad_begin: [top, left], pad_end: [bottom, right], dilation } = window;
    let mut list = Vec::new();
    push_unless(&mut list, "stride", &pair(*stride), &"1".into());
    let sides = [*top, *left, *bottom, *right];
    let pad = if sides == [*top; 4] { top.to_string() } else { bracketed(&sides) };
    push_unless(&mut list, "pad", &pad, &"0".into());
    push_unless(&mut list, "dilation", &pair(*dilation), &"1".into());
    list
}

fn pool(pool: &Pool) -> Attributes {
    let mut list = vec![("kernel", pair(pool.window.kernel))];
    list.extend(window(&pool.window));
    push_unless(&mut list, "ceil_mode", &pool.ceil_mode, &false);
    list
}

fn unary(unary: Unary) -> Attributes {
    let float = |name, value: f32| (name, Float(value).to_string());
    match unary {
        Unary::LeakyRelu { alpha } => vec![float("alpha", alpha)],
        Unary::Clip { min, max } => vec![float("min", min), float("max", max)],
        Unary::HardSigmoid { alpha, beta } => vec![float("alpha", alpha), float("beta", beta)],
        Unary::Relu
        | Unary::Sigmoid
        | Unary::HardSwish
        | Unary::Silu
        | Unary::Tanh
        | Unary::Exp
        | Unary::Sqrt
        | Unary::Abs
        | Unary::Neg
        | Unary::Reciprocal
        | Unary::Floor
        | Unary::Ceil
        | Unary::Log
        | Unary::Erf
        | Unary::Round
        | Unary::Sign => Vec::new(),
    }
}

fn gemm(gemm: &Gemm) -> Attributes {
    let mut list = Vec::new();
    push_float_unless(&mut list, "alpha", gemm.alpha, 1.0);
    push_float_unless(&mut list, "beta", gemm.beta, 1.0);
    push_unless(&mut list, "trans_a", &gemm.trans_a, &false);
    push_unless(&mut list, "trans_b", &gemm.trans_b, &false);
    push_activation(&mut list, gemm.activation);
    list
}

fn slice(slice: &Slice) -> Attributes {
    let sizes: Vec<_> = slice.sizes.iter().map(|n| n.map_or("all".to_owned(), |n| n.to_string())).collect();
    let mut list = vec![("starts", bracketed(&slice.starts)), ("sizes", bracketed(&sizes))];
    if slice.steps.iter().any(|step| *step != 1) || slice.steps.len() != slice.starts.len() {
        list.push(("steps", bracketed(&slice.steps)));
    }
    list
}

fn push_unless<T: PartialEq + Display>(list: &mut Attributes, name: &'static str, value: &T, default: &T) {
    if value != default {
        list.push((name, value.to_string()));
    }
}

/// Compares bits, so that -0 is printed where 0 is the default.
fn push_float_unless(list: &mut Attributes, name: &'static str, value: f32, default: f32) {
    if value.to_bits() != default.to_bits() {
        list.push((name, Float(value).to_string()));
    }
}

fn push_activation(list: &mut Attributes, activation: Activation) {
    match activation {
        Activation::None => {}
        Activation::Relu => list.push(("activation", "relu".into())),
        Activation::Clip { min, max } => {
            list.push(("activation", format!("clip({}, {})", Float(min), Float(max))));
        }
    }
}

fn resize(resize: &Resize) -> Attributes {
    let scales: Vec<Float> = resize.scales.iter().map(|scale| Float(*scale)).collect();
    let mut list = vec![("shape", resize.shape.to_string()), ("scales", bracketed(&scales))];
    match resize.interpolation {
        Interpolation::Nearest(rounding) => {
            list.push(("mode", "nearest".to_owned()));
            list.push(("rounding", rounding.name().to_owned()));
        }
        Interpolation::Linear => list.push(("mode", "linear".to_owned())),
        Interpolation::Cubic { a } => {
            list.push(("mode", "cubic".to_owned()));
            list.push(("a", Float(a).to_string()));
        }
    }
    list.push(("coordinates", resize.coordinates.name().to_owned()));
    push_unless(&mut list, "antialias", &resize.antialias, &false);
    push_unless(&mut list, "exclude_outside", &resize.exclude_outside, &false);
    list
}

fn pair([h, w]: [usize; 2]) -> String {
    if h == w { h.to_string() } else { bracketed(&[h, w]) }
}

fn bracketed<T: Display>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    format!("[{}]", values.join(","))
}

/// Items with commas between them.
fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    print: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        print(f, item)?;
    }
    Ok(())
}

/// How the text refers to a value: `%name`, or `@name` for a constant, in quotes where needed.
pub fn reference(graph: &Graph, id: NodeId) -> Reference<'_> {
    let sigil = if matches!(graph.op(id), Op::Constant(_)) { '@' } else { '%' };
    Reference { sigil, name: graph.node(id).name() }
}

/// `@name` of a constant, `%name` of any other value.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    sigil: char,
    name: &'a str,
}

impl Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sigil, Name(self.name))
    }
}

/// A name, in quotes if it has other characters than [`is_name_char`] allows, or none.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && self.0.bytes().all(is_name_char) { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// Whether a name with this character needs no quotes.
pub(crate) const fn is_name_char(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'.'
}

/// A text in quotes, on one line.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// The shortest text that parses to the same number; `inf`, `-inf` or `nan` otherwise.
struct Float(f32);

impl Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_nan() { f.write_str("nan") } else { write!(f, "{:?}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::{ConvArgs, GraphBuilder};
    use crate::types::{Dim, TensorType};

    #[test]
    fn prints_constants_before_their_first_user_and_leaves_out_defaults() {
        let mut b = GraphBuilder::new("a graph");
        let w = b.constant("w", Tensor::f32([1, 1, 5, 5], vec![1.0; 25]));
        let unused = b.constant("unused", Tensor::i64([2], vec![1, -2]));
        let v = b.constant("v", Tensor::f32([1], vec![0.1]));
        let x = b.input("x", TensorType::f32([Dim::Batch, 1.into(), 9.into(), 9.into()]));
        let relu = b.relu("relu/0\n", x).unwrap();
        let args = ConvArgs { stride: [2, 1], pad_end: [0, 1], ..ConvArgs::new(relu, w) }.bias(v);
        let conv = b.conv2d("conv", args.activation(Activation::Clip { min: 0.0, max: 6.0 })).unwrap();
        let bn = b.batch_norm("bn", conv, [v; 4], 1e-5).unwrap();
        let pool = b.max_pool("pool", bn, Window::new([3, 3]).stride(2).pad(1)).unwrap();
        b.output("pool", pool);
        b.output("shape", unused);
        let text = r#"graph @"a graph"(%x: f32[N,1,9,9]) -> (%pool, @unused as "shape") {
  %"relu/0\n" = relu(%x) : f32[N,1,9,9]
  @w = constant : f32[1,1,5,5] hash=370cdd944caf817f
  @v = constant [0.1] : f32[1]
  %conv = conv2d(%"relu/0\n", @w, bias=@v) {stride=[2,1], pad=[0,0,0,1], activation=clip(0.0, 6.0)} : f32[N,1,3,6]
  %bn = batch_norm(%conv, @v, @v, @v, @v) {epsilon=1e-5} : f32[N,1,3,6]
  %pool = max_pool(%bn) {kernel=3, stride=2, pad=1} : f32[N,1,2,3]
  @unused = constant [1, -2] : i64[2]
}
"#;
        assert_eq!(b.finish().unwrap().to_string(), text);
    }

    #[test]
    fn prints_numbers_so_that_they_parse_to_themselves() {
        for x in [0.1f32, 1e-45, f32::MAX, 1.0, -0.0, 16_777_217.0, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Float(x).to_string().parse::<f32>().unwrap().to_bits(), x.to_bits());
        }
        assert_eq!(Float(f32::NAN).to_string(), "nan");
        assert_eq!(Float(f32::NEG_INFINITY).to_string(), "-inf");
    }
}
