//! S13: a stranger holds a transaction open in the changelog while an instance has to restore from it. What lies behind it is
//! waited for, never left out.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::steps::{conclude, millis, note, quiet_window};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::rng::Rng;

/// The broker ends the stranger's transaction after that.
const STRANGER: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome::default();
    let mut grid = Grid::start(lab, "s13", GridOptions::new(1), &mut rng)?;
    for trial in 1..=lab.plan.trials(1) {
        outcome.trials += 1;
        grid.probe()?;
        let stranger = open_transaction(&grid, trial)?;
        note(lab, "foreign transaction", &trial.to_string());
        // Batches lie behind it now.
        thread::sleep(Duration::from_secs(3));
        grid.at(0)?.kill()?;
        std::fs::remove_dir_all(grid.at(0)?.state_dir())?;
        grid.at(0)?.start(&[])?;
        let began = Instant::now();
        if let Err(error) = grid.at(0)?.await_ready(PATIENCE) {
            outcome.violations.push(format!("I11: trial {trial}: {error:#}"));
            break;
        }
        say("S13", &format!("trial {trial}: ready {} ms after the start", millis(began.elapsed())));
        drop(stranger);
        if !quiet_window(&grid, &format!("trial {trial}"), &mut outcome) {
            return Ok(outcome);
        }
    }
    conclude(lab, &mut grid, "S13", lab.plan.seed, &mut outcome)?;
    Ok(outcome)
}

/// Records in every partition of the changelog that are never going to be committed.
fn open_transaction(grid: &Grid, trial: u32) -> Result<BaseProducer> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &grid.client.bootstrap)
        .set("transactional.id", format!("stranger-{}-{trial}", grid.client.namespace))
        .set("transaction.timeout.ms", STRANGER.as_millis().to_string())
        .set("message.timeout.ms", "10000")
        .create()?;
    producer.init_transactions(PATIENCE)?;
    producer.begin_transaction()?;
    let topic = grid.client.topic("changelog");
    for partition in 0..i32::try_from(grid.options.partitions)? {
        let record: BaseRecord<'_, str, str> =
            BaseRecord::to(&topic).partition(partition).key("stranger").payload("of no meaning");
        producer.send(record).map_err(|(error, _)| error)?;
    }
    // Delivered, and neither committed nor aborted.
    let deadline = Instant::now() + PATIENCE;
    while producer.in_flight_count() > 0 && Instant::now() < deadline {
        producer.poll(Duration::from_millis(20));
    }
    Ok(producer)
}
