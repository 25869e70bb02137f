//! S23: ten thousand workers with fifty thousand leases fall silent at once. Every attempt goes to a few workers that are left,
//! once, and soon; memory stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::steps::{all_alive, conclude, millis, note};
use crate::cluster::{PATIENCE, await_that};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::report::percentiles;
use crate::rng::Rng;
use crate::workload::{Client, Fleet, FleetOptions, Manners, task};

const LEASE: Duration = Duration::from_secs(15);
const LATE_MAX: Duration = Duration::from_secs(30);
const GROWTH_KB_MAX: u64 = 128 << 10;
const SLOTS: usize = 5;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let workers = lab.plan.workers.unwrap_or(10_000);
    let tasks = usize::try_from(lab.plan.tasks.unwrap_or((workers * SLOTS) as u64))?.min(workers * SLOTS);
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome { trials: 1, ..Outcome::default() };
    let options = GridOptions { workers: 0, each: 0, lease: LEASE, ..GridOptions::new(1) };
    let mut grid = Grid::start(lab, "s23", options, &mut rng)?;
    let pool = grid.pools.first().cloned().unwrap_or_default();
    let shams = Shams::start(&grid.client, &pool, workers)?;
    // Each needs a channel of its own first, which the broker makes one by one.
    submit(&grid, &pool, tasks)?;
    await_moving(&grid, "assigned", tasks as u64)?;
    say("S23", &format!("{tasks} attempts lie with {workers} workers"));
    let before = grid.at(0)?.rss_kb().unwrap_or(0);
    shams.fall_silent();
    let silent_at = Instant::now();
    note(lab, "silence", &workers.to_string());
    let manners = Manners::good();
    let rescue = FleetOptions {
        pools: vec![pool],
        workers: 4,
        slots: 4_000,
        lease: LEASE,
        manners,
        isolation: "read_committed",
    };
    grid.fleet = Some(Fleet::start(&grid.client, rescue, rng.fork("rescue"))?);
    await_moving(&grid, "ended", tasks as u64)?;
    let after = grid.at(0)?.rss_kb().unwrap_or(0);
    judge_times(&grid, tasks, silent_at, &mut outcome);
    outcome.notes.push(format!("memory {before} KiB before, {after} KiB after"));
    if after.saturating_sub(before) > GROWTH_KB_MAX {
        outcome.violations.push(format!("I10: memory grew from {before} to {after} KiB"));
    }
    all_alive(&mut grid, "after the silence", &mut outcome);
    conclude(lab, &mut grid, "S23", lab.plan.seed, &mut outcome)?;
    Ok(outcome)
}

fn judge_times(grid: &Grid, tasks: usize, silent_at: Instant, outcome: &mut Outcome) {
    let seen = grid.observers[0].seen();
    let again: Vec<u64> =
        seen.again.iter().map(|(_, at)| millis(at.saturating_duration_since(silent_at))).collect();
    let (p50, p99) = percentiles(&again);
    if again.len() < tasks {
        outcome.invalid.push(format!("only {} of {tasks} attempts were given out again", again.len()));
    }
    if again.len() > tasks {
        outcome.violations.push(format!("I2: {} second attempts of {tasks} tasks", again.len()));
    }
    if p99 > millis(LEASE + LATE_MAX) {
        outcome.violations.push(format!("I11: given out again after p99 {p99} ms"));
    }
    outcome.recoveries_ms = vec![p50, p99];
    outcome.notes.push(format!(
        "{} attempts given out again, p50 {p50} ms, p99 {p99} ms after the silence",
        again.len()
    ));
}

fn submit(grid: &Grid, pool: &str, tasks: usize) -> Result<()> {
    let outbox = grid.client.outbox("tasks")?;
    let numbers: Vec<usize> = (0..tasks).collect();
    for part in numbers.chunks(500) {
        let tasks: Vec<_> = part.iter().map(|number| task(&format!("t-{number}"))).collect();
        let record = json!({"v":1,"type":"submit_many","pool":pool,"tasks":tasks}).to_string();
        outbox.send(pool, &record, Vec::new())?;
    }
    outbox.flush(PATIENCE)
}

/// Only a standstill is an error.
pub(super) fn await_moving(grid: &Grid, kind: &str, wanted: u64) -> Result<()> {
    let count = || grid.observers[0].seen().count(kind);
    let mut before = count();
    while before < wanted {
        await_that(&format!("{wanted} events `{kind}`: {before} so far"), PATIENCE, || count() > before)?;
        before = count();
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Workers that say they are there and do nothing.
struct Shams {
    silent: Arc<AtomicBool>,
}

impl Shams {
    fn start(client: &Client, pool: &str, workers: usize) -> Result<Self> {
        let outbox = client.outbox("status")?;
        let silent = Arc::<AtomicBool>::default();
        let (inside, pool) = (Arc::clone(&silent), pool.to_owned());
        let say = move |number: usize, event: serde_json::Value| {
            let mut record = json!({"v":1,"pool":pool,"worker":format!("sham-{number}"),"incarnation":format!("s{number}")});
            if let (Some(all), Some(more)) = (record.as_object_mut(), event.as_object()) {
                all.extend(more.clone());
            }
            outbox.send(&pool, &record.to_string(), Vec::new()).ok();
            outbox.poll();
        };
        thread::Builder::new().name("shams".to_owned()).spawn(move || {
            for number in 0..workers {
                say(number, json!({"type":"hello","protocols":[1],"slots":SLOTS,"labels":{},"running":[]}));
            }
            while !inside.load(Ordering::SeqCst) {
                let round = Instant::now();
                // They have read nothing, so nothing that they were given counts as lost.
                for number in 0..workers {
                    let beat = json!({"type":"heartbeat","read_seq":0,"free_slots":SLOTS,"draining":false,"running":[]});
                    if !inside.load(Ordering::SeqCst) {
                        say(number, beat);
                    }
                }
                thread::sleep((LEASE / 4).saturating_sub(round.elapsed()));
            }
        })?;
        Ok(Self { silent })
    }

    fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }
}

impl Drop for Shams {
    fn drop(&mut self) {
        self.fall_silent();
    }
}
