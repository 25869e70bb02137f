//! Topics: created when missing, checked when there. A topic that is not as it must be is an error that says what to
//! do, never something to work around.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::runtime::{Builder, Runtime};

use super::client::Connection;
use super::error::{KafkaFailure, Result, failure, is_missing};
use super::topic_ids::{self, TopicFound};
use super::watermark::high_watermark;

const PATIENCE: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(5);
const POLICY: &str = "cleanup.policy";

/// A topic as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicWanted {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas it is created with; -1 leaves it to the broker.
    pub replication: i32,
    /// What it is created with; of an existing one only `cleanup.policy` is checked.
    pub config: Vec<(String, String)>,
}

/// A topic that is as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Whether it was created just now, by us.
    pub created: bool,
}

/// Administers topics, blocking. For plain threads: inside of an async runtime, use `spawn_blocking`.
pub struct Topics {
    conn: Connection,
    admin: AdminClient<DefaultClientContext>,
    runtime: Runtime,
}

impl Topics {
    /// Connects in the background.
    ///
    /// # Errors
    /// When the configuration is refused.
    pub fn new(conn: &Connection) -> Result<Self> {
        let admin = conn.base()?.create().map_err(|error| failure("creating an admin client", "", &error))?;
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| KafkaFailure::Fatal(format!("creating a runtime: {error}")))?;
        Ok(Self { conn: conn.clone(), admin, runtime })
    }

    /// Creates what is missing and checks the rest: partition counts and cleanup policies.
    ///
    /// # Errors
    /// `Fatal` names the topic, what was found, what is wanted and the remedy.
    pub fn ensure(&self, wanted: &[TopicWanted]) -> Result<Vec<Found>> {
        let mut found = Vec::with_capacity(wanted.len());
        for topic in wanted {
            let is_missing = self.partitions(&topic.name)?.is_none();
            let created = is_missing && self.create(topic)?;
            found.push(Found { name: topic.name.clone(), created });
        }
        for (topic, state) in wanted.iter().zip(&found) {
            let partitions = self.await_known(&topic.name)?;
            if partitions != topic.partitions {
                return Err(wrong_partitions(topic, partitions));
            }
            if !state.created {
                self.check_policy(topic)?;
            }
        }
        Ok(found)
    }

    /// Creates a topic with the broker's replication and waits until it is known; one that exists is fine as it is.
    /// Returns whether it was created.
    ///
    /// # Errors
    /// `Unreachable`, or `Fatal` when the broker refuses.
    pub fn create_one(&self, name: &str, partitions: i32, config: &[(String, String)]) -> Result<bool> {
        let wanted =
            TopicWanted { name: name.to_owned(), partitions, replication: -1, config: config.to_vec() };
        let created = self.create(&wanted)?;
        self.await_known(name)?;
        Ok(created)
    }

    /// Deletes a topic. Returns whether there was one.
    ///
    /// # Errors
    /// `Unreachable`, or `Fatal` when the broker refuses.
    pub fn delete(&self, name: &str) -> Result<bool> {
        let doing = format!("deleting topic {name}");
        let deleting = self.admin.delete_topics(&[name], &options());
        let results = self.runtime.block_on(deleting).map_err(|error| failure(&doing, name, &error))?;
        match results.into_iter().next() {
            Some(Err((_, code))) if is_missing(code) => Ok(false),
            Some(Err((_, code))) => Err(refused(&doing, name, code)),
            Some(Ok(_)) => Ok(true),
            None => Err(KafkaFailure::Fatal(format!("{doing}: no answer"))),
        }
    }

    /// Whether there is such a topic.
    ///
    /// # Errors
    /// `Unreachable`, or `Fatal` when the broker refuses to tell.
    pub fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.partitions(name)?.is_some())
    }

    /// All topics that the broker knows; one that was made just now may be missing.
    ///
    /// # Errors
    /// `Unreachable`.
    pub fn names(&self) -> Result<BTreeSet<String>> {
        let listed = self.admin.inner().fetch_metadata(None, PATIENCE);
        let metadata = listed.map_err(|error| failure("listing topics", "", &error))?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// Whether a topic is there and as it has to be; creates nothing.
    ///
    /// # Errors
    /// As those of [`Topics::ensure`].
    pub fn check(&self, wanted: &TopicWanted) -> Result<bool> {
        match self.partitions(&wanted.name)? {
            None => Ok(false),
            Some(partitions) if partitions != wanted.partitions => Err(wrong_partitions(wanted, partitions)),
            Some(_) => self.check_policy(wanted).map(|()| true),
        }
    }

    /// Id and partitions of each of these topics, in one request; none for one that is not there.
    ///
    /// # Errors
    /// `Unreachable`, or `Fatal` when the broker is too old to have ids (before 2.8).
    pub fn describe(&self, topics: &[String]) -> Result<BTreeMap<String, Option<TopicFound>>> {
        topic_ids::describe(&self.admin, topics)
    }

    /// The configuration of a topic as it is in force, defaults included.
    ///
    /// # Errors
    /// `MissingTopic`, `Unreachable`, or `Fatal` when the broker refuses to tell.
    pub fn settings(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let doing = format!("reading the configuration of topic {name}");
        let resource = [ResourceSpecifier::Topic(name)];
        let describing = self.admin.describe_configs(&resource, &options());
        let results = self.runtime.block_on(describing).map_err(|error| failure(&doing, name, &error))?;
        let described = match results.into_iter().next() {
            Some(Ok(described)) => described,
            Some(Err(code)) => return Err(refused(&doing, name, code)),
            None => return Err(KafkaFailure::Fatal(format!("{doing}: no answer"))),
        };
        Ok(described.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }

    /// The id of the brokers' cluster.
    ///
    /// # Errors
    /// `Unreachable`.
    pub fn cluster_id(&self) -> Result<String> {
        let id = self.admin.inner().fetch_cluster_id(PATIENCE);
        id.ok_or_else(|| {
            KafkaFailure::Unreachable(format!("{} does not tell its cluster's id", self.conn.bootstrap))
        })
    }

    /// The offset after the last record of a partition, open transactions included.
    ///
    /// # Errors
    /// `MissingTopic` or `Unreachable`.
    pub fn end_offset(&self, name: &str, partition: i32) -> Result<i64> {
        Ok(high_watermark(&self.conn, name, partition)?.1)
    }

    /// Whether it was created now, not before by somebody else.
    fn create(&self, wanted: &TopicWanted) -> Result<bool> {
        let name = &wanted.name;
        let doing = format!("creating topic {name}");
        let mut topic = NewTopic::new(name, wanted.partitions, TopicReplication::Fixed(wanted.replication));
        for (key, value) in &wanted.config {
            topic = topic.set(key, value);
        }
        let creating = self.admin.create_topics([&topic], &options());
        let results = self.runtime.block_on(creating).map_err(|error| failure(&doing, name, &error))?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(refused(&doing, name, code)),
            None => Err(KafkaFailure::Fatal(format!("{doing}: no answer"))),
        }
    }

    /// Waits until the topic is known and all its partitions have leaders; how many there are.
    fn await_known(&self, name: &str) -> Result<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(partitions) = self.partitions(name)? {
                return Ok(partitions);
            }
            if Instant::now() >= deadline {
                return Err(KafkaFailure::MissingTopic(name.to_owned()));
            }
            thread::sleep(STEP);
        }
    }

    /// The number of partitions; None when there is no such topic. Waits for leaders.
    ///
    /// # Errors
    /// `Unreachable`.
    pub fn partitions(&self, name: &str) -> Result<Option<i32>> {
        let doing = format!("looking for topic {name}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metadata = self
                .admin
                .inner()
                .fetch_metadata(Some(name), PATIENCE)
                .map_err(|error| failure(&doing, name, &error))?;
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                return Ok(None);
            };
            let leaderless = topic.partitions().iter().any(|partition| partition.leader() < 0);
            match topic.error().map(RDKafkaErrorCode::from) {
                None if !leaderless && !topic.partitions().is_empty() => {
                    return Ok(i32::try_from(topic.partitions().len()).ok());
                }
                None | Some(RDKafkaErrorCode::LeaderNotAvailable) => {}
                Some(code) if is_missing(code) => return Ok(None),
                Some(code) => return Err(refused(&doing, name, code)),
            }
            if Instant::now() >= deadline {
                return Err(KafkaFailure::Unreachable(format!("{doing}: a partition has no leader")));
            }
            thread::sleep(STEP);
        }
    }

    fn check_policy(&self, topic: &TopicWanted) -> Result<()> {
        let Some((_, wanted)) = topic.config.iter().find(|(key, _)| key == POLICY) else {
            return Ok(());
        };
        let name = &topic.name;
        let found = self.settings(name)?.remove(POLICY).unwrap_or_default();
        if parts(&found) == parts(wanted) {
            return Ok(());
        }
        Err(KafkaFailure::Fatal(format!(
            "topic {name} has {POLICY}={found}, wanted is {wanted}: run kafka-configs.sh --bootstrap-server {} \
             --alter --entity-type topics --entity-name {name} --add-config '{POLICY}=[{wanted}]'",
            self.conn.bootstrap
        )))
    }
}

fn wrong_partitions(topic: &TopicWanted, found: i32) -> KafkaFailure {
    let TopicWanted { name, partitions, .. } = topic;
    KafkaFailure::Fatal(format!(
        "topic {name} has {found} partitions, wanted are {partitions}: configure {found} partitions, or another \
         namespace; partitions can't be added, since pools would move"
    ))
}

fn parts(policy: &str) -> BTreeSet<&str> {
    policy.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn refused(doing: &str, topic: &str, code: RDKafkaErrorCode) -> KafkaFailure {
    failure(doing, topic, &rdkafka::error::KafkaError::AdminOp(code))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
