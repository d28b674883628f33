//! A folder for each class.

use std::path::{Path, PathBuf};

use rnc::image::Source;

use super::super::failure::Failure;
use super::super::images::in_folder;
use super::super::say::note;

/// Images and the classes that they are of.
pub(super) struct Dataset {
    pub sources: Vec<Source>,
    /// By source: its class.
    pub truth: Vec<usize>,
    /// By class: what it is called.
    pub names: Vec<String>,
}

/// A class's folder.
#[derive(Debug, PartialEq)]
pub(super) struct Folder {
    name: String,
    path: PathBuf,
}

/// The folders in a folder, in the order of their names.
pub(super) fn folders(dir: &Path) -> Result<Vec<Folder>, Failure> {
    let read = |error| Failure::file("read", dir, error);
    let entries = std::fs::read_dir(dir).map_err(read)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(read)?;
    paths.retain(|path| path.is_dir() && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::failed(format!("there is no folder in {}", dir.display()))
            .with_help("images to evaluate with lie in a folder for each class: DIR/cat/1.jpg, DIR/dog/1.jpg"));
    }
    let folder =
        |path: PathBuf| Folder { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path };
    Ok(paths.into_iter().map(folder).collect())
}

impl Dataset {
    /// Finds the images of classes.
    pub fn new(dir: &Path, folders: &[Folder], labels: Option<Vec<String>>, classes: usize) -> Result<Self, Failure> {
        let assigned = assign(folders, labels.as_deref(), classes)?;
        if assigned.by == By::Order {
            note(format!(
                "folders are classes in alphabetical order: {} is 0, and so on (--labels gives names)",
                folders[0].name
            ));
        }
        let mut names = labels.unwrap_or_else(|| (0..classes).map(|class| format!("class {class}")).collect());
        let (mut sources, mut truth) = (Vec::new(), Vec::new());
        for (folder, class) in folders.iter().zip(assigned.classes) {
            in_folder(&folder.path, &mut sources)?;
            truth.resize(sources.len(), class);
            if assigned.by == By::Order {
                names[class].clone_from(&folder.name);
            }
        }
        if sources.is_empty() {
            return Err(Failure::failed(format!("there is no image in the folders of {}", dir.display())));
        }
        Ok(Self { sources, truth, names })
    }
}

/// What folders are classes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Label,
    Number,
    Order,
}

/// The classes of folders.
#[derive(Debug, PartialEq)]
struct Assigned {
    by: By,
    classes: Vec<usize>,
}

fn assign(folders: &[Folder], labels: Option<&[String]>, classes: usize) -> Result<Assigned, Failure> {
    let label = |folder: &Folder| labels?.iter().position(|label| same(label, &folder.name));
    let number = |folder: &Folder| folder.name.parse().ok().filter(|class| *class < classes);
    let all = |find: &dyn Fn(&Folder) -> Option<usize>| folders.iter().map(find).collect::<Option<Vec<usize>>>();
    if let Some(classes) = all(&label) {
        return Ok(Assigned { by: By::Label, classes });
    }
    if let Some(classes) = all(&number) {
        return Ok(Assigned { by: By::Number, classes });
    }
    if folders.len() == classes {
        return Ok(Assigned { by: By::Order, classes: (0..classes).collect() });
    }
    let message = match (labels, folders.iter().find(|folder| label(folder).is_none())) {
        (Some(_), Some(odd)) => format!("no class is called `{}`, as the folder {} is", odd.name, odd.path.display()),
        _ => format!(
            "the model has {classes} classes, and there are {} folders, whose classes are not known",
            folders.len()
        ),
    };
    Err(Failure::failed(message).with_help(
        "folders are named as the classes are (--labels names a set or a file with one name a line) or by the numbers of the classes from 0 up",
    ))
}

/// Whether a folder is named as a class, but for case and what stands between words.
fn same(label: &str, folder: &str) -> bool {
    let plain =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    plain(label) == plain(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<Folder> {
        names.iter().map(|name| Folder { name: (*name).to_owned(), path: PathBuf::from(name) }).collect()
    }

    #[test]
    fn folders_are_classes_by_label_then_by_number_then_by_order() {
        let labels = ["dog", "German shepherd", "cat"].map(str::to_owned);
        let by = |by, classes: &[usize]| Assigned { by, classes: classes.to_vec() };
        let found = assign(&named(&["cat", "german_shepherd"]), Some(&labels), 3).unwrap();
        assert_eq!(found, by(By::Label, &[2, 1]));
        assert_eq!(assign(&named(&["0", "2", "10"]), None, 11).unwrap(), by(By::Number, &[0, 2, 10]));
        assert_eq!(assign(&named(&["a", "b"]), None, 2).unwrap(), by(By::Order, &[0, 1]));
    }

    #[test]
    fn a_folder_of_no_class_is_named() {
        let labels = ["dog", "cat"].map(str::to_owned);
        let error = assign(&named(&["cow"]), Some(&labels), 2).unwrap_err().to_string();
        assert_eq!(error, "no class is called `cow`, as the folder cow is");
        let error = assign(&named(&["cow"]), None, 2).unwrap_err().to_string();
        assert!(error.contains("the model has 2 classes, and there are 1 folders"), "{error}");
    }
}
