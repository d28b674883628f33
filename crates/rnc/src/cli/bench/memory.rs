//! The most memory that this process had resident at one time.

use serde::{Deserialize, Serialize};

/// See [`peak`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peak {
    pub bytes: u64,
    /// Where the number is from.
    pub source: String,
}

/// Peak resident memory of the process: code, arenas and mapped plan files, as far as they were touched, of all that it has run.
pub(super) fn peak() -> Option<Peak> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |bytes, source: &str| Peak { bytes, source: source.to_owned() };
    high_water_mark(&status).map(|bytes| of(bytes, "VmHWM")).or_else(|| usage().map(|bytes| of(bytes, "getrusage")))
}

/// The field `VmHWM` of `/proc/PID/status`.
fn high_water_mark(status: &str) -> Option<u64> {
    let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    field.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(unix)]
fn usage() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let max = u64::try_from(getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss()).ok()?;
    // Apple's systems give bytes, others kilobytes.
    max.checked_mul(if cfg!(target_vendor = "apple") { 1 } else { 1024 })
}

#[cfg(not(unix))]
fn usage() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        let status = "Name:\trnc\nVmPeak:\t  999 kB\nVmHWM:\t    2136 kB\nVmRSS:\t    2000 kB\n";
        assert_eq!(high_water_mark(status), Some(2136 * 1024));
        for status in ["", "VmHWM:", "VmHWM: 12 MB", "VmHWM: -1 kB", "VmHWM: 99999999999999999999 kB"] {
            assert_eq!(high_water_mark(status), None, "{status}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_system_says_about_the_same_in_both_places() {
        let touched = vec![1u8; 64 << 20];
        assert!(std::hint::black_box(&touched).iter().all(|byte| *byte == 1));
        assert!(usage().unwrap() >= 64 << 20);
        assert!(peak().unwrap().bytes >= 64 << 20);
    }
}
