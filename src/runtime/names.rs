//! The names of the namespace's topics, and what they must look like.

use yardmaster_topologies::id::{Pool, WorkerName};

use crate::kafka::{RECORD_BYTES_MAX, TopicWanted};

/// The topics of one namespace.
#[derive(Debug, Clone)]
pub struct Names {
    namespace: String,
}

impl Names {
    /// Of this namespace.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// Commands.
    #[must_use]
    pub fn tasks(&self) -> String {
        self.topic("tasks")
    }

    /// What workers say.
    #[must_use]
    pub fn status(&self) -> String {
        self.topic("status")
    }

    /// What happened.
    #[must_use]
    pub fn events(&self) -> String {
        self.topic("events")
    }

    /// Bad records and FAILED tasks.
    #[must_use]
    pub fn dead_letter(&self) -> String {
        self.topic("dead-letter")
    }

    /// Rows.
    #[must_use]
    pub fn changelog(&self) -> String {
        self.topic("changelog")
    }

    /// Who is there.
    #[must_use]
    pub fn instances(&self) -> String {
        self.topic("instances")
    }

    /// Who owns what.
    #[must_use]
    pub fn placement(&self) -> String {
        self.topic("placement")
    }

    /// A worker's channel.
    #[must_use]
    pub fn channel(&self, pool: &Pool, worker: &WorkerName) -> String {
        format!("{}.assign.{pool}.{worker}", self.namespace)
    }

    /// Whose channel a topic is.
    #[must_use]
    pub fn channel_of(&self, topic: &str) -> Option<(Pool, WorkerName)> {
        let rest = topic.strip_prefix(&format!("{}.assign.", self.namespace))?;
        // Pools have no dots, workers may.
        let (pool, worker) = rest.split_once('.')?;
        Some((Pool::parse(pool).ok()?, WorkerName::parse(worker).ok()?))
    }

    /// The transactional id of a partition's owner.
    #[must_use]
    pub fn transactional_id(&self, partition: i32) -> String {
        format!("{}-{partition}", self.namespace)
    }

    /// The transactional id of the placer.
    #[must_use]
    pub fn placer_id(&self) -> String {
        format!("{}-placer", self.namespace)
    }

    /// The topics that must exist before anything starts.
    #[must_use]
    pub fn wanted(&self, partitions: i32, replication: i32) -> Vec<TopicWanted> {
        let topic = |name: String, partitions: i32, config: &[(&str, &str)]| TopicWanted {
            name,
            partitions,
            replication,
            config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let appended = ("message.timestamp.type", "LogAppendTime");
        let delete = ("cleanup.policy", "delete");
        let large = ("max.message.bytes", RECORD_BYTES_MAX);
        vec![
            topic(self.tasks(), partitions, &[delete, ("retention.ms", "604800000"), appended]),
            topic(self.status(), partitions, &[delete, ("retention.ms", "86400000"), appended]),
            topic(self.events(), partitions, &[delete, ("retention.ms", "691200000"), large]),
            topic(self.dead_letter(), partitions, &[delete, ("retention.ms", "2592000000"), large]),
            topic(
                self.changelog(),
                partitions,
                &[
                    ("cleanup.policy", "compact"),
                    ("delete.retention.ms", "86400000"),
                    ("segment.ms", "86400000"),
                    large,
                ],
            ),
            topic(self.instances(), 1, &[("cleanup.policy", "compact,delete"), ("retention.ms", "3600000")]),
            topic(self.placement(), 1, &[("cleanup.policy", "compact")]),
        ]
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.namespace)
    }
}
