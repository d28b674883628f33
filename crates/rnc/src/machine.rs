//! This machine: its name, its description, and how it is measured.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use rnc_plan::Machine;
use rnc_plan::kernel::{Activation, Conv, Extent, Gemm, KernelSpec, Source, Window};
use rnc_runtime::Isa;
use serde::{Deserialize, Serialize};

use crate::tune;

/// CPUs that affinity and control groups leave to this process.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The CPU's name, as the system gives it.
pub fn host() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    match (field("model name"), field("cpu family"), field("model")) {
        (Some(name), Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        (Some(name), ..) => name,
        (None, ..) => env::consts::ARCH.to_owned(),
    }
}

/// Where [`calibrate`] and tuning keep what they measured: `machine.json` in the user's configuration, `tuning.json` in the cache. `None` without a home.
pub fn files() -> Option<Files> {
    let folder = |variable: &str, fallback: &str| {
        let set = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || Some(PathBuf::from(env::var_os("HOME").filter(|home| !home.is_empty())?).join(fallback));
        set.or_else(home).map(|folder| folder.join("rnc"))
    };
    let machine = folder("XDG_CONFIG_HOME", ".config")?.join("machine.json");
    Some(Files { machine, tuning: folder("XDG_CACHE_HOME", ".cache")?.join("tuning.json") })
}

/// See [`files`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The machine's description.
    pub machine: PathBuf,
    /// Times of kernels.
    pub tuning: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Description {
    host: String,
    isa: String,
    multiply_adds_per_ns: f64,
    memory_bytes_per_ns: f64,
}

/// The description that a file holds, if it is of this host and instruction set; the default one otherwise.
///
/// # Errors
/// If the file is there and is not a description.
pub fn load(path: &Path, isa: Isa) -> io::Result<Machine> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Machine::default()),
        text => text?,
    };
    let found: Description = serde_json::from_str(&text)?;
    let positive = found.multiply_adds_per_ns > 0.0 && found.memory_bytes_per_ns > 0.0;
    if !positive || found.host != host() || found.isa != isa.name() {
        return Ok(Machine::default());
    }
    Ok(Machine {
        name: format!("{}, {}, calibrated", found.host, found.isa),
        multiply_adds: found.multiply_adds_per_ns,
        memory_bytes: found.memory_bytes_per_ns,
    })
}

/// Writes a description for [`load`].
///
/// # Errors
/// If the system refuses.
pub fn save(machine: &Machine, isa: Isa, path: &Path) -> io::Result<()> {
    let description = Description {
        host: host(),
        isa: isa.name().to_owned(),
        multiply_adds_per_ns: machine.multiply_adds,
        memory_bytes_per_ns: machine.memory_bytes,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(&description)? + "\n";
    rnc_plan::file::write_whole(path, |file| file.write_all(text.as_bytes()))
}

/// Measures one core with rnc's own kernels: a convolution whose operands stay in the caches, and a matrix of 64 MB that does not. `None` if that does not
/// work, for want of memory.
pub fn calibrate(isa: Isa) -> Option<Machine> {
    const RUNS: usize = 20;
    let extent = Extent { channels: 128, height: 28, width: 28 };
    let conv = Conv {
        input: extent,
        source: Source::Blocked,
        output: extent,
        groups: 1,
        window: Window { kernel: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1] },
        residual: false,
        activation: Activation::None,
    };
    let multiply_adds = f64::from(28 * 28 * 128 * 128 / 16);
    let gemm = Gemm { features: 4096, out: 4096, activation: Activation::None };
    let bytes = f64::from(4096 * 4096 * 4);
    Some(Machine {
        name: format!("{}, {}, calibrated", host(), isa.name()),
        multiply_adds: multiply_adds / tune::seconds(KernelSpec::Conv(conv), isa, RUNS)? / 1e9,
        memory_bytes: bytes / tune::seconds(KernelSpec::Gemm(gemm), isa, RUNS)? / 1e9,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_comes_back_for_its_host_and_instruction_set_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rnc/machine.json");
        assert_eq!(load(&path, Isa::Baseline).unwrap(), Machine::default());
        let machine = Machine { multiply_adds: 2.0, memory_bytes: 9.0, ..Machine::default() };
        save(&machine, Isa::Baseline, &path).unwrap();
        let found = load(&path, Isa::Baseline).unwrap();
        assert_eq!((found.multiply_adds, found.memory_bytes), (2.0, 9.0));
        assert!(found.name.ends_with("baseline, calibrated"), "{}", found.name);
        assert_eq!(load(&path, Isa::Avx512).unwrap(), Machine::default());
        fs::write(&path, "{}").unwrap();
        assert!(load(&path, Isa::Baseline).is_err());
    }
}
