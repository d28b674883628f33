//! How the kernel of a step was chosen: what there was to choose from, and what came of measuring.

/// A step's choice. It explains; nothing depends on it but [`Choice::tile`], which code generation takes for advice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// What was considered, the chosen one first.
    pub candidates: Vec<Candidate>,
    /// The largest error of a sample of results against sums in f64, relative to the sample's largest result.
    pub error: Option<f32>,
    /// The register tile that measured best with [`Measured::isa`].
    pub tile: Option<TileSize>,
}

/// One way to compute a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The way: `direct`, `winograd F(4×4)`, `strassen`, `direct 14×2`.
    pub name: String,
    /// Estimated time of one sample on one core in microseconds.
    pub estimated: f32,
    /// Measured time, if it was measured.
    pub measured: Option<f32>,
}

/// Size of a register tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileSize {
    /// Pixels.
    pub pixels: usize,
    /// Vectors of output channels.
    pub columns: usize,
}

/// Where a plan's choices were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// The machine whose description the estimates are for.
    pub machine: String,
    /// The host and the instruction set that candidates were measured on, if they were.
    pub measured: Option<Measured>,
}

/// Where candidates were measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The CPU's name.
    pub host: String,
    /// The instruction set; tiles are advice for this one only.
    pub isa: String,
}
