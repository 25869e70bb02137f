//! Whole lives: submitted, assigned, started, completed. Beside it the raw limit: as many records in and out, of the
//! same mean sizes, consumed, produced and committed exactly once, with nothing decided between.

use std::time::Instant;

use serde_json::{Value, json};

use super::Ground;
use super::fleet::SLOTS;
use super::grid::{Counted, Grid, PHASES, phase_json, phase_words, raw_topics};
use super::message::submit;
use super::spread::Spread;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::kafka::{RawShape, raw_pass};

/// Of the raw program: large, since that is best for it.
const PER_TRANSACTION: usize = 5_000;

/// What is measured.
pub(super) struct Shape {
    pub(super) tasks: usize,
    pub(super) workers: usize,
    pub(super) rounds: u32,
}

/// What came out.
#[derive(Default)]
pub(super) struct Lives {
    tasks: usize,
    workers: usize,
    rate: Spread,
    raw: Spread,
    ratio: Spread,
    records_in: Spread,
    records_out: Spread,
    bytes_out: Spread,
    batch: Spread,
    /// Microseconds of processor time of the server, per task.
    cpu: Spread,
    /// Microseconds per task, by phase.
    phases: [Spread; PHASES.len()],
}

/// One round after the other, ours and the raw one in turns. A first one is not counted: the broker compiles its own
/// code meanwhile, for which it takes more than half of a core.
pub(super) fn measure(ground: &Ground, shape: &Shape) -> Result<Lives, Failure> {
    let mut lives = Lives { tasks: shape.tasks, workers: shape.workers, ..Lives::default() };
    for round in 0..=shape.rounds {
        let (rate, counted) = ours(ground, shape)?;
        let raw = raw(ground, shape, counted)? / (counted.taken / counted.ended);
        if round == 0 {
            say(&format!("warming up: {rate:.0} tasks/s, raw {raw:.0}"));
            continue;
        }
        say(&format!("round {round} of {}: {rate:.0} tasks/s, raw {raw:.0}", shape.rounds));
        lives.rate.add(rate);
        lives.raw.add(raw);
        lives.ratio.add(rate / raw);
        lives.records_in.add(counted.taken / counted.ended);
        lives.records_out.add(counted.produced / counted.ended);
        lives.bytes_out.add(counted.produced_bytes / counted.ended);
        lives.batch.add(counted.taken / counted.batches);
        lives.cpu.add(counted.cpu / counted.ended * 1e6);
        for (spread, seconds) in lives.phases.iter_mut().zip(counted.phases) {
            spread.add(seconds / counted.ended * 1e6);
        }
    }
    Ok(lives)
}

fn ours(ground: &Ground, shape: &Shape) -> Result<(f64, Counted), Failure> {
    let grid = Grid::start(ground, shape.workers)?;
    let warm = shape.tasks / 10;
    for number in 0..warm {
        grid.submit(number)?;
    }
    grid.tasks.finish()?;
    let before = grid.await_ended(warm)?;
    let began = Instant::now();
    for number in warm..warm + shape.tasks {
        grid.submit(number)?;
    }
    grid.tasks.finish()?;
    let after = grid.await_ended(warm + shape.tasks)?;
    let rate = shape.tasks as f64 / began.elapsed().as_secs_f64();
    Ok((rate, after.since(before)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn raw(ground: &Ground, shape: &Shape, counted: Counted) -> Result<f64, Failure> {
    let [from, to] = raw_topics(&ground.conn)?;
    let shape = RawShape {
        records: (shape.tasks as f64 * counted.taken / counted.ended) as usize,
        bytes: submit(super::grid::POOL, "t-100000").len(),
        per_transaction: PER_TRANSACTION,
        out_per_in: counted.produced / counted.taken,
        out_bytes: (counted.produced_bytes / counted.produced) as usize,
    };
    raw_pass(&ground.conn.bootstrap, &from, &to, &shape)
        .map_err(|error| Failure::Incomplete(format!("the raw run failed: {error}")))
}

impl Lives {
    /// For a person.
    pub(super) fn lines(&self) -> Vec<String> {
        vec![
            format!(
                "lives: {} tasks, 1 pool on 1 partition, {} workers with {SLOTS} slots; median of {} (least to most)",
                self.tasks,
                self.workers,
                self.rate.json().get("rounds").cloned().unwrap_or_default()
            ),
            format!("  yardmaster, tasks/s     {}", self.rate.words(0)),
            format!("  raw, tasks/s            {}", self.raw.words(0)),
            format!("  ratio                   {}", self.ratio.words(2)),
            format!("  records in per task     {}", self.records_in.words(2)),
            format!("  records out per task    {}", self.records_out.words(2)),
            format!("  bytes out per task      {}", self.bytes_out.words(0)),
            format!("  records in per batch    {}", self.batch.words(0)),
            format!("  server's CPU per task   {} µs", self.cpu.words(0)),
            format!("  µs per task             {}", phase_words(&self.phases)),
        ]
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "tasks": self.tasks, "workers": self.workers, "slots": SLOTS,
            "tasks_per_second": self.rate.json(), "raw_tasks_per_second": self.raw.json(), "ratio": self.ratio.json(),
            "records_in_per_task": self.records_in.json(), "records_out_per_task": self.records_out.json(),
            "bytes_out_per_task": self.bytes_out.json(), "records_in_per_batch": self.batch.json(),
            "cpu_microseconds_per_task": self.cpu.json(),
            "microseconds_per_task": phase_json(&self.phases),
        })
    }
}
