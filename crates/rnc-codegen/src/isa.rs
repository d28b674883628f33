//! The instruction sets that code is generated for.

use std::fmt;
use std::str::FromStr;

/// An instruction set, from the narrowest to the widest vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// 128-bit vectors, all by Cranelift: any CPU that Cranelift knows.
    Baseline,
    /// 256-bit vectors with AVX2 and FMA for the convolutions.
    Avx2,
    /// 512-bit vectors with AVX-512F for the convolutions.
    Avx512,
}

impl Isa {
    /// Every instruction set, narrowest first.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Avx2, Self::Avx512];

    /// The name that the command line uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// `f32`s in a vector.
    pub const fn lanes(self) -> usize {
        match self {
            Self::Baseline => 4,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }

    /// Whether this CPU has it.
    pub fn is_supported(self) -> bool {
        self.missing_feature().is_none()
    }

    /// The first feature that it takes and this CPU does not have, by the name that Linux and compilers give it.
    pub fn missing_feature(self) -> Option<&'static str> {
        let features = match self {
            Self::Baseline => &[][..],
            // Leaves follow System V's calling convention.
            #[cfg(all(target_arch = "x86_64", unix))]
            Self::Avx2 => &[("avx2", is_x86_feature_detected!("avx2")), ("fma", is_x86_feature_detected!("fma"))],
            #[cfg(all(target_arch = "x86_64", unix))]
            Self::Avx512 => &[
                ("avx2", is_x86_feature_detected!("avx2")),
                ("fma", is_x86_feature_detected!("fma")),
                ("avx512f", is_x86_feature_detected!("avx512f")),
            ],
            #[cfg(not(all(target_arch = "x86_64", unix)))]
            Self::Avx2 | Self::Avx512 => &[("x86-64 with System V's calling convention", false)],
        };
        features.iter().find(|(_, present)| !present).map(|(name, _)| *name)
    }

    /// The widest that this CPU has.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_supported()).unwrap_or(Self::Baseline)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no [`Isa`]'s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no instruction set is called `{0}`; there are baseline, avx2 and avx512")]
pub struct UnknownIsa(pub String);

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        Self::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| UnknownIsa(name.to_owned()))
    }
}
