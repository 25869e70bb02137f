//! Topics that come and go while processors run: workers' channels and reply topics. A thread of its own makes them, so
//! that no batch waits; what it found comes back as a local event.

use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use yardmaster_topologies::event::Local;
use yardmaster_topologies::id::{Pool, WorkerName};

use super::names::Names;
use crate::kafka::{KafkaFailure, Topics};

/// How often a broker that does not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// A topic to see to.
pub(super) enum TopicWork {
    /// A worker waits for its channel.
    EnsureChannel { pool: Pool, worker: WorkerName, to: Sender<Local> },
    /// A worker left long ago.
    ForgetChannel { pool: Pool, worker: WorkerName },
    /// A task wants its end to be told there.
    EnsureReply { topic: String, to: Sender<Local> },
}

/// Works until every sender is gone.
pub(super) fn work(topics: &Topics, names: &Names, queue: &Receiver<TopicWork>) {
    for item in queue {
        while let Err(error) = one(topics, names, &item) {
            let is_passing = matches!(error, KafkaFailure::Unreachable(_));
            tracing::warn!(%error, "could not see to a topic");
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
            let config = [("cleanup.policy", "delete"), ("retention.ms", "21600000")];
            let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
            topics.create_one(&names.channel(pool, worker), 1, &config)?;
            answer(to, Local::ChannelReady { pool: pool.clone(), worker: worker.clone() });
        }
        TopicWork::ForgetChannel { pool, worker } => {
            topics.delete(&names.channel(pool, worker))?;
        }
        TopicWork::EnsureReply { topic, to } => {
            if topics.exists(topic)? {
                answer(to, Local::ReplyReady { topic: topic.clone() });
            }
        }
    }
    Ok(())
}

fn answer(to: &Sender<Local>, event: Local) {
    if to.send(event).is_err() {
        tracing::debug!("the processor that asked for a topic is gone");
    }
}
