//! Orders about tasks and jobs: cancel and requeue, behind ids that may have slashes in them.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{OriginalUri, State};
use axum::http::Uri;
use axum::response::Response;
use serde_json::Value;
use yardmaster_topologies::event::Action;
use yardmaster_topologies::id::{JobId, Pool, TaskId};
use yardmaster_topologies::wire::{NOTE_BYTES_MAX, RefusedReason};

use super::locate::{min_position, owned, read};
use super::lookup::{Found, Horizon, find};
use super::params::{Params, behind, decoded, path_name};
use super::parts::App;
use super::problem::{Answer, Problem};
use super::refusal::refused;
use super::requeue::requeue;
use super::send::{Sent, body_of, order};

/// What is asked for behind `/tasks/{id}/`.
pub(crate) async fn behind_tasks(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    params: Params,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Response> {
    let (pool, raw) = behind(uri.path(), "tasks")?;
    let (raw, verb) = raw.rsplit_once('/').unwrap_or((raw, ""));
    if !matches!(verb, "cancel" | "requeue") {
        let detail = "a task knows no such order";
        return Err(Problem::not_found(detail).remedy("POST …/cancel or …/requeue"));
    }
    let id = path_name("id", &decoded("id", raw)?, TaskId::parse)?;
    let (is_cancel, body) = (verb == "cancel", body_of(body)?);
    if is_cancel {
        return cancel_task(app, uri, pool, id, params, &body).await;
    }
    let reason = read_fields(&body, &["reason"])?;
    requeue(app, uri, pool, id, params, &reason).await
}

/// What is asked for behind `/jobs/{id}/`.
pub(crate) async fn behind_jobs(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    params: Params,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Response> {
    let (pool, raw) = behind(uri.path(), "jobs")?;
    let Some(raw) = raw.strip_suffix("/cancel") else {
        return Err(Problem::not_found("a job knows no such order").remedy("POST …/cancel"));
    };
    let job = path_name("job", &decoded("job", raw)?, JobId::parse)?;
    cancel_job(app, uri, pool, job, params, &body_of(body)?).await
}

/// Ends a task; a running one is told to stop first. 409 when it has ended already.
#[utoipa::path(
    post, path = "/v1/pools/{pool}/tasks/{id}/cancel", tag = "tasks",
    params(("pool" = String, Path), ("id" = String, Path), ("wait" = Option<String>, Query),
        ("wait_ms" = Option<u64>, Query), ("min_position" = Option<String>, Query)),
    request_body(content = Object, description = "{\"reason\":\"…\"}, or nothing"),
    responses((status = 202, body = Sent), (status = 200, body = Sent), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn cancel_task(
    app: App,
    uri: Uri,
    pool: Pool,
    id: TaskId,
    mut params: Params,
    body: &[u8],
) -> Answer<Response> {
    let note = read_fields(body, &["reason"])?;
    refuse_ended(&app, &pool, &id, &uri, &mut params).await?;
    order(&app, pool, Action::CancelTask { id, note }, params, &uri).await
}

/// A task that is known to have ended can't be cancelled. One that ends in the meantime is not refused: what was wished
/// for holds.
async fn refuse_ended(app: &App, pool: &Pool, id: &TaskId, uri: &Uri, params: &mut Params) -> Answer<()> {
    let token = min_position(params)?;
    let here = match owned(app, pool, uri) {
        Ok(here) => here,
        Err(_) if token.partitions().next().is_none() => return Ok(()),
        Err(problem) => return Err(problem),
    };
    token.wait(&here).await?;
    let horizon = Horizon::of(&app.parts.settings);
    let (in_pool, wanted) = (pool.clone(), id.clone());
    let state = match read(&here, move |view| find(view, &in_pool, &wanted, horizon)).await? {
        Some(Found::Ended(task, _)) => task.state,
        Some(Found::Marker(marker)) => marker.state,
        Some(Found::Live(..)) | None => return Ok(()),
    };
    let detail = format!("task {pool}/{id} is {} already", state.name());
    let limits = &app.defaults.limits;
    Err(refused(RefusedReason::AlreadyTerminal, Some("id"), detail, limits).with("state", state.name()))
}

/// Ends every task of a job, present and future.
#[utoipa::path(
    post, path = "/v1/pools/{pool}/jobs/{id}/cancel", tag = "jobs",
    params(("pool" = String, Path), ("id" = String, Path), ("wait" = Option<String>, Query),
        ("wait_ms" = Option<u64>, Query)),
    request_body(content = Object, description = "{\"reason\":\"…\"}, or nothing"),
    responses((status = 202, body = Sent), (status = 200, body = Sent), (status = 404, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn cancel_job(
    app: App,
    uri: Uri,
    pool: Pool,
    job: JobId,
    params: Params,
    body: &[u8],
) -> Answer<Response> {
    let note = read_fields(body, &["reason"])?;
    order(&app, pool, Action::CancelJob { job, note }, params, &uri).await
}

/// Reads a small body: nothing, or an object with no other fields than `known`; returns `reason`.
fn read_fields(body: &[u8], known: &[&str]) -> Answer<String> {
    if body.trim_ascii().is_empty() {
        return Ok(String::new());
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_body(format!("the body is not JSON: {error}")))?;
    let Value::Object(fields) = value else {
        return Err(Problem::bad_body("the body must be an object"));
    };
    if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        let shown: String = name.chars().take(80).collect();
        let detail = format!("`{shown}` is not known");
        return Err(Problem::bad_field(shown, detail).remedy("send {\"reason\":\"…\"}, or nothing"));
    }
    match fields.get("reason") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if text.contains('\0') => {
            Err(Problem::bad_field("reason", "`reason` must not contain NUL")
                .remedy("leave that character out"))
        }
        Some(Value::String(text)) if text.len() <= NOTE_BYTES_MAX => Ok(text.clone()),
        Some(Value::String(text)) => {
            let problem = Problem::bad_field("reason", format!("`reason` has {} bytes", text.len()));
            Err(problem.limit(format!("{NOTE_BYTES_MAX} bytes")).remedy("shorten it"))
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Problem::bad_field("reason", "`reason` must be a string").remedy("send text, or nothing"))
        }
    }
}
