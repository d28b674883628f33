//! Tensor data in files of their own, beside the model.
//!
//! A model says where its data is, and a hostile one must not make us read anything but its own files: the location is
//! relative, has no `..`, and after all symlinks are followed still lies in the model's folder.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use onnx_protobuf::TensorProto;

use crate::error::Fault;

/// Reads the external data of a tensor that needs `bytes` bytes. `base_dir` is the model's folder.
pub(crate) fn read(tensor: &TensorProto, base_dir: Option<&Path>, bytes: usize) -> Result<Vec<u8>, Fault> {
    let entry = Entry::of(tensor)?;
    let Some(base_dir) = base_dir else {
        return Err(fault("a model without a folder", "external data only for models read from a file"));
    };
    let path = locate(base_dir, entry.location)?;
    let io = |e: std::io::Error| fault(format!("{}: {e}", path.display()), "a readable file");
    // Before it is opened: opening a named pipe would wait for its other end.
    let metadata = std::fs::metadata(&path).map_err(io)?;
    if !metadata.is_file() {
        return Err(fault(format!("{}, which is not a regular file", path.display()), "a regular file"));
    }
    let need = bytes as u64;
    if entry.length.is_some_and(|length| length != need) {
        return Err(fault(
            format!("length {}", entry.length.unwrap_or(0)),
            format!("{need} bytes, as the dimensions say"),
        ));
    }
    if entry.offset.checked_add(need).is_none_or(|end| end > metadata.len()) {
        let found =
            format!("{need} bytes at offset {} of {}, which has {}", entry.offset, path.display(), metadata.len());
        return Err(fault(found, "data inside of the file"));
    }
    let mut file = File::open(&path).map_err(io)?;
    file.seek(SeekFrom::Start(entry.offset)).map_err(io)?;
    let mut data = vec![0; bytes];
    file.read_exact(&mut data).map_err(io)?;
    Ok(data)
}

/// The `external_data` entries of a tensor.
struct Entry<'m> {
    location: &'m str,
    offset: u64,
    length: Option<u64>,
}

impl<'m> Entry<'m> {
    fn of(tensor: &'m TensorProto) -> Result<Self, Fault> {
        let get = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| match get(key) {
            None => Ok(None),
            Some(text) => match text.parse::<u64>() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(fault(format!("{key} `{text}`"), "a number of bytes")),
            },
        };
        let location = get("location").ok_or_else(|| fault("no `location`", "the name of a file"))?;
        Ok(Self { location, offset: number("offset")?.unwrap_or(0), length: number("length")? })
    }
}

/// The file of a location, if it lies in the model's folder.
fn locate(base_dir: &Path, location: &str) -> Result<PathBuf, Fault> {
    let inside = "a relative path that stays in the model's folder, also through symlinks";
    let relative = Path::new(location);
    // A backslash or a colon would be part of a path on Windows.
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || !plain || location.contains(['\\', ':', '\0']) {
        return Err(fault(format!("location `{location}`"), inside));
    }
    let base = if base_dir.as_os_str().is_empty() { Path::new(".") } else { base_dir };
    let real =
        |path: &Path| path.canonicalize().map_err(|e| fault(format!("{}: {e}", path.display()), "a readable file"));
    let (base, path) = (real(base)?, real(&base.join(relative))?);
    if path.starts_with(&base) {
        Ok(path)
    } else {
        Err(fault(format!("location `{location}`, which leads to {}", path.display()), inside))
    }
}

fn fault(found: impl Into<String>, supported: impl Into<String>) -> Fault {
    Fault::new("external data", found, supported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::external_tensor;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("weights.bin"), (0u8..16).collect::<Vec<_>>()).unwrap();
        dir
    }

    fn text(result: Result<Vec<u8>, Fault>) -> String {
        format!("{:?}", result.unwrap_err())
    }

    #[test]
    fn reads_at_the_offset() {
        let dir = folder();
        let tensor = external_tensor("w", &[2], &[("location", "weights.bin"), ("offset", "4"), ("length", "8")]);
        assert_eq!(read(&tensor, Some(dir.path()), 8).unwrap(), (4u8..12).collect::<Vec<_>>());
        let whole = external_tensor("w", &[4], &[("location", "./weights.bin")]);
        assert_eq!(read(&whole, Some(dir.path()), 16).unwrap().len(), 16);
    }

    #[test]
    fn refuses_locations_outside_of_the_folder() {
        let dir = folder();
        for location in ["../weights.bin", "/etc/passwd", "a/../../b", "", "c:\\x", "sub\\..\\x"] {
            let tensor = external_tensor("w", &[1], &[("location", location)]);
            assert!(text(read(&tensor, Some(dir.path()), 4)).contains("stays in"), "{location}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn refuses_symlinks_that_lead_out_and_follows_those_that_stay() {
        let (dir, outside) = (folder(), folder());
        std::os::unix::fs::symlink(outside.path().join("weights.bin"), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("weights.bin"), dir.path().join("in")).unwrap();
        let tensor = |name| external_tensor("w", &[1], &[("location", name)]);
        assert!(text(read(&tensor("out"), Some(dir.path()), 4)).contains("leads to"));
        assert!(read(&tensor("in"), Some(dir.path()), 4).is_ok());
    }

    #[test]
    fn refuses_data_that_is_not_in_the_file() {
        let dir = folder();
        let read_with = |offset, length: &str| {
            let tensor =
                external_tensor("w", &[2], &[("location", "weights.bin"), ("offset", offset), ("length", length)]);
            text(read(&tensor, Some(dir.path()), 8))
        };
        assert!(read_with("12", "8").contains("inside of the file"));
        assert!(read_with("18446744073709551615", "8").contains("inside of the file"));
        assert!(read_with("0", "4").contains("as the dimensions say"));
        assert!(read_with("-1", "8").contains("a number of bytes"));
        let absent = external_tensor("w", &[2], &[("location", "absent")]);
        assert!(text(read(&absent, Some(dir.path()), 8)).contains("absent"));
        let itself = external_tensor("w", &[2], &[("location", ".")]);
        assert!(text(read(&itself, Some(dir.path()), 8)).contains("regular file"));
        assert!(text(read(&absent, None, 8)).contains("without a folder"));
    }
}
