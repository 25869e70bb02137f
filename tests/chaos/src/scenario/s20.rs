//! S20, its second part: an input is deleted and made again under the same name while the instance is down. The instance must
//! not serve it as if nothing had happened.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use super::steps::note;
use crate::cluster::{await_that, last_lines};
use crate::grid::{Grid, GridOptions};
use crate::lab::{Lab, Outcome, say};
use crate::rng::Rng;

/// Longer than a start takes by far.
const WATCHED: Duration = Duration::from_secs(25);

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let mut rng = Rng::new(lab.plan.seed);
    let mut outcome = Outcome { trials: 1, ..Outcome::default() };
    let mut grid = Grid::start(lab, "s20", GridOptions::new(1), &mut rng)?;
    grid.probe()?;
    let missing = grid.drain();
    outcome.violations.extend(missing);
    grid.at(0)?.stop()?;
    let topic = grid.client.topic("tasks");
    let partitions = i32::try_from(grid.options.partitions)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(make_again(&grid.client.bootstrap, &topic, partitions))?;
    note(lab, "made again", &topic);
    grid.at(0)?.start(&[])?;
    let served =
        await_that("readiness", WATCHED, || grid.instances.iter().any(crate::cluster::Instance::is_ready));
    let log = last_lines(&grid.at(0)?.log_path(), 200);
    if served.is_ok() {
        outcome.violations.push(format!("{topic} was made again, and the instance serves it"));
    }
    if served.is_err() && !log.contains(&topic) {
        outcome.violations.push(format!("the instance does not say that {topic} was made again; {log}"));
    }
    say("S20", &format!("made again: served {}", served.is_ok()));
    Ok(outcome)
}

async fn make_again(bootstrap: &str, topic: &str, partitions: i32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    admin.delete_topics(&[topic], &options).await.context("deleting the topic")?;
    // The broker takes a moment until the name is free.
    for _ in 0..50 {
        let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
            .set("cleanup.policy", "delete")
            .set("retention.ms", "604800000")
            .set("message.timestamp.type", "LogAppendTime");
        let made = admin.create_topics(&[wanted], &options).await?;
        if made.iter().all(Result::is_ok) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("{topic} could not be made again")
}
