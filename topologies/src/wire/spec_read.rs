//! Reads and checks the task of a `submit`, `submit_many` or `requeue`.

use std::collections::BTreeMap;

use crate::id::{JobId, Pool, Priority, QueueName, TaskId};
use crate::task::{ContentRef, Json, Retry, RetryGiven, TaskSpec};
use crate::time::Millis;
use crate::wire::error::{Fault, RefusedReason};
use crate::wire::limits::{
    COMMAND_ARGS_MAX, Defaults, ENV_BYTES_MAX, PATH_BYTES_MAX, TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX,
    TRIES_MAX, WAIT_MS_MAX,
};
use crate::wire::object::{Object, read_text};

/// The fields that a task may have.
const KNOWN: &[&str] = &[
    "id",
    "pool",
    "queue",
    "job",
    "priority",
    "tags",
    "command",
    "env",
    "cwd",
    "payload",
    "payload_ref",
    "run_timeout_ms",
    "queue_ttl_ms",
    "retry",
    "reply_to",
];

/// Fields that people expect of a grid scheduler and that are planned.
const PLANNED: &[&str] = &[
    "affinity",
    "anti_affinity",
    "array",
    "constraints",
    "deadline",
    "deadline_ms",
    "delay_ms",
    "depends_on",
    "exclusive",
    "hold",
    "labels",
    "not_before",
    "not_before_ms",
    "prefer",
    "requires",
    "resources",
    "schedule",
    "tolerations",
    "weight",
];

const KNOWN_RETRY: &[&str] = &["max_failures", "max_losses", "backoff_ms", "backoff_max_ms"];

/// Refuses fields that are not in `known`, each by its name.
pub(crate) fn only(object: &Object<'_>, known: &[&str], planned: &[&str]) -> Result<(), Fault> {
    match object.names().find(|name| !known.contains(name)) {
        Some(name) if planned.contains(&name) => {
            Err(Fault::new(object.at(name), RefusedReason::UnsupportedField, "is not supported yet"))
        }
        Some(name) => Err(Fault::new(object.at(name), RefusedReason::UnknownField, "is not known")),
        None => Ok(()),
    }
}

/// Refuses what is not known in the task of a command. Events, which a newer server may have written, are read without.
pub(crate) fn only_known(task: &Object<'_>) -> Result<(), Fault> {
    only(task, KNOWN, PLANNED)?;
    if let Some(retry) = task.object("retry")? {
        only(&retry, KNOWN_RETRY, &["jitter", "retry_on"])?;
    }
    match task.object("payload_ref")? {
        Some(inner) => only(&inner, &["uri", "sha256"], &[]),
        None => Ok(()),
    }
}

/// A task; `pool` is the command's, which the task's own must be equal to.
pub(crate) fn read_spec(task: &Object<'_>, pool: &Pool, defaults: &Defaults) -> Result<TaskSpec, Fault> {
    if let Some(own) = task.name("pool", Pool::parse)?
        && own != *pool
    {
        return Err(Fault::invalid(
            task.at("pool"),
            format!("is `{own}`, but the command is for pool `{pool}`"),
        ));
    }
    let queue = task.name("queue", QueueName::parse)?;
    let (payload, payload_ref) = read_payload(task, defaults)?;
    Ok(TaskSpec {
        id: task.need("id", task.name("id", TaskId::parse)?)?,
        pool: pool.clone(),
        queue: queue.unwrap_or_else(|| QueueName::trusted("default")),
        job: task.name("job", JobId::parse)?,
        priority: task.scalar("priority", "a whole number of 32 bits")?.map_or(Priority(0), Priority),
        tags: read_tags(task, defaults)?,
        command: read_command(task)?,
        env: read_env(task)?,
        cwd: read_cwd(task)?,
        payload,
        payload_ref,
        run_timeout: read_wait(task, "run_timeout_ms", 1)?,
        queue_ttl: read_wait(task, "queue_ttl_ms", 1)?,
        retry: read_retry(task, defaults)?,
        reply_to: read_reply_to(task)?,
    })
}

fn read_payload(task: &Object<'_>, defaults: &Defaults) -> Result<(Option<Json>, Option<ContentRef>), Fault> {
    let max = defaults.limits.payload_bytes_max;
    let payload = task.raw("payload");
    if let Some(raw) = payload
        && raw.get().len() > usize::try_from(max).unwrap_or(usize::MAX)
    {
        let detail = format!(
            "has {} bytes, payload_bytes_max is {max}: store it elsewhere and send `payload_ref` instead",
            raw.get().len()
        );
        return Err(Fault::limit(task.at("payload"), detail));
    }
    let payload_ref = read_content_ref(task, "payload_ref")?;
    if payload.is_some() && payload_ref.is_some() {
        return Err(Fault::invalid(task.at("payload_ref"), "and `payload` exclude each other"));
    }
    Ok((payload.map(|raw| Json(raw.get().into())), payload_ref))
}

/// `{"uri":…,"sha256":…}`.
pub(crate) fn read_content_ref(object: &Object<'_>, name: &str) -> Result<Option<ContentRef>, Fault> {
    let Some(inner) = object.object(name)? else {
        return Ok(None);
    };
    let uri = inner.need("uri", inner.text("uri", PATH_BYTES_MAX)?)?;
    if uri.is_empty() {
        return Err(Fault::invalid(inner.at("uri"), "must not be empty"));
    }
    let sha256 = inner.need("sha256", inner.text("sha256", 64)?)?;
    let is_digest = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_digest {
        return Err(Fault::invalid(inner.at("sha256"), "must be 64 lower-case hexadecimal digits"));
    }
    Ok(Some(ContentRef { uri, sha256 }))
}

fn read_tags(task: &Object<'_>, defaults: &Defaults) -> Result<BTreeMap<String, String>, Fault> {
    let max = defaults.limits.tags_max;
    labels(task, "tags", usize::try_from(max).unwrap_or(usize::MAX), &format!("tags_max is {max}"))
}

/// Tags of a task or labels of a worker.
pub(crate) fn labels(
    object: &Object<'_>,
    name: &str,
    max: usize,
    limit: &str,
) -> Result<BTreeMap<String, String>, Fault> {
    let map = object.strings(name)?;
    if map.len() > max {
        return Err(Fault::limit(object.at(name), format!("has {} entries, {limit}", map.len())));
    }
    for (key, value) in &map {
        let path = format!("{}.{key}", object.at(name));
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if key.is_empty() || key.len() > TAG_NAME_BYTES_MAX || !key.bytes().all(good) {
            let detail =
                format!("has a bad name: allowed are 1 to {TAG_NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -");
            return Err(Fault::invalid(path, detail));
        }
        if value.len() > TAG_VALUE_BYTES_MAX {
            let detail = format!("has {} bytes, allowed are {TAG_VALUE_BYTES_MAX}", value.len());
            return Err(Fault::limit(path, detail));
        }
    }
    Ok(map)
}

fn read_command(task: &Object<'_>) -> Result<Vec<String>, Fault> {
    let words = task.list("command")?.unwrap_or_default();
    if words.len() > COMMAND_ARGS_MAX {
        let detail = format!("has {} words, allowed are {COMMAND_ARGS_MAX}", words.len());
        return Err(Fault::limit(task.at("command"), detail));
    }
    let mut command = Vec::with_capacity(words.len());
    for (index, raw) in words.into_iter().enumerate() {
        let path = || format!("{}[{index}]", task.at("command"));
        let word = read_text(raw, path)?;
        if index == 0 && word.is_empty() {
            return Err(Fault::invalid(path(), "is the program and must not be empty"));
        }
        command.push(word.into_owned());
    }
    Ok(command)
}

fn read_env(task: &Object<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let env = task.strings("env")?;
    if let Some(name) = env.keys().find(|name| name.is_empty() || name.contains('=')) {
        let detail = "has a bad name: it must not be empty and must not contain `=`";
        return Err(Fault::invalid(format!("{}.{name}", task.at("env")), detail));
    }
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > ENV_BYTES_MAX {
        let detail = format!("has {bytes} bytes in all, allowed are {ENV_BYTES_MAX}");
        return Err(Fault::limit(task.at("env"), detail));
    }
    Ok(env)
}

fn read_cwd(task: &Object<'_>) -> Result<Option<String>, Fault> {
    let cwd = task.text("cwd", PATH_BYTES_MAX)?;
    if cwd.as_deref() == Some("") {
        return Err(Fault::invalid(task.at("cwd"), "must not be empty"));
    }
    Ok(cwd)
}

/// A length of time between `min` milliseconds and 30 days.
fn read_wait(object: &Object<'_>, name: &str, min: u64) -> Result<Option<Millis>, Fault> {
    if object.raw(name).is_none() {
        return Ok(None);
    }
    let what = format!("a whole number of milliseconds from {min} to {WAIT_MS_MAX}");
    match object.scalar::<u64>(name, &what)? {
        Some(wait) if wait < min || wait > WAIT_MS_MAX => {
            Err(Fault::invalid(object.at(name), format!("is {wait}, but must be {what}")))
        }
        wait => Ok(wait.map(Millis)),
    }
}

fn read_tries(object: &Object<'_>, name: &str) -> Result<Option<u32>, Fault> {
    if object.raw(name).is_none() {
        return Ok(None);
    }
    let what = format!("a whole number from 1 to {TRIES_MAX}");
    match object.scalar::<u32>(name, &what)? {
        Some(tries) if tries == 0 || tries > TRIES_MAX => {
            Err(Fault::invalid(object.at(name), format!("is {tries}, but must be {what}")))
        }
        tries => Ok(tries),
    }
}

/// A default never contradicts what was given: it gives way.
fn read_retry(task: &Object<'_>, defaults: &Defaults) -> Result<Retry, Fault> {
    let usual = &defaults.retry;
    let Some(retry) = task.object("retry")? else {
        return Ok(usual.clone());
    };
    let (max_failures, max_losses) = (read_tries(&retry, "max_failures")?, read_tries(&retry, "max_losses")?);
    let (first, longest) = (read_wait(&retry, "backoff_ms", 0)?, read_wait(&retry, "backoff_max_ms", 0)?);
    let (backoff, backoff_max) = match (first, longest) {
        (Some(first), Some(longest)) if longest < first => {
            let detail = format!("is {}, which is less than `backoff_ms` {}", longest.0, first.0);
            return Err(Fault::invalid(retry.at("backoff_max_ms"), detail));
        }
        (Some(first), Some(longest)) => (first, longest),
        (Some(first), None) => (first, usual.backoff_max.max(first)),
        (None, Some(longest)) => (usual.backoff.min(longest), longest),
        (None, None) => (usual.backoff, usual.backoff_max),
    };
    Ok(Retry {
        max_failures: max_failures.unwrap_or(usual.max_failures),
        max_losses: max_losses.unwrap_or(usual.max_losses),
        backoff,
        backoff_max,
        given: RetryGiven {
            max_failures: max_failures.is_some(),
            max_losses: max_losses.is_some(),
            backoff: first.is_some(),
            backoff_max: longest.is_some(),
        },
    })
}

/// Only the form of a topic's name; whether it may be used is decided with the other settings.
fn read_reply_to(task: &Object<'_>) -> Result<Option<String>, Fault> {
    let topic = task.text("reply_to", 249)?;
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match topic {
        Some(name) if name.is_empty() || name == "." || name == ".." || !name.bytes().all(good) => {
            Err(Fault::invalid(task.at("reply_to"), "is not the name of a topic"))
        }
        topic => Ok(topic),
    }
}
