//! Round trips, and files that are cut, damaged, foreign or hostile.

use proptest::prelude::*;

use super::*;
use crate::limits::MAX_HEADER_BYTES;
use crate::sample;

fn sample_bytes() -> Vec<u8> {
    to_bytes(verify::verify(&sample::everything()).unwrap()).unwrap()
}

fn open(bytes: &[u8]) -> Result<VerifiedPlan, OpenError> {
    OpenOptions::default().read(bytes)
}

/// Everything of a plan, its data included.
fn text(plan: &Plan) -> String {
    format!("{plan:?} {:?}", plan.data.bytes())
}

/// A file with this header message and the sample's data, with checksums that are right.
fn with_header(header: &[u8]) -> Vec<u8> {
    let plan = sample::everything();
    let mut bytes = Layout::new(header.len(), plan.data.bytes()).head(header);
    bytes.extend(plan.data.bytes());
    bytes
}

/// Makes the checksum of the head right again.
fn fix_crc(bytes: &mut [u8]) {
    let end = Layout::parse(&bytes[..FIXED], bytes.len() as u64).unwrap().data_offset;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..44]);
    crc.update(&bytes[48..end]);
    bytes[44..48].copy_from_slice(&crc.finalize().to_le_bytes());
}

#[test]
fn a_file_comes_back_equal_and_mapped_data_is_aligned() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.bin");
    let plan = sample::everything();
    write_file(verify::verify(&plan).unwrap(), &path).unwrap();
    let back = open_file(&path).unwrap();
    assert_eq!(text(&back), text(&plan));
    assert_eq!(back.data.bytes().as_ptr() as usize % crate::ALIGN, 0);
    assert_eq!(std::fs::read(&path).unwrap(), sample_bytes());
    assert_eq!(text(&open(&sample_bytes()).unwrap()), text(&plan));
}

#[test]
fn a_file_without_data_comes_back_equal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.bin");
    let mut plan = sample::everything();
    plan.steps.drain(..9);
    plan.outputs.remove(0);
    plan.steps[0].operands[0] = crate::Operand::Output(0);
    plan.buffers.clear();
    plan.constants.clear();
    (plan.arena_bytes, plan.arena_lower_bound, plan.data) = (0, 0, ConstantData::empty());
    write_file(verify::verify(&plan).unwrap(), &path).unwrap();
    assert_eq!(text(&open_file(&path).unwrap()), text(&plan));
}

#[test]
fn the_header_is_read_without_the_data() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.bin");
    let mut bytes = sample_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let header = read_header(&path).unwrap();
    assert_eq!((header.version, header.data_bytes, header.data_offset + 1536), (VERSION, 1536, bytes.len()));
    assert_eq!(header.plan.steps, sample::everything().steps);
    assert!(header.plan.data.bytes().is_empty());
    assert!(matches!(open_file(&path), Err(OpenError::Corrupt { .. })));
    assert!(OpenOptions { verify_data: false }.open(&path).is_ok());
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let plan = sample::everything();
    let plan = verify::verify(&plan).unwrap();
    let missing = directory.path().join("missing").join("plan.bin");
    assert!(matches!(write_file(plan, &missing), Err(WriteError::Io { path, .. }) if path == missing));
    // A directory cannot be replaced by a file; the temporary file must not stay behind.
    let taken = directory.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    assert!(matches!(write_file(plan, &taken), Err(WriteError::Io { .. })));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn writing_replaces_files_with_usual_permissions_and_leaves_devices_alone() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.bin");
    std::fs::write(&path, "old").unwrap();
    let expected = std::fs::metadata(&path).unwrap().permissions().mode();
    let plan = sample::everything();
    write_file(verify::verify(&plan).unwrap(), &path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode(), expected);
    assert_eq!(std::fs::read(&path).unwrap(), sample_bytes());
    write_file(verify::verify(&plan).unwrap(), "/dev/null").unwrap();
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn says_which_file_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().join("missing.bin"), directory.path().to_owned()] {
        let error = open_file(&path).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(matches!(error, OpenError::Io { .. }));
    }
}

#[test]
fn every_truncation_is_an_error_that_says_so() {
    let bytes = sample_bytes();
    for len in 0..bytes.len() {
        let error = open(&bytes[..len]).expect_err("a truncated file should be refused");
        assert!(matches!(error, OpenError::Truncated { found, .. } if found == len as u64), "{len}: {error}");
    }
}

#[test]
fn every_truncation_of_a_file_on_disk_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.bin");
    let bytes = sample_bytes();
    for len in (0..bytes.len()).step_by(97) {
        std::fs::write(&path, &bytes[..len]).unwrap();
        assert!(matches!(OpenOptions { verify_data: false }.open(&path), Err(OpenError::Truncated { .. })), "{len}");
        assert!(matches!(read_header(&path), Err(OpenError::Truncated { .. })), "{len}");
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    let mut bytes = sample_bytes();
    let data = bytes.len() - 1536;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let error = open(&bytes).expect_err("a damaged file should be refused");
            let expected = match at {
                0..8 => matches!(error, OpenError::NotAPlan { .. }),
                8..12 => matches!(error, OpenError::Version { .. }),
                16..40 => matches!(error, OpenError::Corrupt { .. } | OpenError::Truncated { .. }),
                _ => matches!(error, OpenError::Corrupt { .. }),
            };
            assert!(expected, "{at}: {error}");
            if at >= data {
                assert!(OpenOptions { verify_data: false }.read(&bytes).is_ok(), "{at}");
            }
            bytes[at] ^= 1 << bit;
        }
    }
    open(&bytes).unwrap();
}

#[test]
fn trailing_bytes_are_an_error() {
    let mut bytes = sample_bytes();
    bytes.push(0);
    assert!(matches!(open(&bytes), Err(OpenError::Corrupt { .. })));
}

#[test]
fn says_what_a_foreign_file_starts_with() {
    let error = open(b"\x08\x09\x12\x07pytorch and so on").unwrap_err();
    assert!(matches!(&error, OpenError::NotAPlan { found } if found == r"\x08\t\x12\x07pyto"), "{error}");
}

#[test]
fn says_what_to_do_about_another_version() {
    for (version, hint) in [(0, "older"), (VERSION + 1, "newer")] {
        let mut bytes = sample_bytes();
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let error = open(&bytes[..100]).unwrap_err();
        assert!(matches!(error, OpenError::Version { found, supported: VERSION } if found == version));
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn unknown_flags_are_an_error() {
    let mut bytes = sample_bytes();
    bytes[12] = 1;
    fix_crc(&mut bytes);
    assert!(matches!(open(&bytes), Err(OpenError::Flags { found: 1 })));
}

#[test]
fn absurd_sizes_are_errors_and_allocate_nothing() {
    for (at, size) in
        [(16, u64::MAX), (16, MAX_HEADER_BYTES as u64 + 1), (24, u64::MAX), (32, u64::MAX), (32, u64::MAX - 4096)]
    {
        let mut bytes = sample_bytes();
        bytes[at..at + 8].copy_from_slice(&size.to_le_bytes());
        let error = open(&bytes).unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. } | OpenError::Truncated { .. }), "{at} {size}: {error}");
    }
}

#[test]
fn a_header_that_is_no_plan_is_a_decode_error() {
    assert!(matches!(open(&with_header(&[0xff; 20])), Err(OpenError::Decode(_))));
    assert!(matches!(open(&with_header(&[])), Err(OpenError::Decode(_))));
}

#[test]
fn a_plan_that_is_not_valid_is_a_verify_error() {
    let mut plan = sample::everything();
    plan.constants[2].bytes = 1 << 40;
    assert!(matches!(open(&with_header(&convert::encode(&plan))), Err(OpenError::Verify(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Hostile headers: right checksums, wrong contents. Whatever is opened has passed the verifier.
    #[test]
    fn hostile_headers_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut: prop::sample::Index) {
        let mut header = convert::encode(&sample::everything());
        for (at, byte) in changes {
            let at = at.index(header.len());
            header[at] = byte;
        }
        if let Ok(plan) = open(&with_header(&header)) {
            prop_assert!(verify::verify(&plan).is_ok());
        }
        header.truncate(cut.index(header.len()));
        // What is said of images comes last, and need not be there.
        if let Ok(plan) = open(&with_header(&header)) {
            prop_assert_eq!(&plan.images, &crate::images::Images::default());
            prop_assert!(verify::verify(&plan).is_ok());
        }
    }
}
