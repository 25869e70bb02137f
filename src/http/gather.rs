//! One answer out of those of all instances: each says what it has and which partitions that is about, and what no answer
//! is about is missing, never passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::ask::{COVERED, Question, ask, covered, partitions_value};
use super::params::Params;
use super::parts::App;
use super::problem::{Answer, Problem};

/// Instances that are asked at once.
const AT_ONCE: usize = 8;
/// The largest answer of one of them.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an answer may take to come whole, once it has begun.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Here it is, it is not here, it is here several times: whatever else is said is no part of an answer.
const ANSWERS: [StatusCode; 3] = [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::CONFLICT];

/// What another instance has said.
pub(crate) struct Part {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// The partitions that it was asked for and has spoken about.
    pub(crate) partitions: BTreeSet<i32>,
}

/// What all of them have said.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) parts: Vec<Part>,
    pub(crate) missing: Missing,
}

/// The partitions that an answer is not about.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// Their owners have not answered, and why.
    elsewhere: BTreeMap<i32, (String, String)>,
    /// Nobody serves them.
    moving: BTreeSet<i32>,
}

/// Another instance's partition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Elsewhere {
    partition: i32,
    url: String,
}

/// Names the partitions that an answer with `partial=ok` is not about.
pub(crate) const MISSING: HeaderName = HeaderName::from_static("yardmaster-missing-partitions");

/// Whether an answer may have parts missing: `partial=ok`.
pub(crate) fn take_partial(params: &mut Params) -> Answer<bool> {
    match params.one("partial")?.as_deref() {
        None => Ok(false),
        Some("ok") => Ok(true),
        Some(_) => Err(Problem::bad_field("partial", "`partial` can only be `ok`")
            .remedy("leave it out, or set it to `ok`")),
    }
}

/// What is not here, as long as nobody has answered.
pub(crate) fn not_here(app: &App, here: &BTreeSet<i32>) -> Missing {
    let registry = &app.parts.registry;
    let mut missing = Missing::default();
    let owners = registry.elsewhere();
    for partition in (0..registry.partitions()).filter(|partition| !here.contains(partition)) {
        match owners.get(&partition) {
            Some(owner) => {
                missing.elsewhere.insert(partition, (owner.clone(), "it has not answered".to_owned()));
            }
            None => {
                missing.moving.insert(partition);
            }
        }
    }
    missing
}

/// Asks all owners of what is not `here`, side by side.
pub(crate) async fn gather(app: &App, here: &BTreeSet<i32>, question: Question) -> Gathered {
    let mut gathered = Gathered { parts: Vec::new(), missing: not_here(app, here) };
    let mut by_owner: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for (partition, (owner, _)) in &gathered.missing.elsewhere {
        by_owner.entry(owner.clone()).or_default().insert(*partition);
    }
    let question = Arc::new(question);
    let (mut waiting, mut asking) = (by_owner.into_iter(), JoinSet::new());
    loop {
        while asking.len() < AT_ONCE
            && let Some((owner, wanted)) = waiting.next()
        {
            let (app, question) = (App::clone(app), Arc::clone(&question));
            asking.spawn(async move {
                let part = part(&app, &owner, &wanted, &question).await;
                (wanted, part)
            });
        }
        match asking.join_next().await {
            Some(Ok((wanted, part))) => gathered.add(&wanted, part),
            // What it was about stays missing.
            Some(Err(error)) => tracing::error!(%error, "asking another instance failed"),
            None => return gathered,
        }
    }
}

/// One instance's answer, whole.
async fn part(app: &App, owner: &str, wanted: &BTreeSet<i32>, question: &Question) -> Result<Part, String> {
    let answer = ask(app, owner, question).await.map_err(|unheard| unheard.to_string())?;
    let (head, body) = answer.into_parts();
    let body = timeout(BODY_TIMEOUT, to_bytes(Body::new(body), BYTES_MAX)).await;
    let body = body.map_err(|_| "its answer does not end".to_owned())?;
    let body = body.map_err(|error| format!("its answer can't be read: {error}"))?;
    if !ANSWERS.contains(&head.status) {
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let detail = problem.get("detail").and_then(Value::as_str).unwrap_or_default();
        return Err(format!("it answers with {}: {detail}", head.status.as_u16()));
    }
    let partitions: BTreeSet<i32> = covered(&head.headers).intersection(wanted).copied().collect();
    Ok(Part { status: head.status, body, partitions })
}

impl Gathered {
    fn add(&mut self, wanted: &BTreeSet<i32>, part: Result<Part, String>) {
        let why = part.as_ref().err().map_or("it has given it away", String::as_str);
        let has = |partition: &i32| part.as_ref().is_ok_and(|part| part.partitions.contains(partition));
        for partition in wanted {
            if has(partition) {
                self.missing.elsewhere.remove(partition);
            } else if let Some((_, said)) = self.missing.elsewhere.get_mut(partition) {
                why.clone_into(said);
            }
        }
        self.parts.extend(part);
    }
}

impl Missing {
    /// Refuses an answer that would not be whole.
    pub(crate) fn must_be_none(&self, what: &str) -> Answer<()> {
        if let Some((partition, (owner, why))) = self.elsewhere.first_key_value() {
            let detail = format!("{what} would not be whole: partition {partition} is at {owner}, and {why}");
            return Err(Problem::later("unreachable", detail)
                .with("owner", owner)
                .with("missing", self.all()));
        }
        if self.moving.is_empty() {
            return Ok(());
        }
        let shown = self.moving.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        let detail = format!(
            "{what} would not be whole: partitions are moving between instances or being restored: {shown}"
        );
        Err(Problem::later("moving", detail).with("missing", self.all()))
    }

    /// Names them in an answer that is not whole.
    pub(crate) fn header(&self) -> Option<[(HeaderName, HeaderValue); 1]> {
        let missing = self.all();
        (!missing.is_empty()).then(|| [(MISSING, partitions_value(&missing))])
    }

    /// All of them.
    fn all(&self) -> BTreeSet<i32> {
        self.elsewhere.keys().chain(&self.moving).copied().collect()
    }

    /// Those of others, and those of nobody.
    pub(crate) fn split(self) -> (Vec<Elsewhere>, Vec<i32>) {
        let elsewhere = self.elsewhere.into_iter().map(|(partition, (url, _))| Elsewhere { partition, url });
        (elsewhere.collect(), self.moving.into_iter().collect())
    }
}

/// An answer that says which partitions it is about.
pub(crate) fn about(partitions: &BTreeSet<i32>, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(COVERED, partitions_value(partitions));
    response
}
