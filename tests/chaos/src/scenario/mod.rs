//! The scenarios, named after the rows of the scorecard (docs/reliability.md).

mod points;
mod s01;
mod s03;
mod s04;
mod s05;
mod s06;
mod s07;
mod s09;
mod s10;
mod s11;
mod s12;
mod s13;
mod s14;
mod s16;
mod s20;
mod s23;
mod s24;
mod s25;
mod s30;
mod s31;
mod steps;
mod suite;

use anyhow::{Result, bail};

use crate::lab::{Lab, Outcome};

/// One way to break it.
pub(crate) struct Scenario {
    /// Of the scorecard's row.
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Lab) -> Result<Outcome>,
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { id: "S1", what: "kill -9 at each failpoint, K0 to K26 (--trials: seeds)", run: s01::run },
    Scenario {
        id: "S3",
        what: "kill -9 of one to three instances at random moments (--minutes)",
        run: s03::run,
    },
    Scenario { id: "S4", what: "SIGSTOP in the middle of a batch, K1 to K9 (--trials)", run: s04::run },
    Scenario {
        id: "S5",
        what: "the end of a transaction is kept back: KAFKA-17754 (--trials)",
        run: s05::run,
    },
    Scenario { id: "S6", what: "the broker is killed and started again (--trials)", run: s06::run },
    Scenario { id: "S7", what: "the broker is away under load (--minutes)", run: s07::run },
    Scenario { id: "S8", what: "the broker stands still for 70 s (--trials)", run: s06::run_pauses },
    Scenario { id: "S9", what: "one instance is cut off, also one way only (--trials)", run: s09::run },
    Scenario { id: "S10", what: "an instance joins or leaves every 2 s (--minutes)", run: s10::run },
    Scenario { id: "S11", what: "how long a failover takes, and a restart (--trials)", run: s11::run },
    Scenario { id: "S12", what: "instances are stopped and started again in turn (--trials)", run: s12::run },
    Scenario {
        id: "S13",
        what: "a stranger's transaction is open in the changelog (--trials)",
        run: s13::run,
    },
    Scenario {
        id: "S14",
        what: "the disk is full, then has room again; needs root (--trials)",
        run: s14::run,
    },
    Scenario { id: "S16", what: "one of RocksDB's files is damaged (--trials)", run: s16::run },
    Scenario { id: "S20", what: "an input is deleted and made again", run: s20::run },
    Scenario { id: "S23", what: "10,000 workers fall silent at once (--workers, --tasks)", run: s23::run },
    Scenario { id: "S24", what: "the wall's clock steps; needs libfaketime", run: s24::run },
    Scenario { id: "S25", what: "2,000,000 tasks wait (--tasks)", run: s25::run },
    Scenario { id: "S30", what: "all nemeses in turn (--minutes)", run: s30::run },
    Scenario {
        id: "S31",
        what: "mutants M1 to M14, each of which must be caught (--mutant: one)",
        run: s31::run,
    },
];

pub(crate) fn find(id: &str) -> Result<&'static Scenario> {
    match SCENARIOS.iter().find(|scenario| scenario.id.eq_ignore_ascii_case(id)) {
        Some(scenario) => Ok(scenario),
        None => bail!("there is no scenario {id}: --list shows them all"),
    }
}
