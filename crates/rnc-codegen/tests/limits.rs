//! Specifications that the plan's verifier accepts and that code generation must refuse, or make sound code for.

use rnc_codegen::{Code, CodegenError, Isa};
use rnc_plan::footprint;
use rnc_plan::kernel::{Activation, Conv, Copy, CopyBox, CopyLoop, Extent, KernelSpec, Source, Window, Winograd};

fn extent(channels: usize, height: usize, width: usize) -> Extent {
    Extent { channels, height, width }
}

fn conv(input: Extent, output: Extent, window: Window) -> Conv {
    let activation = Activation::None;
    Conv { input, source: Source::Blocked, output, groups: 1, window, residual: false, activation }
}

/// The error on every instruction set of the machine.
fn refusals(spec: &KernelSpec) -> Vec<CodegenError> {
    footprint::operands(spec).expect("the verifier accepts it");
    let isas = Isa::ALL.into_iter().filter(|isa| isa.is_supported());
    isas.map(|isa| Code::compile([spec], isa).err().unwrap_or_else(|| panic!("{isa} compiles {spec:?}"))).collect()
}

#[test]
fn taps_beyond_the_reach_of_an_instruction_are_refused() {
    let window = Window { kernel: [2, 1], stride: [100, 1], pad: [4096, 0], dilation: [8191, 1] };
    let spec = KernelSpec::Conv(conv(extent(1, 4200, 4096), extent(1, 2, 1), window));
    assert!(refusals(&spec).iter().all(|error| matches!(error, CodegenError::TooLarge { .. })));
}

#[test]
fn rows_of_taps_that_are_nearly_as_far_apart_as_an_instruction_reaches_are_compiled() {
    // The second of two rows is 1.3 GB away, a third one would be out of reach.
    let window = Window { kernel: [2, 32], stride: [1, 1], pad: [0, 0], dilation: [5000, 1] };
    let spec = KernelSpec::Conv(conv(extent(16, 8191, 4096), extent(16, 1, 28), window));
    footprint::operands(&spec).expect("the verifier accepts it");
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        Code::compile([&spec], isa).unwrap_or_else(|error| panic!("{isa}: {error}"));
    }
}

#[test]
fn patches_beyond_the_reach_of_an_instruction_are_refused() {
    let window = Window { kernel: [3, 3], stride: [1, 1], pad: [2, 0], dilation: [1, 1] };
    let conv = conv(extent(1, 1, 1 << 24), extent(1, 1, 1), window);
    let spec = KernelSpec::Winograd(Winograd { conv, tile: 2 });
    assert!(refusals(&spec).iter().all(|error| matches!(error, CodegenError::TooLarge { .. })));
}

#[test]
fn windows_that_need_too_much_code_are_refused_at_once() {
    let window = Window { kernel: [64, 64], stride: [1, 1], pad: [1008, 1008], dilation: [16, 16] };
    let spec = KernelSpec::Conv(conv(extent(1, 1024, 1024), extent(1, 2032, 2032), window));
    assert!(refusals(&spec).iter().all(|error| matches!(error, CodegenError::TooMuchCode { .. })));
}

#[test]
fn a_loop_of_one_iteration_may_have_any_step() {
    let loops = vec![CopyLoop { count: 1, source: isize::MAX, result: 1 }, CopyLoop { count: 4, source: 1, result: 1 }];
    let boxes = vec![CopyBox { source: 0, result: 0, loops }];
    let spec = KernelSpec::Copy(Copy { source_sample: 4, result_sample: 4, fill: None, boxes });
    footprint::operands(&spec).expect("the verifier accepts it");
    Code::compile([&spec], Isa::Baseline).unwrap();
}

#[test]
fn many_boxes_compile_in_time_that_grows_with_their_number() {
    let boxes = (0..2000).map(|i| CopyBox { source: i, result: i, loops: vec![] }).collect();
    let spec = KernelSpec::Copy(Copy { source_sample: 2000, result_sample: 2000, fill: None, boxes });
    footprint::operands(&spec).expect("the verifier accepts it");
    Code::compile([&spec], Isa::Baseline).unwrap();
}
