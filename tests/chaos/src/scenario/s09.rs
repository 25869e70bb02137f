//! S9: the network is cut one way. An instance reaches everything but the transaction coordinator, or everything but the
//! logs; then all of one instance is cut off, while it goes on believing what it last heard.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::steps::{all_alive, conclude, note, quiet_window, seeds};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::proxy::{COORDINATOR, Proxy, api};
use crate::rng::Rng;
use crate::workload::Manners;

/// A grid is judged after so many cuts.
const CUTS: u32 = 10;

/// What is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Requests to the transaction coordinator never arrive.
    Coordinator,
    /// Answers of the transaction coordinator never arrive.
    CoordinatorAnswers,
    /// Nothing is read.
    Reading,
    /// Nothing is written: also no announcement that the instance is there.
    Writing,
    /// Connections are closed and refused.
    All,
    /// Connections stay and nothing passes.
    HalfOpen,
}

const KINDS: [Cut; 6] =
    [Cut::Coordinator, Cut::CoordinatorAnswers, Cut::Reading, Cut::Writing, Cut::All, Cut::HalfOpen];

impl Cut {
    fn apply(self, proxy: &Proxy) {
        let faults = &proxy.faults;
        match self {
            Self::Coordinator => faults.swallow(&COORDINATOR),
            Self::CoordinatorAnswers => faults.mute(&COORDINATOR),
            Self::Reading => faults.swallow(&[api::FETCH]),
            Self::Writing => faults.swallow(&[api::PRODUCE]),
            Self::All => proxy.cut_off(),
            Self::HalfOpen => faults.stall(),
        }
    }
}

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let trials = lab.plan.trials(6);
    Ok(seeds(
        lab,
        |_, outcome| outcome.trials < trials,
        |lab, seed, outcome| cuts(lab, seed, trials, outcome),
    ))
}

fn cuts(lab: &Lab, seed: u64, trials: u32, outcome: &mut Outcome) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut grid = Grid::start(lab, "s9", options(), &mut rng)?;
    let mut choices = rng.fork("nemesis");
    for _ in 0..CUTS {
        if outcome.trials >= trials {
            break;
        }
        let cut = KINDS[outcome.trials as usize % KINDS.len()];
        outcome.trials += 1;
        let victim = usize::try_from(choices.below(2)).unwrap_or(0);
        let length = choices.millis(2_000, 15_000);
        let trial = format!("seed {seed}, {cut:?} of i{victim} for {} ms", length.as_millis());
        let proxy = lab.proxies.get(victim).context("a proxy")?;
        let before = proxy.faults.counts();
        cut.apply(proxy);
        note(lab, "cut", &trial);
        thread::sleep(length);
        let after = proxy.faults.counts();
        proxy.faults.heal();
        let touched = |count: fn(&crate::proxy::Counts) -> u64| count(&after) - count(&before);
        let traces = touched(|counts| counts.swallowed)
            + touched(|counts| counts.muted)
            + touched(|counts| counts.cut)
            + touched(|counts| counts.stalled);
        if traces == 0 {
            outcome.invalid.push(format!("{trial}: the cut touched no frame"));
        }
        if !quiet_window(&grid, &trial, outcome) {
            return Ok(());
        }
        all_alive(&mut grid, &trial, outcome);
        say(
            "S9",
            &format!("{trial}: {traces} frames or connections, recovered, {} tasks ended", grid.ends()),
        );
        thread::sleep(Duration::from_secs(1));
    }
    grid.all_ready()?;
    conclude(lab, &mut grid, "S9", seed, outcome)
}

/// Workers fail and lie, but don't die: how soon a task ends is to be the servers' doing.
fn options() -> GridOptions {
    GridOptions { manners: Manners { deaths: 0, ..Manners::bad() }, ..GridOptions::new(2) }
}
