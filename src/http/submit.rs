//! `POST /v1/tasks`: one or many, acknowledged by the broker, or with what the processor decided.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use yardmaster_topologies::id::Pool;

use super::locate::{elsewhere, moving};
use super::params::Params;
use super::parts::{App, Location};
use super::problem::{Answer, Problem};
use super::send::{body_of, new_request_id};
use super::submit_plan::{Chunk, chunks, warnings};
use super::submit_send::send_all;
use super::submitted::Submitted;
use super::task_body::{Body, read_tasks};
use super::wait::Wait;
use crate::trace::Submitting;

/// Submits one task, a list of tasks, or `{"tasks":[…]}`. An `id` is made up where there is none. A `traceparent` header goes
/// on in the tasks' environment.
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
        (status = 421, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem),
    )
)]
pub(crate) async fn submit(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut params: Params,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Response> {
    let pool = params.name("pool", Pool::parse)?.unwrap_or_else(|| Pool::trusted("default"));
    let wait = Wait::take(&mut params)?;
    params.finish()?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut trace = Submitting::begin(header("traceparent"), header("tracestate"));
    let Body { mut tasks, has_made_up_ids } = read_tasks(&body_of(body)?, &pool, &app.defaults)?;
    trace.carry(&mut tasks);
    let request_id = new_request_id();
    let mut answer = Submitted::new(&tasks, &request_id);
    let chunks = chunks(tasks, app.defaults.limits.submit_many_max as usize)?;
    let commands = chunks.len();
    let mut waiter = None;
    if wait.is_wanted() {
        at_one_place(&app, &chunks, &uri)?;
        waiter = Some(app.parts.registry.wait_for(request_id.clone(), commands));
    }
    answer.warn(warnings(&app, &chunks).await?);
    let progress = send_all(&app, &request_id, chunks).await;
    answer.acknowledge(&progress.places, &progress.token);
    if let Some(problem) = progress.failure {
        return Err(answer.failed(problem, has_made_up_ids));
    }
    if let Some(waiter) = &mut waiter {
        answer.decide(wait, waiter, commands).await;
    }
    answer.respond(wait, &app.defaults.limits)
}

/// Who waits must be where the decisions are made, and that must be one instance.
fn at_one_place(app: &App, chunks: &[Chunk], uri: &Uri) -> Answer<()> {
    let mut places: BTreeSet<Option<String>> = BTreeSet::new();
    for Chunk { pool, .. } in chunks {
        places.insert(match app.parts.registry.locate(pool) {
            Location::Here(_) => None,
            Location::Elsewhere(owner) => Some(owner),
            Location::Moving => return Err(moving(&format!("pool {pool}"))),
        });
    }
    match (places.pop_first().flatten(), places.is_empty()) {
        (None, true) => Ok(()),
        (Some(owner), true) => Err(elsewhere(uri, "what is submitted", &owner)),
        (_, false) => {
            let title = "No instance decides about all of it";
            let detail = "the pools of these tasks are served by several instances, so none can wait for all decisions";
            Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "several_owners", title, detail)
                .field("wait")
                .remedy("nothing was sent: send one request for each pool, or leave `wait` out"))
        }
    }
}
