//! A small valid plan with most kernels, for tests (the tests of `convert.rs` put the others into it).

use crate::choice::{Candidate, Choice, Measured, TileSize, Tuning};
use crate::data::ConstantData;
use crate::images::{Channels, Images, Interpolation, Preprocess, Resize, Size};
use crate::kernel::{
    Access, Activation, Binary, Conv, Copy, CopyBox, CopyLoop, Elementwise, Extent, F32, Gemm, Instruction, KernelSpec,
    Pool, PoolKind, Softmax, Source, Space, Unary, Window,
};
use crate::plan::{Batch, Buffer, Constant, Listing, Operand, Plan, Port, Step};

use Operand::{Buffer as B, Constant as C, Input as I, Output as O};

const BIAS: Operand = C(0);

/// Reads 2×6×6, gives 3 probabilities and the input under all elementwise functions.
pub(crate) fn everything() -> Plan {
    Plan {
        name: "sample".into(),
        producer: "rnc 0".into(),
        batch: Batch::Symbolic,
        inputs: vec![port("x", &[2, 6, 6])],
        outputs: vec![port("y", &[3]), port("z", &[2, 6, 6])],
        buffers: vec![
            buffer("stem", 0, 2304, [0, 1]),
            buffer("pool", 2304, 576, [1, 5]),
            buffer("mean", 0, 576, [3, 4]),
            buffer("features", 576, 64, [5, 6]),
            buffer("logits", 0, 64, [6, 7]),
            buffer("planar", 64, 64, [7, 8]),
        ],
        constants: vec![constant("bias", 0, 64), constant("stem.weight", 64, 1152), constant("weight", 1216, 320)],
        steps: steps(),
        arena_bytes: 2880,
        arena_lower_bound: 2880,
        tuning: Tuning {
            machine: "generic".into(),
            measured: Some(Measured { host: "a CPU".into(), isa: "avx2".into() }),
        },
        images: Images {
            preprocess: Some(Preprocess {
                resize: Resize::Cover,
                size: Size::Share(0.875),
                interpolation: Interpolation::Bicubic,
                channels: Channels::Bgr,
                range: 1.0,
                mean: [0.5, 0.25, 0.125],
                std: [2.0, 3.0, 4.0],
            }),
            labels: vec!["cat".into(), "dog".into()],
        },
        listing: Listing { imported: "graph @a".into(), optimized: "graph @b".into() },
        data: ConstantData::build(1536, |bytes| bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8))
            .unwrap(),
    }
}

fn steps() -> Vec<Step> {
    vec![
        Step { choice: Some(choice()), ..step("stem", stem(), vec![B(0), I(0), C(1), BIAS]) },
        step("pool", pool(PoolKind::Max, [6, 3], [3, 2, 1]), vec![B(1), B(0)]),
        step("scale", scale(), vec![B(1), B(1), BIAS]),
        step("mean", pool(PoolKind::AverageWithPadding { pad_end: [1, 1] }, [3, 3], [3, 1, 1]), vec![B(2), B(1)]),
        step("residual", residual(), vec![B(1), B(2), C(2), BIAS, B(1)]),
        step("features", pool(PoolKind::Average, [3, 1], [3, 1, 0]), vec![B(3), B(1)]),
        step("logits", gemm(), vec![B(4), B(3), C(2), BIAS]),
        step("planar", planar(), vec![B(5), B(4)]),
        step("y", KernelSpec::Softmax(Softmax { outer: 1, len: 3, inner: 1 }), vec![O(0), B(5)]),
        step("z", functions(), vec![O(1), I(0)]),
    ]
}

fn choice() -> Choice {
    let candidate = |name: &str, estimated, measured| Candidate { name: name.into(), estimated, measured };
    Choice {
        candidates: vec![candidate("direct", 2.5, Some(3.5)), candidate("winograd", 7.0, None)],
        error: Some(1e-6),
        tile: Some(TileSize { pixels: 6, columns: 2 }),
    }
}

fn stem() -> KernelSpec {
    KernelSpec::Conv(Conv {
        input: Extent { channels: 2, height: 6, width: 6 },
        source: Source::Planar,
        output: Extent { channels: 5, height: 6, width: 6 },
        groups: 1,
        window: Window { kernel: [3, 3], stride: [1, 1], pad: [1, 1], dilation: [1, 1] },
        residual: false,
        activation: Activation::Relu,
    })
}

/// A square pool of 5 channels; sizes of input and output, then kernel, stride and padding.
fn pool(kind: PoolKind, [input, output]: [usize; 2], [kernel, stride, pad]: [usize; 3]) -> KernelSpec {
    KernelSpec::Pool(Pool {
        kind,
        input: Extent { channels: 5, height: input, width: input },
        output: [output; 2],
        window: Window { kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2], dilation: [1, 1] },
    })
}

fn scale() -> KernelSpec {
    KernelSpec::Elementwise(Elementwise {
        space: Space::Blocked { blocks: 1, pixels: 9 },
        operands: vec![Access::Full, Access::PerChannelShared],
        program: vec![Instruction::Operand(0), Instruction::Operand(1), Instruction::Binary(Binary::Mul, 0, 1)],
    })
}

fn residual() -> KernelSpec {
    let extent = Extent { channels: 5, height: 3, width: 3 };
    KernelSpec::Conv(Conv {
        input: extent,
        source: Source::Blocked,
        output: extent,
        groups: 1,
        window: Window { kernel: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1] },
        residual: true,
        activation: Activation::Clip { min: F32::from(0.0), max: F32::from(6.0) },
    })
}

fn gemm() -> KernelSpec {
    KernelSpec::Gemm(Gemm { features: 5, out: 3, activation: Activation::None })
}

fn planar() -> KernelSpec {
    let loops = vec![CopyLoop { count: 3, source: -1, result: 1 }];
    KernelSpec::Copy(Copy {
        source_sample: 16,
        result_sample: 3,
        fill: Some(F32::from(f32::NEG_INFINITY)),
        boxes: vec![CopyBox { source: 2, result: 0, loops }],
    })
}

fn functions() -> KernelSpec {
    use Unary::{Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Relu, Round, Sigmoid, Sign, Sqrt, Tanh};
    let mut program = vec![Instruction::Operand(0), Instruction::Constant(F32::from(f32::NAN))];
    for function in [Relu, Sigmoid, Tanh, Exp, Sqrt, Abs, Neg, Reciprocal, Floor, Ceil, Round, Sign, Log, Erf] {
        program.push(Instruction::Unary(function, program.len() - 1));
    }
    for function in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min] {
        program.push(Instruction::Binary(function, program.len() - 1, 1));
    }
    for function in [Binary::Pow, Binary::Equal, Binary::Greater, Binary::GreaterOrEqual] {
        program.push(Instruction::Binary(function, program.len() - 1, 1));
    }
    program.push(Instruction::Select(program.len() - 1, 0, 1));
    KernelSpec::Elementwise(Elementwise { space: Space::Flat { len: 72 }, operands: vec![Access::Full], program })
}

fn port(name: &str, dims: &[usize]) -> Port {
    Port { name: name.into(), dims: dims.to_vec() }
}

fn buffer(name: &str, offset: usize, bytes: usize, [first_step, last_step]: [usize; 2]) -> Buffer {
    Buffer { name: name.into(), offset, bytes, first_step, last_step }
}

fn constant(name: &str, offset: usize, bytes: usize) -> Constant {
    Constant { name: name.into(), offset, bytes }
}

fn step(name: &str, kernel: KernelSpec, operands: Vec<Operand>) -> Step {
    Step::new(name, kernel, operands)
}
