//! A folder for each class.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rnc::image::Source;

use super::super::failure::Failure;
use super::super::images::in_folder;
use super::super::say::{note, printable};

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
                "folders are classes in alphabetical order: {} is class 0, and so on",
                printable(&folders[0].name)
            ));
        }
        let named = labels.is_some();
        let mut names = labels.unwrap_or_else(|| (0..classes).map(|class| format!("class {class}")).collect());
        let (mut sources, mut truth) = (Vec::new(), Vec::new());
        for (folder, class) in folders.iter().zip(assigned.classes) {
            in_folder(&folder.path, &mut sources)?;
            truth.resize(sources.len(), class);
            if assigned.by == By::Order && !named {
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
    let known: Vec<Option<usize>> =
        folders.iter().map(|folder| label(labels.unwrap_or_default(), folder)).collect::<Result<_, _>>()?;
    let assigned = if let Some(classes) = known.iter().copied().collect() {
        Assigned { by: By::Label, classes }
    } else if let (Some(labels), Some(odd)) =
        (labels, known.iter().position(Option::is_none).filter(|_| known.iter().any(Option::is_some)))
    {
        let Folder { name, path } = &folders[odd];
        let message = format!(
            "no class is called `{name}`, as the folder {} is; there are {} classes",
            path.display(),
            labels.len()
        );
        return Err(Failure::failed(message).with_help(HELP));
    } else if let Some(classes) =
        folders.iter().map(|folder| folder.name.parse().ok().filter(|class| *class < classes)).collect()
    {
        Assigned { by: By::Number, classes }
    } else if folders.len() == classes {
        Assigned { by: By::Order, classes: (0..classes).collect() }
    } else {
        let message = format!(
            "the model has {classes} classes, and there are {} folders, whose classes are not known: {} is the first",
            folders.len(),
            folders[0].path.display()
        );
        return Err(Failure::failed(message).with_help(HELP));
    };
    let mut seen = HashMap::new();
    for (class, folder) in assigned.classes.iter().zip(folders) {
        if let Some(other) = seen.insert(class, folder) {
            let (one, two) = (other.path.display(), folder.path.display());
            return Err(Failure::failed(format!("{one} and {two} are folders of the same class, number {class}"))
                .with_help("put their images together"));
        }
    }
    Ok(assigned)
}

const HELP: &str = "folders are named as the classes are (--labels names a set or a file with one name a line) or by the numbers of the classes from 0 up";

/// The class that a folder is named as.
fn label(labels: &[String], folder: &Folder) -> Result<Option<usize>, Failure> {
    let mut found = labels.iter().enumerate().filter(|(_, label)| same(label, &folder.name)).map(|(class, _)| class);
    match (found.next(), found.next()) {
        (Some(one), Some(two)) => {
            let message = format!(
                "two classes are called `{}`, as the folder {} is: {one} and {two}",
                folder.name,
                folder.path.display()
            );
            Err(Failure::failed(message).with_help("name all folders by the numbers of their classes"))
        }
        (one, _) => Ok(one),
    }
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
        let refused =
            |names: &[&str], labels: Option<&[String]>| assign(&named(names), labels, 2).unwrap_err().to_string();
        // As many as there are classes: one of them misspelled is still no reason to guess.
        assert_eq!(
            refused(&["cow", "dog"], Some(&labels)),
            "no class is called `cow`, as the folder cow is; there are 2 classes"
        );
        assert!(refused(&["cow"], None).contains("the model has 2 classes, and there are 1 folders"));
        assert_eq!(refused(&["dog", "Dog_"], Some(&labels)), "dog and Dog_ are folders of the same class, number 0");
        assert_eq!(refused(&["1", "01"], None), "1 and 01 are folders of the same class, number 1");
        let twice = ["cardigan", "cardigan"].map(str::to_owned);
        assert!(refused(&["cardigan"], Some(&twice)).contains("two classes are called `cardigan`"));
    }

    #[test]
    fn folders_that_no_label_fits_are_classes_in_their_order_and_the_names_stay() {
        let labels = ["dog", "cat"].map(str::to_owned);
        let assigned = assign(&named(&["n01", "n02"]), Some(&labels), 2).unwrap();
        assert_eq!(assigned, Assigned { by: By::Order, classes: vec![0, 1] });
    }
}
