//! Memory between inaccessible pages: one element behind its end, or a page before its start, is a fault.
#![allow(unsafe_code, reason = "guard pages are made with mmap and mprotect")]
#![allow(clippy::cast_ptr_alignment, reason = "the address is a page's less a multiple of four")]

use std::ptr::NonNull;

pub struct Guarded {
    map: NonNull<u8>,
    bytes: usize,
    len: usize,
}

const PAGE: usize = 4096;

impl Guarded {
    pub fn new(values: &[f32]) -> Self {
        let bytes = PAGE + (values.len() * 4).next_multiple_of(PAGE) + PAGE;
        // SAFETY: a fresh anonymous mapping; its first and its last page are taken away right below.
        let map = unsafe {
            let map = libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(map, libc::MAP_FAILED);
            for page in [0, bytes - PAGE] {
                assert_eq!(libc::mprotect(map.cast::<u8>().add(page).cast(), PAGE, libc::PROT_NONE), 0);
            }
            NonNull::new(map.cast::<u8>()).expect("mmap gives no null")
        };
        let mut guarded = Self { map, bytes, len: values.len() };
        // SAFETY: `address` leaves exactly `len` floats before the inaccessible page.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), guarded.address().cast(), values.len()) };
        guarded
    }

    pub fn address(&mut self) -> *mut u8 {
        // SAFETY: the offset lies in the mapping.
        unsafe { self.map.as_ptr().add(self.bytes - PAGE - self.len * 4) }
    }

    pub fn slice_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `new`.
        unsafe { std::slice::from_raw_parts_mut(self.address().cast::<f32>(), self.len) }
    }

    pub fn values(&mut self) -> Vec<f32> {
        self.slice_mut().to_vec()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and is not used any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.bytes) };
    }
}
