//! The memory that a run's buffers live in.

use memmap2::{Advice, MmapMut};

/// Zeroed anonymous memory; page-aligned, so every buffer has the alignment that its offset has.
#[derive(Default)]
pub struct Arena {
    memory: Option<MmapMut>,
}

/// Arenas of at least this many bytes ask for huge pages.
const HUGE: usize = 2 << 20;

impl Arena {
    /// Makes room for `bytes` bytes, keeping the memory if it is large enough.
    ///
    /// # Errors
    /// If the system has no memory.
    pub fn reserve(&mut self, bytes: usize) -> std::io::Result<()> {
        if bytes > self.memory.as_ref().map_or(0, |memory| memory.len()) {
            // The old arena goes first: both need not fit.
            self.memory = None;
            let memory = MmapMut::map_anon(bytes)?;
            if bytes >= HUGE {
                // A hint; systems without huge pages refuse it.
                let _ = memory.advise(Advice::HugePage);
            }
            self.memory = Some(memory);
        }
        Ok(())
    }

    /// Makes room for `bytes` bytes and has the system provide all of it now, so that the first run need not wait for it page by page. Where that
    /// does not work, [`Arena::reserve`] will say so when the memory is needed.
    pub fn prepare(&mut self, bytes: usize) {
        if self.reserve(bytes).is_ok() {
            #[cfg(target_os = "linux")]
            if let Some(memory) = &self.memory {
                let _ = memory.advise(Advice::PopulateWrite);
            }
        }
    }

    /// The start of the memory; dangling if nothing was reserved.
    pub fn start(&mut self) -> *mut u8 {
        self.memory.as_mut().map_or(std::ptr::dangling_mut(), |memory| memory.as_mut_ptr())
    }
}
