//! What happened window by window, in a pool or in one of its queues: counts, rates, waits and run times.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_state::StoreRead;
use yardmaster_topologies::histogram::Histogram;
use yardmaster_topologies::id::{Pool, QueueName};
use yardmaster_topologies::time::WallMs;
use yardmaster_topologies::window::{Happened, Tally, WindowRow, WindowSize, windows_of};

use super::locate::read;
use super::lookup::wall_now;
use super::params::{Names, Params, path_name};
use super::parts::App;
use super::problem::{Answer, Problem};
use super::stale::readable;

/// The last millisecond of the year 9999.
const MOMENT_MAX: u64 = 253_402_300_799_999;
/// A window that has only just begun has no rates yet: they are those of a second at least.
const RATE_MS_MIN: u64 = 1_000;

/// Windows in which something happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WindowPage {
    pool: String,
    /// Absent: the whole pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// `5s`, `1m` or `1h`.
    size: &'static str,
    /// How long windows of this size are kept.
    kept_ms: u64,
    /// The time of the last batch that is counted in.
    at_ms: u64,
    /// Newest first. Where there is none, nothing happened.
    windows: Vec<WindowView>,
    /// All of those together, from the first to the last; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<WindowView>,
    /// There are older ones: send this as `to_ms` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_to_ms: Option<u64>,
}

/// What happened in a stretch of time. Exact, but for the percentiles.
#[derive(Debug, Serialize, ToSchema)]
struct WindowView {
    /// When it begins.
    from_ms: u64,
    /// When it ends; may still be to come.
    to_ms: u64,
    /// How often each thing happened: tasks `submitted` (or run again by an operator), `completed`, `failed`, `cancelled`,
    /// `expired` and `aborted`; attempts `assigned`, `started`, `lost` and `retried` (over, and the task goes on).
    #[schema(value_type = BTreeMap<String, u64>)]
    counts: BTreeMap<&'static str, u64>,
    /// The same per second of the part of it that has passed.
    #[schema(value_type = BTreeMap<String, f64>)]
    rates: BTreeMap<&'static str, f64>,
    /// From when a task was submitted, or came back into its line, until a worker got it: one for each `assigned`.
    queue_wait: LengthsView,
    /// From then until it started: one for each `started`.
    start_wait: LengthsView,
    /// From its start until it completed, failed or timed out, where a start is known.
    run_time: LengthsView,
}

/// How long something took. Percentiles are off by less than 1/32 of themselves, the other numbers are exact.
#[derive(Debug, Serialize, ToSchema)]
struct LengthsView {
    /// How often it was measured; the other fields are absent when it never was.
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ms: Option<u64>,
}

/// What is asked for.
struct Wanted {
    queue: Option<QueueName>,
    size: WindowSize,
    from: u64,
    to: u64,
    limit: usize,
}

/// Counts, rates, waits and run times by window of 5 seconds, a minute or an hour, of a pool or of one of its queues. Only
/// windows in which something happened are listed, newest first.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/stats/windows", tag = "pools",
    params(("pool" = String, Path),
        ("size" = Option<String>, Query, description = "`5s` (kept for 10 minutes), `1m` (6 hours; the default) or `1h` (30 days)"),
        ("queue" = Option<String>, Query, description = "Of this queue alone"),
        ("from_ms" = Option<u64>, Query, description = "Only windows that end after this moment"),
        ("to_ms" = Option<u64>, Query, description = "Only windows that begin before this moment"),
        ("limit" = Option<u64>, Query, description = "Windows: 100, at most 1000"),
        ("min_position" = Option<String>, Query)),
    responses((status = 200, body = WindowPage), (status = 400, body = Problem), (status = 421, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn windows(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names(pool): Names<String>,
    mut params: Params,
) -> Answer<Json<WindowPage>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let wanted = take_wanted(&mut params)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    read(&owned, move |view| page(view, &pool, &wanted)).await.map(Json)
}

fn take_wanted(params: &mut Params) -> Answer<Wanted> {
    let size = params.one("size")?.map_or(Ok(WindowSize::Minute), |name| {
        WindowSize::from_name(&name).ok_or_else(|| unknown_size(&name))
    })?;
    let queue = params.name("queue", QueueName::parse)?;
    let from = params.number("from_ms", 0, MOMENT_MAX)?.unwrap_or(0);
    let to = params.number("to_ms", 0, MOMENT_MAX)?.unwrap_or(u64::MAX);
    if from >= to {
        return Err(Problem::bad_field("from_ms", "`from_ms` must be before `to_ms`")
            .limit(to.to_string())
            .remedy("send milliseconds since 1970, the earlier moment as `from_ms`; leave out either"));
    }
    Ok(Wanted { queue, size, from, to, limit: params.limit()? })
}

fn unknown_size(name: &str) -> Problem {
    let names = WindowSize::ALL.map(WindowSize::name).join(", ");
    Problem::bad_field("size", format!("`{name}` is not a size of windows"))
        .limit(names.clone())
        .remedy(format!("use one of {names}"))
}

fn page(view: &dyn StoreRead, pool: &Pool, wanted: &Wanted) -> Answer<WindowPage> {
    let at = WallMs(view.checkpoint()?.map_or(0, |at| at.wall_ms));
    // Without a batch for a while what is stored is older than what should be shown.
    let now = at.max(wall_now());
    let size = wanted.size;
    let mut rows = windows_of(view, pool, wanted.queue.as_ref(), size, now)?;
    rows.retain(|row| row.start.0 < wanted.to && end_of(row, size) > wanted.from);
    let left = rows.len().saturating_sub(wanted.limit);
    let older = rows.drain(..left).count();
    let total = rows.first().zip(rows.last()).map(|(first, last)| {
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.merge(&row.tally));
        WindowView::new(first.start.0, end_of(last, size), &tally, now)
    });
    Ok(WindowPage {
        pool: pool.to_string(),
        queue: wanted.queue.as_ref().map(ToString::to_string),
        size: size.name(),
        kept_ms: size.kept().0,
        at_ms: at.0,
        next_to_ms: rows.first().filter(|_| older > 0).map(|row| row.start.0),
        windows: rows
            .iter()
            .rev()
            .map(|row| WindowView::new(row.start.0, end_of(row, size), &row.tally, now))
            .collect(),
        total,
    })
}

fn end_of(row: &WindowRow, size: WindowSize) -> u64 {
    row.start.0.saturating_add(size.length().0)
}

impl WindowView {
    fn new(from_ms: u64, to_ms: u64, tally: &Tally, now: WallMs) -> Self {
        let passed = to_ms.min(now.0).saturating_sub(from_ms).max(RATE_MS_MIN);
        let rate = |what| tally.of(what) as f64 * 1_000.0 / passed as f64;
        Self {
            from_ms,
            to_ms,
            counts: Happened::ALL.into_iter().map(|what| (what.name(), tally.of(what))).collect(),
            rates: Happened::ALL.into_iter().map(|what| (what.name(), rate(what))).collect(),
            queue_wait: LengthsView::new(&tally.queued),
            start_wait: LengthsView::new(&tally.starting),
            run_time: LengthsView::new(&tally.running),
        }
    }
}

impl LengthsView {
    fn new(lengths: &Histogram) -> Self {
        let count = lengths.count();
        let is_any = count > 0;
        let quantile = |per_mille| lengths.quantile(per_mille).map(|length| length.0);
        Self {
            count,
            mean_ms: is_any.then(|| lengths.sum().0 as f64 / count as f64),
            p50_ms: quantile(500),
            p90_ms: quantile(900),
            p99_ms: quantile(990),
            max_ms: is_any.then(|| lengths.max().0),
        }
    }
}
