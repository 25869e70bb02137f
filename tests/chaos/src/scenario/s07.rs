//! S7: the broker is away for minutes while everybody goes on asking. Nothing may be acknowledged that is not there, nothing
//! may grow, and afterwards the backlog is worked off much faster than it came. Leases stand still meanwhile.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::steps::{all_alive, conclude, note, quiet_window};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::rng::Rng;
use crate::workload::Manners;

const GROWTH_KB_MAX: u64 = 64 << 10;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let away = lab.plan.minutes(5.0);
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome { trials: 1, ..Outcome::default() };
    // Honest workers: whoever is lost here is lost by the outage.
    let options = GridOptions { manners: Manners::good(), ..GridOptions::new(2) };
    let mut grid = Grid::start(lab, "s7", options, &mut rng)?;
    thread::sleep(Duration::from_secs(20));
    let (before, lost_before) = (memory_kb(&grid), grid.observers[0].seen().count("worker_lost"));
    let taken = |grid: &Grid| {
        grid.submitter.as_ref().map_or(0, |submitter| submitter.answers.taken.load(Ordering::SeqCst))
    };
    lab.broker.kill()?;
    note(lab, "broker killed", "for minutes");
    // Requests that were on their way may still be answered well.
    thread::sleep(Duration::from_secs(12));
    let (taken_before, mut largest) = (taken(&grid), before.clone());
    let until = Instant::now() + away;
    while Instant::now() < until {
        thread::sleep(Duration::from_secs(5));
        for (most, now) in largest.iter_mut().zip(memory_kb(&grid)) {
            *most = now.max(*most);
        }
    }
    let false_answers = taken(&grid) - taken_before;
    if false_answers > 0 {
        outcome
            .violations
            .push(format!("I8: {false_answers} submits were acknowledged while there was no broker"));
    }
    for (number, (before, most)) in before.iter().zip(&largest).enumerate() {
        say("S7", &format!("i{number}: {before} KiB before, at most {most} KiB while the broker was away"));
        outcome
            .notes
            .push(format!("i{number}: +{} KiB while the broker was away", most.saturating_sub(*before)));
        if most.saturating_sub(*before) > GROWTH_KB_MAX {
            outcome.violations.push(format!("I10: i{number} grew from {before} to {most} KiB"));
        }
    }
    lab.broker.restart()?;
    catch_up(&mut grid, away, &mut outcome);
    let lost = grid.observers[0].seen().count("worker_lost") - lost_before;
    if lost > 0 {
        outcome.violations.push(format!("{lost} workers were lost, though only the broker was away"));
    }
    all_alive(&mut grid, "after the outage", &mut outcome);
    conclude(lab, &mut grid, "S7", lab.plan.seed, &mut outcome)?;
    Ok(outcome)
}

fn catch_up(grid: &mut Grid, away: Duration, outcome: &mut Outcome) {
    let began = Instant::now();
    if !quiet_window(grid, "after the outage", outcome) {
        return;
    }
    // What clients had queued comes in first; then everything that was taken must end.
    let ends = grid.ends();
    let missing = grid.drain();
    let took = began.elapsed();
    outcome.violations.extend(missing);
    let (during, rate) = (away.as_secs_f64(), took.as_secs_f64());
    let note = format!(
        "{} tasks of an outage of {during:.0} s were worked off in {rate:.1} s: {:.1} times as fast as they came",
        grid.ends() - ends,
        during / rate.max(0.1)
    );
    say("S7", &note);
    outcome.notes.push(note);
    if during / rate.max(0.1) < 3.0 && during > 60.0 {
        outcome.violations.push(format!("I11: catching up took {rate:.0} s after {during:.0} s away"));
    }
}

fn memory_kb(grid: &Grid) -> Vec<u64> {
    grid.instances.iter().map(|instance| instance.rss_kb().unwrap_or(0)).collect()
}
