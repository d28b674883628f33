//! The header message of a plan file.
#![no_main]

rnc_fuzz::target!(Plan);
