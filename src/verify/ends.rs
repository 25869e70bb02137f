//! Up to where each topic is read, so that the ends fit together also while servers commit.
//!
//! The changelog's end is asked for twice, the other topics' in between. Each end is one below which every transaction that
//! was committed by then lies. So a batch below the first end has all of its records below the others' ends, and whatever
//! lies below the others' ends belongs to a batch below the second one.

use crate::kafka::{Connection, KafkaFailure, Span, Topics, partition_of, settled_ends};
use crate::runtime::Names;

/// The parts of all topics of one partition that are read.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    pub(super) changelog: Span,
    /// Batches below are looked for on every topic.
    pub(super) settled: i64,
    /// `tasks` and `status`.
    pub(super) inputs: [Span; 2],
    pub(super) events: Span,
    pub(super) dead_letter: Span,
    /// The workers' channels of the partition's pools.
    pub(super) channels: Vec<Span>,
}

impl Ends {
    pub(super) fn ask(
        conn: &Connection,
        names: &Names,
        topics: &Topics,
        (partition, partitions): (i32, i32),
    ) -> Result<Self, KafkaFailure> {
        let ask = |places: &[(String, i32)]| -> Result<Vec<Option<Span>>, KafkaFailure> {
            let ends = settled_ends(conn, places)?;
            let span = |((topic, partition), ends): (&(String, i32), Option<(i64, i64)>)| {
                ends.map(|(from, end)| Span { topic: topic.clone(), partition: *partition, from, end })
            };
            Ok(places.iter().zip(ends).map(span).collect())
        };
        let must = |span: Option<Option<Span>>, topic: String| {
            span.flatten().ok_or(KafkaFailure::MissingTopic(topic))
        };
        let log = [(names.changelog(), partition)];
        let settled = must(ask(&log)?.pop(), names.changelog())?.end;
        let fixed = [names.events(), names.dead_letter(), names.tasks(), names.status()];
        let is_ours = |topic: &String| {
            names.channel_of(topic).is_some_and(|(pool, _)| partition_of(&pool, partitions) == partition)
        };
        let channels = topics.names()?.into_iter().filter(is_ours).map(|topic| (topic, 0));
        let places: Vec<(String, i32)> =
            fixed.iter().map(|topic| (topic.clone(), partition)).chain(channels).collect();
        let mut found = ask(&places)?.into_iter();
        let [events, dead_letter, tasks, status] = fixed.map(|topic| must(found.next(), topic));
        let channels = found.flatten().collect();
        let inputs = [tasks?, status?];
        let (events, dead_letter) = (events?, dead_letter?);
        let changelog = must(ask(&log)?.pop(), names.changelog())?;
        Ok(Self { changelog, settled, inputs, events, dead_letter, channels })
    }
}
