//! What HTTP is given: the stores that are owned here, a way to send commands, a feed of events, metrics.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::wire::Defaults;

use super::ask::ASKED_MAX;
use super::peers::Peers;
use crate::kafka::{Connection, KafkaFailure, Submitter, Tail, stable_ends};
use crate::metrics::Requests;

pub(crate) use crate::kafka::{Position, TailRecord, partition_of};
pub(crate) use crate::runtime::{
    Behind, Committed, Decision, Location, OwnedPartition, Registry, StandbyPartition, Waiter, in_key_order,
    pool_after,
};

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where commands go.
pub trait CommandSink: Send + Sync {
    /// Sends a command to its pool's partition and waits until the broker has acknowledged it.
    ///
    /// # Errors
    /// One line for a person; the record may have arrived all the same.
    fn send<'a>(&'a self, pool: &'a Pool, value: Vec<u8>) -> Later<'a, Result<Position, String>>;
}

impl CommandSink for Submitter {
    fn send<'a>(&'a self, pool: &'a Pool, value: Vec<u8>) -> Later<'a, Result<Position, String>> {
        Box::pin(async move { Self::send(self, pool, value).await.map_err(|error| error.to_string()) })
    }
}

/// What can be wrong with a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedError {
    /// Records that were asked for are gone.
    Gone(String),
    /// The broker doesn't answer; polling again may help.
    Away(String),
}

/// Committed events, from a point in each partition on.
pub trait EventFeed: Send + Sync {
    /// Opens a stream from an offset of each partition on. May block.
    ///
    /// # Errors
    /// When the broker doesn't answer.
    fn open(&self, from: Vec<i64>) -> Result<Box<dyn EventStream>, FeedError>;

    /// Where "from now on" begins in each partition: everything that is committed later comes behind, also out of a
    /// transaction that is open now. May block.
    ///
    /// # Errors
    /// When the broker doesn't answer.
    fn ends(&self) -> Result<Vec<i64>, FeedError>;
}

/// One stream of committed events.
pub trait EventStream: Send {
    /// The next event, if one comes in time. Blocks.
    ///
    /// # Errors
    /// See [`FeedError`].
    fn poll(&mut self, wait: Duration) -> Result<Option<TailRecord>, FeedError>;

    /// The offset that comes next in a partition.
    fn position(&self, partition: i32) -> Option<i64>;
}

/// The feed of a namespace's events topic.
#[derive(Debug, Clone)]
pub struct KafkaFeed {
    /// How to reach the brokers.
    pub connection: Connection,
    /// The events topic.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: i32,
}

impl EventFeed for KafkaFeed {
    fn open(&self, from: Vec<i64>) -> Result<Box<dyn EventStream>, FeedError> {
        let tail = Tail::open(&self.connection, &self.topic, self.partitions, Some(from));
        Ok(Box::new(tail.map_err(|error| feed_error(&error))?))
    }

    fn ends(&self) -> Result<Vec<i64>, FeedError> {
        stable_ends(&self.connection, &self.topic, self.partitions).map_err(|error| feed_error(&error))
    }
}

impl EventStream for Tail {
    fn poll(&mut self, wait: Duration) -> Result<Option<TailRecord>, FeedError> {
        Self::poll(self, wait).map_err(|error| feed_error(&error))
    }

    fn position(&self, partition: i32) -> Option<i64> {
        Self::position(self, partition)
    }
}

fn feed_error(error: &KafkaFailure) -> FeedError {
    if matches!(error, KafkaFailure::Unreachable(_)) {
        FeedError::Away(error.to_string())
    } else {
        FeedError::Gone(error.to_string())
    }
}

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `http.token_file`: bearer tokens, one a line.
    pub token_file: Option<PathBuf>,
    /// `http.insecure`: serve other addresses than loopback without tokens.
    pub insecure: bool,
    /// `http.advertise`: its host is allowed in `Host` as well.
    pub advertise: String,
    /// `http.peers`: the hosts that other instances may have.
    pub peers: Peers,
}

/// All that HTTP needs of the rest.
pub struct Parts {
    /// What is owned here, and who owns the rest.
    pub registry: Arc<Registry>,
    /// Where commands go.
    pub sink: Arc<dyn CommandSink>,
    /// Where events come from.
    pub feed: Arc<dyn EventFeed>,
    /// The metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Counts what is asked.
    pub requests: Requests,
    /// Defaults, limits and retention.
    pub settings: Settings,
    /// Who may come in.
    pub access: Access,
    /// An instance that has not seen the placement for so long doesn't call itself ready.
    pub instance_timeout: Duration,
}

/// What every handler shares.
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    pub(crate) defaults: Defaults,
    /// Places for answers that are streamed.
    pub(crate) streams: Arc<Semaphore>,
    /// Places for questions to other instances.
    pub(crate) asking: Arc<Semaphore>,
    /// Becomes true when the server stops.
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// How many answers may be streamed at once.
pub(crate) const STREAMS_MAX: usize = 32;

pub(crate) type App = Arc<Shared>;

impl Shared {
    pub(crate) fn new(parts: Parts, shutdown: watch::Receiver<bool>) -> App {
        let defaults = Defaults::from(&parts.settings);
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        let asking = Arc::new(Semaphore::new(ASKED_MAX));
        Arc::new(Self { parts, defaults, streams, asking, shutdown })
    }
}
