//! Reads of jobs.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_state::{KeyWriter, StoreRead, Table, read_row};
use yardmaster_topologies::id::{JobId, Pool};
use yardmaster_topologies::job::JobRow;
use yardmaster_topologies::tables::{JobCancelTable, JobTable};

use super::locate::read;
use super::page::{LEFT_OUT, Page, SMALL_ROW};
use super::params::{Names, Params, behind, decoded, path_name};
use super::parts::App;
use super::problem::{Answer, Problem};
use super::results::results;
use super::stale::readable;
use super::views::{JobView, job_state};

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobPage {
    /// By id.
    jobs: Vec<JobView>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A job as it is shown.
pub(crate) fn job_view(view: &dyn StoreRead, pool: &Pool, job: &JobId, row: &JobRow) -> Answer<JobView> {
    let cancelled = read_row::<JobCancelTable>(view, &(pool.clone(), job.clone()))?.is_some();
    Ok(JobView::new(pool, job, row, cancelled))
}

/// Lists jobs by id.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/jobs", tag = "jobs",
    params(("pool" = String, Path), ("state" = Option<String>, Query, description = "ACTIVE or DONE"),
        ("limit" = Option<u64>, Query), ("cursor" = Option<String>, Query), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = JobPage), (status = 421, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn jobs(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names(pool): Names<String>,
    mut params: Params,
) -> Answer<Json<JobPage>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let state = params.one("state")?.map(|state| state.to_uppercase());
    if state.as_deref().is_some_and(|state| state != "ACTIVE" && state != "DONE") {
        return Err(Problem::bad_field("state", "a job is ACTIVE or DONE").remedy("use one of these"));
    }
    let mut page = Page::take(&mut params)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    read(&owned, move |view| {
        let mut jobs = Vec::new();
        let prefix = KeyWriter::new(JobTable::ID).str(pool.as_str()).finish();
        page.check(|cursor| cursor.starts_with(&prefix))?;
        page.walk::<JobTable>(view, &prefix, &mut |(_, job), bytes| {
            let row = JobTable::decode(bytes)?;
            let is_wanted = state.as_deref().is_none_or(|state| state == job_state(&row));
            if is_wanted {
                jobs.push(job_view(view, &pool, &job, &row)?);
            }
            Ok(if is_wanted { SMALL_ROW } else { LEFT_OUT })
        })?;
        Ok(Json(JobPage { jobs, next_cursor: page.next_cursor() }))
    })
    .await
}

/// What stands behind `/jobs/`: a job, or its results.
pub(crate) async fn behind_jobs(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    params: Params,
) -> Answer<Response> {
    let (pool, raw) = behind(uri.path(), "jobs")?;
    let (raw, wants_results) = match raw.strip_suffix("/results") {
        Some(job) => (job, true),
        None => (raw, false),
    };
    let job = path_name("job", &decoded("job", raw)?, JobId::parse)?;
    if wants_results {
        results(app, uri, pool, job, params).await
    } else {
        one(app, uri, pool, job, params).await.map(IntoResponse::into_response)
    }
}

/// One job with exact counts by state. A `/` in the id may stand as it is or as `%2F`.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/jobs/{id}", tag = "jobs",
    params(("pool" = String, Path), ("id" = String, Path), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = JobView), (status = 404, body = Problem), (status = 421, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn one(
    app: App,
    uri: axum::http::Uri,
    pool: Pool,
    job: JobId,
    mut params: Params,
) -> Answer<Json<JobView>> {
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    let kept_ms = app.parts.settings.job_kept.0;
    read(&owned, move |view| match read_row::<JobTable>(view, &(pool.clone(), job.clone()))? {
        Some(row) => job_view(view, &pool, &job, &row).map(Json),
        None => Err(unknown_job(&pool, &job, kept_ms)),
    })
    .await
}

/// No job of this id: the answer says how long jobs are kept.
pub(crate) fn unknown_job(pool: &Pool, job: &JobId, kept_ms: u64) -> Problem {
    let days = kept_ms / 86_400_000;
    Problem::not_found(format!(
        "pool {pool} has no job {job}: jobs are kept for {days} days after they are DONE"
    ))
    .with("horizon_ms", kept_ms)
    .remedy("look at /v1/pools/{pool}/jobs; what it did stays in the events topic as long as that is kept")
}
