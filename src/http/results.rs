//! The results of a job, as a stream of lines: one consistent view, however long it takes to read.

use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use yardmaster_state::{KeyWriter, StateError, StoreRead, Table, prefix_end, read_row, scan_rows};
use yardmaster_topologies::id::{JobId, Pool};
use yardmaster_topologies::tables::{HistoryByJobTable, HistoryTable, JobTable};
use yardmaster_topologies::task::EndedTask;

use super::jobs::unknown_job;
use super::lines::{Cut, Writer, lines};
use super::locate::{caught_up, read};
use super::lookup::{Horizon, is_current, is_whole};
use super::params::Params;
use super::parts::{App, OwnedPartition, STREAMS_MAX};
use super::problem::{Answer, Problem};
use super::task_list::buckets;
use super::task_view::result_of;
use super::views::Verbatim;

/// Keys that one look into the store takes.
const KEYS_AT_ONCE: usize = 1_000;

/// One ended task.
#[derive(Serialize)]
struct Line<'a> {
    pool: &'a str,
    id: &'a str,
    state: &'static str,
    attempt: u32,
    ended_at_ms: u64,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Verbatim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_ref: Option<Verbatim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Streams the ended tasks of a job as JSON lines: pool, id, state, attempt, ended_at_ms, reason, and exit_code, result,
/// result_ref and error where there are any. Newest hour first, as in lists. Only what history still has; 503 while it is
/// being read back on a new disk. A body that can't be sent whole is cut off, so that the client's read fails.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/jobs/{id}/results", tag = "jobs",
    params(("pool" = String, Path), ("id" = String, Path), ("min_position" = Option<String>, Query)),
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 404, body = Problem),
        (status = 421, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn results(
    app: App,
    uri: Uri,
    pool: Pool,
    job: JobId,
    mut params: Params,
) -> Answer<Response> {
    let owned = caught_up(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    let kept_ms = app.parts.settings.job_kept.0;
    let key = (pool.clone(), job.clone());
    let known = read(&owned, move |view| {
        is_whole(view)?;
        Ok(read_row::<JobTable>(view, &key)?)
    });
    if known.await?.is_none() {
        return Err(unknown_job(&pool, &job, kept_ms));
    }
    let place = app.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        Problem::later("streams", "too many answers are streamed at once").limit(STREAMS_MAX.to_string())
    })?;
    let (mut writer, body) = lines();
    let horizon = Horizon::of(&app.parts.settings);
    tokio::task::spawn_blocking(move || {
        let written = write_all(&owned, &pool, &job, horizon, &mut writer);
        // A slow client must not keep the store of a partition that leaves.
        drop(owned);
        if let Err(cut) = written.and_then(|()| writer.end()) {
            tracing::warn!(%pool, %job, %cut, "a stream of results was cut off");
        }
        drop(place);
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, body).into_response())
}

impl<'a> Line<'a> {
    fn of(task: &'a EndedTask) -> Self {
        let report = task.attempts.last().map(|last| &last.report);
        let (result, result_ref) = result_of(task);
        Self {
            pool: task.spec.pool.as_str(),
            id: task.spec.id.as_str(),
            state: task.state.name(),
            attempt: task.attempt.0,
            ended_at_ms: task.ended_at.0,
            reason: task.reason.name(),
            exit_code: report.and_then(|report| report.exit_code),
            result,
            result_ref,
            error: report.and_then(|report| report.error_message.as_deref()),
        }
    }
}

fn write_all(
    owned: &OwnedPartition,
    pool: &Pool,
    job: &JobId,
    horizon: Horizon,
    writer: &mut Writer,
) -> Result<(), Cut> {
    let view = owned.store.view();
    buckets(horizon).try_for_each(|(class, hour)| {
        let prefix = KeyWriter::new(HistoryByJobTable::ID).u8(class as u8).u32(hour);
        let prefix = prefix.str(pool.as_str()).str(job.as_str()).finish();
        write_bucket((owned, view.as_ref()), &prefix, horizon, writer)
    })
}

fn write_bucket(
    (owned, view): (&OwnedPartition, &dyn StoreRead),
    prefix: &[u8],
    horizon: Horizon,
    writer: &mut Writer,
) -> Result<(), Cut> {
    let (mut from, end) = (prefix.to_vec(), prefix_end(prefix));
    loop {
        let keys = scan_rows::<HistoryByJobTable>(view, &from, &end, KEYS_AT_ONCE).map_err(failed)?;
        let is_last = keys.len() < KEYS_AT_ONCE;
        for ((key, job), ()) in keys {
            if owned.is_closed() {
                return Err(Cut::Left);
            }
            if let Some(task) = read_row::<HistoryTable>(view, &key).map_err(failed)?
                && is_current(view, &task, horizon).map_err(|problem| Cut::Failed(problem.to_string()))?
            {
                writer.line(&Line::of(&task), owned)?;
            }
            from = [HistoryByJobTable::key(&(key, job)), vec![0]].concat();
        }
        if is_last {
            return Ok(());
        }
    }
}

fn failed(error: StateError) -> Cut {
    Cut::Failed(format!("the store can't be read: {error}"))
}
