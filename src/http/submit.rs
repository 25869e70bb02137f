//! `POST /v1/tasks`: one or many, acknowledged by the broker, or with what the processor decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_topologies::event::{Action, Command};
use yardmaster_topologies::id::{Pool, RequestId, TaskId};
use yardmaster_topologies::task::TaskSpec;
use yardmaster_topologies::wire::Event;

use super::locate::owned;
use super::params::{Params, segment};
use super::parts::App;
use super::position::Token;
use super::problem::{Answer, Problem};
use super::send::{body_of, new_request_id, send};
use super::submit_plan::{Warning, chunks, warnings};
use super::task_body::read_tasks;
use super::wait::{Wait, refused_status};

/// The answer to a submit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Submitted {
    /// Stands in every event that answers it.
    request_id: String,
    /// For `min_position` of reads.
    position: String,
    /// In the order of the request.
    tasks: Vec<SubmittedTask>,
    /// What may not be as meant.
    warnings: Vec<Warning>,
    /// Why some are undecided.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// One task of a submit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubmittedTask {
    pool: String,
    id: String,
    /// Where to look at it.
    href: String,
    /// `sent`; with `wait=applied` instead `accepted`, `repeated`, `refused` or `undecided`.
    outcome: &'static str,
    /// The task's state, when it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Counts requeues by people.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// One sentence for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip)]
    status: Option<StatusCode>,
}

/// Submits one task, a list of tasks, or `{"tasks":[…]}`. An `id` is made up where there is none.
#[utoipa::path(
    post, path = "/v1/tasks", tag = "tasks",
    params(
        ("pool" = Option<String>, Query, description = "The pool of tasks that don't say; default `default`"),
        ("wait" = Option<String>, Query, description = "`applied`: answer with what was decided"),
        ("wait_ms" = Option<u64>, Query, description = "How long to wait at most: 5000, at most 20000"),
    ),
    request_body(content = Object, description = "A task, a list of tasks, or {\"tasks\":[…]}; see docs/protocol.md"),
    responses(
        (status = 202, body = Submitted, description = "Acknowledged by the broker, not decided yet"),
        (status = 201, body = Submitted, description = "wait=applied: accepted"),
        (status = 200, body = Submitted, description = "wait=applied: all were known already"),
        (status = 400, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem),
    )
)]
pub(crate) async fn submit(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut params: Params,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Response> {
    let pool = params.name("pool", Pool::parse)?.unwrap_or_else(|| Pool::trusted("default"));
    let wait = Wait::take(&mut params)?;
    params.finish()?;
    let tasks = read_tasks(&body_of(body)?, &pool, &app.defaults)?;
    let mut answer = Submitted {
        request_id: String::new(),
        position: String::new(),
        tasks: tasks.iter().map(SubmittedTask::new).collect(),
        warnings: Vec::new(),
        note: None,
    };
    let chunks = chunks(tasks, app.defaults.limits.submit_many_max as usize)?;
    if wait.is_wanted() {
        for (pool, _) in &chunks {
            // Who waits must be where the decision is made.
            owned(&app, pool, &uri)?;
        }
    }
    let decisions = app.parts.registry.decisions();
    let request_id = new_request_id();
    answer.request_id = request_id.to_string();
    let mut token = Token::default();
    answer.warnings = warnings(&app, &chunks).await?;
    for (pool, tasks) in chunks {
        let command =
            Command { pool, request_id: Some(request_id.clone()), action: Action::Submit { tasks } };
        token.add(send(&app, &command).await.map_err(|problem| problem.with("tasks", &answer.tasks))?);
    }
    answer.position = token.to_string();
    if wait.is_wanted() {
        decide(&mut answer, wait, decisions, &request_id).await;
    }
    answer.respond(wait)
}

impl SubmittedTask {
    fn new(spec: &TaskSpec) -> Self {
        let (pool, id) = (spec.pool.to_string(), spec.id.to_string());
        let href = task_href(&spec.pool, &spec.id);
        Self {
            pool,
            id,
            href,
            outcome: "sent",
            state: None,
            generation: None,
            reason: None,
            field: None,
            detail: None,
            status: None,
        }
    }

    /// Takes in what was decided about it.
    fn decided(&mut self, event: &Event) {
        match event {
            Event::Accepted { state, generation, repeated, .. } => {
                self.outcome = if *repeated { "repeated" } else { "accepted" };
                self.state = Some(state.name());
                self.generation = Some(generation.0);
            }
            Event::Refused { reason, field, detail, .. } => {
                self.outcome = "refused";
                self.reason = Some(reason.name());
                self.field.clone_from(field);
                self.detail = Some(detail.clone());
                self.status = Some(refused_status(*reason));
            }
            Event::Assigned { .. }
            | Event::Started { .. }
            | Event::Progress { .. }
            | Event::AttemptClosed { .. }
            | Event::Ended { .. }
            | Event::State { .. }
            | Event::WorkerJoined(_)
            | Event::WorkerLost(_)
            | Event::WorkerLeft(_)
            | Event::WorkerDrained(_)
            | Event::WorkerUndrained(_)
            | Event::Batch { .. } => {}
        }
    }
}

/// Waits for a decision about each task.
async fn decide(
    answer: &mut Submitted,
    wait: Wait,
    decisions: tokio::sync::broadcast::Receiver<Arc<Event>>,
    request_id: &RequestId,
) {
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (index, task) in answer.tasks.iter_mut().enumerate() {
        task.outcome = "undecided";
        places.insert((task.pool.clone(), task.id.clone()), index);
    }
    let tasks = &mut answer.tasks;
    let enough = |event: &Arc<Event>| {
        if let (Some(pool), Some(id)) = (event.pool(), event.task_id())
            && let Some(index) = places.remove(&(pool.to_string(), id.to_string()))
            && let Some(task) = tasks.get_mut(index)
        {
            task.decided(event);
        }
        places.is_empty()
    };
    wait.collect(decisions, request_id, enough).await;
}

impl Submitted {
    fn respond(mut self, wait: Wait) -> Answer<Response> {
        let has = |outcome: &str| self.tasks.iter().any(|task| task.outcome == outcome);
        if has("refused") {
            return Err(self.problem());
        }
        let status = if !wait.is_wanted() {
            StatusCode::ACCEPTED
        } else if has("undecided") {
            self.note = Some("not all was decided in time: read with min_position, or follow /v1/events");
            StatusCode::ACCEPTED
        } else if has("accepted") {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let location = match self.tasks.as_slice() {
            [task] => HeaderValue::from_str(&task.href).ok(),
            _ => None,
        };
        let mut response = (status, Json(self)).into_response();
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// A conflict is named first: it is what a client must look at.
    fn problem(&self) -> Problem {
        let is_conflict = |task: &&SubmittedTask| task.status == Some(StatusCode::CONFLICT);
        let refused = || self.tasks.iter().filter(|task| task.outcome == "refused");
        let Some(first) = refused().find(is_conflict).or_else(|| refused().next()) else {
            return Problem::internal("nothing was refused");
        };
        let (status, code) = (first.status.unwrap_or_default(), first.reason.unwrap_or_default());
        let detail = first.detail.clone().unwrap_or_default();
        let mut problem = Problem::new(status, code, "The processor refused it", detail)
            .with("request_id", &self.request_id)
            .with("position", &self.position)
            .with("tasks", &self.tasks)
            .with("warnings", &self.warnings);
        if let Some(field) = &first.field {
            problem = problem.field(field);
        }
        match self.tasks.len() {
            1 => problem,
            _ => problem.remedy("look at `tasks`: those that were not refused are taken"),
        }
    }
}

/// A task as a path names it.
pub(crate) fn task_href(pool: &Pool, id: &TaskId) -> String {
    format!("/v1/pools/{pool}/tasks/{}", segment(id.as_str()))
}
