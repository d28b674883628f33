//! Runs the ONNX project's own backend tests: `cargo run --release -p rnc-tests --example onnx_backend -- DATA [--bless] [--only TEXT]`.
//!
//! `DATA` is the folder `onnx/backend/test/data` of the Python package `onnx` (1.22.0). Every test passes, or is refused with a reason: the manifest
//! `tests/backend/manifest.tsv` says which, and a test whose status is another one fails the run (`--bless` writes the manifest anew). A passing test has
//! the expected outputs from the reference interpreter and from plans on every instruction set of this machine. A wrong answer or a panic always fails.
//!
//! rnc wants weights, shapes and axes to be known when a model is compiled; the tests hand them in when it runs. So a test may pass with some of its inputs
//! made constants of the model; the manifest names those.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{fs, process};

use ndarray::ArrayD;
use onnx_protobuf::{Message, ModelProto, TensorProto, tensor_proto, type_proto};
use rnc::{CompileOptions, Isa, Options, Session};
use rnc_ir::Graph;
use rnc_onnx::ImportOptions;
use rnc_reference::Value;

const GROUPS: [&str; 4] = ["node", "simple", "pytorch-operator", "pytorch-converted"];
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/backend/manifest.tsv");
/// What ONNX's own runner allows (`onnx.backend.test.case.node.expect`): relative and absolute.
const TOLERANCE: [f64; 2] = [1e-3, 1e-7];

/// What became of a test.
enum Status {
    /// With these inputs as constants of the model.
    Passes(Vec<String>),
    Refused(String),
    Fails(String),
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1)).cloned();
    let data = PathBuf::from(arguments.first().ok_or("which folder? (onnx/backend/test/data)")?);
    let (bless, only) = (arguments.iter().any(|a| a == "--bless"), after("--only"));
    let manifest = fs::read_to_string(MANIFEST).unwrap_or_default();
    let expected: BTreeMap<&str, &str> = manifest.lines().filter_map(|line| line.split_once('\t')).collect();
    std::panic::set_hook(Box::new(|_| {}));

    let mut found = BTreeMap::new();
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, folder) in tests(&data)? {
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let status = catch_unwind(AssertUnwindSafe(|| run(&folder))).unwrap_or_else(|_| Status::Fails("panics".into()));
        passed += usize::from(matches!(status, Status::Passes(_)));
        let line = line(&status, &folder);
        match status {
            Status::Fails(why) => failed.push(format!("{name}: {why}")),
            Status::Passes(_) | Status::Refused(_) if bless || expected.get(name.as_str()) == Some(&line.as_str()) => {}
            Status::Passes(_) | Status::Refused(_) => {
                let before = expected.get(name.as_str()).unwrap_or(&"(not there)");
                failed.push(format!("{name}: {line}; the manifest says: {before}"));
            }
        }
        if only.is_some() {
            println!("{name}: {line}");
        }
        found.insert(name, line);
    }
    if only.is_none() {
        failed.extend(
            expected
                .keys()
                .filter(|name| !bless && !found.contains_key(**name))
                .map(|name| format!("{name}: is not there")),
        );
    }
    if bless && only.is_none() {
        let lines: Vec<String> = found.iter().map(|(name, line)| format!("{name}\t{line}\n")).collect();
        fs::write(MANIFEST, lines.concat())?;
    }
    for line in &failed {
        println!("FAILED {line}");
    }
    println!("{passed} of {} tests pass, {} are refused", found.len(), found.len() - passed);
    process::exit(i32::from(!failed.is_empty()));
}

/// The manifest's line of a test, without its name: of one that passes, what was made constant and which operators it proves; of another, why not.
fn line(status: &Status, folder: &Path) -> String {
    match status {
        Status::Passes(known) => {
            let known = if known.is_empty() { String::new() } else { format!("with known {}", known.join(", ")) };
            format!("passes\t{known}\t{}", operators(folder))
        }
        Status::Refused(why) | Status::Fails(why) => format!("refused\t{why}"),
    }
}

/// The operators of a test's model.
fn operators(folder: &Path) -> String {
    let model = fs::read(folder.join("model.onnx")).ok().and_then(|bytes| ModelProto::parse_from_bytes(&bytes).ok());
    let nodes = model.map(|model| model.graph.node.clone()).unwrap_or_default();
    let names: BTreeSet<String> = nodes.into_iter().map(|node| node.op_type).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

/// All tests: name and folder.
fn tests(data: &Path) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let mut tests = Vec::new();
    for group in GROUPS {
        for entry in fs::read_dir(data.join(group))? {
            let folder = entry?.path();
            if folder.join("model.onnx").exists() {
                tests.push((format!("{group}/{}", folder.file_name().unwrap_or_default().to_string_lossy()), folder));
            }
        }
    }
    tests.sort();
    Ok(tests)
}

/// The tensors of one data set. `None` where one is no tensor (a sequence, an optional value) or cannot be read.
struct DataSet {
    inputs: Vec<Option<TensorProto>>,
    outputs: Vec<Option<TensorProto>>,
}

fn data_sets(folder: &Path) -> Result<Vec<DataSet>, Box<dyn Error>> {
    let tensors = |set: &Path, kind: &str| -> Vec<Option<TensorProto>> {
        let files = (0..).map(|i| set.join(format!("{kind}_{i}.pb"))).take_while(|path| path.exists());
        files.map(|path| TensorProto::parse_from_bytes(&fs::read(path).ok()?).ok()).collect()
    };
    let mut sets: Vec<PathBuf> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    sets.retain(|path| path.is_dir());
    sets.sort();
    Ok(sets.iter().map(|set| DataSet { inputs: tensors(set, "input"), outputs: tensors(set, "output") }).collect())
}

/// Tries a test with more and more of its inputs as constants.
fn run(folder: &Path) -> Status {
    let read = || -> Result<(ModelProto, Vec<DataSet>), Box<dyn Error>> {
        Ok((ModelProto::parse_from_bytes(&fs::read(folder.join("model.onnx"))?)?, data_sets(folder)?))
    };
    let (model, sets) = match read() {
        Ok(read) => read,
        Err(error) => return Status::Fails(error.to_string()),
    };
    let inputs = &model.graph.input;
    let is_float = |i: usize| match &inputs[i].type_.value {
        Some(type_proto::Value::TensorType(tensor)) => tensor.elem_type == tensor_proto::DataType::FLOAT as i32,
        _ => false,
    };
    let all = 0..inputs.len();
    let first_float = all.clone().find(|i| is_float(*i));
    let candidates = [
        Vec::new(),
        all.clone().filter(|i| !is_float(*i)).collect(),
        all.filter(|i| Some(*i) != first_float).collect::<Vec<_>>(),
    ];
    let mut refusal = None;
    for (i, known) in candidates.iter().enumerate() {
        if candidates[..i].contains(known) {
            continue;
        }
        match with_known(&model, &sets, known) {
            Status::Refused(why) => drop(refusal.get_or_insert(why)),
            status => return status,
        }
    }
    Status::Refused(refusal.unwrap_or_default())
}

fn with_known(model: &ModelProto, sets: &[DataSet], known: &[usize]) -> Status {
    for set in sets {
        match with_data(model, set, known) {
            Ok(()) => {}
            Err(status) => return status,
        }
    }
    Status::Passes(known.iter().map(|i| model.graph.input[*i].name.clone()).collect())
}

fn with_data(model: &ModelProto, set: &DataSet, known: &[usize]) -> Result<(), Status> {
    let refused = |error: &dyn std::fmt::Display| Status::Refused(first_line(&error.to_string()));
    let mut model = model.clone();
    let graph = model.graph.mut_or_insert_default();
    let mut inputs = BTreeMap::new();
    for (i, input) in graph.input.iter().enumerate() {
        let Some(tensor) = set.inputs.get(i) else { continue };
        let tensor = tensor.clone().ok_or_else(|| Status::Refused(format!("input `{}` is no tensor", input.name)))?;
        if known.contains(&i) {
            graph.initializer.push(TensorProto { name: input.name.clone(), ..tensor });
        } else {
            inputs.insert(input.name.clone(), tensor);
        }
    }
    let bytes = model.write_to_bytes().map_err(|error| Status::Fails(error.to_string()))?;
    let graph = rnc_onnx::import_bytes(&bytes, None, &ImportOptions::default()).map_err(|error| refused(&error))?;
    let mut values = Vec::new();
    for id in graph.inputs() {
        let name = graph.node(*id).name();
        let tensor = inputs.get(name).ok_or_else(|| Status::Fails(format!("no data for `{name}`")))?;
        values.push((
            name.to_owned(),
            floats(tensor).ok_or_else(|| Status::Refused(format!("input `{name}` is not float32")))?,
        ));
    }
    let plan = rnc::compile_graph(graph.clone(), &CompileOptions::default()).map_err(|error| refused(&error))?;

    let expected: Option<Vec<ArrayD<f32>>> = set.outputs.iter().map(|tensor| floats(tensor.as_ref()?)).collect();
    let expected = expected.ok_or_else(|| Status::Fails("compiles, but its outputs are no float32 tensors".into()))?;
    let by_reference = reference(&graph, &values).map_err(Status::Fails)?;
    compare("the reference interpreter", &by_reference, &expected)?;
    let views: Vec<_> = values.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        let options = Options { isa: Some(isa), threads: Some(1), ..Options::default() };
        let session = Session::new(plan.clone(), &options).map_err(|error| Status::Fails(error.to_string()))?;
        let found = session.run(&views).map_err(|error| Status::Fails(error.to_string()))?;
        let found: Vec<_> = found.into_iter().map(|(_, array)| array).collect();
        compare(isa.name(), &found, &expected)?;
    }
    Ok(())
}

fn reference(graph: &Graph, inputs: &[(String, ArrayD<f32>)]) -> Result<Vec<ArrayD<f32>>, String> {
    let inputs = inputs.iter().map(|(name, array)| (name.clone(), Value::from(array.clone()))).collect();
    let found = rnc_reference::run(graph, &inputs).map_err(|error| error.to_string())?;
    let outputs = graph.outputs().iter().map(|output| found[&output.name].as_f32().cloned());
    outputs.collect::<Option<_>>().ok_or_else(|| "an output is not float32".to_owned())
}

fn compare(who: &str, found: &[ArrayD<f32>], expected: &[ArrayD<f32>]) -> Result<(), Status> {
    if found.len() < expected.len() {
        return Err(Status::Fails(format!("{who} gives {} outputs, expected {}", found.len(), expected.len())));
    }
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        if found.shape() != expected.shape() {
            return Err(Status::Fails(format!(
                "{who}: output {i} is {:?}, expected {:?}",
                found.shape(),
                expected.shape()
            )));
        }
        let far = found.iter().zip(expected).find(|(found, expected)| !is_close(**found, **expected));
        if let Some((found, expected)) = far {
            return Err(Status::Fails(format!("{who}: output {i} has {found}, expected {expected}")));
        }
    }
    Ok(())
}

fn is_close(found: f32, expected: f32) -> bool {
    let [relative, absolute] = TOLERANCE;
    let (a, b) = (f64::from(found), f64::from(expected));
    // The same infinity has no distance.
    let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
    same || (a - b).abs() <= absolute + relative * b.abs()
}

/// A tensor's numbers, if they are `f32`.
fn floats(tensor: &TensorProto) -> Option<ArrayD<f32>> {
    if tensor.data_type != tensor_proto::DataType::FLOAT as i32 {
        return None;
    }
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let raw = tensor.raw_data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let data = if tensor.raw_data.is_empty() { tensor.float_data.clone() } else { raw.collect() };
    ArrayD::from_shape_vec(dims?, data).ok()
}

/// The first line that says what is wrong.
fn first_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let line = if first.ends_with(':') { lines.next().unwrap_or(first) } else { first };
    line.trim_start_matches("- ").replace('\t', " ")
}
