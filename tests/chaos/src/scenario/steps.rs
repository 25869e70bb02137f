//! What several scenarios do: a quiet window after a fault, and the end of a run.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::grid::Grid;
use crate::history::Kind;
use crate::judge::judge;
use crate::lab::{Lab, Outcome, say};

/// The fault is over: a task of each pool must come to its end. A trial in which none does is a violation of liveness.
pub(super) fn quiet_window(grid: &Grid, trial: &str, outcome: &mut Outcome) -> bool {
    match grid.probe() {
        Ok(took) => {
            outcome.recoveries_ms.push(millis(took));
            true
        }
        Err(error) => {
            let words: Vec<String> =
                grid.instances.iter().map(crate::cluster::Instance::last_words).collect();
            outcome.violations.push(format!("I11: {trial}: {error:#}\n{}", words.join("\n")));
            false
        }
    }
}

/// Round after round, each with the next seed, while `goes_on` says so (it is told that seed) and nothing was violated. A round
/// that breaks off is invalid and ends the run; what was found so far stays found.
pub(super) fn seeds(
    lab: &mut Lab,
    goes_on: impl Fn(u64, &Outcome) -> bool,
    mut round: impl FnMut(&mut Lab, u64, &mut Outcome) -> Result<()>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut seed = lab.plan.seed;
    while goes_on(seed, &outcome) && outcome.violations.is_empty() {
        if let Err(error) = round(lab, seed, &mut outcome) {
            outcome.invalid.push(format!("seed {seed} broke off: {error:#}"));
            break;
        }
        seed += 1;
    }
    outcome
}

/// Drains, judges, and adds what was found. A grid in which nothing ended proves nothing.
pub(super) fn conclude(
    lab: &Lab,
    grid: &mut Grid,
    name: &str,
    seed: u64,
    outcome: &mut Outcome,
) -> Result<()> {
    let verdict = judge(lab, grid)?;
    let violations: Vec<String> = verdict.violations.iter().map(ToString::to_string).collect();
    outcome.invalid.extend(verdict.invalid.iter().map(|why| format!("{name}, seed {seed}: {why}")));
    outcome.compared += 1;
    let (ends, fleet) = (grid.ends(), grid.acknowledged.count());
    if ends == 0 {
        outcome.invalid.push(format!("{name}: nothing was completed"));
    }
    say(name, &format!("judged: {ends} tasks ended, {fleet} acknowledged, {} violations", violations.len()));
    outcome.violations.extend(violations.into_iter().map(|fault| format!("{name}, seed {seed}: {fault}")));
    if !outcome.seeds.contains(&seed) {
        outcome.seeds.push(seed);
    }
    Ok(())
}

/// What the nemesis did, into the history.
pub(super) fn note(lab: &Lab, what: &str, victim: &str) {
    lab.history.log("nemesis", Kind::Info, what, &json!(victim));
}

pub(super) fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// Nobody was killed, so nobody may have ended.
pub(super) fn all_alive(grid: &mut Grid, trial: &str, outcome: &mut Outcome) {
    for instance in &mut grid.instances {
        if !instance.is_running() {
            outcome.violations.push(format!(
                "{trial}: {} ended by itself; {}",
                instance.name,
                instance.last_words()
            ));
        }
    }
}
