//! The hash of a task's spec, which tells a repeated submit from a different one.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use crate::task::{ContentRef, TaskSpec};

/// XXH3 over a canonical encoding of all fields. It is stored in rows, so the encoding must never change: a field that
/// is added later is hashed, with a number of its own, only when it is present.
#[must_use]
pub fn spec_hash(spec: &TaskSpec) -> u64 {
    let mut to = Canonical(Xxh3::new());
    to.text(1, spec.id.as_str());
    to.text(2, spec.pool.as_str());
    to.text(3, spec.queue.as_str());
    to.option(4, spec.job.as_ref().map(crate::id::JobId::as_str));
    to.number(5, u64::from(spec.priority.0.cast_unsigned()));
    to.map(6, &spec.tags);
    to.number(7, spec.command.len() as u64);
    spec.command.iter().for_each(|word| to.text(7, word));
    to.map(8, &spec.env);
    to.option(9, spec.cwd.as_deref());
    to.option(10, spec.payload.as_ref().map(|json| &*json.0));
    to.content_ref(11, spec.payload_ref.as_ref());
    to.optional_number(12, spec.run_timeout.map(|wait| wait.0));
    to.optional_number(13, spec.queue_ttl.map(|wait| wait.0));
    to.number(14, u64::from(spec.retry.max_failures));
    to.number(15, u64::from(spec.retry.max_losses));
    to.number(16, spec.retry.backoff.0);
    to.number(17, spec.retry.backoff_max.0);
    to.option(18, spec.reply_to.as_deref());
    to.0.digest()
}

/// Every field has a number, every text its length: no two specs have the same bytes.
struct Canonical(Xxh3);

impl Canonical {
    fn number(&mut self, field: u8, value: u64) {
        self.0.update(&[field]);
        self.0.update(&value.to_le_bytes());
    }

    fn text(&mut self, field: u8, value: &str) {
        self.number(field, value.len() as u64);
        self.0.update(value.as_bytes());
    }

    fn option(&mut self, field: u8, value: Option<&str>) {
        if let Some(value) = value {
            self.text(field, value);
        }
    }

    fn optional_number(&mut self, field: u8, value: Option<u64>) {
        if let Some(value) = value {
            self.number(field, value);
        }
    }

    fn map(&mut self, field: u8, map: &BTreeMap<String, String>) {
        self.number(field, map.len() as u64);
        for (key, value) in map {
            self.text(field, key);
            self.text(field, value);
        }
    }

    fn content_ref(&mut self, field: u8, value: Option<&ContentRef>) {
        if let Some(value) = value {
            self.text(field, &value.uri);
            self.text(field, &value.sha256);
        }
    }
}
