//! The fixed part of a plan file: where everything is, and checksums.
//!
//! | bytes | |
//! |---|---|
//! | 0..8 | [`MAGIC`] |
//! | 8..12 | [`VERSION`] |
//! | 12..16 | flags, 0 |
//! | 16..24 | size of the header message |
//! | 24..32 | start of the data: the end of the header message, rounded up to [`PAGE`] |
//! | 32..40 | size of the data; the file ends there |
//! | 40..44 | CRC-32 of the data |
//! | 44..48 | CRC-32 of everything before the data but these four bytes |
//! | 48.. | header message, then zeros |
//!
//! All numbers are little-endian.

use std::ops::Range;

use super::error::OpenError;
use crate::limits::MAX_HEADER_BYTES;

/// First bytes of a plan file. The line end shows damage by transfers that translate them.
pub const MAGIC: [u8; 8] = *b"RNCPLAN\n";
/// The format version that this crate writes and reads.
pub const VERSION: u32 = 6;
/// Size of the fixed part in bytes.
pub(super) const FIXED: usize = 48;
/// Alignment of the data in the file: a page, so that it can be mapped by itself.
const PAGE: usize = 4096;
const HEAD_CRC: Range<usize> = 44..48;

/// Where the parts of a plan file are. Sizes are in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub header_bytes: usize,
    pub data_offset: usize,
    pub data_bytes: usize,
    pub data_crc: u32,
}

impl Layout {
    /// The layout of a file of this data and a header message of at most [`MAX_HEADER_BYTES`].
    pub fn new(header_bytes: usize, data: &[u8]) -> Self {
        let data_offset = (FIXED + header_bytes).next_multiple_of(PAGE);
        Self { header_bytes, data_offset, data_bytes: data.len(), data_crc: crc32fast::hash(data) }
    }

    /// All bytes of the file before the data.
    pub fn head(&self, header: &[u8]) -> Vec<u8> {
        let mut head = Vec::with_capacity(self.data_offset);
        head.extend(MAGIC);
        head.extend(VERSION.to_le_bytes());
        head.extend(0u32.to_le_bytes());
        head.extend((self.header_bytes as u64).to_le_bytes());
        head.extend((self.data_offset as u64).to_le_bytes());
        head.extend((self.data_bytes as u64).to_le_bytes());
        head.extend(self.data_crc.to_le_bytes());
        head.extend([0; 4]);
        head.extend(header);
        head.resize(self.data_offset, 0);
        let crc = head_crc(&head);
        head[HEAD_CRC].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// The layout that the first [`FIXED`] bytes (or fewer, if the file has fewer) of a file of `len` bytes give.
    pub fn parse(fixed: &[u8], len: u64) -> Result<Self, OpenError> {
        let known = fixed.len().min(MAGIC.len());
        if fixed[..known] != MAGIC[..known] {
            return Err(OpenError::NotAPlan { found: fixed[..known].escape_ascii().to_string() });
        }
        let truncated = || OpenError::Truncated { found: len, expected: FIXED as u64 };
        let found = u32_at(fixed, 8).ok_or_else(truncated)?;
        if found != VERSION {
            return Err(OpenError::Version { found, supported: VERSION });
        }
        let size = |at| u64_at(fixed, at).ok_or_else(truncated);
        let (header, offset, data) = (size(16)?, size(24)?, size(32)?);
        let data_crc = u32_at(fixed, 40).ok_or_else(truncated)?;
        if fixed.len() < FIXED {
            return Err(truncated());
        }
        let header_bytes =
            usize::try_from(header).ok().filter(|bytes| *bytes <= MAX_HEADER_BYTES).ok_or_else(|| {
                OpenError::corrupt(format!("its header should have {header} bytes, the limit is {MAX_HEADER_BYTES}"))
            })?;
        let data_offset = (FIXED + header_bytes).next_multiple_of(PAGE);
        if offset != data_offset as u64 {
            return Err(OpenError::corrupt(format!("its data should start at byte {offset}, expected {data_offset}")));
        }
        match offset.checked_add(data) {
            Some(expected) if len < expected => return Err(OpenError::Truncated { found: len, expected }),
            Some(expected) if len == expected => {}
            _ => {
                return Err(OpenError::corrupt(format!(
                    "it has {len} bytes, more than its header and {data} bytes of data"
                )));
            }
        }
        let data_bytes = usize::try_from(data).map_err(|_| {
            OpenError::corrupt(format!("its data should have {data} bytes, more than this machine can address"))
        })?;
        Ok(Self { header_bytes, data_offset, data_bytes, data_crc })
    }

    /// The header message in all bytes before the data, after holding them against their checksum.
    pub fn check<'a>(&self, head: &'a [u8]) -> Result<&'a [u8], OpenError> {
        let (found, expected) = (head_crc(head), u32_at(head, HEAD_CRC.start).unwrap_or_default());
        if found != expected {
            return Err(OpenError::corrupt(format!("the header has checksum {found:08x}, expected {expected:08x}")));
        }
        match u32_at(head, 12) {
            Some(0) => Ok(&head[FIXED..FIXED + self.header_bytes]),
            flags => Err(OpenError::Flags { found: flags.unwrap_or_default() }),
        }
    }

    /// Holds the data against its checksum.
    pub fn check_data(&self, data: &[u8]) -> Result<(), OpenError> {
        let (found, expected) = (crc32fast::hash(data), self.data_crc);
        if found != expected {
            return Err(OpenError::corrupt(format!(
                "the constant data has checksum {found:08x}, expected {expected:08x}"
            )));
        }
        Ok(())
    }
}

fn head_crc(head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[..HEAD_CRC.start]);
    crc.update(&head[HEAD_CRC.end..]);
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_parses_to_the_same_layout() {
        for header in [0, 1, PAGE - FIXED, PAGE - FIXED + 1] {
            let layout = Layout::new(header, b"data");
            let bytes = vec![7; header];
            let head = layout.head(&bytes);
            assert_eq!((head.len(), head.len() % PAGE), (layout.data_offset, 0));
            assert_eq!(Layout::parse(&head[..FIXED], head.len() as u64 + 4).unwrap(), layout);
            assert_eq!(layout.check(&head).unwrap(), bytes);
            layout.check_data(b"data").unwrap();
            assert!(matches!(layout.check_data(b"date"), Err(OpenError::Corrupt { .. })));
        }
    }

    #[test]
    fn the_head_is_a_golden_sequence_of_bytes() {
        let head = Layout::new(3, b"").head(b"abc");
        let fixed = b"RNCPLAN\n\x06\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(&head[..44], fixed);
        assert_eq!(&head[48..52], b"abc\0");
    }
}
