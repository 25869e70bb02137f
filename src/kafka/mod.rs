//! Everything that names rdkafka: consumers, transactional producers, topics. What it hands out are types of its own,
//! so that the rest can't depend on how librdkafka counts, retries or names its errors.
//!
//! **Invariant:** no public signature here but that of `raw` (the bench's yardstick) mentions rdkafka.

mod apart;
mod broker;
mod calls;
mod channels;
mod client;
mod error;
mod flood;
mod log_reader;
mod partition;
mod properties;
mod raw;
mod reader;
mod restore_reader;
mod serve;
mod source;
mod standstill;
mod statistics;
mod submit;
mod tail;
#[cfg(test)]
mod taint_tests;
mod tally;
mod topic_ids;
mod topics;
mod transaction;
mod watermark;
mod worker_link;

pub use broker::check_broker;
pub use calls::{Call, OpenCall, open_calls};
pub use channels::Channels;
pub use client::{Connection, RECORD_BYTES_MAX};
pub use error::KafkaFailure;
pub use flood::Flood;
pub use log_reader::{LogReader, Span, read_spans};
pub use partition::partition_of;
pub use properties::{Refusal, insecurity, is_secret, refusal};
pub use raw::{RawShape, raw_echo, raw_pass};
pub use restore_reader::{ChangelogReader, ChangelogRecord};
pub use source::{Source, Taken};
pub use standstill::{Standstill, UndecidedRecord, standstill};
pub use statistics::{ClientReport, Listener};
pub use submit::{Forwarded, Position, Submitter};
pub use tail::{Tail, TailRecord};
pub use topic_ids::TopicFound;
pub use topics::{Found, TopicWanted, Topics};
pub use transaction::{Delivered, OutRecord, Transactions};
pub use watermark::{high_watermark, settled_ends, stable_ends};
pub use worker_link::WorkerLink;
