//! gdb's interface for compilers in a process: <https://sourceware.org/gdb/current/onlinedocs/gdb.html/JIT-Interface.html>.
//!
//! gdb stops in `__jit_debug_register_code` and reads an ELF file from the list of `__jit_debug_descriptor`. The file that a module gets has no code in it, only a section
//! where the code is and symbols there.

use std::ptr;
use std::sync::{Mutex, PoisonError};

use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};
use object::{Endianness, elf};

use crate::error::CodegenError;
use crate::symbols::Symbol;

/// An entry of gdb's list; `struct jit_code_entry` of the interface.
#[repr(C)]
struct Entry {
    next: *mut Entry,
    previous: *mut Entry,
    file: *const u8,
    bytes: u64,
}

/// `struct jit_descriptor` of the interface.
#[repr(C)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *mut Entry,
    first: *mut Entry,
}

/// `JIT_NOACTION`.
const NOTHING: u32 = 0;
/// `JIT_REGISTER_FN`.
const REGISTER: u32 = 1;
/// `JIT_UNREGISTER_FN`.
const UNREGISTER: u32 = 2;

// SAFETY: a static of the interface's layout under the interface's name. A second one linked into the program is an error, which is why this is behind a feature; one of
// a shared library may become the same object, and is then changed by two compilers without a common lock. No user of this interface can prevent that; it takes RNC_GDB.
#[allow(unsafe_code, reason = "gdb finds the list by this name")]
#[unsafe(export_name = "__jit_debug_descriptor")]
static mut DESCRIPTOR: Descriptor =
    Descriptor { version: 1, action: NOTHING, relevant: ptr::null_mut(), first: ptr::null_mut() };

// SAFETY: as for `DESCRIPTOR`.
#[allow(unsafe_code, reason = "gdb stops at this name")]
#[unsafe(export_name = "__jit_debug_register_code")]
#[inline(never)]
extern "C" fn tell_gdb() {
    // Lest calls be left out, or two functions without a body be made one.
    std::hint::black_box(REGISTER);
}

/// Held while the list is looked at or changed.
static LIST: Mutex<()> = Mutex::new(());

/// A module that gdb knows, until this is dropped.
pub struct Registered {
    entry: *mut Entry,
    /// What the entry points to; from a box.
    file: *mut [u8],
}

// SAFETY: the entry is this value's own, and its links are touched only under the lock.
#[allow(unsafe_code, reason = "the entry is on the heap and behind a lock")]
unsafe impl Send for Registered {}
// SAFETY: a shared `Registered` gives out nothing.
#[allow(unsafe_code, reason = "nothing can be done with a reference")]
unsafe impl Sync for Registered {}

impl Registered {
    /// Tells gdb of functions. `None` if there are none.
    ///
    /// # Errors
    /// If no ELF file can be made of them.
    pub fn new(symbols: &[Symbol]) -> Result<Option<Self>, CodegenError> {
        let Some(file) = file(symbols)? else { return Ok(None) };
        // A raw pointer: gdb and `registered_files` read what a box that is moved would claim for itself.
        let file = Box::into_raw(file.into_boxed_slice());
        let (next, previous) = (ptr::null_mut(), ptr::null_mut());
        let entry = Entry { next, previous, file: file.cast_const().cast(), bytes: file.len() as u64 };
        let entry = Box::into_raw(Box::new(entry));
        let _list = LIST.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: only this module touches the list, and holds the lock for that. The entries in it live: each leaves it before it is freed.
        #[allow(unsafe_code, reason = "gdb's list is one of C")]
        unsafe {
            (*entry).next = DESCRIPTOR.first;
            if let Some(next) = DESCRIPTOR.first.as_mut() {
                next.previous = entry;
            }
            DESCRIPTOR.first = entry;
            announce(entry, REGISTER);
        }
        Ok(Some(Self { entry, file }))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let _list = LIST.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: as in `Registered::new`; the entry came from a box there, and nobody has its address after this.
        #[allow(unsafe_code, reason = "gdb's list is one of C")]
        unsafe {
            let Entry { next, previous, .. } = *self.entry;
            if let Some(next) = next.as_mut() {
                next.previous = previous;
            }
            match previous.as_mut() {
                Some(previous) => previous.next = next,
                None => DESCRIPTOR.first = next,
            }
            announce(self.entry, UNREGISTER);
            drop(Box::from_raw(self.entry));
            drop(Box::from_raw(self.file));
        }
    }
}

/// Has gdb look at an entry.
///
/// # Safety
/// The lock on the list must be held, and the entry live.
#[allow(unsafe_code, reason = "gdb's list is one of C")]
unsafe fn announce(entry: *mut Entry, action: u32) {
    // SAFETY: nobody else touches the descriptor while the lock is held. gdb reads it, so it is written even if nobody here reads it again.
    unsafe {
        (&raw mut DESCRIPTOR.relevant).write_volatile(entry);
        (&raw mut DESCRIPTOR.action).write_volatile(action);
        tell_gdb();
        (&raw mut DESCRIPTOR.relevant).write_volatile(ptr::null_mut());
        (&raw mut DESCRIPTOR.action).write_volatile(NOTHING);
    }
}

/// The ELF files of all modules that gdb knows now.
pub fn registered_files() -> Vec<Vec<u8>> {
    let _list = LIST.lock().unwrap_or_else(PoisonError::into_inner);
    let mut files = Vec::new();
    // SAFETY: as in `Registered::new`; each entry's file is as long as it says and lives as long as the entry.
    #[allow(unsafe_code, reason = "gdb's list is one of C")]
    unsafe {
        let mut next = DESCRIPTOR.first;
        while let Some(entry) = next.as_ref() {
            files.push(std::slice::from_raw_parts(entry.file, entry.bytes as usize).to_vec());
            next = entry.next;
        }
    }
    files
}

/// An ELF file with these symbols, which are sorted, in a section without contents.
fn file(symbols: &[Symbol]) -> Result<Option<Vec<u8>>, CodegenError> {
    let (Some(first), Some(last)) = (symbols.first(), symbols.last()) else { return Ok(None) };
    let start = first.address as u64;
    let (machine, endian) = if cfg!(target_arch = "x86_64") {
        (elf::EM_X86_64, Endianness::Little)
    } else {
        (elf::EM_AARCH64, Endianness::Little)
    };
    let mut bytes = Vec::new();
    let mut writer = Writer::new(endian, true, &mut bytes);
    // First all parts get their places, and then they are written in the same order.
    writer.reserve_file_header();
    writer.reserve_null_section_index();
    let text_name = writer.add_section_name(b".text");
    let text = writer.reserve_section_index();
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_null_symbol_index();
    let names: Vec<_> = symbols
        .iter()
        .map(|symbol| {
            writer.reserve_symbol_index(Some(text));
            writer.add_string(symbol.name.as_bytes())
        })
        .collect();
    writer.reserve_symtab();
    writer.reserve_strtab();
    writer.reserve_shstrtab();
    writer.reserve_section_headers();

    let header = FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_REL,
        e_machine: machine,
        e_entry: 0,
        e_flags: 0,
    };
    writer.write_file_header(&header).map_err(CodegenError::host)?;
    writer.write_null_symbol();
    for (symbol, name) in symbols.iter().zip(names) {
        writer.write_symbol(&Sym {
            name: Some(name),
            section: Some(text),
            st_info: (elf::STB_GLOBAL << 4) | elf::STT_FUNC,
            st_other: 0,
            st_shndx: 0,
            st_value: symbol.address as u64 - start,
            st_size: symbol.bytes as u64,
        });
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    writer.write_section_header(&SectionHeader {
        name: Some(text_name),
        sh_type: elf::SHT_NOBITS,
        sh_flags: u64::from(elf::SHF_ALLOC | elf::SHF_EXECINSTR),
        sh_addr: start,
        sh_offset: 0,
        sh_size: (last.address + last.bytes) as u64 - start,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: 64,
        sh_entsize: 0,
    });
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(Some(bytes))
}
