//! The guard process: learns of process groups from its stdin and kills what is left of them at its end, which comes
//! when the worker is gone, however it went.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use super::guard::GUARD_READY;

/// Is a guard until `lines` ends: `+GROUP` is to be killed then, `-GROUP` no more. SIGTERM, SIGINT and SIGHUP don't end it.
///
/// # Errors
/// When the signals can't be kept off, or nobody listens on `out`.
pub fn guard_groups(lines: impl BufRead, mut out: impl Write) -> io::Result<()> {
    // Whoever has asked for a signal once does not die of it any more; nothing is ever done with them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
    let _kept_off = kinds.into_iter().map(signal).collect::<io::Result<Vec<_>>>()?;
    out.write_all(GUARD_READY)?;
    out.flush()?;
    for group in left_at_the_end(lines) {
        // ESRCH: it has ended this moment.
        killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
    }
    Ok(())
}

/// The groups that were named and not taken back.
fn left_at_the_end(lines: impl BufRead) -> BTreeSet<i32> {
    let mut groups = BTreeSet::new();
    // A line that can't be read is the end, too: nobody could take anything back any more.
    for line in lines.lines().map_while(Result::ok) {
        let number = |text: &str| text.parse().ok().filter(|group| *group > 1);
        if let Some(group) = line.strip_prefix('+').and_then(number) {
            groups.insert(group);
        } else if let Some(group) = line.strip_prefix('-').and_then(number) {
            groups.remove(&group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_and_what_is_no_group_is_left_alone() {
        let lines = "+12\n+13\n-12\n+1\n+0\n+-5\n+x\n\n-99\n+14\n";
        assert_eq!(left_at_the_end(lines.as_bytes()), BTreeSet::from([13, 14]));
    }
}
