//! What is said when a file becomes shorter while it is mapped.

/// Has the process end with a message and exit code 1 where it would end by the signal `SIGBUS`, which is what touching a page that was cut off a mapped file
/// gives. Plans are checked before and after every run; this is for what happens in between.
#[cfg(unix)]
#[allow(unsafe_code, reason = "handling a signal")]
pub(crate) fn report_files_that_are_cut() {
    extern "C" fn report(_: libc::c_int) {
        // SAFETY: both may be called in a signal handler (signal-safety(7)); the bytes are static.
        unsafe {
            libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(1);
        }
    }
    let handler: extern "C" fn(libc::c_int) = report;
    // SAFETY: the handler does nothing but what handlers may do. Nothing else handles this signal.
    unsafe {
        libc::signal(libc::SIGBUS, handler as libc::sighandler_t);
    }
}

#[cfg(not(unix))]
pub(crate) fn report_files_that_are_cut() {}

#[cfg(unix)]
const MESSAGE: &str = "  \u{d7} the plan file became shorter while it was read\n  help: copy it again or compile the model again; replace plan files (as `mv` does) instead of writing into them\n";
