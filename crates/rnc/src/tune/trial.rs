//! Timing one kernel: a plan of nothing but this kernel, again and again, each time with other weights, so that they are as cold as in a network.

use rnc_plan::images::Images;
use rnc_plan::kernel::KernelSpec;
use rnc_plan::{
    ALIGN, Batch, Choice, Constant, ConstantData, Listing, Measured, Operand, Plan, Port, Step, Tuning, footprint,
};
use rnc_runtime::{Isa, Options, Session, Workspace};

use rnc_lower::Trial;

/// Bytes of weights that runs of a kernel go through before they come back: more than most third-level caches hold.
const COLD_BYTES: usize = 96 << 20;

/// Fewest and most times that a kernel stands in its plan.
const STEPS: [usize; 2] = [2, 8];

/// Weights for all trials; their values do not matter, but zeros and denormals would be untypical.
pub(crate) struct Weights(ConstantData);

impl Weights {
    pub(crate) fn new() -> std::io::Result<Self> {
        Self::of(COLD_BYTES)
    }

    fn of(bytes: usize) -> std::io::Result<Self> {
        let fill = |data: &mut [u8]| data.as_chunks_mut().0.iter_mut().for_each(|float| *float = 0.01f32.to_le_bytes());
        ConstantData::build(bytes, fill).map(Self)
    }
}

/// A kernel ready to be timed.
pub(crate) struct Timed {
    session: Session,
    workspace: Workspace,
    inputs: Vec<Vec<f32>>,
    output: Vec<f32>,
    before: Vec<u64>,
    /// Nanoseconds of the fastest step so far.
    best: Option<u64>,
}

impl Timed {
    /// `None` if the kernel cannot be compiled or its operands cannot be made.
    pub(crate) fn new(trial: &Trial, isa: Isa, weights: &Weights) -> Option<Self> {
        let plan = plan(trial, isa, weights)?;
        let len = |port: &Port| port.sample_len();
        let inputs = plan.inputs.iter().map(|port| Some(vec![0.5; len(port)?])).collect::<Option<_>>()?;
        let output = vec![0.0; len(&plan.outputs[0])?];
        let before = vec![0; plan.steps.len()];
        let options = Options { isa: Some(isa), threads: Some(1), ..Options::default() };
        let session = Session::new(plan, &options).ok()?;
        let workspace = session.measuring_workspace();
        Some(Self { session, workspace, inputs, output, before, best: None })
    }

    /// Runs all steps once.
    pub(crate) fn run(&mut self) -> Option<()> {
        let inputs: Vec<&[f32]> = self.inputs.iter().map(Vec::as_slice).collect();
        self.session.run_into(&mut self.workspace, 1, &inputs, &mut [&mut self.output]).ok()?;
        let total = self.workspace.step_nanoseconds()?;
        // The first step of a run finds pixels cold, too.
        let fastest = total.iter().zip(&self.before).skip(1).map(|(total, before)| total - before).min();
        self.before = total;
        self.best = self.best.into_iter().chain(fastest).min();
        Some(())
    }

    /// Microseconds of the fastest step so far.
    pub(crate) fn best(&self) -> Option<f64> {
        self.best.map(|nanoseconds| nanoseconds as f64 / 1e3)
    }
}

fn plan(trial: &Trial, isa: Isa, weights: &Weights) -> Option<Plan> {
    let footprints = footprint::operands(&trial.kernel).ok()?;
    let port = |name: &str, len: usize| Port { name: name.to_owned(), dims: vec![len] };
    let bytes: usize =
        footprints.iter().filter(|f| f.shared).map(|f| (f.elements_per_sample * 4).next_multiple_of(ALIGN)).sum();
    let steps = (COLD_BYTES / bytes.max(1)).clamp(STEPS[0], STEPS[1]);
    let mut plan = Plan {
        name: "trial".to_owned(),
        producer: String::new(),
        batch: Batch::Fixed(1),
        inputs: Vec::new(),
        outputs: vec![port("result", footprints[0].sample_stride)],
        buffers: Vec::new(),
        constants: Vec::new(),
        steps: Vec::new(),
        arena_bytes: 0,
        arena_lower_bound: 0,
        listing: Listing::default(),
        images: Images::default(),
        tuning: Tuning {
            machine: String::new(),
            measured: Some(Measured { host: String::new(), isa: isa.to_string() }),
        },
        data: weights.0.clone(),
    };
    let mut end = 0;
    for step in 0..steps {
        let mut operands = vec![Operand::Output(0)];
        for footprint in &footprints[1..] {
            if footprint.shared {
                let bytes = (footprint.elements_per_sample * 4).next_multiple_of(ALIGN);
                operands.push(Operand::Constant(plan.constants.len()));
                plan.constants.push(Constant { name: format!("{end}"), offset: end, bytes });
                end += bytes;
            } else {
                let index = operands.iter().filter(|operand| matches!(operand, Operand::Input(_))).count();
                operands.push(Operand::Input(index));
                if step == 0 {
                    plan.inputs.push(port(&format!("input{index}"), footprint.sample_stride));
                }
            }
        }
        let choice = Some(Choice { tile: trial.tile, ..Choice::default() });
        plan.steps.push(Step { choice, ..Step::new(format!("run{step}"), trial.kernel.clone(), operands) });
    }
    if end > weights.0.bytes().len() {
        plan.data = Weights::of(end).ok()?.0;
    }
    Some(plan)
}

/// Seconds that a kernel takes, the fastest of so many runs of its plan. `None` if it cannot be measured.
pub(crate) fn seconds(kernel: KernelSpec, isa: Isa, runs: usize) -> Option<f64> {
    let weights = Weights::new().ok()?;
    let mut timed = Timed::new(&Trial { kernel, tile: None }, isa, &weights)?;
    for _ in 0..runs {
        timed.run()?;
    }
    timed.best().map(|microseconds| microseconds / 1e6)
}
