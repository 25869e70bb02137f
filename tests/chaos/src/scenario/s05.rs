//! S5: KAFKA-17754. The end of a transaction is kept back in the network; its client times out and goes on, over another
//! connection, with the next transaction; then the old end arrives. It must not end what it was not sent for. Likewise a
//! produce request that arrives after its transaction is long over.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::steps::{conclude, note, quiet_window, seeds};
use crate::cluster::await_that;
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::proxy::{Faults, HoldId, Wanted, api};
use crate::rng::Rng;

/// The client's own patience is 9.9 s; the broker's with a transaction 10 s.
const HELD_MAX: Duration = Duration::from_secs(40);
/// A grid is judged after so many rounds.
const ROUNDS: u32 = 6;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let trials = lab.plan.trials(8);
    Ok(seeds(
        lab,
        |_, outcome| outcome.trials < trials,
        |lab, seed, outcome| several(lab, seed, trials, outcome),
    ))
}

fn several(lab: &Lab, seed: u64, trials: u32, outcome: &mut Outcome) -> Result<()> {
    let mut rng = Rng::new(seed);
    // One instance: whoever is fenced is fenced by itself, not by a peer that took over.
    let mut grid = Grid::start(lab, "s5", GridOptions::new(1), &mut rng)?;
    let mut choices = rng.fork("nemesis");
    for round in 1..=ROUNDS {
        if outcome.trials >= trials {
            break;
        }
        // Three of four rounds hold the end, one a produce.
        let kind = if choices.percent(75) { api::END_TXN } else { api::PRODUCE };
        let held = hold_all(lab, &mut grid, kind, &mut choices)?;
        say(
            "S5",
            &format!("seed {seed}, round {round}: kept back request {kind} of {} transactions", held.len()),
        );
        for result in held {
            outcome.trials += 1;
            if let Err(error) = result {
                outcome.invalid.push(format!("seed {seed}, round {round}: {error:#}"));
            }
        }
        if !quiet_window(&grid, &format!("seed {seed}, round {round}"), outcome) {
            return Ok(());
        }
    }
    conclude(lab, &mut grid, "S5", seed, outcome)
}

/// One trial for each partition, all at once: a round takes as long as a client's patience.
fn hold_all(lab: &Lab, grid: &mut Grid, kind: i16, rng: &mut Rng) -> Result<Vec<Result<()>>> {
    let Some(proxy) = lab.proxies.first() else {
        bail!("there is no proxy");
    };
    let faults = &proxy.faults;
    let hold = |partition: usize| {
        let transactional_id = Some(format!("{}-{partition}", grid.client.namespace));
        let skip = u32::try_from(rng.below(4)).unwrap_or(0);
        faults.hold(Wanted { api: kind, transactional_id, skip })
    };
    let held: Vec<HoldId> = (0..grid.options.partitions).map(hold).collect();
    let began = Instant::now();
    let mut results = Vec::new();
    for id in held {
        let left = HELD_MAX.saturating_sub(began.elapsed()).max(Duration::from_secs(1));
        let open = await_that("the next transaction to be open", left, || {
            faults.is_caught(id) && next_is_open(&faults.passed(id))
        });
        let passed = faults.passed(id);
        let was_held = faults.release(id);
        note(lab, "release", &format!("{kind}: {passed:?}"));
        results.push(if was_held { open } else { missed(faults, kind) });
    }
    Ok(results)
}

fn missed(faults: &Faults, kind: i16) -> Result<()> {
    bail!("no request {kind} came by to be kept back: {:?}", faults.counts())
}

/// The client went on: it produced into a transaction after it had begun one, or had fenced itself.
fn next_is_open(passed: &[i16]) -> bool {
    let began = passed
        .iter()
        .position(|api| [api::END_TXN, api::INIT_PRODUCER_ID].contains(api))
        .and_then(|at| passed.get(at..));
    began.is_some_and(|rest| rest.contains(&api::PRODUCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_transaction_is_open_when_something_was_produced_after_the_retry() {
        assert!(!next_is_open(&[api::PRODUCE, api::END_TXN]));
        assert!(next_is_open(&[api::END_TXN, api::ADD_PARTITIONS_TO_TXN, api::PRODUCE]));
        assert!(next_is_open(&[api::INIT_PRODUCER_ID, api::ADD_PARTITIONS_TO_TXN, api::PRODUCE]));
    }
}
