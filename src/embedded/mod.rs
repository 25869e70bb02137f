//! The embedded broker: the real Apache Kafka as a child process, for `dev`, `demo`, `kafka` and the tests.
//!
//! One KRaft node in one JVM, on loopback only, its jars resolved by Maven once into the user's cache folder. It is
//! the real broker and not an imitation, because transactions, fencing and compaction are what yardmaster stands on.
//! Everything here blocks: call it from a plain thread or from `spawn_blocking`.
//!
//! **Invariant:** nothing in this module knows what a task is, names rdkafka, or is needed with a broker of one's own.

mod broker;
mod error;
mod jars;
mod java;
mod process;
mod properties;
mod ready;
mod storage;

pub use broker::{Broker, BrokerOptions};
pub use error::EmbeddedError;
pub use properties::{LogLevel, ProxiedListener};

/// The version of Apache Kafka that is started; `kafka-pom.xml` names the same one, which a test checks.
pub const KAFKA_VERSION: &str = "4.2.2";
