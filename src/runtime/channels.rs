//! Topics that come and go while processors run: workers' channels and reply topics. A thread of its own makes them, so
//! that no batch waits; what it found comes back as a local event.

use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use yardmaster_state::{KeyWriter, StateError, StoreRead, prefix_end, scan_rows};
use yardmaster_topologies::event::Local;
use yardmaster_topologies::id::{Pool, WorkerName};
use yardmaster_topologies::tables::{WorkerTable, byte};

use super::names::Names;
use crate::kafka::{KafkaFailure, RECORD_BYTES_MAX, Topics};

/// How often a broker that does not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// How often a processor has it looked whether its channels are still there. One that vanished is met at the next message
/// to it; but a worker whose slots are full of messages that it never read gets no next one.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Workers that are looked at per partition.
const WORKERS_MAX: usize = 100_000;

/// A topic to see to.
pub(super) enum TopicWork {
    /// A worker waits for its channel.
    EnsureChannel { pool: Pool, worker: WorkerName, to: Sender<Local> },
    /// A worker left long ago.
    ForgetChannel { pool: Pool, worker: WorkerName },
    /// These channels were there: are they still?
    LookForChannels { workers: Vec<(Pool, WorkerName)>, to: Sender<Local> },
    /// A task wants its end to be told there.
    EnsureReply { topic: String, to: Sender<Local> },
}

/// Works until every sender is gone.
pub(super) fn work(topics: &Topics, names: &Names, queue: &Receiver<TopicWork>) {
    for item in queue {
        while let Err(error) = one(topics, names, &item) {
            let is_passing = matches!(error, KafkaFailure::Unreachable(_));
            tracing::warn!(
                %error,
                will_try_again = is_passing,
                "a worker's channel or a reply topic can't be seen to: who needs it waits"
            );
            if !is_passing {
                break;
            }
            thread::sleep(RETRY);
        }
    }
}

fn one(topics: &Topics, names: &Names, item: &TopicWork) -> Result<(), KafkaFailure> {
    match item {
        TopicWork::EnsureChannel { pool, worker, to } => {
            let config = [
                ("cleanup.policy", "delete"),
                ("retention.ms", "21600000"),
                ("max.message.bytes", RECORD_BYTES_MAX),
            ];
            let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
            topics.create_one(&names.channel(pool, worker), 1, &config)?;
            answer(to, Local::ChannelReady { pool: pool.clone(), worker: worker.clone() });
        }
        TopicWork::ForgetChannel { pool, worker } => {
            topics.delete(&names.channel(pool, worker))?;
        }
        TopicWork::LookForChannels { workers, to } => {
            let known = topics.names()?;
            for (pool, worker) in workers {
                let name = names.channel(pool, worker);
                // Asked twice: a listing may be behind, and a lost channel costs attempts.
                if !known.contains(&name) && !topics.exists(&name)? {
                    tracing::warn!(topic = name, "a worker's channel has vanished");
                    answer(to, Local::ChannelLost { pool: pool.clone(), worker: worker.clone() });
                }
            }
        }
        TopicWork::EnsureReply { topic, to } => {
            if topics.exists(topic)? {
                answer(to, Local::ReplyReady { topic: topic.clone() });
            }
        }
    }
    Ok(())
}

/// The workers of a partition whose channels are known to be there.
pub(super) fn ready_channels(store: &dyn StoreRead) -> Result<Vec<(Pool, WorkerName)>, StateError> {
    let all = KeyWriter::new(byte::WORKER).finish();
    let rows = scan_rows::<WorkerTable>(store, &all, &prefix_end(&all), WORKERS_MAX)?;
    Ok(rows
        .into_iter()
        .filter(|(_, row)| row.channel_ready)
        .map(|((pool, _), row)| (pool, row.worker))
        .collect())
}

fn answer(to: &Sender<Local>, event: Local) {
    if to.send(event).is_err() {
        tracing::debug!("the processor that asked for a topic is gone");
    }
}
