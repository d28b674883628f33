//! A graph in the text syntax.
#![no_main]

rnc_fuzz::target!(Text);
