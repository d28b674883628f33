//! Times measured before, kept in a file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Microseconds by a text that says host, instruction set, version of rnc, kernel and tile.
pub(crate) struct Cache {
    path: Option<PathBuf>,
    times: BTreeMap<String, f64>,
    changed: bool,
}

impl Cache {
    /// Reads the cache of a file. A file that is not there or is no cache is an empty one: times can always be measured again.
    pub(crate) fn open(path: Option<&Path>) -> Self {
        let text = path.and_then(|path| fs::read_to_string(path).ok());
        let times = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { path: path.map(Path::to_owned), times, changed: false }
    }

    pub(crate) fn get(&self, key: &str) -> Option<f64> {
        self.times.get(key).copied()
    }

    pub(crate) fn insert(&mut self, key: String, time: f64) {
        self.times.insert(key, time);
        self.changed = true;
    }

    /// Writes what is new to the file, whole or not at all.
    pub(crate) fn save(&mut self) -> std::io::Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| self.changed) else { return Ok(()) };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let text = serde_json::to_string_pretty(&self.times)?;
        rnc_plan::file::write_whole(path, |file| file.write_all(text.as_bytes()))?;
        self.changed = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_there_again_and_a_broken_file_is_an_empty_cache() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/tuning.json");
        let mut cache = Cache::open(Some(&path));
        assert_eq!(cache.get("a"), None);
        cache.insert("a".to_owned(), 1.5);
        cache.save().unwrap();
        assert_eq!(Cache::open(Some(&path)).get("a"), Some(1.5));
        fs::write(&path, "{\"a\": 1").unwrap();
        assert_eq!(Cache::open(Some(&path)).get("a"), None);
    }
}
