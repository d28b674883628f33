//! Tensors in `.npy`, `.npz` and `.safetensors` files.
//!
//! Files are read whole before anything is made of them, so that a header's claims are held against what is there.

use std::io::{Cursor, Read};
use std::path::Path;

use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{ReadNpyExt, ViewNpyError, ViewNpyExt};
use rnc::Plan;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use zip::ZipArchive;

use super::super::failure::Failure;
use super::measure::Samples;

/// Longest header of an `.npy` file that is read; numpy's own are 128 bytes.
const MAX_HEADER: usize = 4096;
/// Deepest nesting in such a header; a shape's is 2.
const MAX_BRACKETS: usize = 16;

type Named = Vec<(String, ArrayD<f32>)>;

/// Reads what `--input` names: `NAME=FILE`, or `FILE` alone.
pub(crate) fn read_inputs(plan: &Plan, arguments: &[String]) -> Result<Samples, Failure> {
    let names: Vec<&str> = plan.inputs.iter().map(|port| port.name.as_str()).collect();
    if arguments.is_empty() {
        let message = format!("the model's inputs must be given: {}", names.join(", "));
        return Err(Failure::failed(message)
            .with_help("name image files, or give a tensor for each input: --input NAME=FILE.npy"));
    }
    let mut inputs = Named::new();
    for argument in arguments {
        match split(&names, argument) {
            (Some(name), file) => inputs.push((name.to_owned(), read_one(file, name)?)),
            (None, file) if holds_several(file) => inputs.extend(read_all(file, &names)?),
            (None, file) => {
                let [name] = names.as_slice() else {
                    let message = format!("`--input {argument}` does not say which input: {}", names.join(", "));
                    return Err(Failure::usage("run", message).with_help("--input NAME=FILE"));
                };
                inputs.push(((*name).to_owned(), read_one(file, name)?));
            }
        }
    }
    let wanted = inputs.first().and_then(|(_, array)| array.shape().first().copied()).unwrap_or(0);
    Ok(Samples { inputs, wanted })
}

/// Splits `NAME=FILE`. An `=` may be part of a name or of a file: names of inputs are known, and files exist or do not.
fn split<'a>(names: &[&'a str], argument: &'a str) -> (Option<&'a str>, &'a Path) {
    for name in names {
        if let Some(file) = argument.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
            return (Some(name), Path::new(file));
        }
    }
    match argument.split_once('=') {
        Some((name, file)) if !Path::new(argument).exists() => (Some(name), Path::new(file)),
        _ => (None, Path::new(argument)),
    }
}

/// The file of an argument, whatever the names of the inputs are.
pub(super) fn file_of(argument: &str) -> &Path {
    split(&[], argument).1
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Whether a file's arrays have names.
fn holds_several(path: &Path) -> bool {
    has_extension(path, "npz") || has_extension(path, "safetensors")
}

/// Reads the array for one input.
fn read_one(path: &Path, input: &str) -> Result<ArrayD<f32>, Failure> {
    if !holds_several(path) {
        let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, error))?;
        return parse(&bytes).map_err(|problem| Failure::failed(format!("{}: {problem}", path.display())));
    }
    let mut arrays = read_arrays(path)?;
    if let Some(found) = arrays.iter().position(|(name, _)| name == input) {
        return Ok(arrays.swap_remove(found).1);
    }
    match arrays.len() {
        1 => Ok(arrays.swap_remove(0).1),
        _ => Err(Failure::failed(format!("{} has no array `{input}`; {}", path.display(), list(&arrays)))),
    }
}

/// Reads arrays for all inputs from one file.
fn read_all(path: &Path, names: &[&str]) -> Result<Named, Failure> {
    if let [name] = names {
        return Ok(vec![((*name).to_owned(), read_one(path, name)?)]);
    }
    let mut arrays = read_arrays(path)?;
    if let Some(missing) = names.iter().find(|name| !arrays.iter().any(|(known, _)| known == *name)) {
        return Err(Failure::failed(format!("{} has no array `{missing}`; {}", path.display(), list(&arrays))));
    }
    arrays.retain(|(name, _)| names.contains(&name.as_str()));
    Ok(arrays)
}

fn list(arrays: &Named) -> String {
    let names: Vec<_> = arrays.iter().map(|(name, _)| format!("`{name}`")).collect();
    if names.is_empty() { "it is empty".to_owned() } else { format!("it has {}", names.join(", ")) }
}

/// Reads all arrays of an `.npz` or `.safetensors` file.
pub(crate) fn read_arrays(path: &Path) -> Result<Named, Failure> {
    if has_extension(path, "safetensors") { read_safetensors(path) } else { read_npz(path) }
}

fn read_safetensors(path: &Path) -> Result<Named, Failure> {
    let fail = |problem: String| Failure::failed(format!("{}: {problem}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, error))?;
    let tensors =
        SafeTensors::deserialize(&bytes).map_err(|error| fail(format!("not a .safetensors file: {error}")))?;
    let array = |(name, view): (&str, TensorView<'_>)| {
        if view.dtype() != Dtype::F32 {
            let problem = format!("array `{name}`: found elements of type {:?}, expected F32", view.dtype());
            return Err(fail(problem));
        }
        let data = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let array = ArrayD::from_shape_vec(view.shape(), data);
        Ok((name.to_owned(), array.map_err(|error| fail(format!("array `{name}`: {error}")))?))
    };
    tensors.iter().map(array).collect()
}

fn read_npz(path: &Path) -> Result<Named, Failure> {
    let fail = |problem: String| Failure::failed(format!("{}: {problem}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, error))?;
    let broken = |error: zip::result::ZipError| fail(format!("not an .npz file: {error}"));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut arrays = Named::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let name = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| fail(format!("array `{name}`: {error}")))?;
        let array = parse(&bytes).map_err(|problem| fail(format!("array `{name}`: {problem}")))?;
        arrays.push((name, array));
    }
    Ok(arrays)
}

/// An array of the bytes of an `.npy` file, row-major.
fn parse(bytes: &[u8]) -> Result<ArrayD<f32>, String> {
    check_header(bytes)?;
    match ArrayViewD::<f32>::view_npy(bytes) {
        Ok(view) => Ok(view.as_standard_layout().into_owned()),
        // The size has been checked before the alignment was: it is safe to copy as much as the header says.
        Err(ViewNpyError::MisalignedData) => ArrayD::<f32>::read_npy(bytes)
            .map(|array| array.as_standard_layout().into_owned())
            .map_err(|error| error.to_string()),
        Err(ViewNpyError::WrongDescriptor(found)) => {
            let found = found.to_string();
            let found = found.trim_matches('\'');
            Err(format!("found elements of type {} (`{found}`), expected float32 (`<f4`)", dtype(found)))
        }
        Err(ViewNpyError::NonNativeEndian) => {
            Err("found big-endian elements (`>f4`), expected little-endian float32 (`<f4`)".to_owned())
        }
        Err(ViewNpyError::MissingBytes(n)) => Err(format!("truncated: {n} bytes are missing")),
        Err(error) => Err(error.to_string()),
    }
}

/// Refuses headers that no array has, before the recursive parser sees them.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    if !bytes.starts_with(b"\x93NUMPY") {
        let start = &bytes[..bytes.len().min(6)];
        return Err(format!("not an .npy file: it starts with \"{}\", expected \"\\x93NUMPY\"", start.escape_ascii()));
    }
    let length = |at: std::ops::Range<usize>| {
        bytes.get(at).map(|field| field.iter().rev().fold(0usize, |n, byte| n << 8 | usize::from(*byte)))
    };
    let (start, length) = match bytes.get(6) {
        Some(1) => (10, length(8..10)),
        _ => (12, length(8..12)),
    };
    let length = length.ok_or("truncated: it ends in its header")?;
    if length > MAX_HEADER {
        return Err(format!("its header should have {length} bytes, the limit is {MAX_HEADER}"));
    }
    let header = bytes.get(start..start + length).ok_or("truncated: it ends in its header")?;
    let brackets = header.iter().filter(|byte| b"([{".contains(byte)).count();
    if brackets > MAX_BRACKETS { Err(format!("its header has {brackets} brackets; no array's has")) } else { Ok(()) }
}

/// numpy's name of a type descriptor.
fn dtype(descriptor: &str) -> String {
    let Some(code) = descriptor.get(1..) else { return descriptor.to_owned() };
    let (kind, size) = code.split_at_checked(1).unwrap_or((code, ""));
    let bits = size.parse::<usize>().ok().and_then(|size| size.checked_mul(8));
    match (kind, bits) {
        ("f", Some(bits)) => format!("float{bits}"),
        ("i", Some(bits)) => format!("int{bits}"),
        ("u", Some(bits)) => format!("uint{bits}"),
        ("c", Some(bits)) => format!("complex{bits}"),
        ("b", _) => "bool".to_owned(),
        _ => descriptor.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use ndarray::{ShapeBuilder, array};
    use ndarray_npy::WriteNpyExt;

    use super::*;

    fn npy(array: &impl WriteNpyExt) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn arrays_come_back_row_major_whatever_their_layout_was() {
        let mut array = ndarray::Array2::<f32>::zeros((2, 3).f());
        array.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32);
        let read = parse(&npy(&array)).unwrap();
        assert_eq!(read.as_slice().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn data_at_an_odd_address_is_read_too() {
        let bytes = [vec![0], npy(&array![1.0f32, 2.0])].concat();
        let inner = &bytes[1..];
        assert_eq!(parse(inner).unwrap(), array![1.0f32, 2.0].into_dyn());
    }

    #[test]
    fn a_wrong_type_is_named_with_the_one_expected() {
        let error = parse(&npy(&array![1.0f64])).unwrap_err();
        assert_eq!(error, "found elements of type float64 (`<f8`), expected float32 (`<f4`)");
        assert!(parse(&npy(&array![1i64])).unwrap_err().contains("int64"));
        assert!(parse(&npy(&array![1u8])).unwrap_err().contains("uint8"));
    }

    #[test]
    fn hostile_files_are_refused_without_much_memory() {
        let good = npy(&array![1.0f32, 2.0]);
        for end in 0..good.len() {
            parse(&good[..end]).unwrap_err();
        }
        let text = String::from_utf8_lossy(&good[10..]).into_owned();
        let claim = text.replace("(2,)", "(9223372036854775807,)").into_bytes();
        let mut huge = good[..8].to_vec();
        let header = &claim[..claim.len() - 8];
        huge.extend((header.len() as u16).to_le_bytes());
        huge.extend(&claim);
        parse(&huge).unwrap_err();
        let deep = [b"\x93NUMPY\x01\x00\xa0\x0f".as_slice(), &[b'('; 4000]].concat();
        assert!(parse(&deep).unwrap_err().contains("brackets"));
    }

    #[test]
    fn an_argument_splits_at_the_name_of_an_input() {
        assert_eq!(split(&["a=b", "a"], "a=b=c.npy"), (Some("a=b"), Path::new("c.npy")));
        assert_eq!(split(&["x"], "c.npy"), (None, Path::new("c.npy")));
        assert_eq!(split(&["x"], "y=c.npy"), (Some("y"), Path::new("c.npy")));
    }
}
