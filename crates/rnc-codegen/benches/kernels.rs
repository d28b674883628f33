//! Times each kind of kernel on one thread, operands in the caches: `cargo bench -p rnc-codegen [-- FILTER]`, for the best instruction set of this CPU or that in
//! `RNC_ISA`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rnc_codegen::{Code, Isa};
use rnc_plan::cost::cost;
use rnc_plan::footprint;
use rnc_plan::kernel::{
    Access, Activation, Binary, Conv, Copy, CopyBox, CopyLoop, Elementwise, Extent, Gemm, Instruction, KernelSpec,
    Pool, PoolKind, Softmax, Source, Space, Strassen, Unary, Window, Winograd,
};
use rnc_plan::strassen::Levels;

/// A layer with as many channels in as out.
fn conv(channels: usize, size: usize, kernel: usize, stride: usize) -> Conv {
    Conv {
        input: Extent { channels, height: size * stride, width: size * stride },
        source: Source::Blocked,
        output: Extent { channels, height: size, width: size },
        groups: 1,
        window: Window { kernel: [kernel; 2], stride: [stride; 2], pad: [kernel / 2; 2], dilation: [1; 2] },
        residual: false,
        activation: Activation::Relu,
    }
}

fn pool(kind: PoolKind, size: usize, output: usize, [kernel, stride, pad]: [usize; 3]) -> KernelSpec {
    let window = Window { kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2], dilation: [1; 2] };
    KernelSpec::Pool(Pool {
        kind,
        input: Extent { channels: 64, height: size, width: size },
        output: [output; 2],
        window,
    })
}

fn kernels() -> Vec<(&'static str, KernelSpec)> {
    let stem =
        Conv { input: Extent { channels: 3, height: 224, width: 224 }, source: Source::Planar, ..conv(64, 112, 7, 2) };
    let silu = Elementwise {
        space: Space::Blocked { blocks: 16, pixels: 196 },
        operands: vec![Access::Full],
        program: vec![
            Instruction::Operand(0),
            Instruction::Unary(Unary::Sigmoid, 0),
            Instruction::Binary(Binary::Mul, 0, 1),
        ],
    };
    let plane = 56 * 56;
    let to_planar = CopyBox {
        source: 0,
        result: 0,
        loops: vec![
            CopyLoop { count: 16, source: 1, result: plane as isize },
            CopyLoop { count: plane, source: 16, result: 1 },
        ],
    };
    let copy = Copy { source_sample: 16 * plane, result_sample: 16 * plane, fill: None, boxes: vec![to_planar] };
    vec![
        ("conv/stem 7x7/2", KernelSpec::Conv(stem)),
        ("conv/1x1 256@14", KernelSpec::Conv(conv(256, 14, 1, 1))),
        ("conv/3x3 128@28", KernelSpec::Conv(conv(128, 28, 3, 1))),
        ("conv/grouped 3x3 128@28", KernelSpec::Conv(Conv { groups: 32, ..conv(128, 28, 3, 1) })),
        ("conv/depthwise 3x3 128@28", KernelSpec::Conv(Conv { groups: 128, ..conv(128, 28, 3, 1) })),
        ("conv/dilated 3x3 128@28", {
            let conv = conv(128, 28, 3, 1);
            let window = Window { dilation: [2, 2], pad: [2, 2], ..conv.window };
            KernelSpec::Conv(Conv { window, ..conv })
        }),
        ("winograd/F2 256@14", KernelSpec::Winograd(Winograd { conv: conv(256, 14, 3, 1), tile: 2 })),
        ("winograd/F4 128@28", KernelSpec::Winograd(Winograd { conv: conv(128, 28, 3, 1), tile: 4 })),
        ("winograd/F4 128@28 stride 2", KernelSpec::Winograd(Winograd { conv: conv(128, 28, 3, 2), tile: 4 })),
        ("strassen/256@14", KernelSpec::Strassen(Strassen { conv: conv(256, 14, 1, 1), levels: Levels::One })),
        (
            "strassen/256@14 two levels",
            KernelSpec::Strassen(Strassen { conv: conv(256, 14, 1, 1), levels: Levels::Two }),
        ),
        ("gemm/2048 to 1000", KernelSpec::Gemm(Gemm { features: 2048, out: 1000, activation: Activation::None })),
        ("pool/max 3x3/2", pool(PoolKind::Max, 112, 56, [3, 2, 1])),
        ("pool/global average", pool(PoolKind::Average, 7, 1, [7, 1, 0])),
        ("elementwise/silu", KernelSpec::Elementwise(silu)),
        ("softmax/1000", KernelSpec::Softmax(Softmax { outer: 1, len: 1000, inner: 1 })),
        ("copy/blocked to planar", KernelSpec::Copy(copy)),
    ]
}

fn benchmark(criterion: &mut Criterion) {
    let isa = std::env::var("RNC_ISA").map_or(Isa::best(), |name| name.parse().expect("an instruction set"));
    for (name, spec) in kernels() {
        let code = Code::compile([&spec], isa).expect("the kernel compiles");
        let kernel = code.kernel(0);
        let sizes = footprint::operands(&spec).expect("a sound specification");
        let mut operands: Vec<Vec<f32>> = sizes.iter().map(|operand| vec![0.5; operand.elements_per_sample]).collect();
        let addresses: Vec<*mut u8> = operands.iter_mut().map(|operand| operand.as_mut_ptr().cast()).collect();
        let mut scratch = vec![0f32; kernel.scratch() / 4];
        let (group, case) = name.split_once('/').expect("names have a group");
        let mut group = criterion.benchmark_group(format!("{group} ({isa})"));
        group.throughput(Throughput::Elements(cost(&spec).flops));
        group.bench_function(case, |bencher| {
            bencher.iter(|| {
                // SAFETY: every operand has the size of its footprint for one sample, and nothing else uses them or the scratch memory.
                #[allow(unsafe_code, reason = "the call into generated code")]
                unsafe {
                    kernel.run(black_box(&addresses), 1, 0..kernel.tasks().count(1), scratch.as_mut_ptr().cast());
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
