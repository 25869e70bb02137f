//! Asking several instances: each says which partitions its answer is about, and what no answer is about is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::ask::{Question, ask, partitions_of};
use super::parts::App;
use super::problem::{Answer, Problem};
use super::stale::Lag;

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
    /// How far behind the copies are that it has read.
    pub(crate) lag: Option<Lag>,
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

/// Asks instances for the partitions of which they are the best place, side by side. What has been told is not missing then.
pub(crate) async fn ask_each(
    app: &App,
    places: BTreeMap<String, BTreeSet<i32>>,
    question: &Question,
    missing: &mut Missing,
) -> Vec<Part> {
    let (mut waiting, mut asking, mut parts) = (places.into_iter(), JoinSet::new(), Vec::new());
    loop {
        while asking.len() < AT_ONCE
            && let Some((place, wanted)) = waiting.next()
        {
            let (app, question) = (App::clone(app), question.about(&wanted));
            asking.spawn(async move {
                let part = part(&app, &place, &wanted, &question).await;
                (place, wanted, part)
            });
        }
        match asking.join_next().await {
            Some(Ok((place, wanted, part))) => {
                missing.hear(&place, &wanted, &part);
                parts.extend(part);
            }
            // What it was about stays missing.
            Some(Err(error)) => tracing::error!(%error, "asking another instance failed"),
            None => return parts,
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
    let partitions: BTreeSet<i32> = partitions_of(&head.headers).intersection(wanted).copied().collect();
    Ok(Part { status: head.status, body, partitions, lag: Lag::told(&head.headers) })
}

impl Missing {
    /// What is not here, as long as nobody has answered.
    pub(crate) fn beside(here: &BTreeSet<i32>, app: &App) -> Self {
        let registry = &app.parts.registry;
        let (mut missing, owners) = (Self::default(), registry.elsewhere());
        for partition in (0..registry.partitions()).filter(|partition| !here.contains(partition)) {
            match owners.get(&partition) {
                Some(owner) => {
                    let unasked = (owner.clone(), "it has not answered".to_owned());
                    missing.elsewhere.insert(partition, unasked);
                }
                None => {
                    missing.moving.insert(partition);
                }
            }
        }
        missing
    }

    /// The owners of what is missing, as far as there are any.
    pub(crate) fn owners(&self) -> BTreeMap<String, BTreeSet<i32>> {
        let mut owners: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for (partition, (owner, _)) in &self.elsewhere {
            owners.entry(owner.clone()).or_default().insert(*partition);
        }
        owners
    }

    /// It has been told of a partition.
    pub(crate) fn remove(&mut self, partition: i32) {
        self.elsewhere.remove(&partition);
        self.moving.remove(&partition);
    }

    /// What an instance has said about what was wanted of it.
    fn hear(&mut self, place: &str, wanted: &BTreeSet<i32>, part: &Result<Part, String>) {
        let why = part.as_ref().err().map_or("it has given it away", String::as_str);
        for partition in wanted {
            if part.as_ref().is_ok_and(|part| part.partitions.contains(partition)) {
                self.remove(*partition);
            } else if let Some((owner, said)) = self.elsewhere.get_mut(partition)
                && owner == place
            {
                why.clone_into(said);
            }
        }
    }

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

    /// Whether a partition is.
    pub(crate) fn has(&self, partition: i32) -> bool {
        self.elsewhere.contains_key(&partition) || self.moving.contains(&partition)
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeSet<i32> {
        self.elsewhere.keys().chain(&self.moving).copied().collect()
    }

    /// Those of others, and those of nobody.
    pub(crate) fn split(&self) -> (Vec<Elsewhere>, Vec<i32>) {
        let view = |(partition, (url, _)): (&i32, &(String, String))| Elsewhere {
            partition: *partition,
            url: url.clone(),
        };
        (self.elsewhere.iter().map(view).collect(), self.moving.iter().copied().collect())
    }
}
