//! Moves explicit padding into the window that reads it.
//!
//! ```text
//! before  %p = pad(%x) {begin=[0,0,3,3], end=[0,0,3,3]} : f32[N,3,230,230]
//!         %c = conv2d(%p, @w) {stride=2} : f32[N,64,112,112]
//! after   %c = conv2d(%x, @w) {stride=2, pad=3} : f32[N,64,112,112]
//! ```
//!
//! A convolution's own padding reads zeros, so a border of zeros around H and W adds to it. Pools differ:
//!
//! * An average pool counts the border's elements in its divisor. Its own padding counts if `count_include_pad` says so, so
//!   the two add up if it does, or if the pool has no padding yet.
//! * A max pool's own padding never wins. A border of -∞ never wins either; one of zeros is no different from it
//!   where the operand is not negative, as behind a `relu`, because every window has an element of the operand too.

use rnc_ir::op::{Activation, AveragePool, Conv2d, Pad, Pool, Unary, Window};
use rnc_ir::{Graph, NodeId, Op};

use crate::edit::rewrite;
use crate::log::{Log, Stats};
use crate::matching::{Match, Miss, PassError, refuse, shown, sweep};

/// Folds `Pad` nodes into the convolutions and pools that read them. Other users keep the `Pad`.
///
/// # Errors
/// None on a valid graph.
pub fn run(graph: &mut Graph, log: &mut Log) -> Result<Stats, PassError> {
    sweep(graph, log, find, apply)
}

/// The operator with more padding, and what it reads instead of the `Pad`.
struct Folded {
    op: Op,
    operand: NodeId,
}

fn find(graph: &Graph, id: NodeId) -> Match<Folded> {
    let Some(&source) = graph.operands(id).first() else { return Err(Miss::NoMatch) };
    let Op::Pad(pad) = graph.op(source) else { return Err(Miss::NoMatch) };
    let operand = graph.operands(source)[0];
    let op = match graph.op(id) {
        Op::Conv2d(conv) => Op::Conv2d(into_conv(pad, conv)?),
        Op::AveragePool(average) => Op::AveragePool(into_average(pad, *average)?),
        Op::MaxPool(pool) => Op::MaxPool(into_max(pad, *pool, is_not_negative(graph, operand))?),
        Op::Input
        | Op::Constant(_)
        | Op::BatchNorm(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
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
        | Op::Identity => return Err(Miss::NoMatch),
    };
    Ok(Folded { op, operand })
}

fn into_conv(pad: &Pad, conv: &Conv2d) -> Match<Conv2d> {
    if pad.value != 0.0 {
        return refuse(format!("the border's value is {}, and a convolution's own padding is 0", pad.value));
    }
    Ok(Conv2d { window: padded(conv.window, pad)?, ..conv.clone() })
}

fn into_average(pad: &Pad, average: AveragePool) -> Match<AveragePool> {
    if pad.value != 0.0 {
        return refuse(format!("the border's value is {}, and a pool's own padding is 0", pad.value));
    }
    if !average.count_include_pad && has_padding(&average.pool.window) {
        return refuse("the pool's own padding does not count in the divisor, but the border does");
    }
    Ok(AveragePool { pool: padded_pool(average.pool, pad)?, count_include_pad: true })
}

fn into_max(pad: &Pad, pool: Pool, not_negative: bool) -> Match<Pool> {
    let never_wins = pad.value == f32::NEG_INFINITY || (pad.value == 0.0 && not_negative);
    if !never_wins {
        return refuse(format!("the border's value {} could be a window's maximum", pad.value));
    }
    if pool.window.dilation != [1, 1] {
        return refuse("with a dilation a window could lie in the padding alone");
    }
    padded_pool(pool, pad)
}

fn padded_pool(pool: Pool, pad: &Pad) -> Match<Pool> {
    if pool.ceil_mode {
        return refuse("with ceil_mode a window may start in the border, but not in a pool's own padding");
    }
    let window = padded(pool.window, pad)?;
    for axis in 0..2 {
        let reach = window.dilation[axis].saturating_mul(window.kernel[axis].saturating_sub(1)).saturating_add(1);
        if window.pad_begin[axis].max(window.pad_end[axis]) >= reach {
            return refuse("a window would lie in the padding alone");
        }
    }
    Ok(Pool { window, ..pool })
}

/// The window with the border as its own padding.
fn padded(window: Window, pad: &Pad) -> Match<Window> {
    let (&[0, 0, top, left], &[0, 0, bottom, right]) = (pad.begin.as_slice(), pad.end.as_slice()) else {
        return refuse("the border is not around H and W alone");
    };
    let add = |own: [usize; 2], h: usize, w: usize| Some([own[0].checked_add(h)?, own[1].checked_add(w)?]);
    let begin = add(window.pad_begin, top, left).ok_or(Miss::NoMatch)?;
    let end = add(window.pad_end, bottom, right).ok_or(Miss::NoMatch)?;
    Ok(Window { pad_begin: begin, pad_end: end, ..window })
}

fn has_padding(window: &Window) -> bool {
    window.pad_begin != [0, 0] || window.pad_end != [0, 0]
}

/// Whether a value's own operator shows that no element is negative.
fn is_not_negative(graph: &Graph, id: NodeId) -> bool {
    match graph.op(id) {
        Op::Unary(unary) => match *unary {
            Unary::Relu | Unary::Sigmoid | Unary::HardSigmoid { .. } | Unary::Abs | Unary::Exp | Unary::Sqrt => true,
            Unary::Clip { min, max } => min >= 0.0 && max >= 0.0,
            Unary::LeakyRelu { .. }
            | Unary::HardSwish
            | Unary::Silu
            | Unary::Tanh
            | Unary::Neg
            | Unary::Reciprocal
            | Unary::Floor
            | Unary::Ceil
            | Unary::Log
            | Unary::Erf
            | Unary::Round
            | Unary::Sign => false,
        },
        Op::Conv2d(conv) => match conv.activation {
            Activation::Relu => true,
            Activation::Clip { min, max } => min >= 0.0 && max >= 0.0,
            Activation::None => false,
        },
        Op::Input
        | Op::Constant(_)
        | Op::BatchNorm(_)
        | Op::Binary(_)
        | Op::Where
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

fn apply(graph: &mut Graph, id: NodeId, folded: Folded) -> Result<String, PassError> {
    let pad = graph.operands(id)[0];
    let what = format!("took the padding of {}", shown(graph, pad));
    let mut operands = graph.operands(id).to_vec();
    operands[0] = folded.operand;
    rewrite(graph, id, folded.op, &operands)?;
    if graph.use_count(pad) == 0 {
        graph.remove(pad);
    }
    Ok(what)
}

#[cfg(test)]
mod tests {
    use crate::testing::{ops, refusal, rewritten};

    fn conv_behind(pad: &str, size: usize) -> String {
        format!(
            "graph @g(%x: f32[N,3,6,6]) -> (%c) {{
               @w = random(1) : f32[4,3,3,3]
               %p = pad(%x) {{{pad}}} : f32[N,3,{size},{size}]
               %c = conv2d(%p, @w) {{pad=1}} : f32[N,4,{size},{size}]
             }}"
        )
    }

    fn pool_behind(operator: &str, attributes: &str, value: &str, out: usize) -> String {
        format!(
            "graph @g(%x: f32[N,3,6,6]) -> (%c) {{
               %r = {operator}(%x) : f32[N,3,6,6]
               %p = pad(%r) {{begin=[0,0,1,1], end=[0,0,1,1]{value}}} : f32[N,3,8,8]
               %c = {attributes} : f32[N,3,{out},{out}]
             }}"
        )
    }

    #[test]
    fn adds_a_border_to_a_convolution_s_own_padding() {
        let (graph, _) = rewritten(super::run, &conv_behind("begin=[0,0,1,2], end=[0,0,1,0]", 8));
        assert_eq!(ops(&graph), ["conv2d"]);
    }

    #[test]
    fn keeps_a_pad_that_has_another_user() {
        let (graph, _) = rewritten(
            super::run,
            "graph @g(%x: f32[N,3,6,6]) -> (%c, %r) {
               @w = random(1) : f32[4,3,3,3]
               %p = pad(%x) {begin=[0,0,1,1], end=[0,0,1,1]} : f32[N,3,8,8]
               %c = conv2d(%p, @w) : f32[N,4,6,6]
               %r = relu(%p) : f32[N,3,8,8]
             }",
        );
        assert_eq!(ops(&graph), ["pad", "conv2d", "relu"]);
    }

    #[test]
    fn refuses_borders_that_are_not_zeros_around_h_and_w() {
        let text = conv_behind("begin=[0,0,1,1], end=[0,0,1,1], value=0.5", 8);
        assert!(refusal(super::run, &text).unwrap().contains("0.5"));
        let text = "graph @g(%x: f32[N,2,6,6]) -> (%c) {
               @w = random(1) : f32[4,3,3,3]
               %p = pad(%x) {begin=[0,1,1,1], end=[0,0,1,1]} : f32[N,3,8,8]
               %c = conv2d(%p, @w) : f32[N,4,6,6]
             }";
        assert!(refusal(super::run, text).unwrap().contains("H and W"));
    }

    #[test]
    fn folds_into_an_average_pool_where_the_divisor_stays_the_same() {
        let without = pool_behind("tanh", "average_pool(%p) {kernel=3}", "", 6);
        let counted = pool_behind("tanh", "average_pool(%p) {kernel=3, pad=1, count_include_pad=true}", "", 8);
        assert_eq!(ops(&rewritten(super::run, &without).0), ["tanh", "average_pool"]);
        assert_eq!(ops(&rewritten(super::run, &counted).0), ["tanh", "average_pool"]);
        let uncounted = pool_behind("tanh", "average_pool(%p) {kernel=3, pad=1}", "", 8);
        assert!(refusal(super::run, &uncounted).unwrap().contains("divisor"));
    }

    #[test]
    fn folds_into_a_max_pool_where_the_border_cannot_win() {
        let relu = pool_behind("relu", "max_pool(%p) {kernel=3, stride=2}", "", 3);
        let infinite = pool_behind("tanh", "max_pool(%p) {kernel=3, stride=2}", ", value=-inf", 3);
        assert_eq!(ops(&rewritten(super::run, &relu).0), ["relu", "max_pool"]);
        assert_eq!(ops(&rewritten(super::run, &infinite).0), ["tanh", "max_pool"]);
        let tanh = pool_behind("tanh", "max_pool(%p) {kernel=3, stride=2}", "", 3);
        assert!(refusal(super::run, &tanh).unwrap().contains("maximum"));
    }

    #[test]
    fn refuses_pools_whose_windows_would_be_padding_alone_or_start_in_it() {
        let text = pool_behind("relu", "max_pool(%p) {kernel=1, stride=1}", "", 8);
        assert!(refusal(super::run, &text).unwrap().contains("alone"));
        let text = pool_behind("relu", "max_pool(%p) {kernel=3, stride=2, ceil_mode=true}", "", 4);
        assert!(refusal(super::run, &text).unwrap().contains("ceil_mode"));
    }
}
