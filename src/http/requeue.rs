//! Running an ended task again. `apply` never reads history, so the whole spec is filled in here.

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use yardmaster_topologies::event::Action;
use yardmaster_topologies::id::{Pool, TaskId};
use yardmaster_topologies::wire::{RefusedReason, SpecJson};

use super::locate::caught_up;
use super::lookup::Found;
use super::params::Params;
use super::parts::App;
use super::problem::{Answer, Problem};
use super::read_tasks::found;
use super::refusal::refused;
use super::send::{Sent, order};

/// Runs an ended task again, as it was submitted: a new generation, attempt numbers go on.
#[utoipa::path(
    post, path = "/v1/pools/{pool}/tasks/{id}/requeue", tag = "tasks",
    params(("pool" = String, Path), ("id" = String, Path), ("wait" = Option<String>, Query),
        ("wait_ms" = Option<u64>, Query), ("min_position" = Option<String>, Query)),
    request_body(content = Object, description = "{\"reason\":\"…\"} for the server's log, or nothing"),
    responses((status = 202, body = Sent), (status = 200, body = Sent), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 421, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn requeue(
    app: App,
    uri: Uri,
    pool: Pool,
    id: TaskId,
    mut params: Params,
    reason: &str,
) -> Answer<Response> {
    let owned = caught_up(&app, &pool, &uri, &mut params).await?;
    let task = match found(&app, &owned, &pool, &id).await? {
        Found::Ended(task, true) => task,
        Found::Ended(task, false) => {
            let detail = format!(
                "task {pool}/{id} ended so long ago that only history knows it (retention.dedup is over)"
            );
            let problem = Problem::new(StatusCode::CONFLICT, "forgotten", "The task is forgotten", detail);
            return Err(problem.with("spec", SpecJson(&task.spec)).remedy("submit the task in `spec` again"));
        }
        Found::Live(task, _) => {
            let detail =
                format!("task {pool}/{id} is {}: only an ended task can run again", task.state.name());
            return Err(refused(RefusedReason::NotTerminal, Some("id"), detail, &app.defaults.limits));
        }
        Found::Marker(marker) => {
            let detail = format!(
                "task {pool}/{id} is {}, but its record is not in history: it is being refilled, or no longer kept",
                marker.state.name()
            );
            let problem = Problem::later("no_record", detail);
            return Err(problem.remedy("ask again in a while, or submit it under another id"));
        }
    };
    // The command has no place for it: generations are counted, not explained.
    tracing::info!(%pool, %id, reason, "a requeue was asked for");
    let task = Box::new(task.spec.as_ref().clone());
    order(&app, pool, Action::Requeue { task }, params, &uri).await
}
