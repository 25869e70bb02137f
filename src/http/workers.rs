//! Workers: who is there, what they run, and draining them.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_state::{KeyWriter, StoreRead, Table, read_row};
use yardmaster_topologies::event::Action;
use yardmaster_topologies::id::{Pool, WorkerName};
use yardmaster_topologies::tables::{ByWorkerTable, LeaseTable, WorkerTable};
use yardmaster_topologies::worker::{WorkerRow, WorkerState};

use super::locate::read;
use super::page::{LEFT_OUT, Page, SMALL_ROW};
use super::params::{LIMIT_MAX, Names, Params, path_name};
use super::parts::App;
use super::problem::{Answer, Problem};
use super::send::{Sent, order};
use super::stale::readable;
use super::views::WorkerView;

const STATES: [WorkerState; 5] =
    [WorkerState::Joining, WorkerState::Active, WorkerState::Draining, WorkerState::Lost, WorkerState::Gone];

/// A page of workers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerPage {
    /// Shorter names first.
    workers: Vec<WorkerView>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A worker and the tasks that it has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerDetail {
    #[serde(flatten)]
    worker: WorkerView,
    /// The ids of tasks with an open attempt there, at most 1000.
    tasks: Vec<String>,
}

fn worker_view(
    view: &dyn StoreRead,
    pool: &Pool,
    worker: &WorkerName,
    row: &WorkerRow,
) -> Answer<WorkerView> {
    let lease = read_row::<LeaseTable>(view, &(pool.clone(), worker.clone()))?;
    Ok(WorkerView::new(pool, worker, row, lease.as_ref()))
}

/// Lists workers.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/workers", tag = "workers",
    params(("pool" = String, Path), ("state" = Option<String>, Query, description = "One or several, comma separated"),
        ("limit" = Option<u64>, Query), ("cursor" = Option<String>, Query), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = WorkerPage), (status = 421, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn workers(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names(pool): Names<String>,
    mut params: Params,
) -> Answer<Json<WorkerPage>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let mut states = Vec::new();
    for name in params.all("state").iter().flat_map(|value| value.split(',')).filter(|name| !name.is_empty())
    {
        let found = STATES.into_iter().find(|state| state.name().eq_ignore_ascii_case(name));
        states.push(found.ok_or_else(|| {
            Problem::bad_field("state", format!("`{name}` is no state of a worker"))
                .remedy(format!("use some of {}", STATES.map(WorkerState::name).join(", ")))
        })?);
    }
    let mut page = Page::take(&mut params)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    read(&owned, move |view| {
        let mut workers = Vec::new();
        let prefix = KeyWriter::new(WorkerTable::ID).str(pool.as_str()).finish();
        page.check(|cursor| cursor.starts_with(&prefix))?;
        page.walk::<WorkerTable>(view, &prefix, &mut |(_, worker), bytes| {
            let row = WorkerTable::decode(bytes)?;
            let is_wanted = states.is_empty() || states.contains(&row.state);
            if is_wanted {
                workers.push(worker_view(view, &pool, &worker, &row)?);
            }
            Ok(if is_wanted { SMALL_ROW } else { LEFT_OUT })
        })?;
        Ok(Json(WorkerPage { workers, next_cursor: page.next_cursor() }))
    })
    .await
}

/// One worker and what it runs.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/workers/{worker}", tag = "workers",
    params(("pool" = String, Path), ("worker" = String, Path), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = WorkerDetail), (status = 404, body = Problem), (status = 421, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn worker(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names((pool, worker)): Names<(String, String)>,
    mut params: Params,
) -> Answer<Json<WorkerDetail>> {
    let (pool, worker) = names(&pool, &worker)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    read(&owned, move |view| {
        let row = read_row::<WorkerTable>(view, &(pool.clone(), worker.clone()))?;
        let row = row.ok_or_else(|| {
            let problem = Problem::not_found(format!("pool {pool} has no worker {worker}"));
            problem.remedy("look at /v1/pools/{pool}/workers; one that left is kept for a while only")
        })?;
        let mut tasks = Vec::new();
        let prefix = KeyWriter::new(ByWorkerTable::ID).str(pool.as_str()).str(worker.as_str()).finish();
        Page::first(LIMIT_MAX).walk::<ByWorkerTable>(view, &prefix, &mut |(_, _, id), _| {
            tasks.push(id.to_string());
            Ok(SMALL_ROW)
        })?;
        Ok(Json(WorkerDetail { worker: worker_view(view, &pool, &worker, &row)?, tasks }))
    })
    .await
}

fn names(pool: &str, worker: &str) -> Answer<(Pool, WorkerName)> {
    Ok((path_name("pool", pool, Pool::parse)?, path_name("worker", worker, WorkerName::parse)?))
}

/// Lets a worker finish what it has and gives it nothing new.
#[utoipa::path(
    post, path = "/v1/pools/{pool}/workers/{worker}/drain", tag = "workers",
    params(("pool" = String, Path), ("worker" = String, Path), ("wait" = Option<String>, Query),
        ("wait_ms" = Option<u64>, Query)),
    responses((status = 202, body = Sent), (status = 200, body = Sent), (status = 404, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn drain(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names((pool, worker)): Names<(String, String)>,
    params: Params,
) -> Answer<Response> {
    let (pool, worker) = names(&pool, &worker)?;
    change(app, pool, Action::Drain { worker }, params, uri).await
}

/// Gives a drained worker work again.
#[utoipa::path(
    post, path = "/v1/pools/{pool}/workers/{worker}/undrain", tag = "workers",
    params(("pool" = String, Path), ("worker" = String, Path), ("wait" = Option<String>, Query),
        ("wait_ms" = Option<u64>, Query)),
    responses((status = 202, body = Sent), (status = 200, body = Sent), (status = 404, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn undrain(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names((pool, worker)): Names<(String, String)>,
    params: Params,
) -> Answer<Response> {
    let (pool, worker) = names(&pool, &worker)?;
    change(app, pool, Action::Undrain { worker }, params, uri).await
}

async fn change(app: App, pool: Pool, action: Action, params: Params, uri: Uri) -> Answer<Response> {
    order(&app, pool, action, params, &uri).await
}
