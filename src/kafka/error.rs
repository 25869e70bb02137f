//! What can go wrong with Kafka, named by what to do about it: nobody above this module looks at an error code.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A failure, by the reaction that it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaFailure {
    /// Nobody knows whether the transaction took place: drop the producer, claim again, restore from the changelog.
    #[error("the outcome of the transaction is in doubt: {0}")]
    Doubt(String),
    /// What was committed is certain, but the producer that did it must not be used again: claim again.
    #[error("the last transaction is committed, but its producer is not used again: {0}")]
    Tainted(String),
    /// Another instance has claimed the transactional id: stop owning the partition, write nothing more.
    #[error("fenced: another instance has claimed this transactional id")]
    Fenced,
    /// No broker answers, or not in time: wait and try again.
    #[error("kafka can't be reached: {0}")]
    Unreachable(String),
    /// The wanted offset is not there (any longer, or not yet again): records are lost to us, and a person has to know.
    #[error("{topic}-{partition}: offset {wanted} is gone, there are {first} to {last}")]
    Lost {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// The offset that was to be read next.
        wanted: i64,
        /// The first offset that the partition still has; -1 when not known.
        first: i64,
        /// The partition's high watermark; -1 when not known.
        last: i64,
    },
    /// The topic, or its partition, does not exist.
    #[error("topic {0} does not exist")]
    MissingTopic(String),
    /// Trying again would not help: configuration, permissions, or a bug.
    #[error("{0}")]
    Fatal(String),
}

/// Results of this module.
pub(super) type Result<T> = std::result::Result<T, KafkaFailure>;

/// Sorts an error by reaction; `doing` says what was tried, `topic` with which topic.
pub(super) fn failure(doing: &str, topic: &str, error: &KafkaError) -> KafkaFailure {
    let code = code_of(error);
    let text = format!("{doing}: {error}");
    match code {
        Some(code) if is_fenced(code) => KafkaFailure::Fenced,
        Some(code) if is_missing(code) => KafkaFailure::MissingTopic(topic.to_owned()),
        Some(code) if is_transient(code) => KafkaFailure::Unreachable(text),
        Some(_) | None => KafkaFailure::Fatal(text),
    }
}

/// The code inside an error, when it has one.
pub(super) fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    if let KafkaError::Transaction(inner) = error { Some(inner.code()) } else { error.rdkafka_error_code() }
}

/// Whether the code says that a newer producer holds the transactional id.
pub(super) fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch
    )
}

/// Whether the code says that there is no such topic or partition.
pub(super) fn is_missing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopicId
    )
}

/// Whether the code says that a topic will never take such a record: too large for it, or not for this user.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::MessageBatchTooLarge
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::InvalidRecord
    )
}

/// Whether the code passes by itself, as brokers come and go.
pub(super) fn is_transient(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::TimedOutQueue
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::WaitingForCoordinator
            | RDKafkaErrorCode::NodeUpdate
            | RDKafkaErrorCode::Retry
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::BrokerNotAvailable
            | RDKafkaErrorCode::ReplicaNotAvailable
            | RDKafkaErrorCode::NetworkException
            | RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::NotEnoughReplicas
            | RDKafkaErrorCode::NotEnoughReplicasAfterAppend
            | RDKafkaErrorCode::ConcurrentTransactions
            | RDKafkaErrorCode::UnstableOffsetCommit
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::NotController
    )
}
