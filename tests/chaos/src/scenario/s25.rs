//! S25: millions of tasks wait. Memory stays below a cap, and a submit is accepted as fast as before.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::s23::await_moving;
use super::steps::{all_alive, millis};
use crate::cluster::{PATIENCE, await_some};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::report::percentiles;
use crate::rng::Rng;
use crate::workload::Outbox;

/// 1 GiB and 5 %.
const MEMORY_KB_MAX: u64 = (1 << 20) + (1 << 20) / 20;
const SAMPLES: usize = 200;
const IN_COMMAND: u64 = 500;

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let tasks = lab.plan.tasks.unwrap_or(2_000_000);
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome { trials: 1, ..Outcome::default() };
    let options = GridOptions { workers: 0, each: 0, keeps_names: false, ..GridOptions::new(1) };
    let mut grid = Grid::start(lab, "s25", options, &mut rng)?;
    let outbox = grid.client.outbox("tasks")?;
    let calm = latencies(&grid, &outbox, "before")?;
    let before = grid.at(0)?.rss_kb().unwrap_or(0);
    fill(&grid, &outbox, tasks)?;
    await_moving(&grid, "accepted", tasks + SAMPLES as u64)?;
    let after = grid.at(0)?.rss_kb().unwrap_or(0);
    let full = latencies(&grid, &outbox, "after")?;
    let ((c50, c99), (f50, f99)) = (percentiles(&calm), percentiles(&full));
    let line = format!(
        "{tasks} tasks wait: memory {before} -> {after} KiB; a submit is accepted after p50 {c50} -> {f50} ms, p99 {c99} -> {f99} ms"
    );
    say("S25", &line);
    outcome.notes.push(line);
    outcome.recoveries_ms = full;
    if after > MEMORY_KB_MAX {
        outcome
            .violations
            .push(format!("I10: memory is {after} KiB with {tasks} tasks: at most {MEMORY_KB_MAX}"));
    }
    // A fifth slower, and a few milliseconds for the machine's own moods.
    if f99 > c99 + c99 / 5 + 20 {
        outcome
            .violations
            .push(format!("a submit is accepted after p99 {f99} ms, {c99} ms when nothing waits"));
    }
    let refused = grid.observers[0].seen().count("refused");
    if refused > 0 {
        outcome.violations.push(format!("{refused} submits were refused"));
    }
    all_alive(&mut grid, "with the backlog", &mut outcome);
    Ok(outcome)
}

fn task(id: &str) -> serde_json::Value {
    json!({"id":id,"command":["true"],"payload":{"of":id}})
}

fn fill(grid: &Grid, outbox: &Outbox, tasks: u64) -> Result<()> {
    let mut sent = 0;
    while sent < tasks {
        for pool in &grid.pools {
            let count = IN_COMMAND.min(tasks - sent);
            let all: Vec<_> = (sent..sent + count).map(|number| task(&format!("t-{number}"))).collect();
            let record = json!({"v":1,"type":"submit_many","pool":pool,"tasks":all}).to_string();
            outbox.send(pool, &record, Vec::new())?;
            sent += count;
            if sent.is_multiple_of(100_000) {
                say(
                    "S25",
                    &format!(
                        "{sent} of {tasks} submitted, {} accepted",
                        grid.observers[0].seen().count("accepted")
                    ),
                );
            }
        }
        outbox.poll();
    }
    outbox.flush(PATIENCE)
}

/// One after the other: from the submit until its acceptance can be seen.
fn latencies(grid: &Grid, outbox: &Outbox, word: &str) -> Result<Vec<u64>> {
    let pool = grid.pools.first().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for number in 0..SAMPLES {
        let request = format!("marked-{word}-{number}");
        let record = json!({"v":1,"type":"submit","request_id":request,"pool":pool,"task":task(&request)});
        let began = Instant::now();
        outbox.send(&pool, &record.to_string(), Vec::new())?;
        let seen_at = await_some(&format!("the acceptance of {request}"), PATIENCE, || {
            outbox.poll();
            grid.observers[0].seen().answered.get(&request).copied()
        })?;
        all.push(millis(seen_at.duration_since(began)));
    }
    Ok(all)
}
