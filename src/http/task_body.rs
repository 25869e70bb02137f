//! The body of a submit: one task, a list of tasks, or `{"tasks":[…]}`. Each is read by the wire's own decoder before
//! anything is sent, so that what is bad is answered with its field's name and nothing is stored.

use std::collections::BTreeSet;
use std::fmt;

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use ulid::Ulid;
use yardmaster_topologies::event::Action;
use yardmaster_topologies::id::{Pool, TaskId};
use yardmaster_topologies::task::TaskSpec;
use yardmaster_topologies::wire::{DEPTH_MAX, Defaults, RefusedReason, Undecodable, decode_command};

use super::problem::{Answer, Problem};
use super::refusal::limit_of;

/// Tasks of one request.
pub(crate) const TASKS_MAX: usize = 10_000;

/// The fields of an object in their order, repeated ones included, each as it stands in the text.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

impl<'a> Entries<'a> {
    /// The first field of a name that is not null.
    fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, raw)| key == name && raw.get() != "null").map(|(_, raw)| *raw)
    }
}

/// What a body asks for.
pub(crate) struct Body {
    pub(crate) tasks: Vec<TaskSpec>,
    /// Some ids are ours: the client doesn't know them.
    pub(crate) has_made_up_ids: bool,
}

/// Reads the tasks of a body; `pool` is for those that don't say.
pub(crate) fn read_tasks(body: &[u8], pool: &Pool, defaults: &Defaults) -> Answer<Body> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::bad_body("the body is not UTF-8"))?;
    check_depth(text)?;
    let raw: &RawValue = serde_json::from_str(text)
        .map_err(|error| Problem::bad_body(format!("the body is not JSON: {error}")))?;
    let (list, prefix) = split(raw)?;
    if list.is_empty() {
        return Err(Problem::bad_field("tasks", "there is no task in the body"));
    }
    if list.len() > TASKS_MAX {
        let detail = format!("the body has {} tasks", list.len());
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too many tasks", detail);
        return Err(problem.field("tasks").limit(TASKS_MAX.to_string()).remedy("send several requests"));
    }
    let (mut tasks, mut seen) = (Vec::with_capacity(list.len()), BTreeSet::new());
    let mut has_made_up_ids = false;
    for (index, raw) in list.into_iter().enumerate() {
        let path = prefix.map_or(String::new(), |prefix| format!("{prefix}[{index}]"));
        let (task, is_made_up) = read_one(raw, &path, pool, defaults)?;
        has_made_up_ids |= is_made_up;
        if !seen.insert((task.pool.clone(), task.id.clone())) {
            let detail = format!("`{}` is the id of an earlier task of this request", task.id);
            let code = RefusedReason::DuplicateInBatch.name();
            return Err(refused(code, detail).field(join(&path, "id")));
        }
        tasks.push(task);
    }
    Ok(Body { tasks, has_made_up_ids })
}

/// The single tasks, and what stands before their index in a path; nothing for the only one.
fn split(raw: &RawValue) -> Answer<(Vec<&RawValue>, Option<&'static str>)> {
    if raw.get().starts_with('[') {
        let list = serde_json::from_str(raw.get()).map_err(|error| Problem::bad_body(error.to_string()))?;
        return Ok((list, Some("")));
    }
    let entries: Entries<'_> = serde_json::from_str(raw.get())
        .map_err(|_| Problem::bad_body("the body must be a task, a list of tasks, or {\"tasks\":[…]}"))?;
    let Some(tasks) = entries.field("tasks") else {
        return Ok((vec![raw], None));
    };
    if let Some((other, _)) = entries.0.iter().find(|(key, _)| key != "tasks") {
        return Err(refused("unknown_field", format!("`{other}` is not known beside `tasks`")).field(other));
    }
    if entries.0.len() > 1 {
        return Err(refused("duplicate_key", "`tasks` stands twice").field("tasks"));
    }
    let list = serde_json::from_str(tasks.get())
        .map_err(|_| Problem::bad_field("tasks", "`tasks` must be a list"))?;
    Ok((list, Some("tasks")))
}

/// One task, and whether its id was made up.
fn read_one(raw: &RawValue, path: &str, pool: &Pool, defaults: &Defaults) -> Answer<(TaskSpec, bool)> {
    let entries: Entries<'_> = serde_json::from_str(raw.get()).map_err(|_| {
        let shown = if path.is_empty() { "the body" } else { path };
        Problem::bad_field(path, format!("{shown} must be an object"))
    })?;
    let own = entries.field("pool").map(|own| serde_json::from_str::<String>(own.get()));
    let pool = match own {
        None => pool.clone(),
        Some(Ok(own)) => {
            Pool::parse(&own).map_err(|bad| refused("invalid", bad.to_string()).field(join(path, "pool")))?
        }
        Some(Err(_)) => return Err(refused("invalid", "`pool` must be a string").field(join(path, "pool"))),
    };
    let command = command_text(&entries, raw, &pool);
    match decode_command(command.as_bytes(), defaults) {
        Ok(command) => match command.action {
            Action::Submit { tasks } => {
                let task = tasks.into_iter().next();
                let task = task.ok_or_else(|| Problem::bad_body("there is no task in the body"))?;
                Ok((task, entries.field("id").is_none()))
            }
            Action::CancelTask { .. }
            | Action::CancelJob { .. }
            | Action::Requeue { .. }
            | Action::Drain { .. }
            | Action::Undrain { .. } => Err(Problem::internal("a submit was read as something else")),
        },
        Err(Undecodable::Bad { reason, detail }) => {
            Err(Problem::bad_field(path, format!("{}: {detail}", reason.name())))
        }
        Err(Undecodable::Refused { refusal, .. }) => {
            let inner = refusal.field.unwrap_or_default();
            let inner = inner.strip_prefix("task.").unwrap_or(&inner);
            let detail = refusal
                .detail
                .replace("`task.", &if path.is_empty() { "`".into() } else { format!("`{path}.") });
            let limit = Some(inner).filter(|_| refusal.reason == RefusedReason::Limit);
            let limit = limit.and_then(|field| limit_of(field, &defaults.limits));
            let problem = refused(refusal.reason.name(), detail).field(join(path, inner));
            Err(limit.into_iter().fold(problem, |problem, limit| problem.limit(limit)))
        }
    }
}

/// The command as a client of the topic would write it; an id is made up where there is none.
fn command_text(entries: &Entries<'_>, raw: &RawValue, pool: &Pool) -> String {
    let open = format!(r#"{{"v":1,"type":"submit","pool":"{pool}","task":"#);
    if entries.field("id").is_some() {
        return format!("{open}{}}}", raw.get());
    }
    let mut text = format!(r#"{open}{{"id":"{}""#, new_id().as_str());
    for (key, value) in entries.0.iter().filter(|(key, _)| key != "id") {
        let key = serde_json::to_string(key).unwrap_or_default();
        text.push_str(&format!(",{key}:{}", value.get()));
    }
    text.push_str("}}");
    text
}

fn new_id() -> TaskId {
    TaskId::trusted(&Ulid::generate().to_string().to_lowercase())
}

/// What the processor would refuse is refused before it is sent.
fn refused(code: &str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The task is not valid", detail)
        .remedy("nothing was sent: correct the field and send it again")
}

fn join(path: &str, field: &str) -> String {
    match (path, field) {
        ("", field) => field.to_owned(),
        (path, "") => path.to_owned(),
        (path, field) => format!("{path}.{field}"),
    }
}

/// No parser sees a text that is nested too deep.
fn check_depth(text: &str) -> Answer<()> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (true | false, _) => {}
        }
        // The list around the tasks comes on top of what one record may have.
        if depth > DEPTH_MAX + 2 {
            return Err(Problem::bad_body("the body is nested too deep")
                .limit(DEPTH_MAX.to_string())
                .remedy("nest it less, or send what is nested as text"));
        }
    }
    Ok(())
}
