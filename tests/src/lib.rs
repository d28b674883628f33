//! Home of the tests that see every crate; nothing lives here but them.
