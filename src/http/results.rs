//! The results of a job, as a stream of lines: one consistent view, however long it takes to read.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use yardmaster_state::{KeyWriter, StoreRead, Table, prefix_end, read_row};
use yardmaster_topologies::id::{JobId, Pool};
use yardmaster_topologies::tables::{HistoryByJobTable, HistoryClass, HistoryTable, JobTable};
use yardmaster_topologies::task::EndedTask;

use super::jobs::unknown_job;
use super::locate::{caught_up, read};
use super::lookup::Horizon;
use super::params::Params;
use super::parts::{App, STREAMS_MAX};
use super::problem::{Answer, Problem};
use super::task_list::{buckets, is_current};
use super::task_view::result_of;
use super::views::Verbatim;

/// How long a client may take to read one part.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of one part, about.
const PART_BYTES: usize = 32 * 1024;
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
/// result_ref and error where there are any. Newest hour first, as in lists. Only what history still has.
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
    if read(&owned, move |view| Ok(read_row::<JobTable>(view, &key)?)).await?.is_none() {
        return Err(unknown_job(&pool, &job, kept_ms));
    }
    let place = app.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        Problem::later("streams", "too many answers are streamed at once").limit(STREAMS_MAX.to_string())
    })?;
    let (sender, receiver) = mpsc::channel::<Bytes>(4);
    let horizon = Horizon::of(&app.parts.settings);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let view = owned.store.view();
        let out = Out { sender, handle, part: Vec::new() };
        if let Err(problem) = write_all(view.as_ref(), &pool, &job, horizon, out) {
            tracing::warn!(?problem, "a stream of results ended early");
        }
        drop(place);
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let body = Body::from_stream(ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>));
    Ok((kind, body).into_response())
}

/// The client's end.
struct Out {
    sender: Sender<Bytes>,
    handle: Handle,
    part: Vec<u8>,
}

impl Out {
    /// False when nobody reads any more.
    fn line(&mut self, task: &EndedTask) -> bool {
        let report = task.attempts.last().map(|last| &last.report);
        let (result, result_ref) = result_of(task);
        let line = Line {
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
        };
        if let Ok(text) = serde_json::to_vec(&line) {
            self.part.extend(text);
            self.part.push(b'\n');
        }
        self.part.len() < PART_BYTES || self.flush()
    }

    fn flush(&mut self) -> bool {
        let part = Bytes::from(std::mem::take(&mut self.part));
        part.is_empty() || self.handle.block_on(self.sender.send_timeout(part, READ_TIMEOUT)).is_ok()
    }
}

fn write_all(view: &dyn StoreRead, pool: &Pool, job: &JobId, horizon: Horizon, mut out: Out) -> Answer<()> {
    for bucket in buckets(horizon) {
        if !write_bucket(view, (pool, job), bucket, &mut out)? {
            return Ok(());
        }
    }
    out.flush();
    Ok(())
}

/// False when nobody reads any more.
fn write_bucket(
    view: &dyn StoreRead,
    (pool, job): (&Pool, &JobId),
    (class, hour): (HistoryClass, u32),
    out: &mut Out,
) -> Answer<bool> {
    let prefix = KeyWriter::new(HistoryByJobTable::ID).u8(class as u8).u32(hour);
    let prefix = prefix.str(pool.as_str()).str(job.as_str()).finish();
    let (mut from, end) = (prefix.clone(), prefix_end(&prefix));
    loop {
        let keys = yardmaster_state::scan_rows::<HistoryByJobTable>(view, &from, &end, KEYS_AT_ONCE)?;
        let is_last = keys.len() < KEYS_AT_ONCE;
        for (key, ()) in keys {
            let (key, job) = key;
            if let Some(task) = read_row::<HistoryTable>(view, &key)?
                && is_current(view, &task)?
                && !out.line(&task)
            {
                return Ok(false);
            }
            from = [HistoryByJobTable::key(&(key, job)), vec![0]].concat();
        }
        if is_last {
            return Ok(true);
        }
    }
}
