//! Faults on demand, for tests: `YARDMASTER_FAILPOINT=after_flush@3=kill` kills the process when it passes that place for
//! the third time. `YARDMASTER_MUTANT=M4` makes it make a mistake that tests must find.
//!
//! Only builds with the feature `chaos` can. Any other refuses to start with either variable, so that no test passes because
//! nothing was armed.

#[cfg(feature = "chaos")]
mod arm;
mod parse;
mod points;

pub use points::POINTS;

const FAILPOINT: &str = "YARDMASTER_FAILPOINT";
const MUTANT: &str = "YARDMASTER_MUTANT";

/// Does to this process what the environment says.
pub(crate) fn start() -> Result<(), String> {
    let named = |variable: &str, error: String| format!("{variable}: {error}");
    if let Ok(text) = std::env::var(FAILPOINT) {
        let armed = parse::parse(&text).and_then(|armed| arm(&armed));
        armed.map_err(|error| named(FAILPOINT, error))?;
    }
    if let Ok(text) = std::env::var(MUTANT) {
        let mutated = parse::mutant(&text).and_then(mutate);
        mutated.map_err(|error| named(MUTANT, error))?;
    }
    Ok(())
}

#[cfg(feature = "chaos")]
use arm::{arm, mutate};

#[cfg(not(feature = "chaos"))]
const PLAIN: &str = "this program can't: build it with `--features chaos`, or unset the variable";

#[cfg(not(feature = "chaos"))]
fn arm(_armed: &[parse::Armed]) -> Result<(), String> {
    Err(PLAIN.to_owned())
}

#[cfg(not(feature = "chaos"))]
fn mutate(_mutant: yardmaster_state::chaos::Mutant) -> Result<(), String> {
    Err(PLAIN.to_owned())
}
