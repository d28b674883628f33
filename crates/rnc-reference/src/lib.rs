//! Slow and obvious interpreter of the graph IR: the oracle of rnc's tests.
//!
//! [`run`] gives a graph's outputs, [`run_all`] every value of it. Values are `ndarray` arrays ([`Value`]), row-major.
//!
//! # Numbers
//!
//! Meanings are ONNX's, opset 17 and later. Values are `f32`, arithmetic within one operator is `f64`, and each operator
//! rounds to `f32` once: a convolution or GEMM after products, bias and residual have been summed and before its
//! activation (which is exact). So a difference between a compiled plan and this interpreter is the plan's rounding.
//!
//! * **NaN** propagates through every operator that computes from it, `Max`, `Min`, `Relu`, `Clip`, `MaxPool` and
//!   `ReduceMax` included: the result is NaN if any of the elements that it is taken over is. ONNX Runtime (1.32) does so in
//!   elementwise operators, but in `MaxPool` and `ReduceMax` its result depends on where the NaN stands.
//! * **Zeros**: of two zeros, `Max` takes the positive one and `Min` the negative one (IEEE 754-2019 `maximum`, `minimum`).
//! * **Padding** of a convolution contributes nothing (also where the weight is infinite); padding never wins a `MaxPool`,
//!   and a window with no element at all (possible with dilation) gives -inf there and 0 in an `AveragePool`.
//! * **i64** arithmetic wraps on overflow; division truncates towards zero, as in ONNX Runtime, and by zero is an error.
//!
//! # Example
//!
//! ```
//! use rnc_ir::op::Unary;
//! use rnc_ir::{Dim, Graph, Op, TensorType};
//! use rnc_reference::{Value, run};
//!
//! let mut graph = Graph::new("example");
//! let x = graph.add_input("x", TensorType::f32([Dim::Batch, Dim::Fixed(2)]));
//! let y = graph.add("y", Op::Unary(Unary::Relu), &[x])?;
//! graph.add_output("y", y);
//!
//! let inputs = [("x".to_owned(), Value::from(ndarray::array![[1.0f32, -1.0]]))].into();
//! let outputs = run(&graph, &inputs)?;
//! assert_eq!(outputs["y"], Value::from(ndarray::array![[1.0f32, 0.0]]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod ops;
mod run;
mod value;

pub use error::{Error, Fault};
pub use run::{MAX_ELEMENTS, run, run_all};
pub use value::Value;
