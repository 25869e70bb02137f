//! S10: every two seconds an instance joins or leaves, politely or not, while two others stay. Those that stay must not end,
//! and work goes on at a good part of its calm pace.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::steps::{conclude, note, quiet_window};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::rng::Rng;
use crate::workload::Manners;

/// The first ones stay, the last ones come and go.
const STAY: usize = 2;
const INSTANCES: usize = 4;
const EVERY: Duration = Duration::from_secs(2);
const CALM: Duration = Duration::from_secs(20);
const PACE_MIN: f64 = 0.3;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let minutes = lab.plan.minutes(2.0);
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome { trials: 1, ..Outcome::default() };
    let options = GridOptions { manners: Manners::good(), each: 6, ..GridOptions::new(STAY) };
    let mut grid = Grid::start(lab, "s10", options, &mut rng)?;
    let mut choices = rng.fork("nemesis");
    let calm = pace_over(&grid, || thread::sleep(CALM));
    while grid.instances.len() < INSTANCES {
        grid.add_instance(lab)?;
    }
    let (until, mut moves) = (Instant::now() + minutes, 0_u32);
    let before = (grid.ends(), Instant::now());
    while Instant::now() < until {
        let next = Instant::now() + EVERY;
        join_or_leave(lab, &mut grid, &mut choices)?;
        moves += 1;
        if moves.is_multiple_of(15) {
            say("S10", &format!("{moves} joins and leaves, {} tasks ended", grid.ends()));
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let churned = pace(grid.ends() - before.0, before.1.elapsed());
    for number in 0..STAY {
        let instance = grid.at(number)?;
        if !instance.is_running() || instance.lives != 1 {
            outcome.violations.push(format!("{} did not stay; {}", instance.name, instance.last_words()));
        }
    }
    let line = format!("{moves} joins and leaves; {churned:.0} tasks/s, {calm:.0} when calm");
    outcome.notes.push(line);
    if churned < PACE_MIN * calm {
        outcome.violations.push(format!("I11: {churned:.0} tasks/s under churn, {calm:.0} when calm"));
    }
    if quiet_window(&grid, "after the churn", &mut outcome) {
        conclude(lab, &mut grid, "S10", lab.plan.seed, &mut outcome)?;
    }
    Ok(outcome)
}

fn join_or_leave(lab: &Lab, grid: &mut Grid, rng: &mut Rng) -> Result<()> {
    let number = STAY + usize::try_from(rng.below((INSTANCES - STAY) as u64)).unwrap_or(0);
    let is_polite = rng.percent(60);
    let instance = grid.at(number)?;
    if !instance.is_running() {
        note(lab, "join", &instance.name);
        return instance.start(&[]);
    }
    note(lab, if is_polite { "leave" } else { "kill" }, &instance.name);
    if is_polite { instance.stop().map(drop) } else { instance.kill() }
}

fn pace_over(grid: &Grid, wait: impl FnOnce()) -> f64 {
    let (before, began) = (grid.ends(), Instant::now());
    wait();
    pace(grid.ends() - before, began.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "a few million at most")]
fn pace(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(0.001)
}
