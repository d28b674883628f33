//! Plan files: written whole or not at all, opened by mapping, and verified before anything is done with them.
//!
//! `docs/plan-format.md` describes the format and what is trusted.

mod error;
mod layout;
#[cfg(test)]
mod tests;
mod whole;

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

pub use error::{OpenError, WriteError};
pub use layout::{MAGIC, VERSION};
pub use whole::write_whole;

use crate::convert;
use crate::data::{ConstantData, Origin};
use crate::limits::MAX_HEADER_BYTES;
use crate::plan::Plan;
use crate::verify::{self, Verified, VerifiedPlan};
use layout::{FIXED, Layout};

// Constants are little-endian floats, and are used where they lie.
const _: () = assert!(cfg!(target_endian = "little"), "plan files need a little-endian machine");

/// How to open a plan file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Whether to hold the constant data against its checksum. That reads all of it: some 4 ms for 100 MB that the system has cached,
    /// and as long as the disk takes otherwise. The header is always checked.
    pub verify_data: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { verify_data: true }
    }
}

/// The check of a plan's constant data that is still to be done.
#[must_use = "data that was not checked may be damaged"]
pub struct DataCheck {
    layout: Layout,
    data: ConstantData,
}

impl DataCheck {
    /// Holds the data against its checksum.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn run(&self) -> Result<(), OpenError> {
        self.layout.check_data(self.data.bytes())
    }
}

/// What a plan file says about itself, without its constant data.
#[derive(Clone, Debug)]
pub struct FileHeader {
    /// Format version.
    pub version: u32,
    /// Size of the header message in bytes.
    pub header_bytes: usize,
    /// Start of the constant data in the file.
    pub data_offset: usize,
    /// Size of the constant data in bytes.
    pub data_bytes: usize,
    /// CRC-32 of the constant data as recorded.
    pub data_crc: u32,
    /// The plan. It keeps the verifier's invariants, but its `data` is empty.
    pub plan: Plan,
}

/// Writes a plan to a file, as [`write_whole`] does.
///
/// # Errors
/// If the system refuses; what was at `path` before is unchanged then.
pub fn write_file(plan: Verified<'_>, path: impl AsRef<Path>) -> Result<(), WriteError> {
    let path = path.as_ref();
    let image = Image::new(&plan)?;
    write_whole(path, |file| image.write(file)).map_err(|source| WriteError::Io { path: path.to_owned(), source })
}

/// The bytes of a plan file.
///
/// # Errors
/// If the header is larger than [`MAX_HEADER_BYTES`].
pub fn to_bytes(plan: Verified<'_>) -> Result<Vec<u8>, WriteError> {
    let image = Image::new(&plan)?;
    Ok([image.head.as_slice(), image.data].concat())
}

/// Opens a plan file with the default [`OpenOptions`], and verifies it. [`OpenOptions::open`] keeps the proof in its type.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_file(path: impl AsRef<Path>) -> Result<Plan, OpenError> {
    OpenOptions::default().open(path).map(VerifiedPlan::into_inner)
}

/// Reads a plan from the bytes of a plan file with the default [`OpenOptions`], and verifies it.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn from_bytes(bytes: &[u8]) -> Result<Plan, OpenError> {
    OpenOptions::default().read(bytes).map(VerifiedPlan::into_inner)
}

impl OpenOptions {
    /// Opens a plan file: maps its constant data (which is not copied), decodes and verifies the rest.
    ///
    /// # Errors
    /// If the file cannot be read, is not a plan file of this version, is damaged, or its plan is not valid.
    pub fn open(self, path: impl AsRef<Path>) -> Result<VerifiedPlan, OpenError> {
        let path = path.as_ref();
        let (plan, check) = Self::open_deferred(path)?;
        if self.verify_data {
            check.run()?;
        }
        Ok(plan)
    }

    /// Opens a plan file as [`OpenOptions::open`] does, but leaves it to the caller when (and on which thread) the constant data is held against
    /// its checksum: reading all of it is most of the work.
    ///
    /// # Errors
    /// As [`OpenOptions::open`], but for damaged data.
    pub fn open_deferred(path: impl AsRef<Path>) -> Result<(VerifiedPlan, DataCheck), OpenError> {
        let path = path.as_ref();
        let (file, opened, Head { layout, mut plan }) = open_head(path)?;
        let data =
            map_data(file, &opened, &layout).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        plan.data = data.clone();
        Ok((plan.verified()?, DataCheck { layout, data }))
    }

    /// Reads a plan from the bytes of a plan file; the constant data is copied.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn read(self, bytes: &[u8]) -> Result<VerifiedPlan, OpenError> {
        let memory = Path::new("(memory)");
        let head = Head::read(&mut &*bytes, bytes.len() as u64, memory)?;
        let data = &bytes[head.layout.data_offset..head.layout.data_offset + head.layout.data_bytes];
        let data = ConstantData::build(data.len(), |target| target.copy_from_slice(data))
            .map_err(|source| OpenError::Io { path: memory.to_owned(), source })?;
        self.finish(head, data)
    }

    fn finish(self, head: Head, data: ConstantData) -> Result<VerifiedPlan, OpenError> {
        let Head { layout, mut plan } = head;
        if self.verify_data {
            layout.check_data(data.bytes())?;
        }
        plan.data = data;
        Ok(plan.verified()?)
    }
}

/// Reads and verifies everything of a plan file but its constant data.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn read_header(path: impl AsRef<Path>) -> Result<FileHeader, OpenError> {
    let (_, _, Head { layout, plan }) = open_head(path.as_ref())?;
    Ok(FileHeader {
        version: VERSION,
        header_bytes: layout.header_bytes,
        data_offset: layout.data_offset,
        data_bytes: layout.data_bytes,
        data_crc: layout.data_crc,
        plan,
    })
}

/// The parts of a plan file that is to be written.
struct Image<'a> {
    /// Everything before the data.
    head: Vec<u8>,
    data: &'a [u8],
}

impl<'a> Image<'a> {
    fn new(plan: &'a Plan) -> Result<Self, WriteError> {
        let header = convert::encode(plan);
        if header.len() > MAX_HEADER_BYTES {
            return Err(WriteError::HeaderTooLarge { found: header.len() });
        }
        let data = plan.data.bytes();
        Ok(Self { head: Layout::new(header.len(), data).head(&header), data })
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        file.write_all(&self.head)?;
        file.write_all(self.data)
    }
}

/// Layout and verified plan of a file, before its data.
struct Head {
    layout: Layout,
    plan: Plan,
}

impl Head {
    /// Reads everything before the data from a source of `len` bytes. It is read and not mapped, so that what was verified cannot
    /// change behind the verifier's back.
    fn read(source: &mut impl Read, len: u64, path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let mut head = vec![0; usize::try_from(len).map_or(FIXED, |len| len.min(FIXED))];
        source.read_exact(&mut head).map_err(io)?;
        let layout = Layout::parse(&head, len)?;
        head.resize(layout.data_offset, 0);
        source.read_exact(&mut head[FIXED..]).map_err(io)?;
        let plan = convert::decode(layout.check(&head)?)?;
        verify::check(&plan, layout.data_bytes)?;
        Ok(Self { layout, plan })
    }
}

fn open_head(path: &Path) -> Result<(File, Metadata, Head), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file, so it cannot be mapped")));
    }
    let head = Head::read(&mut file, metadata.len(), path)?;
    Ok((file, metadata, head))
}

fn map_data(file: File, opened: &Metadata, layout: &Layout) -> io::Result<ConstantData> {
    if layout.data_bytes == 0 {
        return Ok(ConstantData::empty());
    }
    let mut options = MmapOptions::new();
    options.offset(layout.data_offset as u64).len(layout.data_bytes);
    let map = map_readonly(&options, &file)?;
    Ok(ConstantData::mapped(map, Origin::new(file, opened)))
}

#[allow(unsafe_code, reason = "mapping a file is what keeps weights from being copied")]
fn map_readonly(options: &MmapOptions, file: &File) -> io::Result<Mmap> {
    // SAFETY: the bytes must not change while they are mapped. rnc never writes into a plan file: `write_file` makes a new one and
    // renames it, which leaves mappings of the old one as they are. That nobody else overwrites or truncates the file in place is a
    // condition of use, stated in docs/plan-format.md, which `ConstantData::is_intact` looks after. The bytes are only ever used as numbers (never as sizes, offsets or anything
    // that steers memory accesses), so that a change would change results, and a truncation would end the process with SIGBUS.
    unsafe { options.map(file) }
}
