//! Writes status records, for our own worker.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::event::{Status, StatusKind};
use crate::wire::json::{RawJson, attempts, put_attempt, put_report, some};

/// A status as the value of a record on `status`; its key is the pool.
#[must_use]
pub fn encode_status(status: &Status) -> Vec<u8> {
    serde_json::to_vec(&StatusJson(status)).unwrap_or_default()
}

/// Several statuses of one worker as one record. An empty list gives a batch without events.
#[must_use]
pub fn encode_status_batch(statuses: &[Status]) -> Vec<u8> {
    serde_json::to_vec(&BatchJson(statuses)).unwrap_or_default()
}

struct BatchJson<'a>(&'a [Status]);

impl Serialize for BatchJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &1)?;
        map.serialize_entry("type", "batch")?;
        if let Some(first) = self.0.first() {
            map.serialize_entry("pool", &first.pool)?;
            map.serialize_entry("worker", &first.worker)?;
            map.serialize_entry("incarnation", &first.incarnation)?;
        }
        map.serialize_entry("events", &self.0.iter().map(StatusJson).collect::<Vec<_>>())?;
        map.end()
    }
}

struct StatusJson<'a>(&'a Status);

impl Serialize for StatusJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &1)?;
        map.serialize_entry("type", type_name(&status.kind))?;
        map.serialize_entry("pool", &status.pool)?;
        map.serialize_entry("worker", &status.worker)?;
        map.serialize_entry("incarnation", &status.incarnation)?;
        put_kind(&mut map, &status.kind)?;
        map.end()
    }
}

fn put_kind<M: SerializeMap>(map: &mut M, kind: &StatusKind) -> Result<(), M::Error> {
    match kind {
        StatusKind::Hello { protocols, slots, labels, running } => {
            map.serialize_entry("protocols", protocols)?;
            map.serialize_entry("slots", slots)?;
            map.serialize_entry("labels", labels)?;
            map.serialize_entry("running", &attempts(running))
        }
        StatusKind::Heartbeat { read_seq, free_slots, draining, running } => {
            map.serialize_entry("read_seq", read_seq)?;
            map.serialize_entry("free_slots", free_slots)?;
            map.serialize_entry("draining", draining)?;
            map.serialize_entry("running", &attempts(running))
        }
        StatusKind::Started { attempt } => put_attempt(map, attempt),
        StatusKind::Progress { attempt, note } => {
            put_attempt(map, attempt)?;
            some(map, "note", note.as_ref().map(RawJson))
        }
        StatusKind::Completed { attempt, report }
        | StatusKind::Failed { attempt, report }
        | StatusKind::Cancelled { attempt, report } => {
            put_attempt(map, attempt)?;
            put_report(map, report)
        }
        StatusKind::Rejected { attempt, message } => {
            put_attempt(map, attempt)?;
            map.serialize_entry("message", message)
        }
        StatusKind::Goodbye => Ok(()),
    }
}

fn type_name(kind: &StatusKind) -> &'static str {
    match kind {
        StatusKind::Hello { .. } => "hello",
        StatusKind::Heartbeat { .. } => "heartbeat",
        StatusKind::Started { .. } => "started",
        StatusKind::Progress { .. } => "progress",
        StatusKind::Completed { .. } => "completed",
        StatusKind::Failed { .. } => "failed",
        StatusKind::Rejected { .. } => "rejected",
        StatusKind::Cancelled { .. } => "cancelled",
        StatusKind::Goodbye => "goodbye",
    }
}
