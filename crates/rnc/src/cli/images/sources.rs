//! From arguments to image files.

use std::io::Read;
use std::path::{Path, PathBuf};

use rnc::image::Source;

use super::super::failure::Failure;
use super::usage;

/// Extensions of the files that are taken from folders.
const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];
/// Most bytes that are read from standard input.
const MAX_STDIN: u64 = 1 << 30;

/// The images that arguments name: a file; a folder, for all image files in it and below, in the order of their names; a pattern with `*`, `?` or `[…]` that is
/// no file's name, for what it matches; `-` for one image on standard input.
pub(crate) fn sources(arguments: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    if arguments.iter().filter(|argument| is_stdin(argument)).count() > 1 {
        return Err(usage("standard input (`-`) is named twice, and can be read once"));
    }
    let mut sources = Vec::new();
    for argument in arguments {
        if is_stdin(argument) {
            sources.push(stdin()?);
        } else if argument.is_dir() {
            let before = sources.len();
            in_folder(argument, &mut sources)?;
            if sources.len() == before {
                let message = format!("there is no image in the folder {}", argument.display());
                return Err(
                    Failure::failed(message).with_help(format!("images are files named *.{}", EXTENSIONS.join(", *.")))
                );
            }
        } else if let Some(pattern) = pattern(argument) {
            sources.extend(matching(pattern)?);
        } else {
            sources.push(Source::File(argument.clone()));
        }
    }
    Ok(sources)
}

/// The image files in a folder and below, each folder's in the order of their names.
pub(crate) fn in_folder(folder: &Path, sources: &mut Vec<Source>) -> Result<(), Failure> {
    let read = |error| Failure::file("read", folder, error);
    let entries = std::fs::read_dir(folder).map_err(read)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(read)?;
    paths.sort();
    for path in paths {
        // Links to folders are not followed: they may lead round in a circle.
        if path.is_dir() && !path.is_symlink() {
            in_folder(&path, sources)?;
        } else if path.is_file() && is_image(&path) {
            sources.push(Source::File(path));
        }
    }
    Ok(())
}

fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|found| EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

fn is_stdin(argument: &Path) -> bool {
    argument.as_os_str() == "-"
}

/// The pattern that an argument is, if it is one and no file.
fn pattern(argument: &Path) -> Option<&str> {
    argument.to_str().filter(|text| text.contains(['*', '?', '[']) && !argument.exists())
}

fn matching(pattern: &str) -> Result<Vec<Source>, Failure> {
    let paths = glob::glob(pattern).map_err(|error| usage(format!("`{pattern}` is not a pattern: {error}")))?;
    let mut sources = Vec::new();
    for path in paths.filter_map(Result::ok) {
        if path.is_dir() {
            in_folder(&path, &mut sources)?;
        } else {
            sources.push(Source::File(path));
        }
    }
    if sources.is_empty() { Err(Failure::failed(format!("no image matches `{pattern}`"))) } else { Ok(sources) }
}

fn stdin() -> Result<Source, Failure> {
    let name = "standard input".to_owned();
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_STDIN).read_to_end(&mut bytes);
    read.map_err(|error| Failure::file("read", Path::new(&name), error))?;
    Ok(Source::Bytes { name, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&Path]) -> Result<Vec<String>, String> {
        let arguments: Vec<PathBuf> = arguments.iter().map(|path| (*path).to_owned()).collect();
        let found = sources(&arguments).map_err(|error| error.to_string())?;
        let name = |source: &Source| match source {
            Source::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Source::Bytes { name, .. } => name.clone(),
        };
        Ok(found.iter().map(name).collect())
    }

    #[test]
    fn folders_give_their_images_in_order_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for file in ["c.JPG", "a.png", "notes.txt", "b/z.webp", "b/y.bmp"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(names(&[folder.path()]).unwrap(), ["a.png", "y.bmp", "z.webp", "c.JPG"]);
        assert_eq!(names(&[&folder.path().join("*.png")]).unwrap(), ["a.png"]);
        assert_eq!(
            names(&[&folder.path().join("[ab].png"), &folder.path().join("c.JPG")]).unwrap(),
            ["a.png", "c.JPG"]
        );
        std::fs::write(folder.path().join("[x].jpg"), "").unwrap();
        assert_eq!(names(&[&folder.path().join("[x].jpg")]).unwrap(), ["[x].jpg"]);
    }

    #[test]
    fn what_names_no_image_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(names(&[folder.path()]).unwrap_err().contains("no image in the folder"));
        assert!(names(&[&folder.path().join("*.jpg")]).unwrap_err().contains("no image matches"));
        assert!(names(&[&folder.path().join("[.jpg")]).unwrap_err().contains("is not a pattern"));
        let stdin = Path::new("-");
        assert!(names(&[stdin, stdin]).unwrap_err().contains("named twice"));
    }
}
