//! Reads of tasks: one by its id, in one pool or all, and lists.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_topologies::id::{JobId, Pool, QueueName, TaskId, WorkerName};
use yardmaster_topologies::task::TaskState;

use super::locate::{caught_up, min_position, read};
use super::lookup::{Found, Horizon, find};
use super::page::Page;
use super::params::{Params, behind, decoded, path_name, task_href};
use super::parts::App;
use super::pools::pools_of;
use super::problem::{Answer, Problem};
use super::task_list::{Filter, list};
use super::task_view::{TaskDetail, TaskView};

/// Pools in which an id without a pool is looked for.
const POOLS_MAX: usize = 1_000;

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskPage {
    /// Live ones first, then ended ones, newest hour first.
    pub(crate) tasks: Vec<TaskView>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// A task of one of several pools.
#[derive(Debug, Serialize)]
struct Match {
    pool: String,
    id: String,
    state: &'static str,
    href: String,
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
    axum::extract::Path(pool): axum::extract::Path<String>,
    mut params: Params,
) -> Answer<Json<TaskPage>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let filter = take_filter(&mut params)?;
    let page = Page::take(&mut params)?;
    let owned = caught_up(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    let horizon = Horizon::of(&app.parts.settings);
    read(&owned, move |view| list(view, &pool, &filter, page, horizon)).await.map(Json)
}

fn take_filter(params: &mut Params) -> Answer<Filter> {
    let mut states = BTreeSet::new();
    for name in params.all("state").iter().flat_map(|value| value.split(',')).filter(|name| !name.is_empty())
    {
        let state = TaskState::from_name(&name.to_uppercase());
        states.insert(state.ok_or_else(|| Problem::bad_field("state", format!("`{name}` is not a state")))?);
    }
    let mut tags = Vec::new();
    for tag in params.all("tag") {
        let (name, value) = tag
            .split_once('=')
            .ok_or_else(|| Problem::bad_field("tag", format!("`{tag}` is not NAME=VALUE")))?;
        tags.push((name.to_owned(), value.to_owned()));
    }
    if tags.iter().any(|(name, value)| name.len() > 64 || value.len() > 128) {
        return Err(
            Problem::bad_field("tag", "names have up to 64 bytes, values up to 128").limit("64, 128 bytes")
        );
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
    let found = found(&app, &pool, &id, &uri, &mut params).await?;
    params.finish()?;
    Ok(Json(found.detail(&pool, &id)))
}

/// What is known of a task; a 404 when nothing is.
pub(crate) async fn found(
    app: &App,
    pool: &Pool,
    id: &TaskId,
    uri: &Uri,
    params: &mut Params,
) -> Answer<Found> {
    let owned = caught_up(app, pool, uri, params).await?;
    let horizon = Horizon::of(&app.parts.settings);
    let (in_pool, wanted) = (pool.clone(), id.clone());
    let found = read(&owned, move |view| find(view, &in_pool, &wanted, horizon)).await?;
    found.ok_or_else(|| horizon.not_found(&format!("task {pool}/{id}")))
}

/// One task, looked for in all pools that are served here.
#[utoipa::path(
    get, path = "/v1/tasks/{id}", tag = "tasks",
    params(("id" = String, Path), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = TaskDetail), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Several pools have it: see `matches`"))
)]
pub(crate) async fn anywhere(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut params: Params,
) -> Answer<Json<TaskDetail>> {
    let raw = uri.path().strip_prefix("/v1/tasks/").unwrap_or_default();
    let id = path_name("id", &decoded("id", raw)?, TaskId::parse)?;
    let token = min_position(&mut params)?;
    params.finish()?;
    let horizon = Horizon::of(&app.parts.settings);
    let mut hits = Vec::new();
    for owned in app.parts.registry.owned() {
        token.wait(&owned).await?;
        let wanted = id.clone();
        let found = read(&owned, move |view| {
            let mut hits = Vec::new();
            for pool in pools_of(view, None, POOLS_MAX)?.0 {
                let found = find(view, &pool, &wanted, horizon)?;
                hits.extend(found.map(|found| (found.detail(&pool, &wanted), pool)));
            }
            Ok(hits)
        });
        hits.extend(found.await?);
    }
    if hits.len() > 1 {
        let matches: Vec<Match> = hits.iter().map(|(detail, pool)| Match::new(pool, &id, detail)).collect();
        let detail = format!("{} pools have a task {id}", matches.len());
        let problem = Problem::new(StatusCode::CONFLICT, "ambiguous", "Several pools have it", detail);
        return Err(problem.with("matches", matches).remedy("ask for /v1/pools/{pool}/tasks/{id}"));
    }
    let elsewhere: BTreeSet<String> = app.parts.registry.elsewhere().into_values().collect();
    match hits.pop() {
        Some((detail, _)) => Ok(Json(detail)),
        None => Err(horizon.not_found(&format!("task {id}")).with("not_searched", elsewhere)),
    }
}

impl Match {
    fn new(pool: &Pool, id: &TaskId, detail: &TaskDetail) -> Self {
        Self {
            pool: pool.to_string(),
            id: id.to_string(),
            state: detail.task.state,
            href: task_href(pool, id),
        }
    }
}
