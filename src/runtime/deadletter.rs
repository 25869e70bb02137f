//! Records that can't be read go to `dead-letter` inside the batch that passes them: with where they stood, why, and as
//! much of them as fits.

use sha2::{Digest, Sha256};
use yardmaster_topologies::wire::BadReason;

use crate::kafka::Taken;

/// The header of a record that was sent on to the partition of its pool.
pub(super) const HOP: &str = "ym-hop";

/// How many bytes of a bad record are kept.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// A record on its way to `dead-letter`.
#[derive(Debug)]
pub(super) struct DeadLetter {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) reason: BadReason,
}

impl DeadLetter {
    /// Of a record that stood there.
    pub(super) fn of(topic: &str, partition: i32, record: &Taken, reason: BadReason, detail: String) -> Self {
        let whole = record.value.clone().unwrap_or_default();
        let sha256: String = Sha256::digest(&whole).iter().map(|byte| format!("{byte:02x}")).collect();
        let text = |name: &str, value: String| (format!("ym-{name}"), value.into_bytes());
        let headers = vec![
            text("topic", topic.to_owned()),
            text("partition", partition.to_string()),
            text("offset", record.offset.to_string()),
            text("reason", reason.name().to_owned()),
            text("detail", detail),
            text("sha256", sha256),
            text("length", whole.len().to_string()),
        ];
        let mut value = whole;
        value.truncate(KEPT_BYTES_MAX);
        Self { key: record.key.clone().unwrap_or_default(), value, headers, reason }
    }
}
