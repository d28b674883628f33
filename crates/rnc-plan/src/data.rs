//! The bytes of a plan's constants: mapped from its file, or anonymous memory that lowering fills.

use std::sync::Arc;

use memmap2::{Mmap, MmapMut};

/// Constant data, 64-byte aligned and read-only. Cloning shares it.
#[derive(Clone)]
pub struct ConstantData {
    map: Option<Arc<Mmap>>,
    start: usize,
    len: usize,
}

impl ConstantData {
    /// No data.
    pub const fn empty() -> Self {
        Self { map: None, start: 0, len: 0 }
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
        Ok(Self { map: Some(Arc::new(map.make_read_only()?)), start: 0, len })
    }

    /// The part of a mapped file from `start`, of `len` bytes. `None` if it does not lie in the file or `start` is not a multiple of [`crate::ALIGN`].
    pub(crate) fn mapped(map: Arc<Mmap>, start: usize, len: usize) -> Option<Self> {
        let fits = start.is_multiple_of(crate::ALIGN) && start.checked_add(len).is_some_and(|end| end <= map.len());
        fits.then_some(Self { map: Some(map), start, len })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |map| &map[self.start..self.start + self.len])
    }
}

impl std::fmt::Debug for ConstantData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConstantData({} bytes)", self.len)
    }
}
