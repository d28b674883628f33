//! Plans to protobuf messages and back. Writing cannot fail; reading names the field that is wrong by its path.

mod choice;
mod images;
mod kernel;

use prost::Message;

use crate::data::ConstantData;
use crate::plan::{Batch, Buffer, Constant, Listing, Operand, Plan, Port, Step};
use crate::proto;

/// Why a plan file's header is not a plan's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not a message of the schema.
    #[error("not a valid protobuf message: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A field that must be set is not, or holds a variant that this version does not know.
    #[error("{path}: missing, or a variant that this version does not know")]
    Missing {
        /// The field, as in `steps[3].conv.window`.
        path: String,
    },
    /// An enumeration has a value that is unspecified or unknown.
    #[error("{path}: {found} is not a known value")]
    UnknownValue {
        /// The field.
        path: String,
        /// What it has.
        found: i32,
    },
    /// A number does not fit this machine.
    #[error("{path}: {found} is too large for this machine")]
    Number {
        /// The field.
        path: String,
        /// What it has.
        found: i128,
    },
    /// A number makes no sense where it stands.
    #[error("{path}: {found}, expected {expected}")]
    Senseless {
        /// The field.
        path: String,
        /// What it has.
        found: f32,
        /// What would do.
        expected: &'static str,
    },
}

/// The header message of a plan.
pub(crate) fn encode(plan: &Plan) -> Vec<u8> {
    proto::Plan {
        name: plan.name.clone(),
        producer: plan.producer.clone(),
        batch: Some(proto::Batch {
            kind: Some(match plan.batch {
                Batch::Symbolic => proto::batch::Kind::Symbolic(proto::Symbolic {}),
                Batch::Fixed(n) => proto::batch::Kind::Fixed(n as u64),
                Batch::Single => proto::batch::Kind::Single(proto::Single {}),
            }),
        }),
        inputs: plan.inputs.iter().map(port).collect(),
        outputs: plan.outputs.iter().map(port).collect(),
        buffers: plan.buffers.iter().map(buffer).collect(),
        constants: plan.constants.iter().map(constant).collect(),
        steps: plan.steps.iter().map(step).collect(),
        arena_bytes: plan.arena_bytes as u64,
        arena_lower_bound: plan.arena_lower_bound as u64,
        listing: Some(proto::Listing {
            imported: plan.listing.imported.clone(),
            optimized: plan.listing.optimized.clone(),
        }),
        tuning: Some(choice::write_tuning(&plan.tuning)),
        images: Some(images::write(&plan.images)),
    }
    .encode_to_vec()
}

/// The plan of a header message, with no constant data yet and nothing verified.
pub(crate) fn decode(header: &[u8]) -> Result<Plan, DecodeError> {
    let plan = proto::Plan::decode(header)?;
    let root = Path::root();
    let listing = required(plan.listing, &root.field("listing"))?;
    Ok(Plan {
        name: plan.name,
        producer: plan.producer,
        batch: read_batch(plan.batch, &root.field("batch"))?,
        inputs: each(plan.inputs, &root.field("inputs"), read_port)?,
        outputs: each(plan.outputs, &root.field("outputs"), read_port)?,
        buffers: each(plan.buffers, &root.field("buffers"), read_buffer)?,
        constants: each(plan.constants, &root.field("constants"), read_constant)?,
        steps: each(plan.steps, &root.field("steps"), read_step)?,
        arena_bytes: size(plan.arena_bytes, &root.field("arena_bytes"))?,
        arena_lower_bound: size(plan.arena_lower_bound, &root.field("arena_lower_bound"))?,
        listing: Listing { imported: listing.imported, optimized: listing.optimized },
        tuning: choice::read_tuning(required(plan.tuning, &root.field("tuning"))?),
        images: images::read(plan.images.unwrap_or_default(), &root.field("images"))?,
        data: ConstantData::empty(),
    })
}

/// A field of the message, as a chain to its parents: costs nothing until it is printed.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    name: &'static str,
    index: Option<usize>,
}

impl Path<'_> {
    const fn root() -> Self {
        Self { parent: None, name: "", index: None }
    }

    const fn field(&self, name: &'static str) -> Path<'_> {
        Path { parent: Some(self), name, index: None }
    }

    const fn at(&self, index: usize) -> Path<'_> {
        Path { parent: Some(self), name: "", index: Some(index) }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None if parent.parent.is_some() => write!(f, ".{}", self.name),
            None => f.write_str(self.name),
        }
    }
}

fn required<T>(value: Option<T>, path: &Path<'_>) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::Missing { path: path.to_string() })
}

fn size(value: u64, path: &Path<'_>) -> Result<usize, DecodeError> {
    usize::try_from(value).map_err(|_| DecodeError::Number { path: path.to_string(), found: value.into() })
}

fn each<T, U>(
    values: Vec<T>,
    path: &Path<'_>,
    read: impl Fn(T, &Path<'_>) -> Result<U, DecodeError>,
) -> Result<Vec<U>, DecodeError> {
    values.into_iter().enumerate().map(|(index, value)| read(value, &path.at(index))).collect()
}

fn read_batch(batch: Option<proto::Batch>, path: &Path<'_>) -> Result<Batch, DecodeError> {
    Ok(match required(batch.and_then(|batch| batch.kind), path)? {
        proto::batch::Kind::Symbolic(proto::Symbolic {}) => Batch::Symbolic,
        proto::batch::Kind::Fixed(n) => Batch::Fixed(size(n, &path.field("fixed"))?),
        proto::batch::Kind::Single(proto::Single {}) => Batch::Single,
    })
}

fn port(port: &Port) -> proto::Port {
    proto::Port { name: port.name.clone(), dims: port.dims.iter().map(|dim| *dim as u64).collect() }
}

fn read_port(port: proto::Port, path: &Path<'_>) -> Result<Port, DecodeError> {
    Ok(Port { name: port.name, dims: each(port.dims, &path.field("dims"), size)? })
}

fn buffer(buffer: &Buffer) -> proto::Buffer {
    proto::Buffer {
        name: buffer.name.clone(),
        offset: buffer.offset as u64,
        bytes: buffer.bytes as u64,
        first_step: buffer.first_step as u64,
        last_step: buffer.last_step as u64,
    }
}

fn read_buffer(buffer: proto::Buffer, path: &Path<'_>) -> Result<Buffer, DecodeError> {
    Ok(Buffer {
        name: buffer.name,
        offset: size(buffer.offset, &path.field("offset"))?,
        bytes: size(buffer.bytes, &path.field("bytes"))?,
        first_step: size(buffer.first_step, &path.field("first_step"))?,
        last_step: size(buffer.last_step, &path.field("last_step"))?,
    })
}

fn constant(constant: &Constant) -> proto::Constant {
    proto::Constant { name: constant.name.clone(), offset: constant.offset as u64, bytes: constant.bytes as u64 }
}

fn read_constant(constant: proto::Constant, path: &Path<'_>) -> Result<Constant, DecodeError> {
    Ok(Constant {
        name: constant.name,
        offset: size(constant.offset, &path.field("offset"))?,
        bytes: size(constant.bytes, &path.field("bytes"))?,
    })
}

fn step(step: &Step) -> proto::Step {
    proto::Step {
        name: step.name.clone(),
        kernel: Some(kernel::write(&step.kernel)),
        choice: step.choice.as_ref().map(choice::write),
        operands: step.operands.iter().map(|operand| operand_message(*operand)).collect(),
    }
}

fn read_step(step: proto::Step, path: &Path<'_>) -> Result<Step, DecodeError> {
    Ok(Step {
        name: step.name,
        kernel: kernel::read(required(step.kernel, &path.field("kernel"))?, path)?,
        operands: each(step.operands, &path.field("operands"), read_operand)?,
        choice: step.choice.map(|choice| choice::read(choice, &path.field("choice"))).transpose()?,
    })
}

fn operand_message(operand: Operand) -> proto::Operand {
    let place = match operand {
        Operand::Buffer(i) => proto::operand::Place::Buffer(i as u64),
        Operand::Constant(i) => proto::operand::Place::Constant(i as u64),
        Operand::Input(i) => proto::operand::Place::Input(i as u64),
        Operand::Output(i) => proto::operand::Place::Output(i as u64),
    };
    proto::Operand { place: Some(place) }
}

fn read_operand(operand: proto::Operand, path: &Path<'_>) -> Result<Operand, DecodeError> {
    Ok(match required(operand.place, path)? {
        proto::operand::Place::Buffer(i) => Operand::Buffer(size(i, path)?),
        proto::operand::Place::Constant(i) => Operand::Constant(size(i, path)?),
        proto::operand::Place::Input(i) => Operand::Input(size(i, path)?),
        proto::operand::Place::Output(i) => Operand::Output(size(i, path)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Contract, KernelSpec, Resample, Strassen, Strides, Tap, Winograd};
    use crate::sample;
    use crate::strassen::Levels;

    /// The error of decoding the sample plan after a change to its message.
    fn broken(change: impl FnOnce(&mut proto::Plan)) -> DecodeError {
        let mut message = proto::Plan::decode(encode(&sample::everything()).as_slice()).unwrap();
        change(&mut message);
        decode(&message.encode_to_vec()).unwrap_err()
    }

    fn missing(path: &str) -> DecodeError {
        DecodeError::Missing { path: path.to_owned() }
    }

    #[test]
    fn a_plan_of_every_kernel_comes_back_equal() {
        let plan = sample::everything();
        let back = decode(&encode(&plan)).unwrap();
        assert_eq!(format!("{plan:?}"), format!("{:?}", Plan { data: plan.data.clone(), ..back }));
    }

    #[test]
    fn the_algorithms_of_convolutions_come_back_equal() {
        let mut plan = sample::everything();
        let KernelSpec::Conv(conv) = plan.steps[0].kernel.clone() else { panic!("not a convolution") };
        let winograd = KernelSpec::Winograd(Winograd { conv: conv.clone(), tile: 4 });
        let strassen = Levels::ALL.map(|levels| KernelSpec::Strassen(Strassen { conv: conv.clone(), levels }));
        for kernel in [winograd].into_iter().chain(strassen) {
            plan.steps[0].kernel = kernel;
            assert_eq!(decode(&encode(&plan)).unwrap().steps[0], plan.steps[0]);
        }
    }

    #[test]
    fn maps_and_contractions_and_plans_without_a_batch_come_back_equal() {
        let mut plan = Plan { batch: Batch::Single, ..sample::everything() };
        let tap = |source, weight: f32| Tap { source, weight: weight.into() };
        let taps = vec![vec![tap(1, 0.25), tap(0, -0.0)], vec![tap(2, f32::MIN_POSITIVE)]];
        let strides = |sample| Strides { sample, result: vec![0, 7], sum: 3 };
        let contract = Contract { result: vec![2, 5], sum: 4, a: strides(Some(99)), b: strides(None) };
        let resample = Resample { outer: 2, len: 3, inner: 5, taps };
        for kernel in [KernelSpec::Resample(resample), KernelSpec::Contract(contract)] {
            plan.steps[0].kernel = kernel;
            let back = decode(&encode(&plan)).unwrap();
            assert_eq!((&back.steps[0], back.batch), (&plan.steps[0], Batch::Single));
        }
    }

    #[test]
    fn names_the_path_of_what_is_missing() {
        assert_eq!(broken(|p| p.batch = None), missing("batch"));
        assert_eq!(broken(|p| p.listing = None), missing("listing"));
        assert_eq!(broken(|p| p.steps[1].kernel = None), missing("steps[1].kernel"));
        assert_eq!(broken(|p| p.steps[1].operands[1].place = None), missing("steps[1].operands[1]"));
        let no_stride = broken(|p| {
            let Some(proto::step::Kernel::Conv(conv)) = &mut p.steps[0].kernel else { panic!("not a convolution") };
            conv.window.as_mut().unwrap().stride = None;
        });
        assert_eq!(no_stride, missing("steps[0].conv.window.stride"));
    }

    #[test]
    fn names_the_path_of_values_that_are_unspecified_or_unknown() {
        for found in [0, 3, -1] {
            let error = broken(|p| {
                let Some(proto::step::Kernel::Conv(conv)) = &mut p.steps[0].kernel else { panic!("not a convolution") };
                conv.source = found;
            });
            assert_eq!(error, DecodeError::UnknownValue { path: "steps[0].conv.source".into(), found });
        }
        for (levels, found) in [(0, 0), (3, 3), (u64::MAX, i32::MAX)] {
            let error = broken(|p| {
                let Some(proto::step::Kernel::Conv(conv)) = p.steps[0].kernel.clone() else { panic!("no convolution") };
                p.steps[0].kernel = Some(proto::step::Kernel::Strassen(proto::Strassen { conv: Some(conv), levels }));
            });
            assert_eq!(error, DecodeError::UnknownValue { path: "steps[0].strassen.levels".into(), found });
        }
    }

    #[test]
    fn refuses_bytes_that_are_no_message() {
        assert!(matches!(decode(&[0xff; 16]), Err(DecodeError::Protobuf(_))));
    }
}
