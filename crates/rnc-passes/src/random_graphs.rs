//! Random graphs of the family's shape, as text: what the whole pipeline is held against.

use std::fmt::Write;

use proptest::prelude::*;

/// One step of a random network. Steps that do not fit the current shape do nothing.
#[derive(Clone, Debug)]
enum Step {
    Conv(Conv),
    Pad {
        amounts: [usize; 4],
        value: f32,
    },
    /// A convolution and its shortcut, which has a convolution too if it is `projected`.
    Residual {
        kernel: usize,
        stride: usize,
        projected: bool,
        norm: bool,
    },
    /// Adds an earlier value of the same shape, or the current one.
    Add {
        back: usize,
    },
    Pool(Pool),
    Then(Then),
    SqueezeExcite,
    ChannelsLast(ChannelsLast),
    /// Makes the current value an output, so that it has a second use.
    Tap,
}

#[derive(Clone, Debug)]
struct Conv {
    /// Output channels (times the groups).
    out: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    /// One group a channel, or one group.
    groups: bool,
    bias: bool,
    then: Vec<Then>,
}

#[derive(Clone, Debug)]
struct Pool {
    kind: &'static str,
    kernel: usize,
    stride: usize,
    pad: usize,
    attributes: &'static str,
}

/// Operators between two transpositions.
#[derive(Clone, Debug)]
struct ChannelsLast {
    functions: Vec<&'static str>,
    /// Shape of a constant to add.
    constant: Option<&'static str>,
    /// Adds an earlier value, transposed as well.
    back: Option<usize>,
    /// Makes the transposed value an output.
    tap: bool,
}

/// An operator that keeps the shape.
#[derive(Clone, Copy, Debug)]
enum Then {
    Norm,
    Function(&'static str),
    Constant { operator: &'static str, first: bool, shape: &'static str },
    Silu,
    HardSwish,
}

/// How the network ends.
#[derive(Clone, Copy, Debug)]
enum Head {
    None,
    Linear { pool: &'static str, product: &'static str, add: bool },
}

/// Texts of random networks.
pub(crate) fn networks() -> impl Strategy<Value = String> {
    (prop::collection::vec(step(), 1..9), head()).prop_map(|(steps, head)| Writer::new().network(&steps, head))
}

fn step() -> impl Strategy<Value = Step> {
    let flag = any::<bool>;
    let value = prop::sample::select(vec![0.0, 0.0, f32::NEG_INFINITY, 0.5]);
    prop_oneof![
        6 => conv().prop_map(Step::Conv),
        1 => (prop::array::uniform4(0usize..3), value).prop_map(|(amounts, value)| Step::Pad { amounts, value }),
        4 => (prop::sample::select(vec![1, 3]), 1usize..3, flag(), flag())
            .prop_map(|(kernel, stride, projected, norm)| Step::Residual { kernel, stride, projected, norm }),
        1 => (0usize..6).prop_map(|back| Step::Add { back }),
        1 => pool().prop_map(Step::Pool),
        3 => then().prop_map(Step::Then),
        1 => Just(Step::SqueezeExcite),
        2 => channels_last().prop_map(Step::ChannelsLast),
        1 => Just(Step::Tap),
    ]
}

fn channels_last() -> impl Strategy<Value = ChannelsLast> {
    let functions = vec![
        "relu",
        "tanh",
        "softmax {axis=3}",
        "pad {begin=[0,1,0,0], end=[0,0,2,0], value=0.5}",
        "slice {starts=[0,0,1,0], sizes=[all,all,2,all], steps=[1,1,1,1]}",
        "reduce_mean {axes=[1,2], keep_dims=true}",
    ];
    let constant = prop::option::of(prop::sample::select(vec!["C", "1,1,1,C", "1", ""]));
    let functions = prop::collection::vec(prop::sample::select(functions), 0..3);
    (functions, constant, prop::option::of(0usize..6), any::<bool>())
        .prop_map(|(functions, constant, back, tap)| ChannelsLast { functions, constant, back, tap })
}

fn conv() -> impl Strategy<Value = Conv> {
    let window = (prop::sample::select(vec![1, 2, 3]), 1usize..3, 0usize..3);
    (1usize..6, window, any::<bool>(), any::<bool>(), prop::collection::vec(then(), 0..4)).prop_map(
        |(out, (kernel, stride, pad), groups, bias, then)| Conv { out, kernel, stride, pad, groups, bias, then },
    )
}

fn pool() -> impl Strategy<Value = Pool> {
    let kind = prop::sample::select(vec!["max_pool", "average_pool"]);
    let attributes = prop::sample::select(vec!["", ", ceil_mode=true", ", count_include_pad=true"]);
    (kind, 1usize..4, 1usize..3, 0usize..2, attributes).prop_map(|(kind, kernel, stride, pad, attributes)| Pool {
        kind,
        kernel,
        stride,
        pad,
        attributes,
    })
}

fn then() -> impl Strategy<Value = Then> {
    let functions =
        vec!["relu", "clip {min=0.0, max=1.5}", "clip {min=-inf, max=inf}", "identity", "tanh", "hard_swish"];
    let constant = (
        prop::sample::select(vec!["add", "sub", "mul", "div"]),
        any::<bool>(),
        prop::sample::select(vec!["C,1,1", "1,C,1,1", "", "1", "1,1,W"]),
    );
    prop_oneof![
        3 => Just(Then::Norm),
        3 => prop::sample::select(functions).prop_map(Then::Function),
        1 => constant.prop_map(|(operator, first, shape)| Then::Constant { operator, first, shape }),
        1 => Just(Then::Silu),
        1 => Just(Then::HardSwish),
    ]
}

fn head() -> impl Strategy<Value = Head> {
    let pools = vec![
        "global_average_pool",
        "reduce_mean {axes=[2,3], keep_dims=true}",
        "reduce_max {axes=[2,3], keep_dims=false}",
        "average_pool {kernel=[H,W]}",
    ];
    let products = vec!["matmul", "gemm", "gemm {trans_b=true}", "gemm {alpha=0.5, beta=2.0}"];
    prop_oneof![
        1 => Just(Head::None),
        3 => (prop::sample::select(pools), prop::sample::select(products), any::<bool>())
            .prop_map(|(pool, product, add)| Head::Linear { pool, product, add }),
    ]
}

/// A value: its name, channels, height and width.
#[derive(Clone, Debug, PartialEq)]
struct Value {
    name: String,
    dims: [usize; 3],
}

struct Writer {
    body: String,
    count: usize,
    current: Value,
    earlier: Vec<Value>,
    taps: Vec<String>,
}

impl Writer {
    fn new() -> Self {
        let current = Value { name: "%x".to_owned(), dims: [3, 9, 8] };
        Self { body: String::new(), count: 0, earlier: vec![current.clone()], current, taps: Vec::new() }
    }

    fn network(mut self, steps: &[Step], head: Head) -> String {
        for step in steps {
            self.step(step);
        }
        self.head(head);
        let mut outputs = self.taps;
        outputs.push(self.current.name);
        outputs.sort();
        outputs.dedup();
        format!("graph @random(%x: f32[N,3,9,8]) -> ({}) {{\n{}}}\n", outputs.join(", "), self.body)
    }

    /// A line `name = operator(operands) attributes`; the text of the operator may have attributes of its own.
    fn line(&mut self, operator: &str, operands: &[&str]) -> String {
        self.count += 1;
        let name = format!("%v{}", self.count);
        let (operator, attributes) = operator.split_once(' ').unwrap_or((operator, ""));
        writeln!(self.body, "  {name} = {operator}({}) {attributes}", operands.join(", ")).expect("a string grows");
        name
    }

    /// A constant of this shape, away from zero if `positive`.
    fn constant(&mut self, shape: &str, positive: bool) -> String {
        self.count += 1;
        let (name, range) = (format!("@c{}", self.count), if positive { "0.5, 1.5" } else { "-1.0, 1.0" });
        writeln!(self.body, "  {name} = random({}, {range}) : f32[{shape}]", self.count).expect("a string grows");
        name
    }

    /// The operator's result becomes the current value.
    fn advance(&mut self, name: String, dims: [usize; 3]) {
        self.current = Value { name, dims };
        self.earlier.push(self.current.clone());
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Conv(conv) => self.conv(conv),
            Step::Pad { amounts, value } => self.pad(*amounts, *value),
            Step::Residual { kernel, stride, projected, norm } => {
                // A shortcut without a convolution of its own needs the same shape.
                let stride = if *projected { *stride } else { 1 };
                self.residual(*kernel, stride, *projected, *norm);
            }
            Step::Add { back } => self.add(*back),
            Step::Pool(pool) => self.pool(pool),
            Step::Then(then) => self.then(*then),
            Step::SqueezeExcite => self.squeeze_excite(),
            Step::ChannelsLast(last) => self.channels_last(last),
            Step::Tap => self.taps.push(self.current.name.clone()),
        }
    }

    fn conv(&mut self, conv: &Conv) {
        let Conv { out, kernel, stride, pad, groups, bias, then } = conv;
        let Value { name, dims: [c, h, w] } = self.current.clone();
        let Some([oh, ow]) = window([h, w], *kernel, *stride, [*pad; 4]) else { return };
        let groups = if *groups { c } else { 1 };
        let out = out * groups;
        let weights = self.constant(&format!("{out},{},{kernel},{kernel}", c / groups), false);
        let mut operands = vec![name, weights];
        if *bias {
            operands.push(format!("bias={}", self.constant(&out.to_string(), false)));
        }
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        let conv = self.line(&format!("conv2d {{stride={stride}, pad={pad}, groups={groups}}}"), &operands);
        self.advance(conv, [out, oh, ow]);
        for then in then {
            self.then(*then);
        }
    }

    fn pad(&mut self, amounts: [usize; 4], value: f32) {
        let Value { name, dims: [c, h, w] } = self.current.clone();
        let [top, left, bottom, right] = amounts;
        let operator = format!("pad {{begin=[0,0,{top},{left}], end=[0,0,{bottom},{right}], value={value:?}}}");
        // A border of -inf makes NaN in sums: only a max pool may read it.
        if value.is_finite() {
            let padded = self.line(&operator, &[&name]);
            self.advance(padded, [c, h + top + bottom, w + left + right]);
        } else if let Some([oh, ow]) = window([h, w], 3, 2, amounts) {
            let padded = self.line(&operator, &[&name]);
            let pooled = self.line("max_pool {kernel=3, stride=2}", &[&padded]);
            self.advance(pooled, [c, oh, ow]);
        }
    }

    fn residual(&mut self, kernel: usize, stride: usize, projected: bool, norm: bool) {
        let start = self.current.clone();
        self.branch(&start, kernel, stride, norm);
        let main = self.current.clone();
        let shortcut = if projected {
            self.branch(&start, 1, stride, norm);
            self.current.clone()
        } else {
            start
        };
        let sum = self.line("add", &[&main.name, &shortcut.name]);
        self.advance(sum, main.dims);
    }

    /// A convolution that keeps the channels, and pads as much as `kernel` takes away.
    fn branch(&mut self, from: &Value, kernel: usize, stride: usize, norm: bool) {
        let [c, h, w] = from.dims;
        let weights = self.constant(&format!("{c},{c},{kernel},{kernel}"), false);
        let operator = format!("conv2d {{stride={stride}, pad={}}}", kernel / 2);
        let conv = self.line(&operator, &[&from.name, &weights]);
        self.advance(conv, [c, h.div_ceil(stride), w.div_ceil(stride)]);
        if norm {
            self.then(Then::Norm);
        }
    }

    fn add(&mut self, back: usize) {
        let Value { name, dims } = self.current.clone();
        let same: Vec<_> = self.earlier.iter().rev().filter(|value| value.dims == dims).cloned().collect();
        let other = &same[back % same.len()].name;
        let sum = self.line("add", &if back.is_multiple_of(2) { [name.as_str(), other] } else { [other, &name] });
        self.advance(sum, dims);
    }

    fn pool(&mut self, pool: &Pool) {
        let Pool { kind, kernel, stride, pad, attributes } = pool;
        let Value { name, dims: [c, h, w] } = self.current.clone();
        let pad = if pad < kernel { *pad } else { 0 };
        let Some([oh, ow]) = window([h, w], *kernel, *stride, [pad; 4]) else { return };
        // ceil_mode is only asked for where it changes no size: the generator need not know its rule.
        let whole = |n: usize| (n + 2 * pad - kernel).is_multiple_of(*stride);
        let known = match *attributes {
            ", ceil_mode=true" => whole(h) && whole(w),
            ", count_include_pad=true" => *kind == "average_pool",
            _ => true,
        };
        let attributes = if known { attributes } else { "" };
        let operator = format!("{kind} {{kernel={kernel}, stride={stride}, pad={pad}{attributes}}}");
        let pooled = self.line(&operator, &[&name]);
        self.advance(pooled, [c, oh, ow]);
    }

    fn squeeze_excite(&mut self) {
        let Value { name, dims } = self.current.clone();
        let squeezed = self.line("reduce_mean {axes=[2,3], keep_dims=true}", &[&name]);
        let weights = self.constant(&format!("{0},{0},1,1", dims[0]), false);
        let excited = self.line("conv2d", &[&squeezed, &weights]);
        let gate = self.line("sigmoid", &[&excited]);
        let scaled = self.line("mul", &[&name, &gate]);
        self.advance(scaled, dims);
    }

    fn channels_last(&mut self, last: &ChannelsLast) {
        const LAST: &str = "transpose {perm=[0,2,3,1]}";
        let Value { name, dims: [c, mut h, mut w] } = self.current.clone();
        let mut value = self.line(LAST, &[&name]);
        if let Some(back) = last.back {
            let same: Vec<_> = self.earlier.iter().filter(|value| value.dims == [c, h, w]).cloned().collect();
            let other = self.line(LAST, &[&same[back % same.len()].name]);
            value = self.line("add", &[&other, &value]);
        }
        for function in &last.functions {
            match function.split(' ').next() {
                Some("pad") => [h, w] = [h + 1, w + 2],
                Some("slice") if w < 3 => continue,
                Some("slice") => w = 2,
                Some("reduce_mean") => [h, w] = [1, 1],
                _ => {}
            }
            value = self.line(function, &[&value]);
        }
        if let Some(shape) = last.constant {
            let constant = self.constant(&shape.replace('C', &c.to_string()), true);
            value = self.line("mul", &[&constant, &value]);
        }
        if last.tap {
            self.taps.push(value.clone());
        }
        let first = self.line("transpose {perm=[0,3,1,2]}", &[&value]);
        self.advance(first, [c, h, w]);
    }

    fn then(&mut self, then: Then) {
        let Value { name, dims: [c, h, w] } = self.current.clone();
        let result = match then {
            Then::Norm => {
                let vectors = [true, false, false, true].map(|positive| self.constant(&c.to_string(), positive));
                let [scale, bias, mean, variance] = vectors.each_ref();
                self.line("batch_norm {epsilon=1e-3}", &[&name, scale, bias, mean, variance])
            }
            Then::Function(function) => self.line(function, &[&name]),
            Then::Constant { operator, first, shape } => {
                let shape = shape.replace('C', &c.to_string()).replace('W', &w.to_string());
                let constant = self.constant(&shape, true);
                // A division by a value near zero would drown the comparison.
                let operands = if first && operator != "div" { [&*constant, &name] } else { [&*name, &constant] };
                self.line(operator, &operands)
            }
            Then::HardSwish => {
                let gate = self.line("hard_sigmoid {alpha=0.16666667, beta=0.5}", &[&name]);
                self.line("mul", &[&name, &gate])
            }
            Then::Silu => {
                let gate = self.line("sigmoid", &[&name]);
                self.line("mul", &[&gate, &name])
            }
        };
        self.advance(result, [c, h, w]);
    }

    fn head(&mut self, head: Head) {
        let Head::Linear { pool, product, add } = head else { return };
        let Value { name, dims: [c, h, w] } = self.current.clone();
        let pool = pool.replace("[H,W]", &format!("[{h},{w}]"));
        let pooled = self.line(&pool, &[&name]);
        let flat = self.line(&format!("reshape {{shape=[N,{c}]}}"), &[&pooled]);
        let weights =
            self.constant(&if product.contains("trans_b") { format!("4,{c}") } else { format!("{c},4") }, false);
        let mut operands = vec![flat, weights];
        if product.contains("beta") {
            operands.push(format!("bias={}", self.constant("1,4", false)));
        }
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        let mut logits = self.line(product, &operands);
        if add {
            let bias = self.constant("4", false);
            logits = self.line("add", &[&logits, &bias]);
        }
        self.current = Value { name: logits, dims: [4, 1, 1] };
    }
}

/// Size of a window's result; `[top, left, bottom, right]` padding. `None` if the window does not fit.
fn window([h, w]: [usize; 2], kernel: usize, stride: usize, pad: [usize; 4]) -> Option<[usize; 2]> {
    let one = |n: usize| n.checked_sub(kernel).map(|rest| rest / stride + 1);
    Some([one(h + pad[0] + pad[2])?, one(w + pad[1] + pad[3])?])
}
