//! Reads of the tasks of a pool: one by its id, and lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_topologies::id::{JobId, Pool, QueueName, TaskId, WorkerName};
use yardmaster_topologies::task::TaskState;

use super::locate::read;
use super::lookup::{Found, Horizon, find};
use super::page::Page;
use super::params::{Names, Params, behind, decoded, path_name};
use super::parts::{App, OwnedPartition};
use super::problem::{Answer, Problem};
use super::stale::readable;
use super::task_list::{Filter, list};
use super::task_view::{TaskDetail, TaskView};

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskPage {
    /// Live ones first, then ended ones, newest hour first.
    pub(crate) tasks: Vec<TaskView>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// Lists tasks: live ones first (by queue and id, or by id within the job, tag or worker asked for), then ended ones,
/// newest hour first, within an hour COMPLETED before the others, each by id. A page is one consistent view.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/tasks", tag = "tasks",
    params(
        ("pool" = String, Path), ("state" = Option<String>, Query, description = "One or several, comma separated"),
        ("queue" = Option<String>, Query), ("job" = Option<String>, Query), ("worker" = Option<String>, Query),
        ("tag" = Option<String>, Query, description = "NAME=VALUE; may be repeated"),
        ("limit" = Option<u64>, Query, description = "Rows: 100, at most 1000"), ("cursor" = Option<String>, Query),
        ("min_position" = Option<String>, Query),
    ),
    responses((status = 200, body = TaskPage), (status = 400, body = Problem), (status = 421, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn tasks(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names(pool): Names<String>,
    mut params: Params,
) -> Answer<Json<TaskPage>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let filter = take_filter(&mut params)?;
    let page = Page::take(&mut params)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    let horizon = Horizon::of(&app.parts.settings);
    read(&owned, move |view| list(view, &pool, &filter, page, horizon)).await.map(Json)
}

fn unknown_state(name: &str) -> Problem {
    let names = TaskState::ALL.map(TaskState::name).join(", ");
    Problem::bad_field("state", format!("`{name}` is not a state")).remedy(format!("use some of {names}"))
}

fn take_filter(params: &mut Params) -> Answer<Filter> {
    let mut states = BTreeSet::new();
    for name in params.all("state").iter().flat_map(|value| value.split(',')).filter(|name| !name.is_empty())
    {
        let state = TaskState::from_name(&name.to_uppercase());
        states.insert(state.ok_or_else(|| unknown_state(name))?);
    }
    let mut tags = Vec::new();
    for tag in params.all("tag") {
        let (name, value) = tag
            .split_once('=')
            .ok_or_else(|| Problem::bad_field("tag", format!("`{tag}` is not NAME=VALUE")))
            .map_err(|problem| problem.remedy("send `tag=NAME%3DVALUE`; repeat it for further tags"))?;
        tags.push((name.to_owned(), value.to_owned()));
    }
    if tags.iter().any(|(name, value)| name.len() > 64 || value.len() > 128) {
        return Err(Problem::bad_field("tag", "names have up to 64 bytes, values up to 128")
            .limit("64, 128 bytes")
            .remedy("no task has a longer one: shorten it"));
    }
    Ok(Filter {
        states,
        tags,
        queue: params.name("queue", QueueName::parse)?,
        job: params.name("job", JobId::parse)?,
        worker: params.name("worker", WorkerName::parse)?,
    })
}

/// One task with all of its attempts and its timeline. A `/` in the id may stand as it is or as `%2F`.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/tasks/{id}", tag = "tasks",
    params(("pool" = String, Path), ("id" = String, Path), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = TaskDetail), (status = 404, body = Problem), (status = 421, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn task(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut params: Params,
) -> Answer<Json<TaskDetail>> {
    let (pool, raw) = behind(uri.path(), "tasks")?;
    let id = path_name("id", &decoded("id", raw)?, TaskId::parse)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    let found = found(&app, &owned, &pool, &id).await?;
    params.finish()?;
    Ok(Json(found.detail(&pool, &id)))
}

/// What is known of a task; a 404 when nothing is.
pub(crate) async fn found(app: &App, owned: &Arc<OwnedPartition>, pool: &Pool, id: &TaskId) -> Answer<Found> {
    let horizon = Horizon::of(&app.parts.settings);
    let (in_pool, wanted) = (pool.clone(), id.clone());
    let found = read(owned, move |view| find(view, &in_pool, &wanted, horizon)).await?;
    found.ok_or_else(|| horizon.not_found(&format!("task {pool}/{id}")))
}
