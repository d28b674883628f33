//! rnc: a compiler for ResNet-family neural networks on CPUs.
//!
//! [`compile_file`] makes a [`Plan`] of an ONNX model, [`write_plan`] writes it to a file, and a [`Session`] runs it: from the file with
//! [`Session::load`], or at once with [`Session::new`]. [`compile()`] does the same as [`compile_file`] and says what the passes did. The
//! `rnc` binary is all of this on the command line.
//!
//! An application that only runs plans needs the crate `rnc-runtime` alone; it links neither importer nor passes.
//!
//! # Example
//!
//! A model of the zoo, through ONNX and a plan file to the logits of two images:
//!
//! ```
//! use rnc::{CompileOptions, Options, Session, zoo};
//!
//! let folder = tempfile::tempdir()?;
//! let (model, plan) = (folder.path().join("resnet18.onnx"), folder.path().join("resnet18.plan"));
//! let tiny = zoo::ZooOptions { image: 32, classes: 10, ..zoo::ZooOptions::default() };
//! std::fs::write(&model, zoo::build_onnx("resnet18", &tiny)?)?;
//!
//! rnc::write_plan(&rnc::compile_file(&model, &CompileOptions::default())?, &plan)?;
//!
//! let session = Session::load(&plan, &Options::default())?;
//! let images = ndarray::Array4::<f32>::zeros((2, 3, 32, 32)).into_dyn();
//! let outputs = session.run(&[("input", images.view())])?;
//! let (name, logits) = &outputs[0];
//! assert_eq!((name.as_str(), logits.shape()), ("logits", [2, 10].as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A graph in the text syntax of the IR ([`ir::parse`](mod@ir::parse)), without any file:
//!
//! ```
//! use rnc::{CompileOptions, Options, Session};
//!
//! let graph = rnc::ir::parse("graph @example(%x: f32[N,4]) -> (%y) { %y = relu(%x) }")?;
//! let session = Session::new(rnc::compile_graph(graph, &CompileOptions::default())?, &Options::default())?;
//! let x = ndarray::array![[1.0f32, -2.0, 3.0, -4.0]].into_dyn();
//! assert_eq!(session.run(&[("x", x.view())])?[0].1, ndarray::array![[1.0f32, 0.0, 3.0, 0.0]].into_dyn());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bisect;
pub mod buffers;
pub mod classes;
pub mod compare;
mod compile;
mod error;
pub mod explain;
pub mod lint;
pub mod machine;
mod options;
mod outputs;
pub mod profile;
pub mod statistics;
mod tune;

pub use compile::{
    Compiled, OperatorCounts, Source, Times, compile, compile_file, compile_graph, compile_tuned, import_file,
    write_plan,
};
pub use error::{CompileError, WritePlanError};
pub use options::CompileOptions;
pub use outputs::{OutputError, Outputs};
pub use rnc_image as image;
pub use rnc_ir as ir;
pub use rnc_passes as passes;
pub use rnc_plan as plan;
pub use rnc_plan::Plan;
pub use rnc_runtime::{
    Announce, InputViews, Isa, LoadError, Options, OutputArrays, RunError, Running, Session, Span, Workspace,
};
pub use rnc_zoo as zoo;
pub use tune::{HostTuner, Progress};
