//! An ONNX model.
#![no_main]

rnc_fuzz::target!(Model);
