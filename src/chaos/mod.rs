//! Faults on demand, for tests: `YARDMASTER_FAILPOINT=after_flush@3=kill` kills the process when it passes that place for
//! the third time.
//!
//! Only builds with the feature `chaos` can. Any other refuses to start with the variable, so that no test passes because
//! nothing was armed.

#[cfg(feature = "chaos")]
mod arm;
mod parse;
mod points;

pub use points::POINTS;

const FAILPOINT: &str = "YARDMASTER_FAILPOINT";

/// Arms what the environment names.
pub(crate) fn start() -> Result<(), String> {
    let Ok(text) = std::env::var(FAILPOINT) else {
        return Ok(());
    };
    let armed = parse::parse(&text).and_then(|armed| arm(&armed));
    armed.map_err(|error| format!("{FAILPOINT}: {error}"))
}

#[cfg(feature = "chaos")]
use arm::arm;

#[cfg(not(feature = "chaos"))]
fn arm(_armed: &[parse::Armed]) -> Result<(), String> {
    Err("this program has no failpoints: build it with `--features chaos`, or unset the variable".to_owned())
}
