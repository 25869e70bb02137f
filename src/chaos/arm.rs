//! Puts actions into failpoints.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use nix::sys::signal::{Signal, raise};
use yardmaster_state::chaos::{Mutant, fail};

use super::parse::{Action, Armed};

/// From here on passing them has consequences.
pub(super) fn arm(armed: &[Armed]) -> Result<(), String> {
    let mut by_point: BTreeMap<&'static str, Vec<Armed>> = BTreeMap::new();
    for one in armed {
        by_point.entry(one.point).or_default().push(*one);
    }
    for (point, wanted) in by_point {
        let passes = AtomicU64::new(0);
        let passed = move || {
            let pass = passes.fetch_add(1, Ordering::SeqCst) + 1;
            if let Some(here) = wanted.iter().find(|one| one.pass == pass) {
                act(here);
            }
        };
        fail::cfg_callback(point, passed)?;
    }
    Ok(())
}

/// From here on this process makes a mistake.
pub(super) fn mutate(mutant: Mutant) -> Result<(), String> {
    mutant.switch_on()?;
    writeln!(io::stderr(), "mutant {mutant:?}").map_err(|error| error.to_string())
}

/// Leaves a line first: a fault without a trace proves nothing.
fn act(here: &Armed) {
    let mut words = io::stderr().lock();
    let said = writeln!(words, "failpoint {} pass {}: {}", here.point, here.pass, here.action);
    said.and_then(|()| words.flush()).expect("a failpoint can say that it was met");
    drop(words);
    match here.action {
        // To this thread: it goes no further than here, whichever thread the kernel would have chosen.
        Action::Kill => raise(Signal::SIGKILL).expect("SIGKILL"),
        Action::Stop => raise(Signal::SIGSTOP).expect("SIGSTOP"),
        Action::Panic => panic!("failpoint {}", here.point),
        Action::Delay(time) => thread::sleep(time),
    }
}
