//! Kernels in words.

use std::fmt::Write;

use rnc::Plan;
use rnc::plan::cost::cost;
use rnc::plan::kernel::{
    Activation, Conv, Copy, Elementwise, Extent, Gemm, Instruction, KernelSpec, Pool, PoolKind, Resample, Strassen,
    Window, Winograd,
};
use rnc::plan::strassen::Levels;

/// Floating-point operations of one sample.
pub(crate) fn flops(plan: &Plan) -> u64 {
    plan.steps.iter().fold(0, |sum: u64, step| sum.saturating_add(cost(&step.kernel).flops))
}

/// How many kernels of each kind a plan has: `53 conv, 1 gemm`.
pub(crate) fn counts(plan: &Plan) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for step in &plan.steps {
        let kind = kind(&step.kernel);
        match counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
    }
    counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

/// The kind of kernel.
pub(crate) fn kind(spec: &KernelSpec) -> &'static str {
    match spec {
        KernelSpec::Conv(_) => "conv",
        KernelSpec::Winograd(_) => "winograd",
        KernelSpec::Strassen(_) => "strassen",
        KernelSpec::Gemm(_) => "gemm",
        KernelSpec::Pool(Pool { kind: PoolKind::Max, .. }) => "max pool",
        KernelSpec::Pool(Pool { kind: PoolKind::Average | PoolKind::AverageWithPadding { .. }, .. }) => "average pool",
        KernelSpec::Elementwise(_) => "elementwise",
        KernelSpec::Softmax(_) => "softmax",
        KernelSpec::Resample(_) => "resample",
        KernelSpec::Contract(_) => "contract",
        KernelSpec::Copy(_) => "copy",
    }
}

/// What a kernel does: `conv 3×3/2 +residual relu`.
pub(crate) fn describe(spec: &KernelSpec) -> String {
    let mut text = kind(spec).to_owned();
    match spec {
        KernelSpec::Conv(Conv { window: w, groups, residual, activation: last, .. }) => {
            text.push_str(&window(w));
            if *groups > 1 {
                write!(text, " groups={groups}").expect("a string grows");
            }
            text.push_str(if *residual { " +residual" } else { "" });
            text.push_str(&activation(last));
        }
        KernelSpec::Strassen(Strassen { conv: Conv { window: w, residual, activation: last, .. }, levels }) => {
            text.push_str(&window(w));
            text.push_str(match levels {
                Levels::One => "",
                Levels::Two => " levels=2",
            });
            text.push_str(if *residual { " +residual" } else { "" });
            text.push_str(&activation(last));
        }
        KernelSpec::Winograd(Winograd { conv: Conv { window: w, residual, activation: last, .. }, tile }) => {
            text.push_str(&window(w));
            write!(text, " F({tile}×{tile})").expect("a string grows");
            text.push_str(if *residual { " +residual" } else { "" });
            text.push_str(&activation(last));
        }
        KernelSpec::Gemm(Gemm { activation: last, .. }) => text.push_str(&activation(last)),
        KernelSpec::Pool(Pool { window: w, .. }) => text.push_str(&window(w)),
        KernelSpec::Elementwise(Elementwise { program, .. }) => {
            for instruction in program {
                match instruction {
                    Instruction::Operand(_) | Instruction::Constant(_) => {}
                    Instruction::Unary(function, _) => text.push_str(&format!(" {function:?}").to_lowercase()),
                    Instruction::Select(..) => text.push_str(" select"),
                    Instruction::Binary(function, ..) => text.push_str(&format!(" {function:?}").to_lowercase()),
                }
            }
        }
        KernelSpec::Softmax(_) => {}
        KernelSpec::Contract(contract) => write!(text, " over {}", contract.sum).expect("a string grows"),
        KernelSpec::Resample(resample) => {
            write!(text, " {} to {}", resample.len, resample.taps.len()).expect("a string grows");
        }
        KernelSpec::Copy(Copy { boxes, fill, .. }) => {
            write!(text, " of {} box{}", boxes.len(), if boxes.len() == 1 { "" } else { "es" })
                .expect("a string grows");
            if let Some(value) = fill {
                write!(text, " into {value:?}").expect("a string grows");
            }
        }
    }
    text
}

/// Shapes of one sample: of the source and of the result.
pub(crate) fn shapes(spec: &KernelSpec) -> [String; 2] {
    let extent = |e: &Extent| format!("{}×{}×{}", e.channels, e.height, e.width);
    match spec {
        KernelSpec::Conv(conv) => [extent(&conv.input), extent(&conv.output)],
        KernelSpec::Winograd(winograd) => [extent(&winograd.conv.input), extent(&winograd.conv.output)],
        KernelSpec::Strassen(strassen) => [extent(&strassen.conv.input), extent(&strassen.conv.output)],
        KernelSpec::Gemm(gemm) => [gemm.features.to_string(), gemm.out.to_string()],
        KernelSpec::Pool(pool) => {
            let [height, width] = pool.output;
            [extent(&pool.input), extent(&Extent { height, width, ..pool.input })]
        }
        KernelSpec::Elementwise(elementwise) => {
            let len = elementwise.space.len().unwrap_or(0).to_string();
            [len.clone(), len]
        }
        KernelSpec::Softmax(s) => {
            let shape = format!("{}×{}×{}", s.outer, s.len, s.inner);
            [shape.clone(), shape]
        }
        KernelSpec::Contract(contract) => {
            let dims: Vec<String> = contract.result.iter().map(ToString::to_string).collect();
            [format!("{} products", contract.sum), dims.join("×")]
        }
        KernelSpec::Resample(Resample { outer, len, inner, taps }) => {
            [len, &taps.len()].map(|len| format!("{outer}×{len}×{inner}"))
        }
        KernelSpec::Copy(copy) => [copy.source_sample.to_string(), copy.result_sample.to_string()],
    }
}

fn window(w: &Window) -> String {
    let [kh, kw] = w.kernel;
    let mut text = format!(" {kh}×{kw}");
    match w.stride {
        [1, 1] => {}
        [h, w] if h == w => write!(text, "/{h}").expect("a string grows"),
        [h, w] => write!(text, "/{h}×{w}").expect("a string grows"),
    }
    if w.dilation != [1, 1] {
        write!(text, " dilation={}×{}", w.dilation[0], w.dilation[1]).expect("a string grows");
    }
    text
}

fn activation(activation: &Activation) -> String {
    match activation {
        Activation::None => String::new(),
        Activation::Relu => " relu".to_owned(),
        Activation::Clip { min, max } => format!(" clip({:?}, {:?})", min.get(), max.get()),
    }
}

#[cfg(test)]
mod tests {
    use rnc::plan::kernel::{Extent, F32, Source};

    use super::*;

    #[test]
    fn a_convolution_reads_as_its_window_and_what_is_fused() {
        let conv = Conv {
            input: Extent { channels: 64, height: 56, width: 56 },
            source: Source::Blocked,
            output: Extent { channels: 128, height: 28, width: 28 },
            groups: 2,
            window: Window { kernel: [3, 3], stride: [2, 2], pad: [1, 1], dilation: [1, 1] },
            residual: true,
            activation: Activation::Clip { min: F32::from(0.0), max: F32::from(6.0) },
        };
        let spec = KernelSpec::Conv(conv);
        assert_eq!(describe(&spec), "conv 3×3/2 groups=2 +residual clip(0.0, 6.0)");
        assert_eq!(shapes(&spec), ["64×56×56", "128×28×28"]);
    }
}
