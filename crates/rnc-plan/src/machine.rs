//! What a machine can do: what estimates of time are made from.

/// One core of a machine, and the memory behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Name for people: the CPU's, or where the numbers are from.
    pub name: String,
    /// Multiply-adds of 16 lanes a nanosecond.
    pub multiply_adds: f64,
    /// Bytes a nanosecond that stream from beyond the second-level cache.
    pub memory_bytes: f64,
}

impl Default for Machine {
    /// A core of a server of these years: one multiply-add of 16 lanes a cycle of 3.7 GHz, as Zen 4 has, and 8 bytes a cycle, with which the choices for ResNet-50 are those that were
    /// measured to be the fastest on Zen 4, and nearly so on Zen 5.
    fn default() -> Self {
        Self { name: "generic".to_owned(), multiply_adds: 3.7, memory_bytes: 30.0 }
    }
}
