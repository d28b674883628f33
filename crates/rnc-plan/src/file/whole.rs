//! Files that are complete or not there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Writes a file: `fill` writes to a file beside it, which then takes its name. At any moment, and if the process is killed, `path` is what it was before or all that it is to be.
///
/// On Linux the file has no name until it is complete, so that nothing is left of one that was interrupted; where the file system cannot do that, and for the moment between its name and its
/// place, it is `.rnc-*.tmp`. A device or pipe is written directly.
///
/// There is no fsync: it takes longer than all of a compilation.
///
/// # Errors
/// If the system refuses, or `fill` fails; what was at `path` before is unchanged then.
pub fn write_whole(path: impl AsRef<Path>, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let path = path.as_ref();
    if fs::metadata(path).is_ok_and(|target| !target.is_file() && !target.is_dir()) {
        return fill(&mut File::options().write(true).open(path)?);
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let complete = if let Some(mut file) = unnamed::create(folder) {
        fill(&mut file)?;
        temporary().make_in(folder, |name| unnamed::link(&file, name))?.into_temp_path()
    } else {
        let mut file = temporary().tempfile_in(folder)?;
        fill(file.as_file_mut())?;
        file.into_temp_path()
    };
    complete.persist(path).map_err(|error| error.error)
}

/// How files are named that are not complete, or not yet in their place.
fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".rnc-").suffix(".tmp");
    // Not private, as temporary files otherwise are: what the caller's umask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Files without a name (`O_TMPFILE`, open(2)).
#[cfg(target_os = "linux")]
mod unnamed {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};

    /// Where a file that is open can be found, if the system shows that.
    fn place(file: &File) -> PathBuf {
        format!("/proc/self/fd/{}", file.as_raw_fd()).into()
    }

    /// A file in this folder. `None` if it cannot be made, or could not be given a name: what is wrong shows when a file with a name is tried.
    pub(super) fn create(folder: &Path) -> Option<File> {
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let file = File::from(open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode).ok()?);
        place(&file).exists().then_some(file)
    }

    /// Gives it a name that no file has.
    pub(super) fn link(file: &File, name: &Path) -> io::Result<()> {
        Ok(linkat(CWD, place(file), CWD, name, AtFlags::SYMLINK_FOLLOW)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod unnamed {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub(super) fn create(_: &Path) -> Option<File> {
        None
    }

    pub(super) fn link(_: &File, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_not_to_be_seen_until_it_is_complete_and_then_as_others_are() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect::<Vec<_>>();
        let hidden = unnamed::create(folder.path()).is_some();
        let path = folder.path().join("x");
        for content in ["first", "second"] {
            let before = fs::read(&path).ok();
            write_whole(&path, |file| {
                file.write_all(content.as_bytes())?;
                assert_eq!(fs::read(&path).ok(), before);
                assert!(!hidden || names().len() == usize::from(before.is_some()), "{:?}", names());
                Ok(())
            })
            .unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(names(), ["x"]);
        }
        fs::write(folder.path().join("other"), "").unwrap();
        let permissions = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions();
        assert_eq!(permissions("x"), permissions("other"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_without_a_name_are_what_linux_gives() {
        // Of the file systems in use, those that networks share are the ones that do not.
        let folder = tempfile::tempdir().unwrap();
        assert!(unnamed::create(folder.path()).is_some());
    }
}
