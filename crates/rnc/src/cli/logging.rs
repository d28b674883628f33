//! What the parts of rnc say about their work, on stderr, for who asks: `-v` or `RUST_LOG`.

use std::io::Write;
use std::time::Instant;

use env_logger::{Builder, Target};
use log::LevelFilter;

/// Starts to log: what `RUST_LOG` says, or as much as the option was given times.
pub(crate) fn start(verbose: u8) {
    let start = Instant::now();
    let mut builder = Builder::new();
    // Of the libraries below, what is of interest comes from RUST_LOG alone: Cranelift logs every instruction.
    match verbose {
        0 => {}
        1 => drop(builder.filter_module("rnc", LevelFilter::Info)),
        2 => drop(builder.filter_module("rnc", LevelFilter::Debug)),
        _ => drop(builder.filter_module("rnc", LevelFilter::Trace)),
    }
    if let Some(filters) = std::env::var("RUST_LOG").ok().filter(|_| verbose == 0) {
        builder.parse_filters(&filters);
    }
    builder.target(Target::Stderr);
    builder.format(move |out, record| {
        let level = out.default_level_style(record.level());
        let ms = start.elapsed().as_secs_f64() * 1e3;
        writeln!(out, "{level}{ms:9.3} ms {:5}{level:#} {}: {}", record.level(), record.target(), record.args())
    });
    // Only a second logger is refused, and there is none before.
    drop(builder.try_init());
}
