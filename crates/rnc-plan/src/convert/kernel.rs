//! Kernel specifications to messages and back.

use super::{DecodeError, Path, each, required, size};
use crate::kernel::{
    Access, Activation, Binary, Contract, Conv, Copy, CopyBox, CopyLoop, Elementwise, Extent, F32, Gemm, Instruction,
    KernelSpec, Pool, PoolKind, Resample, Softmax, Source, Space, Strassen, Strides, Tap, Unary, Window, Winograd,
};
use crate::proto::{self, step::Kernel};
use crate::strassen::Levels;

pub(super) fn write(spec: &KernelSpec) -> Kernel {
    match spec {
        KernelSpec::Conv(conv) => Kernel::Conv(write_conv(conv)),
        KernelSpec::Winograd(winograd) => {
            Kernel::Winograd(proto::Winograd { conv: Some(write_conv(&winograd.conv)), tile: winograd.tile as u64 })
        }
        KernelSpec::Strassen(strassen) => Kernel::Strassen(proto::Strassen {
            conv: Some(write_conv(&strassen.conv)),
            levels: strassen.levels.number() as u64,
        }),
        KernelSpec::Gemm(gemm) => Kernel::Gemm(proto::Gemm {
            features: gemm.features as u64,
            out: gemm.out as u64,
            activation: Some(write_activation(gemm.activation)),
        }),
        KernelSpec::Pool(pool) => Kernel::Pool(write_pool(pool)),
        KernelSpec::Elementwise(spec) => Kernel::Elementwise(write_elementwise(spec)),
        KernelSpec::Contract(contract) => Kernel::Contract(proto::Contract {
            result: contract.result.iter().map(|size| *size as u64).collect(),
            sum: contract.sum as u64,
            a: Some(write_strides(&contract.a)),
            b: Some(write_strides(&contract.b)),
        }),
        KernelSpec::Resample(resample) => Kernel::Resample(write_resample(resample)),
        KernelSpec::Softmax(softmax) => Kernel::Softmax(proto::Softmax {
            outer: softmax.outer as u64,
            len: softmax.len as u64,
            inner: softmax.inner as u64,
        }),
        KernelSpec::Copy(copy) => Kernel::Copy(write_copy(copy)),
    }
}

/// Reads the kernel of the step at `path`.
pub(super) fn read(kernel: Kernel, path: &Path<'_>) -> Result<KernelSpec, DecodeError> {
    Ok(match kernel {
        Kernel::Conv(conv) => KernelSpec::Conv(read_conv(conv, &path.field("conv"))?),
        Kernel::Winograd(winograd) => KernelSpec::Winograd(read_winograd(winograd, &path.field("winograd"))?),
        Kernel::Strassen(strassen) => KernelSpec::Strassen(read_strassen(strassen, &path.field("strassen"))?),
        Kernel::Gemm(gemm) => KernelSpec::Gemm(read_gemm(gemm, &path.field("gemm"))?),
        Kernel::Pool(pool) => KernelSpec::Pool(read_pool(pool, &path.field("pool"))?),
        Kernel::Elementwise(spec) => KernelSpec::Elementwise(read_elementwise(spec, &path.field("elementwise"))?),
        Kernel::Contract(contract) => KernelSpec::Contract(read_contract(contract, &path.field("contract"))?),
        Kernel::Resample(resample) => KernelSpec::Resample(read_resample(resample, &path.field("resample"))?),
        Kernel::Softmax(softmax) => KernelSpec::Softmax(read_softmax(softmax, &path.field("softmax"))?),
        Kernel::Copy(copy) => KernelSpec::Copy(read_copy(copy, &path.field("copy"))?),
    })
}

/// An enumeration whose value the schema knows. [`enumeration`] makes them; zero is never one.
fn known<T>(value: Option<T>, found: i32, path: &Path<'_>) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::UnknownValue { path: path.to_string(), found })
}

/// Functions `$write` and `$read` between an enumeration and its message's, whose zero is unspecified.
macro_rules! enumeration {
    ($write:ident, $read:ident, $ours:ident, $theirs:ident, [$($variant:ident),+]) => {
        fn $write(value: $ours) -> i32 {
            match value {
                $($ours::$variant => proto::$theirs::$variant as i32,)+
            }
        }

        fn $read(found: i32, path: &Path<'_>) -> Result<$ours, DecodeError> {
            let value = match proto::$theirs::try_from(found) {
                $(Ok(proto::$theirs::$variant) => Some($ours::$variant),)+
                Ok(proto::$theirs::Unspecified) | Err(_) => None,
            };
            known(value, found, path)
        }
    };
}

enumeration!(write_source, read_source, Source, Source, [Blocked, Planar]);
enumeration!(write_access, read_access, Access, Access, [Full, PerChannel, PerChannelShared]);
enumeration!(
    write_unary,
    read_unary,
    Unary,
    UnaryFunction,
    [Relu, Sigmoid, Tanh, Exp, Sqrt, Abs, Neg, Reciprocal, Floor, Ceil, Round, Sign, Log, Erf]
);
enumeration!(
    write_binary,
    read_binary,
    Binary,
    BinaryFunction,
    [Add, Sub, Mul, Div, Max, Min, Pow, Equal, Greater, GreaterOrEqual]
);

fn write_pair([h, w]: [usize; 2]) -> proto::Pair {
    proto::Pair { h: h as u64, w: w as u64 }
}

fn read_pair(pair: Option<proto::Pair>, path: &Path<'_>) -> Result<[usize; 2], DecodeError> {
    let pair = required(pair, path)?;
    Ok([size(pair.h, &path.field("h"))?, size(pair.w, &path.field("w"))?])
}

fn write_extent(extent: Extent) -> proto::Extent {
    proto::Extent { channels: extent.channels as u64, height: extent.height as u64, width: extent.width as u64 }
}

fn read_extent(extent: Option<proto::Extent>, path: &Path<'_>) -> Result<Extent, DecodeError> {
    let extent = required(extent, path)?;
    Ok(Extent {
        channels: size(extent.channels, &path.field("channels"))?,
        height: size(extent.height, &path.field("height"))?,
        width: size(extent.width, &path.field("width"))?,
    })
}

fn write_window(window: &Window) -> proto::Window {
    proto::Window {
        kernel: Some(write_pair(window.kernel)),
        stride: Some(write_pair(window.stride)),
        pad: Some(write_pair(window.pad)),
        dilation: Some(write_pair(window.dilation)),
    }
}

fn read_window(window: Option<proto::Window>, path: &Path<'_>) -> Result<Window, DecodeError> {
    let window = required(window, path)?;
    Ok(Window {
        kernel: read_pair(window.kernel, &path.field("kernel"))?,
        stride: read_pair(window.stride, &path.field("stride"))?,
        pad: read_pair(window.pad, &path.field("pad"))?,
        dilation: read_pair(window.dilation, &path.field("dilation"))?,
    })
}

fn write_activation(activation: Activation) -> proto::Activation {
    let kind = match activation {
        Activation::None => proto::activation::Kind::Identity(proto::Identity {}),
        Activation::Relu => proto::activation::Kind::Relu(proto::Relu {}),
        Activation::Clip { min, max } => proto::activation::Kind::Clip(proto::Clip { min: min.get(), max: max.get() }),
    };
    proto::Activation { kind: Some(kind) }
}

fn read_activation(activation: Option<proto::Activation>, path: &Path<'_>) -> Result<Activation, DecodeError> {
    Ok(match required(activation.and_then(|activation| activation.kind), path)? {
        proto::activation::Kind::Identity(proto::Identity {}) => Activation::None,
        proto::activation::Kind::Relu(proto::Relu {}) => Activation::Relu,
        proto::activation::Kind::Clip(proto::Clip { min, max }) => {
            Activation::Clip { min: F32::from(min), max: F32::from(max) }
        }
    })
}

fn write_conv(conv: &Conv) -> proto::Conv {
    proto::Conv {
        input: Some(write_extent(conv.input)),
        source: write_source(conv.source),
        output: Some(write_extent(conv.output)),
        groups: conv.groups as u64,
        window: Some(write_window(&conv.window)),
        residual: conv.residual,
        activation: Some(write_activation(conv.activation)),
    }
}

fn read_conv(conv: proto::Conv, path: &Path<'_>) -> Result<Conv, DecodeError> {
    Ok(Conv {
        input: read_extent(conv.input, &path.field("input"))?,
        source: read_source(conv.source, &path.field("source"))?,
        output: read_extent(conv.output, &path.field("output"))?,
        groups: size(conv.groups, &path.field("groups"))?,
        window: read_window(conv.window, &path.field("window"))?,
        residual: conv.residual,
        activation: read_activation(conv.activation, &path.field("activation"))?,
    })
}

fn read_winograd(winograd: proto::Winograd, path: &Path<'_>) -> Result<Winograd, DecodeError> {
    let conv = path.field("conv");
    Ok(Winograd {
        conv: read_conv(required(winograd.conv, &conv)?, &conv)?,
        tile: size(winograd.tile, &path.field("tile"))?,
    })
}

fn read_strassen(strassen: proto::Strassen, path: &Path<'_>) -> Result<Strassen, DecodeError> {
    let conv = path.field("conv");
    let levels = Levels::ALL.into_iter().find(|levels| levels.number() as u64 == strassen.levels);
    Ok(Strassen {
        conv: read_conv(required(strassen.conv, &conv)?, &conv)?,
        levels: known(levels, i32::try_from(strassen.levels).unwrap_or(i32::MAX), &path.field("levels"))?,
    })
}

fn read_gemm(gemm: proto::Gemm, path: &Path<'_>) -> Result<Gemm, DecodeError> {
    Ok(Gemm {
        features: size(gemm.features, &path.field("features"))?,
        out: size(gemm.out, &path.field("out"))?,
        activation: read_activation(gemm.activation, &path.field("activation"))?,
    })
}

fn write_pool(pool: &Pool) -> proto::Pool {
    let kind = match pool.kind {
        PoolKind::Max => proto::pool::Kind::Max(proto::Max {}),
        PoolKind::Average => proto::pool::Kind::Average(proto::Average {}),
        PoolKind::AverageWithPadding { pad_end } => {
            let pad_end = Some(write_pair(pad_end));
            proto::pool::Kind::AverageWithPadding(proto::AverageWithPadding { pad_end })
        }
    };
    proto::Pool {
        kind: Some(kind),
        input: Some(write_extent(pool.input)),
        output: Some(write_pair(pool.output)),
        window: Some(write_window(&pool.window)),
    }
}

fn read_pool(pool: proto::Pool, path: &Path<'_>) -> Result<Pool, DecodeError> {
    let kind = match required(pool.kind, &path.field("kind"))? {
        proto::pool::Kind::Max(proto::Max {}) => PoolKind::Max,
        proto::pool::Kind::Average(proto::Average {}) => PoolKind::Average,
        proto::pool::Kind::AverageWithPadding(proto::AverageWithPadding { pad_end }) => {
            let path = path.field("average_with_padding");
            PoolKind::AverageWithPadding { pad_end: read_pair(pad_end, &path.field("pad_end"))? }
        }
    };
    Ok(Pool {
        kind,
        input: read_extent(pool.input, &path.field("input"))?,
        output: read_pair(pool.output, &path.field("output"))?,
        window: read_window(pool.window, &path.field("window"))?,
    })
}

fn write_elementwise(spec: &Elementwise) -> proto::Elementwise {
    let space = match spec.space {
        Space::Blocked { blocks, pixels } => {
            proto::elementwise::Space::Blocked(proto::BlockedSpace { blocks: blocks as u64, pixels: pixels as u64 })
        }
        Space::Flat { len } => proto::elementwise::Space::Flat(proto::FlatSpace { len: len as u64 }),
    };
    proto::Elementwise {
        space: Some(space),
        operands: spec.operands.iter().map(|access| write_access(*access)).collect(),
        program: spec.program.iter().map(|instruction| write_instruction(*instruction)).collect(),
    }
}

fn read_elementwise(spec: proto::Elementwise, path: &Path<'_>) -> Result<Elementwise, DecodeError> {
    let space = match required(spec.space, &path.field("space"))? {
        proto::elementwise::Space::Blocked(proto::BlockedSpace { blocks, pixels }) => {
            let path = path.field("blocked");
            Space::Blocked {
                blocks: size(blocks, &path.field("blocks"))?,
                pixels: size(pixels, &path.field("pixels"))?,
            }
        }
        proto::elementwise::Space::Flat(proto::FlatSpace { len }) => {
            Space::Flat { len: size(len, &path.field("flat").field("len"))? }
        }
    };
    Ok(Elementwise {
        space,
        operands: each(spec.operands, &path.field("operands"), read_access)?,
        program: each(spec.program, &path.field("program"), read_instruction)?,
    })
}

fn write_instruction(instruction: Instruction) -> proto::Instruction {
    use proto::instruction::Kind;
    let kind = match instruction {
        Instruction::Operand(operand) => Kind::Operand(operand as u64),
        Instruction::Constant(value) => Kind::Constant(value.get()),
        Instruction::Unary(function, a) => Kind::Unary(proto::Unary { function: write_unary(function), a: a as u64 }),
        Instruction::Binary(function, a, b) => {
            Kind::Binary(proto::Binary { function: write_binary(function), a: a as u64, b: b as u64 })
        }
        Instruction::Select(condition, a, b) => {
            Kind::Select(proto::Select { condition: condition as u64, a: a as u64, b: b as u64 })
        }
    };
    proto::Instruction { kind: Some(kind) }
}

fn read_instruction(instruction: proto::Instruction, path: &Path<'_>) -> Result<Instruction, DecodeError> {
    use proto::instruction::Kind;
    Ok(match required(instruction.kind, path)? {
        Kind::Operand(operand) => Instruction::Operand(size(operand, &path.field("operand"))?),
        Kind::Constant(value) => Instruction::Constant(F32::from(value)),
        Kind::Unary(proto::Unary { function, a }) => {
            let path = path.field("unary");
            Instruction::Unary(read_unary(function, &path.field("function"))?, size(a, &path.field("a"))?)
        }
        Kind::Binary(proto::Binary { function, a, b }) => {
            let path = path.field("binary");
            let function = read_binary(function, &path.field("function"))?;
            Instruction::Binary(function, size(a, &path.field("a"))?, size(b, &path.field("b"))?)
        }
        Kind::Select(proto::Select { condition, a, b }) => {
            let path = path.field("select");
            let condition = size(condition, &path.field("condition"))?;
            Instruction::Select(condition, size(a, &path.field("a"))?, size(b, &path.field("b"))?)
        }
    })
}

fn write_strides(strides: &Strides) -> proto::Strides {
    proto::Strides {
        sample: strides.sample.map(|sample| sample as u64),
        result: strides.result.iter().map(|stride| *stride as u64).collect(),
        sum: strides.sum as u64,
    }
}

fn read_strides(strides: Option<proto::Strides>, path: &Path<'_>) -> Result<Strides, DecodeError> {
    let strides = required(strides, path)?;
    Ok(Strides {
        sample: strides.sample.map(|sample| size(sample, &path.field("sample"))).transpose()?,
        result: each(strides.result, &path.field("result"), size)?,
        sum: size(strides.sum, &path.field("sum"))?,
    })
}

fn read_contract(contract: proto::Contract, path: &Path<'_>) -> Result<Contract, DecodeError> {
    Ok(Contract {
        result: each(contract.result, &path.field("result"), size)?,
        sum: size(contract.sum, &path.field("sum"))?,
        a: read_strides(contract.a, &path.field("a"))?,
        b: read_strides(contract.b, &path.field("b"))?,
    })
}

fn write_resample(resample: &Resample) -> proto::Resample {
    let taps = |taps: &Vec<Tap>| proto::Taps {
        // Axes are shorter than 2³²: `footprint` checks that.
        sources: taps.iter().map(|tap| tap.source as u32).collect(),
        weights: taps.iter().map(|tap| tap.weight.get()).collect(),
    };
    let Resample { outer, len, inner, .. } = *resample;
    proto::Resample {
        outer: outer as u64,
        len: len as u64,
        inner: inner as u64,
        taps: resample.taps.iter().map(taps).collect(),
    }
}

fn read_resample(resample: proto::Resample, path: &Path<'_>) -> Result<Resample, DecodeError> {
    // Of a source without a weight, or the other way round, the rest is dropped: the counts are what a tap is.
    let tap = |(source, weight): (u32, f32)| Tap { source: source as usize, weight: F32::from(weight) };
    let taps = |taps: proto::Taps| taps.sources.into_iter().zip(taps.weights).map(tap).collect();
    Ok(Resample {
        outer: size(resample.outer, &path.field("outer"))?,
        len: size(resample.len, &path.field("len"))?,
        inner: size(resample.inner, &path.field("inner"))?,
        taps: resample.taps.into_iter().map(taps).collect(),
    })
}

fn read_softmax(softmax: proto::Softmax, path: &Path<'_>) -> Result<Softmax, DecodeError> {
    Ok(Softmax {
        outer: size(softmax.outer, &path.field("outer"))?,
        len: size(softmax.len, &path.field("len"))?,
        inner: size(softmax.inner, &path.field("inner"))?,
    })
}

fn write_copy(copy: &Copy) -> proto::Copy {
    let boxes = copy.boxes.iter().map(|part| proto::CopyBox {
        source: part.source as u64,
        result: part.result as u64,
        loops: part
            .loops
            .iter()
            .map(|each| proto::CopyLoop {
                count: each.count as u64,
                source: each.source as i64,
                result: each.result as i64,
            })
            .collect(),
    });
    proto::Copy {
        source_sample: copy.source_sample as u64,
        result_sample: copy.result_sample as u64,
        fill: copy.fill.map(F32::get),
        boxes: boxes.collect(),
    }
}

fn read_copy(copy: proto::Copy, path: &Path<'_>) -> Result<Copy, DecodeError> {
    Ok(Copy {
        source_sample: size(copy.source_sample, &path.field("source_sample"))?,
        result_sample: size(copy.result_sample, &path.field("result_sample"))?,
        fill: copy.fill.map(F32::from),
        boxes: each(copy.boxes, &path.field("boxes"), |part, path| {
            Ok(CopyBox {
                source: size(part.source, &path.field("source"))?,
                result: size(part.result, &path.field("result"))?,
                loops: each(part.loops, &path.field("loops"), read_loop)?,
            })
        })?,
    })
}

fn read_loop(each: proto::CopyLoop, path: &Path<'_>) -> Result<CopyLoop, DecodeError> {
    Ok(CopyLoop {
        count: size(each.count, &path.field("count"))?,
        source: step(each.source, &path.field("source"))?,
        result: step(each.result, &path.field("result"))?,
    })
}

fn step(value: i64, path: &Path<'_>) -> Result<isize, DecodeError> {
    isize::try_from(value).map_err(|_| DecodeError::Number { path: path.to_string(), found: value.into() })
}
