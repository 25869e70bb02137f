//! Tests of the wire: what is written is read back, what is wrong is named, and nothing panics.

mod bad_records;
mod documented;
mod events;
mod generate;
mod identity;
mod outputs;
mod refusals;
mod round_trips;
mod statuses;

use crate::wire::{Defaults, RefusedReason, Undecodable, decode_command};

/// The field and the reason of a refusal.
fn refused(text: &str) -> (String, RefusedReason, String) {
    match decode_command(text.as_bytes(), &Defaults::default()) {
        Err(Undecodable::Refused { refusal, .. }) => {
            (refusal.field.unwrap_or_default(), refusal.reason, refusal.detail)
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// A submit whose task has the given fields besides `id` and `pool`.
fn submit(fields: &str) -> String {
    format!(r#"{{"v":1,"type":"submit","request_id":"r-1","task":{{"id":"t-1","pool":"default"{fields}}}}}"#)
}
