//! Messages to workers as JSON, both ways.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::id::{Incarnation, JobId, MessageSeq, Pool, WorkerName};
use crate::task::Json;
use crate::time::Millis;
use crate::wire::command_read::header;
use crate::wire::error::{BadReason, Fault, Undecodable};
use crate::wire::json::{ContentRefJson, RawJson, attempts, put_attempt, some};
use crate::wire::limits::PATH_BYTES_MAX;
use crate::wire::names::reason_from_name;
use crate::wire::object::{Object, read_text};
use crate::wire::report_read::{read_attempt, read_attempts, read_word};
use crate::wire::spec_read::read_content_ref;
use crate::wire::to_worker::{Address, ToWorker, Work};

/// A message as the value of a record on a worker's channel; its key is [`ToWorker::key`].
#[must_use]
pub fn encode_to_worker(message: &ToWorker) -> Vec<u8> {
    serde_json::to_vec(&ToWorkerJson(message)).unwrap_or_default()
}

struct ToWorkerJson<'a>(&'a ToWorker);

impl Serialize for ToWorkerJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let to = self.0.to();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &1)?;
        map.serialize_entry("type", self.0.type_name())?;
        map.serialize_entry("seq", &to.seq)?;
        map.serialize_entry("pool", &to.pool)?;
        map.serialize_entry("worker", &to.worker)?;
        map.serialize_entry("incarnation", &to.incarnation)?;
        put_body(&mut map, self.0)?;
        map.end()
    }
}

#[derive(serde::Serialize)]
struct WelcomeLimits {
    result_bytes: u32,
}

fn put_body<M: SerializeMap>(map: &mut M, message: &ToWorker) -> Result<(), M::Error> {
    match message {
        ToWorker::Welcome { to: _, protocol, heartbeat, lease, grace, result_bytes_max, adopt } => {
            map.serialize_entry("protocol", protocol)?;
            map.serialize_entry("heartbeat_ms", heartbeat)?;
            map.serialize_entry("lease_ms", lease)?;
            map.serialize_entry("grace_ms", grace)?;
            map.serialize_entry("limits", &WelcomeLimits { result_bytes: *result_bytes_max })?;
            map.serialize_entry("adopt", &attempts(adopt))
        }
        ToWorker::Assign { to: _, attempt, work } => {
            put_attempt(map, attempt)?;
            some(map, "job", work.job.as_ref())?;
            map.serialize_entry("command", &work.command)?;
            map.serialize_entry("env", &work.env)?;
            some(map, "cwd", work.cwd.as_ref())?;
            some(map, "payload", work.payload.as_ref().map(RawJson))?;
            some(map, "payload_ref", work.payload_ref.as_ref().map(ContentRefJson))?;
            map.serialize_entry("tags", &work.tags)?;
            some(map, "run_timeout_ms", work.run_timeout)
        }
        ToWorker::Cancel { to: _, attempt, grace, reason } => {
            put_attempt(map, attempt)?;
            map.serialize_entry("grace_ms", grace)?;
            map.serialize_entry("reason", reason.name())
        }
        ToWorker::Drain { .. }
        | ToWorker::Undrain { .. }
        | ToWorker::Rehello { .. }
        | ToWorker::Replaced { .. } => Ok(()),
    }
}

/// Reads a message; fields that are not known are ignored, so that old workers understand new servers.
///
/// # Errors
/// [`Undecodable::Bad`] when it is not a message that this worker understands: skip it.
pub fn decode_to_worker(bytes: &[u8]) -> Result<ToWorker, Undecodable> {
    let object = Object::output(bytes)?;
    let kind = header(&object)?;
    match read(&object, &kind) {
        Ok(Some(message)) => Ok(message),
        Ok(None) => {
            Err(Undecodable::bad(BadReason::UnknownType, format!("`{kind}` is not a message to a worker")))
        }
        Err(fault) => Err(Undecodable::bad(BadReason::BadField, fault.detail)),
    }
}

fn read(object: &Object<'_>, kind: &str) -> Result<Option<ToWorker>, Fault> {
    let to = Address {
        pool: object.need("pool", object.name("pool", Pool::parse)?)?,
        worker: object.need("worker", object.name("worker", WorkerName::parse)?)?,
        incarnation: object.need("incarnation", object.name("incarnation", Incarnation::parse)?)?,
        seq: MessageSeq(object.need("seq", object.scalar("seq", "a whole number")?)?),
    };
    Ok(Some(match kind {
        "welcome" => read_welcome(object, to)?,
        "assign" => {
            ToWorker::Assign { to, attempt: read_attempt(object)?, work: Box::new(read_work(object)?) }
        }
        "cancel" => ToWorker::Cancel {
            to,
            attempt: read_attempt(object)?,
            grace: need_millis(object, "grace_ms")?,
            reason: read_word(object, "reason", reason_from_name)?,
        },
        "drain" => ToWorker::Drain { to },
        "undrain" => ToWorker::Undrain { to },
        "rehello" => ToWorker::Rehello { to },
        "replaced" => ToWorker::Replaced { to },
        _ => return Ok(None),
    }))
}

fn need_millis(object: &Object<'_>, name: &str) -> Result<Millis, Fault> {
    Ok(Millis(object.need(name, object.scalar(name, "milliseconds")?)?))
}

fn read_welcome(object: &Object<'_>, to: Address) -> Result<ToWorker, Fault> {
    let limits = object.need("limits", object.object("limits")?)?;
    Ok(ToWorker::Welcome {
        to,
        protocol: object.need("protocol", object.scalar("protocol", "a whole number")?)?,
        heartbeat: need_millis(object, "heartbeat_ms")?,
        lease: need_millis(object, "lease_ms")?,
        grace: need_millis(object, "grace_ms")?,
        result_bytes_max: limits.need("result_bytes", limits.scalar("result_bytes", "a whole number")?)?,
        adopt: read_attempts(object, "adopt")?,
    })
}

fn read_work(object: &Object<'_>) -> Result<Work, Fault> {
    let words = object.list("command")?.unwrap_or_default();
    let command: Result<Vec<String>, Fault> = words
        .into_iter()
        .map(|raw| read_text(raw, || "command".to_owned()).map(std::borrow::Cow::into_owned))
        .collect();
    Ok(Work {
        job: object.name("job", JobId::parse)?,
        command: command?,
        env: object.strings("env")?,
        cwd: object.text("cwd", PATH_BYTES_MAX)?,
        payload: object.raw("payload").map(|raw| Json(raw.get().into())),
        payload_ref: read_content_ref(object, "payload_ref")?,
        tags: object.strings("tags")?,
        run_timeout: object.scalar("run_timeout_ms", "milliseconds")?.map(Millis),
    })
}
