//! The bytes of a plan's constants: mapped from its file, or anonymous memory that lowering fills.

use std::fs::{File, Metadata};
use std::sync::Arc;
use std::time::SystemTime;

use memmap2::{Mmap, MmapMut};

/// Constant data, 64-byte aligned and read-only. Cloning shares it.
#[derive(Clone)]
pub struct ConstantData {
    mapping: Option<Arc<Mapping>>,
}

struct Mapping {
    map: Mmap,
    /// What is mapped, if that is a file.
    origin: Option<Origin>,
}

/// A file as it was when it was opened.
pub(crate) struct Origin {
    file: File,
    len: u64,
    modified: Option<SystemTime>,
}

impl Origin {
    pub(crate) fn new(file: File, opened: &Metadata) -> Self {
        Self { file, len: opened.len(), modified: opened.modified().ok() }
    }

    fn is_unchanged(&self) -> bool {
        self.file.metadata().is_ok_and(|now| now.len() == self.len && now.modified().ok() == self.modified)
    }
}

impl ConstantData {
    /// No data.
    pub const fn empty() -> Self {
        Self { mapping: None }
    }

    /// Makes `len` bytes of data and lets `fill` write them.
    ///
    /// # Errors
    /// If the system has no memory.
    pub fn build(len: usize, fill: impl FnOnce(&mut [u8])) -> std::io::Result<Self> {
        if len == 0 {
            return Ok(Self::empty());
        }
        let mut map = MmapMut::map_anon(len)?;
        // A hint, which spares most page faults; systems without huge pages refuse it.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        fill(&mut map);
        let mapping = Mapping { map: map.make_read_only()?, origin: None };
        Ok(Self { mapping: Some(Arc::new(mapping)) })
    }

    /// What is mapped of a file, from a multiple of [`crate::ALIGN`] on.
    pub(crate) fn mapped(map: Mmap, origin: Origin) -> Self {
        Self { mapping: Some(Arc::new(Mapping { map, origin: Some(origin) })) }
    }

    /// Whether the data are those that were there first: the file that they are mapped from has the length and the time of change that it had when it was opened. One that was deleted or
    /// replaced is unchanged for whoever has it open.
    pub fn is_intact(&self) -> bool {
        self.mapping.as_ref().and_then(|mapping| mapping.origin.as_ref()).is_none_or(Origin::is_unchanged)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.mapping.as_ref().map_or(&[], |mapping| &mapping.map)
    }
}

impl std::fmt::Debug for ConstantData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConstantData({} bytes)", self.bytes().len())
    }
}
