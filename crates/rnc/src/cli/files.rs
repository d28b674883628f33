//! Output files that are complete or not there.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind};

/// Writes a file, as [`rnc_plan::file::write_whole`] does.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Failure> {
    rnc_plan::file::write_whole(path, fill).map_err(|error| Failure::file("write", path, error))
}

/// Writes bytes to a file, as [`write()`] does.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write(path, |file| file.write_all(bytes))
}

/// Writes data as JSON to a file, as [`write()`] does.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    write(path, |file| {
        let mut out = BufWriter::new(file);
        serde_json::to_writer(&mut out, value)?;
        out.flush()
    })
}

/// Writes an array to an `.npy` file, as [`write()`] does.
pub(crate) fn write_npy(path: &Path, array: &ndarray::ArrayD<f32>) -> Result<(), Failure> {
    use ndarray_npy::WriteNpyExt;
    write(path, |file| {
        let mut out = BufWriter::new(file);
        array.write_npy(&mut out).map_err(io::Error::other)?;
        out.flush()
    })
}

/// Finds out before any work whether a file can be written at all, and that it is none of those that are read.
pub(crate) fn check_target<'a>(path: &Path, read: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    if let Ok(target) = path.canonicalize()
        && let Some(same) = read.into_iter().find(|file| file.canonicalize().is_ok_and(|file| file == target))
    {
        let message = format!("{} would be overwritten: it is also read, as {}", path.display(), same.display());
        return Err(Failure::new(Kind::Usage, message).with_help("give the output another name"));
    }
    if path.is_dir() {
        return Err(Failure::file("write", path, "it is a directory"));
    }
    let folder = folder(path);
    if folder.is_dir() {
        Ok(())
    } else if let Some(file) = folder.ancestors().find(|folder| folder.is_file()) {
        Err(Failure::file("write", path, format!("{} is a file, not a directory", file.display())))
    } else {
        let reason = format!("there is no directory {}", folder.display());
        Err(Failure::file("write", path, reason).with_help(format!("mkdir -p {}", super::say::shell(folder))))
    }
}

/// Does so for several files, which must not be the same either.
pub(crate) fn check_targets<'a>(
    targets: impl IntoIterator<Item = &'a PathBuf>,
    read: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Failure> {
    let read: Vec<&Path> = read.into_iter().collect();
    let mut seen: Vec<&Path> = Vec::new();
    for target in targets {
        check_target(target, read.iter().copied())?;
        if seen.contains(&target.as_path()) {
            return Err(Failure::new(Kind::Usage, format!("{} is to be written twice", target.display()))
                .with_help("give the outputs different names"));
        }
        seen.push(target);
    }
    Ok(())
}

/// Finds out whether a file to write is named as what will be in it.
pub(crate) fn check_extension(path: &Path, extension: &str) -> Result<(), Failure> {
    let fits = path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
    let failure = || {
        let message = format!("{} will be a .{extension} file, and is not named so", path.display());
        Failure::new(Kind::Usage, message).with_help(format!("name it {}", path.with_extension(extension).display()))
    };
    fits.then_some(()).ok_or_else(failure)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write_bytes(&path, b"old").unwrap();
        let failed = write(&path, |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failed.unwrap_err().to_string().contains("cannot write"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_and_a_missing_folder_are_found_before_any_work() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_target(folder.path(), []).unwrap_err().to_string().contains("it is a directory"));
        let error = check_target(&folder.path().join("none/x"), []).unwrap_err();
        assert!(error.to_string().contains("there is no directory"), "{error}");
        check_target(&folder.path().join("x"), []).unwrap();
        std::fs::write(folder.path().join("x"), "").unwrap();
        let error = check_target(&folder.path().join("x/y/z"), []).unwrap_err();
        assert!(error.to_string().contains("is a file, not a directory"), "{error}");
    }
}
