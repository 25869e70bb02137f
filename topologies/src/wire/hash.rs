//! Hashes that rows keep: of what was submitted, of where a task is counted, and of the request that asked.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::id::RequestId;
use crate::task::{ContentRef, Retry, TaskSpec};

/// The context of a trace in a task's environment: it says who asked, not what for.
const TRACE_VARIABLES: [&str; 2] = ["TRACEPARENT", "TRACESTATE"];

/// XXH3 over a canonical encoding of what was asked for: of `retry` only what was said, of the payload everything but the
/// white space between its parts, and of the environment everything but the trace, which is another one at each retry.
///
/// It is stored in rows, so the encoding must never change: a field that is added later is hashed, with a number of its
/// own, only when it is present.
#[must_use]
pub fn spec_hash(spec: &TaskSpec) -> u64 {
    let mut to = Canonical::default();
    to.text(1, spec.id.as_str());
    to.text(2, spec.pool.as_str());
    to.text(3, spec.queue.as_str());
    to.option(4, spec.job.as_ref().map(crate::id::JobId::as_str));
    to.number(5, u64::from(spec.priority.0.cast_unsigned()));
    to.map(6, &spec.tags);
    to.number(7, spec.command.len() as u64);
    spec.command.iter().for_each(|word| to.text(7, word));
    to.pairs(8, spec.env.iter().filter(|(name, _)| !TRACE_VARIABLES.contains(&name.as_str())));
    to.option(9, spec.cwd.as_deref());
    if let Some(payload) = &spec.payload {
        to.json(10, &payload.0);
    }
    to.content_ref(11, spec.payload_ref.as_ref());
    to.optional_number(12, spec.run_timeout.map(|wait| wait.0));
    to.optional_number(13, spec.queue_ttl.map(|wait| wait.0));
    to.retry(&spec.retry);
    to.option(18, spec.reply_to.as_deref());
    to.hash()
}

/// XXH3 over queue, job and tags: two specs with the same are counted in the same places.
#[must_use]
pub fn counted_hash(spec: &TaskSpec) -> u64 {
    let mut to = Canonical::default();
    to.text(3, spec.queue.as_str());
    to.option(4, spec.job.as_ref().map(crate::id::JobId::as_str));
    to.map(6, &spec.tags);
    to.hash()
}

/// XXH3 over the name of a request.
#[must_use]
pub fn request_hash(request: &RequestId) -> u64 {
    xxh3_64(request.as_str().as_bytes())
}

/// Every field has a number, every text its length: no two specs have the same bytes. Most are short, so gathering them
/// first is cheaper than hashing piece by piece.
#[derive(Default)]
struct Canonical(Vec<u8>);

impl Canonical {
    fn hash(&self) -> u64 {
        xxh3_64(&self.0)
    }

    fn number(&mut self, field: u8, value: u64) {
        self.0.push(field);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, field: u8, value: &str) {
        self.number(field, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
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

    fn retry(&mut self, retry: &Retry) {
        let given = retry.given;
        self.optional_number(14, given.max_failures.then_some(retry.max_failures.into()));
        self.optional_number(15, given.max_losses.then_some(retry.max_losses.into()));
        self.optional_number(16, given.backoff.then_some(retry.backoff.0));
        self.optional_number(17, given.backoff_max.then_some(retry.backoff_max.0));
    }

    /// JSON without the white space outside its strings; its length comes behind it, since it is not known before.
    fn json(&mut self, field: u8, text: &str) {
        self.0.push(field);
        let (mut length, mut from) = (0, 0);
        let (mut in_string, mut escaped) = (false, false);
        // Programs write most of it without any: then nothing has to be looked for.
        let looked_at = if text.bytes().any(is_space) { text } else { "" };
        for (at, byte) in looked_at.bytes().enumerate() {
            match (in_string, byte) {
                (true, _) if escaped => escaped = false,
                (true, b'\\') => escaped = true,
                (_, b'"') => in_string = !in_string,
                (false, byte) if is_space(byte) => {
                    length += self.part(text, from, at);
                    from = at + 1;
                }
                (true | false, _) => {}
            }
        }
        length += self.part(text, from, text.len());
        self.number(field, length);
    }

    fn part(&mut self, text: &str, from: usize, to: usize) -> u64 {
        let part = text.as_bytes().get(from..to).unwrap_or_default();
        self.0.extend_from_slice(part);
        part.len() as u64
    }

    fn map(&mut self, field: u8, map: &BTreeMap<String, String>) {
        self.pairs(field, map.iter());
    }

    fn pairs<'a>(&mut self, field: u8, pairs: impl Iterator<Item = (&'a String, &'a String)> + Clone) {
        self.number(field, pairs.clone().count() as u64);
        for (key, value) in pairs {
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

/// What JSON calls white space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
