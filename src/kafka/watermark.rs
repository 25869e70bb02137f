//! Where a partition ends for everybody, open transactions included. Proves something only after a fence: a commit may
//! return before its marker is written, but `init_transactions` does not.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use yardmaster_state::chaos::Mutant;

use super::apart::Apart;
use super::calls::{Call, watched};
use super::client::Connection;
use super::error::{KafkaFailure, Result, failure};

const PATIENCE: Duration = Duration::from_secs(10);
/// The broker ends a transaction that nobody ends within 10 s, give or take as much.
const OPEN_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The first offset of a partition, and the one after its last.
///
/// # Errors
/// `MissingTopic`, or `Unreachable` after 10 s.
pub fn high_watermark(conn: &Connection, topic: &str, partition: i32) -> Result<(i64, i64)> {
    let consumer = uncommitted(conn)?;
    watermarks_by(&consumer, topic, partition)
}

/// The offset in each of partitions 0 to `partitions` - 1 before which everything is decided: what is committed from now
/// on comes behind it, also out of a transaction that is open now.
///
/// # Errors
/// The same.
pub fn stable_ends(conn: &Connection, topic: &str, partitions: i32) -> Result<Vec<i64>> {
    let consumer = asker(&conn.committed_reader()?)?;
    (0..partitions).map(|partition| Ok(watermarks_by(&consumer, topic, partition)?.1)).collect()
}

/// As [`stable_ends`], of one partition.
pub(super) fn stable_end(conn: &Connection, topic: &str, partition: i32) -> Result<i64> {
    Ok(watermarks_by(&*asker(&conn.committed_reader()?)?, topic, partition)?.1)
}

/// The first offset of each partition, and an end of it below which everything is decided and nothing is missing: every
/// transaction that was committed before this was called lies below. Waits for those that are open. None where there is
/// no such partition.
///
/// # Errors
/// `Unreachable`; also when a transaction stays open for a minute.
pub fn settled_ends(conn: &Connection, places: &[(String, i32)]) -> Result<Vec<Option<(i64, i64)>>> {
    let all = uncommitted(conn)?;
    let stable = asker(&conn.committed_reader()?)?;
    places
        .iter()
        .map(|(topic, partition)| match settled(&all, &stable, topic, *partition) {
            Ok(ends) => Ok(Some(ends)),
            Err(KafkaFailure::MissingTopic(_)) => Ok(None),
            Err(error) => Err(error),
        })
        .collect()
}

fn settled(all: &BaseConsumer, stable: &BaseConsumer, topic: &str, partition: i32) -> Result<(i64, i64)> {
    let (first, last) = watermarks_by(all, topic, partition)?;
    let deadline = Instant::now() + OPEN_MAX;
    loop {
        // Everything below is committed or aborted; one who asks with `read_committed` is told this end.
        let (_, end) = watermarks_by(stable, topic, partition)?;
        if end >= last {
            return Ok((first, end));
        }
        if Instant::now() >= deadline {
            return Err(KafkaFailure::Unreachable(format!(
                "{topic}-{partition}: a transaction is open at offset {end}, and has been for a minute"
            )));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A client that can be asked for the watermarks of several partitions.
pub(super) fn uncommitted(conn: &Connection) -> Result<Apart<BaseConsumer>> {
    let config = if Mutant::RestoreToStableEnd.is_on() {
        conn.committed_reader()?
    } else {
        conn.uncommitted_reader()?
    };
    asker(&config)
}

fn asker(config: &ClientConfig) -> Result<Apart<BaseConsumer>> {
    let created = config.create().map_err(|error| failure("creating a consumer", "", &error));
    Ok(Apart::new("a client that asks for watermarks", created?))
}

/// As [`high_watermark`], by a client that exists.
pub(super) fn watermarks_by(consumer: &BaseConsumer, topic: &str, partition: i32) -> Result<(i64, i64)> {
    let place = format!("{topic}-{partition}");
    watched(Call::Watermarks, &place, || consumer.fetch_watermarks(topic, partition, PATIENCE))
        .map_err(|error| failure(&format!("asking for the watermarks of {place}"), topic, &error))
}
