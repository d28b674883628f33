//! The table of operators: what is imported, how, and what the documentation says of it.

use rnc_ir::Op;
use rnc_ir::op::{Binary, ReduceKind, Unary};

use super::reduce::{Reduction, reduce};
use super::{
    activation, constant, conv, conv_transpose, elementwise, linear, logic, normalize, pad, pool, rearrange, resize,
    shape, slice, split,
};
use crate::error::Fault;
use crate::node::NodeCx;
use crate::shape_arithmetic::{self as arithmetic, Comparison};
use crate::state::Value;

/// An operator of ONNX that rnc imports.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// ONNX's name, in the default domain.
    pub name: &'static str,
    /// Attributes and operands, and the opsets where they changed.
    pub takes: &'static str,
    /// What of it is refused.
    pub refuses: &'static str,
    /// What it is in the graph.
    pub becomes: &'static str,
    pub(crate) import: Import,
}

/// The importer of an operator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Import {
    /// The one result.
    One(fn(&mut NodeCx) -> Result<Value, Fault>),
    /// The results in order.
    Several(fn(&mut NodeCx) -> Result<Vec<Value>, Fault>),
}

/// An operator with one result.
const fn one(
    name: &'static str,
    import: fn(&mut NodeCx) -> Result<Value, Fault>,
    takes: &'static str,
    refuses: &'static str,
    becomes: &'static str,
) -> Operator {
    Operator { name, takes, refuses, becomes, import: Import::One(import) }
}

/// A function of each element without attributes, of which nothing is refused.
const fn unary(name: &'static str, import: fn(&mut NodeCx) -> Result<Value, Fault>, becomes: &'static str) -> Operator {
    one(name, import, "X", "", becomes)
}

const AXES: &str = "data; `axes`, from 18 a known operand; `keepdims`; from 18 `noop_with_empty_axes`";
const BATCH_AXIS: &str = "the open batch axis";
const PAIR: &str = "A, B with NumPy broadcasting; before 7 `broadcast`, `axis`";
const TRUTH: &str = "truth values as an output of the model";

/// Every operator that is imported.
pub const OPERATORS: &[Operator] = &[
    one(
        "Conv",
        conv::conv,
        "X, W, [B]; `auto_pad`, `dilations`, `group`, `kernel_shape`, `pads`, `strides`; one to three spatial axes",
        "negative pads; `pads` beside `auto_pad`; over three axes more than 256 planes",
        "`conv2d`; one spatial axis as a row; three as one convolution a plane, joined by `concat`",
    ),
    one(
        "ConvTranspose",
        conv_transpose::conv_transpose,
        "X, W, [B]; as `Conv`, and `output_padding`, `output_shape`; one or two spatial axes",
        "three spatial axes",
        "`conv2d` of the operand with zeros between its elements (`reshape`, `pad`, `slice`), weights turned around",
    ),
    one(
        "MaxPool",
        pool::max_pool,
        "X; `auto_pad`, `kernel_shape`, `pads`, `strides`, `storage_order` (no effect); from 10 `ceil_mode`, `dilations`; one to three spatial axes",
        "use of the indices; pads as large as the window",
        "`max_pool`; three axes as two of them",
    ),
    one(
        "AveragePool",
        pool::average_pool,
        "X; `auto_pad`, `kernel_shape`, `pads`, `strides`; from 7 `count_include_pad`; from 10 `ceil_mode`; from 19 `dilations`; one to three spatial axes",
        "pads as large as the window",
        "`average_pool`; three axes as two of them",
    ),
    one(
        "LpPool",
        pool::lp_pool,
        "X; `p`, the window's attributes; from 18 `dilations`",
        "`ceil_mode`",
        "powers, `average_pool`, `mul`, a root",
    ),
    one(
        "GlobalAveragePool",
        |cx| pool::global(cx, Op::GlobalAveragePool, ReduceKind::Mean),
        "X; one to three spatial axes",
        "",
        "`global_average_pool`; `reduce_mean` where there are not two spatial axes",
    ),
    one(
        "GlobalMaxPool",
        |cx| pool::global(cx, Op::GlobalMaxPool, ReduceKind::Max),
        "X; one to three spatial axes",
        "",
        "`global_max_pool`; `reduce_max` where there are not two spatial axes",
    ),
    one("GlobalLpPool", pool::global_lp, "X; `p`", "", "powers, `reduce_sum`, a root"),
    one(
        "BatchNormalization",
        conv::batch_norm,
        "X, scale, B, mean, variance; `epsilon`, `momentum` (no effect), `spatial`=1; before 7 `is_test`=1; from 14 `training_mode`=0",
        "training; `spatial`=0; use of outputs 1 and up",
        "`batch_norm`",
    ),
    one(
        "InstanceNormalization",
        normalize::instance,
        "input, scale, B; `epsilon`",
        "",
        "`reduce_mean` and elementwise operators",
    ),
    one(
        "GroupNormalization",
        normalize::group,
        "X, scale, bias (a number for each group before 21, for each channel from 21); `num_groups`, `epsilon`, `stash_type` (no effect)",
        "groups that do not divide the channels",
        "`reduce_mean` and elementwise operators",
    ),
    Operator {
        name: "LayerNormalization",
        takes: "X, scale, [B]; `axis`, `epsilon`, `stash_type` (no effect)",
        refuses: "axis 0 of an open batch",
        becomes: "`reduce_mean` and elementwise operators; mean and inverse deviation are outputs if used",
        import: Import::Several(normalize::layer),
    },
    one(
        "RMSNormalization",
        normalize::root_mean_square,
        "X, scale; `axis`, `epsilon`, `stash_type` (no effect)",
        "axis 0 of an open batch",
        "`reduce_mean` and elementwise operators",
    ),
    one(
        "MeanVarianceNormalization",
        normalize::mean_variance,
        "X; `axes` (0, 2, 3)",
        BATCH_AXIS,
        "`reduce_mean` and elementwise operators",
    ),
    one(
        "LpNormalization",
        normalize::lp,
        "input; `axis`, `p` (1 or 2)",
        BATCH_AXIS,
        "`reduce_sum` and elementwise operators",
    ),
    one(
        "LRN",
        normalize::local_response,
        "X; `alpha`, `beta`, `bias`, `size` up to 1024",
        "",
        "`average_pool` over channels and elementwise operators",
    ),
    one(
        "Gemm",
        linear::gemm,
        "A, B, C (optional from 11); `alpha`, `beta`, `transA`, `transB`; before 7 `broadcast` (no effect)",
        "",
        "`gemm`",
    ),
    one("MatMul", linear::matmul, "A, B", "", "`matmul`"),
    one(
        "Softmax",
        linear::softmax,
        "input; `axis` (-1; before 13 it is 1, and all dimensions from it on count together)",
        BATCH_AXIS,
        "`softmax`, between `reshape`s if several dimensions are joined",
    ),
    one(
        "LogSoftmax",
        activation::log_softmax,
        "as `Softmax`",
        BATCH_AXIS,
        "`reduce_max`, `reduce_sum` and elementwise operators",
    ),
    unary("Relu", |cx| elementwise::unary(cx, Unary::Relu), "`relu`"),
    one("LeakyRelu", elementwise::leaky_relu, "X; `alpha` (0.01)", "", "`leaky_relu`"),
    one(
        "Clip",
        elementwise::clip,
        "input; `min`, `max`, from 11 operands",
        "",
        "`clip`; with bounds that are computed when the model runs `max` and `min`",
    ),
    unary("Sigmoid", |cx| elementwise::unary(cx, Unary::Sigmoid), "`sigmoid`"),
    one("HardSigmoid", elementwise::hard_sigmoid, "X; `alpha` (0.2), `beta` (0.5)", "", "`hard_sigmoid`"),
    unary("HardSwish", |cx| elementwise::unary(cx, Unary::HardSwish), "`hard_swish`"),
    unary("Tanh", |cx| elementwise::unary(cx, Unary::Tanh), "`tanh`"),
    unary("Exp", |cx| elementwise::unary(cx, Unary::Exp), "`exp`"),
    unary("Log", |cx| elementwise::unary(cx, Unary::Log), "`log`"),
    unary("Erf", |cx| elementwise::unary(cx, Unary::Erf), "`erf`"),
    unary("Sqrt", |cx| elementwise::unary(cx, Unary::Sqrt), "`sqrt`"),
    unary("Abs", |cx| elementwise::unary(cx, Unary::Abs), "`abs`"),
    unary("Neg", |cx| elementwise::unary(cx, Unary::Neg), "`neg`"),
    unary("Sign", |cx| elementwise::unary(cx, Unary::Sign), "`sign`"),
    unary("Reciprocal", |cx| elementwise::unary(cx, Unary::Reciprocal), "`reciprocal`"),
    unary("Floor", |cx| elementwise::unary(cx, Unary::Floor), "`floor`"),
    unary("Ceil", |cx| elementwise::unary(cx, Unary::Ceil), "`ceil`"),
    unary("Round", |cx| elementwise::unary(cx, Unary::Round), "`round`"),
    one("Elu", activation::elu, "X; `alpha` (1)", "", "`relu`, `min`, `exp`, …"),
    one("Celu", activation::celu, "X; `alpha` (1)", "", "`relu`, `min`, `exp`, …"),
    one("Selu", activation::selu, "X; `alpha`, `gamma`", "", "`relu`, `min`, `exp`, …"),
    unary("Softplus", activation::softplus, "`relu`, `abs`, `exp`, `log`, …"),
    unary("Softsign", activation::softsign, "`abs`, `add`, `div`"),
    unary("Mish", activation::mish, "a softplus, `tanh`, `mul`"),
    one("Swish", activation::swish, "X; `alpha` (1)", "", "`sigmoid`, `mul` (`silu` after the passes)"),
    one("Gelu", activation::gelu, "X; `approximate`: none, tanh", "", "`erf` or `tanh`, `mul`, …"),
    one("PRelu", activation::prelu, "X, slope", "", "`relu`, `min`, `mul`, `add`"),
    one("ThresholdedRelu", activation::thresholded_relu, "X; `alpha` (1)", "", "`greater`, `where`"),
    one("Shrink", activation::shrink, "input; `bias`, `lambd`", "", "`greater`, `where`, …"),
    one("Add", |cx| elementwise::binary(cx, Binary::Add), PAIR, "", "`add`"),
    one("Sub", |cx| elementwise::binary(cx, Binary::Sub), PAIR, "", "`sub`"),
    one("Mul", |cx| elementwise::binary(cx, Binary::Mul), PAIR, "", "`mul`"),
    one("Div", |cx| elementwise::binary(cx, Binary::Div), PAIR, "", "`div`"),
    one(
        "Pow",
        activation::pow,
        PAIR,
        "a base that is no float32",
        "`mul`s, `sqrt` or `reciprocal` for known exponents of 2, 3, ½ and -1, else `pow`",
    ),
    one(
        "Sum",
        |cx| elementwise::variadic(cx, Binary::Add),
        "one operand or more",
        "",
        "a chain of `add` (`identity` of one)",
    ),
    one(
        "Max",
        |cx| elementwise::variadic(cx, Binary::Max),
        "one operand or more",
        "",
        "a chain of `max` (`identity` of one)",
    ),
    one(
        "Min",
        |cx| elementwise::variadic(cx, Binary::Min),
        "one operand or more",
        "",
        "a chain of `min` (`identity` of one)",
    ),
    one("Mean", elementwise::mean, "one operand or more", "", "a chain of `add`, then `div`"),
    one("Equal", |cx| logic::compare(cx, Comparison::Equal), PAIR, TRUTH, "`equal`: 1 and 0"),
    one("Greater", |cx| logic::compare(cx, Comparison::Greater), PAIR, TRUTH, "`greater`"),
    one("GreaterOrEqual", |cx| logic::compare(cx, Comparison::GreaterOrEqual), PAIR, TRUTH, "`greater_or_equal`"),
    one("Less", |cx| logic::compare(cx, Comparison::Less), PAIR, TRUTH, "`greater` the other way round"),
    one(
        "LessOrEqual",
        |cx| logic::compare(cx, Comparison::LessOrEqual),
        PAIR,
        TRUTH,
        "`greater_or_equal` the other way round",
    ),
    one("Not", logic::not, "X", TRUTH, "1 - x"),
    one("And", |cx| logic::both(cx, Binary::Min), PAIR, TRUTH, "`min`"),
    one("Or", |cx| logic::both(cx, Binary::Max), PAIR, TRUTH, "`max`"),
    one("Where", logic::choose, "condition, X, Y", "", "`where`"),
    one(
        "ReduceMean",
        |cx| reduce(cx, Reduction::InGraph(ReduceKind::Mean)),
        AXES,
        BATCH_AXIS,
        "`reduce_mean`, or `identity`",
    ),
    one(
        "ReduceSum",
        |cx| reduce(cx, Reduction::InGraph(ReduceKind::Sum)),
        "data; `axes`, from 13 a known operand; `keepdims`; from 13 `noop_with_empty_axes`",
        BATCH_AXIS,
        "`reduce_sum`, or `identity`",
    ),
    one(
        "ReduceMax",
        |cx| reduce(cx, Reduction::InGraph(ReduceKind::Max)),
        AXES,
        BATCH_AXIS,
        "`reduce_max`, or `identity`",
    ),
    one("ReduceMin", |cx| reduce(cx, Reduction::Min), AXES, BATCH_AXIS, "`neg`, `reduce_max`, `neg`"),
    one("ReduceL1", |cx| reduce(cx, Reduction::L1), AXES, BATCH_AXIS, "`abs`, `reduce_sum`"),
    one("ReduceL2", |cx| reduce(cx, Reduction::L2), AXES, BATCH_AXIS, "`mul`, `reduce_sum`, `sqrt`"),
    one("ReduceSumSquare", |cx| reduce(cx, Reduction::SumSquare), AXES, BATCH_AXIS, "`mul`, `reduce_sum`"),
    one("ReduceLogSum", |cx| reduce(cx, Reduction::LogSum), AXES, BATCH_AXIS, "`reduce_sum`, `log`"),
    one(
        "ReduceLogSumExp",
        |cx| reduce(cx, Reduction::LogSumExp),
        AXES,
        BATCH_AXIS,
        "`reduce_max`, `exp`, `reduce_sum`, `log`, …",
    ),
    one(
        "ReduceProd",
        |cx| reduce(cx, Reduction::OfArrays(Binary::Mul)),
        AXES,
        "a value computed when the model runs",
        "computed at import",
    ),
    one("Identity", elementwise::identity, "input", "", "`identity`; of a constant, that constant"),
    one(
        "Dropout",
        elementwise::dropout,
        "data, from 12 ratio (no effect) and training_mode known to be false; `ratio`, `seed` (no effect); before 7 `is_test`=1",
        "training; use of the mask",
        "`identity`",
    ),
    one(
        "Cast",
        arithmetic::cast,
        "input; `to`; `saturate`, `round_mode` (no effect)",
        "of a value computed when the model runs, other than from float32 to float32 or bool",
        "`identity`; to bool `equal`",
    ),
    one("CastLike", arithmetic::cast_like, "input, target_type", "as `Cast`", "as `Cast`"),
    one(
        "Reshape",
        shape::reshape,
        "data, known shape with 0, one -1, the batch; from 14 `allowzero`",
        "shapes that do not divide",
        "`reshape`",
    ),
    one("Flatten", shape::flatten, "input; `axis` (1)", "joining an open batch with other dimensions", "`reshape`"),
    one(
        "Squeeze",
        shape::squeeze,
        "data; `axes`, from 13 a known operand; without it all ones go",
        "dimensions that are not 1; axes twice",
        "`reshape`",
    ),
    one("Unsqueeze", shape::unsqueeze, "data; `axes`, from 13 a known operand", "axes twice", "`reshape`"),
    one("Transpose", shape::transpose, "data; `perm` (reversed)", "", "`transpose`"),
    one("Expand", shape::expand, "input, known shape, which broadcasts both ways", "", "`expand`"),
    one("Concat", shape::concat, "one operand or more; `axis`", BATCH_AXIS, "`concat`"),
    one(
        "Slice",
        slice::slice,
        "data; `starts`, `ends`, `axes`, from 10 known operands, and steps, which may be negative",
        "cutting an open batch; step 0",
        "`slice`",
    ),
    Operator {
        name: "Split",
        takes: "input; `axis`; `split`, from 13 a known operand, equal parts without it; from 18 `num_outputs`, and a smaller last part",
        refuses: BATCH_AXIS,
        becomes: "one `slice` for each part that is used",
        import: Import::Several(split::split),
    },
    one(
        "Gather",
        rearrange::gather,
        "data, known indices; `axis`",
        "indices computed when the model runs; more than 4096 runs of indices; an open batch axis",
        "one `slice` for each run of indices, `concat`, `reshape`",
    ),
    one("Tile", rearrange::tile, "input, known repeats", "an open batch other than once", "`concat`"),
    one(
        "Pad",
        pad::pad,
        "data; `mode`: constant, reflect, edge, wrap; `pads` and `value`, from 11 known operands, from 18 axes; negative amounts crop",
        "padding of an open batch",
        "`pad`; other modes `slice` and `concat`",
    ),
    one(
        "DepthToSpace",
        rearrange::depth_to_space,
        "input; `blocksize`, `mode`: DCR, CRD",
        "",
        "`reshape`, `transpose`, `reshape`",
    ),
    one("SpaceToDepth", rearrange::space_to_depth, "input; `blocksize`", "", "`reshape`, `transpose`, `reshape`"),
    one(
        "Resize",
        resize::resize,
        "X, known scales or sizes; `mode`: nearest, linear, cubic; `coordinate_transformation_mode`, `nearest_mode`, `cubic_coeff_a`, `exclude_outside`; from 18 `antialias`, `axes`, `keep_aspect_ratio_policy`",
        "tf_crop_and_resize; other sizes of an open batch",
        "`resize`",
    ),
    one(
        "Upsample",
        resize::upsample,
        "X; `mode`; `scales`, from 9 a known operand",
        "other sizes of an open batch",
        "`resize`",
    ),
    one(
        "Constant",
        constant,
        "`value`, `value_float`, `value_floats`, `value_int`, `value_ints`",
        "strings, sparse values",
        "a constant, where a node uses it",
    ),
    one(
        "ConstantOfShape",
        arithmetic::constant_of_shape,
        "known shape; `value`",
        "more than 2²⁸ elements in all",
        "a constant; `expand` if an open batch is in the shape",
    ),
    one(
        "Shape",
        arithmetic::shape,
        "data; `start`, `end`",
        "the shape as an output of the model",
        "computed at import",
    ),
    one("Size", arithmetic::size, "data", "the size as an output of the model", "computed at import"),
    one("Range", arithmetic::range, "three known numbers", "more than 65536 results", "computed at import"),
    one(
        "Mod",
        arithmetic::modulo,
        "two known operands; `fmod`",
        "a value computed when the model runs",
        "computed at import",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_says_what_becomes_of_it() {
        let mut names: Vec<&str> = OPERATORS.iter().map(|operator| operator.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(OPERATORS.iter().all(|operator| !operator.takes.is_empty() && !operator.becomes.is_empty()));
    }
}
