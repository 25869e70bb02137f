//! Reads a status record. Fields that are not known are ignored, so that old servers accept new workers.

use crate::event::{Status, StatusKind};
use crate::id::{Incarnation, MessageSeq, Pool, WorkerName};
use crate::task::Json;
use crate::wire::command_read::header;
use crate::wire::error::{BadReason, Fault, RefusedReason, Undecodable};
use crate::wire::limits::{Defaults, LABELS_MAX, NOTE_BYTES_MAX, PROGRESS_BYTES_MAX};
use crate::wire::object::{Object, first_bytes};
use crate::wire::report_read::{read_attempt, read_attempts, read_report};
use crate::wire::spec_read::labels;

/// Who speaks: stands on every status, or once on a batch.
#[derive(Default)]
struct Sender {
    pool: Option<Pool>,
    worker: Option<WorkerName>,
    incarnation: Option<Incarnation>,
}

/// Reads one record of `status`; a `batch` becomes its events, in their order.
///
/// # Errors
/// [`Undecodable::Bad`], never `Refused`: nobody waits for an answer. A batch is taken as a whole or not at all.
pub fn decode_status(bytes: &[u8], defaults: &Defaults) -> Result<Vec<Status>, Undecodable> {
    let object = Object::record(bytes)?;
    let kind = header(&object)?;
    object.no_duplicates().map_err(|fault| bad(&fault))?;
    let sender = read_sender(&object)?;
    if kind != "batch" {
        return Ok(vec![read_one(&object, &kind, &sender, &Sender::default(), defaults)?]);
    }
    let list =
        object.list("events").and_then(|list| object.need("events", list)).map_err(|fault| bad(&fault))?;
    let mut statuses = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        let event = Object::nested(raw, format!("events[{index}]")).map_err(|fault| bad(&fault))?;
        let kind = match event.text("type", 64) {
            Ok(Some(kind)) => kind,
            Ok(None) => {
                return Err(Undecodable::bad(
                    BadReason::NoType,
                    format!("`{}` is missing", event.at("type")),
                ));
            }
            Err(fault) => return Err(Undecodable::bad(BadReason::NoType, fault.detail)),
        };
        let own = read_sender(&event)?;
        statuses.push(read_one(&event, &kind, &own, &sender, defaults)?);
    }
    same_sender(&statuses)?;
    Ok(statuses)
}

fn bad(fault: &Fault) -> Undecodable {
    let reason = if fault.reason == RefusedReason::DuplicateKey {
        BadReason::DuplicateKey
    } else {
        BadReason::BadField
    };
    Undecodable::bad(reason, fault.detail.clone())
}

fn read_sender(object: &Object<'_>) -> Result<Sender, Undecodable> {
    let bad_pool = |fault: Fault| Undecodable::bad(BadReason::BadPool, fault.detail);
    Ok(Sender {
        pool: object.name("pool", Pool::parse).map_err(bad_pool)?,
        worker: object.name("worker", WorkerName::parse).map_err(|fault| bad(&fault))?,
        incarnation: object.name("incarnation", Incarnation::parse).map_err(|fault| bad(&fault))?,
    })
}

fn same_sender(statuses: &[Status]) -> Result<(), Undecodable> {
    let Some(first) = statuses.first() else {
        return Ok(());
    };
    if statuses.iter().any(|status| status.pool != first.pool) {
        return Err(Undecodable::bad(BadReason::BadPool, "the events of a batch must have one pool"));
    }
    if statuses.iter().any(|status| status.worker != first.worker) {
        return Err(Undecodable::bad(
            BadReason::BadField,
            "`worker` must be the same in all events of a batch",
        ));
    }
    Ok(())
}

fn read_one(
    object: &Object<'_>,
    kind: &str,
    own: &Sender,
    outer: &Sender,
    defaults: &Defaults,
) -> Result<Status, Undecodable> {
    let Some(pool) = own.pool.as_ref().or(outer.pool.as_ref()) else {
        return Err(Undecodable::bad(BadReason::NoPool, "`pool` is missing"));
    };
    let Some(kind) = read_kind(object, kind, defaults).map_err(|fault| bad(&fault))? else {
        return Err(Undecodable::bad(BadReason::UnknownType, format!("`{kind}` is not a status")));
    };
    let worker =
        object.need("worker", own.worker.as_ref().or(outer.worker.as_ref())).map_err(|fault| bad(&fault))?;
    let incarnation = own.incarnation.as_ref().or(outer.incarnation.as_ref());
    let incarnation = object.need("incarnation", incarnation).map_err(|fault| bad(&fault))?;
    Ok(Status { pool: pool.clone(), worker: worker.clone(), incarnation: incarnation.clone(), kind })
}

fn read_kind(object: &Object<'_>, kind: &str, defaults: &Defaults) -> Result<Option<StatusKind>, Fault> {
    let report = || Ok::<_, Fault>((read_attempt(object)?, read_report(object, defaults)));
    Ok(Some(match kind {
        "hello" => read_hello(object, defaults)?,
        "heartbeat" => StatusKind::Heartbeat {
            read_seq: MessageSeq(object.need("read_seq", object.scalar("read_seq", "a whole number")?)?),
            free_slots: object.need("free_slots", object.scalar("free_slots", "a whole number")?)?,
            draining: object.scalar("draining", "true or false")?.unwrap_or(false),
            running: read_attempts(object, "running")?,
        },
        "started" => StatusKind::Started { attempt: read_attempt(object)? },
        "progress" => StatusKind::Progress { attempt: read_attempt(object)?, note: read_note(object) },
        "completed" => {
            let (attempt, report) = report()?;
            StatusKind::Completed { attempt, report }
        }
        "failed" => {
            let (attempt, report) = report()?;
            StatusKind::Failed { attempt, report }
        }
        "cancelled" => {
            let (attempt, report) = report()?;
            StatusKind::Cancelled { attempt, report }
        }
        "rejected" => StatusKind::Rejected {
            attempt: read_attempt(object)?,
            // One that can't be read says as little as none.
            message: object.head("message", NOTE_BYTES_MAX).unwrap_or_default().unwrap_or_default(),
        },
        "goodbye" => StatusKind::Goodbye,
        _ => return Ok(None),
    }))
}

fn read_hello(object: &Object<'_>, defaults: &Defaults) -> Result<StatusKind, Fault> {
    let slots: u32 = object.need("slots", object.scalar("slots", "a whole number")?)?;
    let max = defaults.limits.slots_max;
    if slots > max {
        return Err(Fault::limit(object.at("slots"), format!("is {slots}, slots_max is {max}")));
    }
    Ok(StatusKind::Hello {
        protocols: object.scalar("protocols", "a list of whole numbers")?.unwrap_or_else(|| vec![1]),
        slots,
        labels: labels(object, "labels", LABELS_MAX, &format!("allowed are {LABELS_MAX}"))?,
        running: read_attempts(object, "running")?,
    })
}

/// A note that is too long is no longer JSON when it is cut, so its head becomes a JSON string.
fn read_note(object: &Object<'_>) -> Option<Json> {
    let text = object.raw("note")?.get();
    if text.len() <= PROGRESS_BYTES_MAX {
        return Some(Json(text.into()));
    }
    // Escaping at most doubles what JSON text can hold (quotes and backslashes; control characters are escaped already).
    let head = first_bytes(text, PROGRESS_BYTES_MAX / 2 - 1);
    serde_json::to_string(head).ok().map(|text| Json(text.into()))
}
