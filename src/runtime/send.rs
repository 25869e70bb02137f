//! Effects as records of the deciding transaction, or of whoever compares what was in it.

use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::wire::{Event, encode_event, encode_to_worker};

use super::deadletter::DeadLetter;
use super::names::Names;
use crate::kafka::{KafkaFailure, OutRecord, Transactions};
use crate::trace;

/// Where records go.
pub trait Outlet {
    /// Takes the next record.
    ///
    /// # Errors
    /// Whatever becomes of it there.
    fn put(&mut self, record: OutRecord<'_>) -> Result<(), KafkaFailure>;
}

impl Outlet for Transactions {
    fn put(&mut self, record: OutRecord<'_>) -> Result<(), KafkaFailure> {
        self.send(record)
    }
}

/// Sends what goes onto a topic; the rest is done after the commit.
pub(super) fn effect(
    outlet: &mut impl Outlet,
    names: &Names,
    partition: i32,
    effect: &Effect,
) -> Result<(), KafkaFailure> {
    match effect {
        Effect::Send { pool, worker, message } => {
            let (topic, key, value) = (names.channel(pool, worker), message.key(), encode_to_worker(message));
            let (key, value, headers) = (key.as_bytes(), Some(value.as_slice()), trace::headers_of(message));
            outlet.put(OutRecord { topic: &topic, partition: Some(0), key, value, headers: &headers })
        }
        Effect::Publish { event } => event_to(outlet, &names.events(), Some(partition), event),
        Effect::Bury { event } => event_to(outlet, &names.dead_letter(), Some(partition), event),
        Effect::Reply { topic, event } => event_to(outlet, topic, None, event),
        Effect::EnsureChannel { .. }
        | Effect::ForgetChannel { .. }
        | Effect::EnsureReply { .. }
        | Effect::Count { .. } => Ok(()),
    }
}

/// Sends a bad record.
pub(super) fn dead_letter(
    outlet: &mut impl Outlet,
    names: &Names,
    partition: i32,
    dead: &DeadLetter,
) -> Result<(), KafkaFailure> {
    outlet.put(OutRecord {
        topic: &names.dead_letter(),
        partition: Some(partition),
        key: &dead.key,
        value: Some(&dead.value),
        headers: &dead.headers,
    })
}

pub(super) fn event_to(
    outlet: &mut impl Outlet,
    topic: &str,
    partition: Option<i32>,
    event: &Event,
) -> Result<(), KafkaFailure> {
    put(outlet, topic, partition, event.key().as_bytes(), &encode_event(event))
}

fn put(
    outlet: &mut impl Outlet,
    topic: &str,
    partition: Option<i32>,
    key: &[u8],
    value: &[u8],
) -> Result<(), KafkaFailure> {
    outlet.put(OutRecord { topic, partition, key, value: Some(value), headers: &[] })
}
