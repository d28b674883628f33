//! Names of generated functions, for profilers and debuggers.
//!
//! A function is named after its kernel (`rnc::conv3x3s1.64to64`) or, if it is a leaf, also after its tile (`rnc::conv3x3s1.64to64.tile14x2`), and then the step that it
//! was made for first (`layer1.0.conv1`): equal steps share their code.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cranelift_jit::JITModule;

use crate::error::CodegenError;
use crate::module::Defined;

/// Who is told the names of generated functions. Nobody is by default: it takes time when a plan is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announce {
    /// `perf report`, by lines in `/tmp/perf-PID.map`. The lines stay there when the process ends, as `perf` needs them.
    pub perf_map: bool,
    /// gdb, by its JIT interface. Ignored without the feature `gdb`.
    pub gdb: bool,
}

impl Announce {
    /// What the environment asks for: `RNC_PERF_MAP` and `RNC_GDB`, each on if it is set and neither empty nor `0`.
    pub fn from_environment() -> Self {
        let on = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        Self { perf_map: on("RNC_PERF_MAP"), gdb: on("RNC_GDB") }
    }

    /// Whether nobody is told anything.
    pub(crate) fn is_nobody(self) -> bool {
        self == Self::default()
    }
}

/// A function in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Where it starts.
    pub address: usize,
    /// Bytes of its code.
    pub bytes: usize,
    /// A name for people.
    pub name: String,
}

/// The functions of a finished module, by their addresses.
pub(crate) fn of_module(module: &JITModule, defined: Vec<Defined>) -> Vec<Symbol> {
    let symbol = |Defined { id, name, bytes }: Defined| Symbol {
        address: module.get_finalized_function(id).addr(),
        bytes,
        // Names of steps come from models, and may hold anything; a line ends a name in a perf map, and a zero in an ELF file.
        name: name.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
    };
    let mut symbols: Vec<Symbol> = defined.into_iter().map(symbol).collect();
    symbols.sort_by_key(|symbol| symbol.address);
    symbols
}

/// Where `perf` looks for the names of this process's generated functions.
pub fn perf_map_path() -> PathBuf {
    PathBuf::from(format!("/tmp/perf-{}.map", std::process::id()))
}

/// Appends functions to this process's perf map, of which other compilers in the process may have written a part.
pub(crate) fn append_to_perf_map(symbols: &[Symbol]) -> Result<(), CodegenError> {
    /// Threads that compile write one after the other.
    static WRITING: Mutex<()> = Mutex::new(());
    let mut lines = String::new();
    for Symbol { address, bytes, name } in symbols {
        writeln!(lines, "{address:x} {bytes:x} {name}").expect("a string grows");
    }
    let path = perf_map_path();
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let written = open_own(&path).and_then(|mut file| file.write_all(lines.as_bytes()));
    written.map_err(|error| CodegenError::PerfMap { path, error })
}

/// Opens or makes a file in a folder where everyone may put files: not what a link leads to, not a pipe, and no other user's.
#[cfg(unix)]
fn open_own(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().create(true).append(true).custom_flags(flags).mode(0o600).open(path)?;
    let found = file.metadata()?;
    // What /proc shows of a process is its user's.
    let own = std::fs::metadata("/proc/self").map_or(found.uid(), |process| process.uid());
    if found.is_file() && found.nlink() == 1 && found.uid() == own {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something else is there: remove it, or leave RNC_PERF_MAP unset",
        ))
    }
}

#[cfg(not(unix))]
fn open_own(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
