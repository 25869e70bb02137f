//! The end of a process in which something hangs: nothing is unwound and no handler runs, since those would wait for it.
//! What is lost by this is what a kill loses: nothing, since the next start recovers it.
#![expect(unsafe_code, reason = "no crate of ours wraps _exit")]

use std::io::Write as _;

/// Ends the process at once, with this exit code.
pub(crate) fn at_once(code: u8) -> ! {
    // Log lines are written as they come; only these have buffers. A pipe that nobody reads must not hold the end up.
    std::io::stdout().flush().ok();
    std::io::stderr().flush().ok();
    // SAFETY: it takes no pointers and does not return.
    unsafe { nix::libc::_exit(i32::from(code)) }
}
