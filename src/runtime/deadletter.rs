//! Records that can't be read go to `dead-letter` inside the batch that passes them: with where they stood, why, and as
//! much of them as fits.

use sha2::{Digest, Sha256};
use yardmaster_topologies::wire::BadReason;

use crate::kafka::Taken;

/// The header of a record that was sent on to the partition of its pool.
pub(super) const HOP: &str = "ym-hop";

/// How many bytes of a bad record's value are kept.
const VALUE_BYTES_MAX: usize = 256 * 1024;
/// How many bytes of its key are kept.
const KEY_BYTES_MAX: usize = 4 * 1024;
/// How many bytes of its headers are kept. All three and the reason have to fit into a record that any broker takes:
/// else the batch would fail for ever.
const HEADERS_BYTES_MAX: usize = 16 * 1024;

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
        let mut headers = vec![
            text("topic", topic.to_owned()),
            text("partition", partition.to_string()),
            text("offset", record.offset.to_string()),
            text("reason", reason.name().to_owned()),
            text("detail", shortened(detail)),
            text("sha256", sha256),
            text("length", whole.len().to_string()),
        ];
        headers.extend(kept(&record.headers));
        let mut value = whole;
        value.truncate(VALUE_BYTES_MAX);
        let mut key = record.key.clone().unwrap_or_default();
        key.truncate(KEY_BYTES_MAX);
        Self { key, value, headers, reason }
    }
}

/// A detail may quote what was sent.
fn shortened(mut detail: String) -> String {
    let end = (0..=detail.len().min(KEY_BYTES_MAX)).rev().find(|at| detail.is_char_boundary(*at));
    detail.truncate(end.unwrap_or_default());
    detail
}

/// The record's own headers, as far as they fit; those with our prefix would be taken for ours.
fn kept(headers: &[(String, Vec<u8>)]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut room = HEADERS_BYTES_MAX;
    headers.iter().filter(|(name, _)| !name.starts_with("ym-")).cloned().take_while(move |(name, value)| {
        let size = name.len() + value.len();
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(record: Taken) -> DeadLetter {
        DeadLetter::of("ns.tasks", 3, &record, BadReason::NotJson, "€".repeat(4_000))
    }

    fn record(key: usize, value: usize, headers: Vec<(String, Vec<u8>)>) -> Taken {
        let (key, value) = (Some(vec![b'k'; key]), Some(vec![b'v'; value]));
        Taken { input: 0, offset: 7, key, value, headers, timestamp_ms: None }
    }

    #[test]
    fn the_largest_record_still_makes_a_letter_that_fits() {
        let headers = vec![("h".to_owned(), vec![0; 900_000]), ("i".to_owned(), vec![0; 10])];
        let letter = letter(record(900_000, 1_000_000, headers));
        let size: usize = letter.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(letter.key.len() + letter.value.len() + size < 400_000);
    }

    #[test]
    fn says_where_it_stood_and_keeps_the_sender_s_headers_but_not_forged_ones() {
        let sent = vec![("trace".to_owned(), b"x".to_vec()), ("ym-offset".to_owned(), b"99".to_vec())];
        let letter = letter(record(1, 1, sent));
        let of = |name: &str| {
            letter
                .headers
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.as_slice())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("ym-offset"), [b"7"]);
        assert_eq!(of("ym-partition"), [b"3"]);
        assert_eq!(of("trace"), [b"x"]);
    }
}
