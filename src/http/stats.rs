//! Exact counts of one pool, all of one moment.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_state::{KeyWriter, StoreRead, Table};
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::job::Dimension;
use yardmaster_topologies::tables::{JobTable, WorkerTable};

use super::counts::{numbers_of, queue_views, tag_views};
use super::jobs::job_view;
use super::locate::read;
use super::page::{Page, SMALL_ROW};
use super::params::{LIMIT_MAX, Names, Params, path_name};
use super::parts::App;
use super::problem::{Answer, Problem};
use super::stale::readable;
use super::views::{JobView, Numbers, QueueView, TagView};

/// Exact numbers of one pool, all of one moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stats {
    pool: String,
    partition: i32,
    /// The time of the last batch that is counted in.
    at_ms: u64,
    #[serde(flatten)]
    numbers: Numbers,
    queues: Vec<QueueView>,
    jobs: Vec<JobView>,
    tags: Vec<TagView>,
    /// Workers by state.
    #[schema(value_type = BTreeMap<String, u64>)]
    workers: BTreeMap<&'static str, u64>,
    /// Slots of workers that are here.
    slots: u64,
    /// Open attempts.
    open: u64,
    /// The lists that were cut: `queues`, `jobs`, `tags` and `workers` have paths of their own, with cursors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    truncated: Vec<&'static str>,
}

/// Exact counts by state: of the pool, its queues, jobs and tags (each list at most 1000 long), and its workers.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/stats", tag = "pools",
    params(("pool" = String, Path), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = Stats), (status = 400, body = Problem), (status = 421, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn stats(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names(pool): Names<String>,
    mut params: Params,
) -> Answer<Json<Stats>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    let partition = owned.partition;
    read(&owned, move |view| {
        let pages = || Page::first(LIMIT_MAX);
        let (mut queues, mut jobs, mut tags) = (pages(), pages(), pages());
        let mut stats = Stats {
            pool: pool.to_string(),
            partition,
            at_ms: view.checkpoint()?.map_or(0, |at| at.wall_ms),
            numbers: numbers_of(view, &pool, Dimension::Pool)?,
            queues: queue_views(view, &pool, &mut queues)?,
            jobs: Vec::new(),
            tags: tag_views(view, &pool, &mut tags)?,
            workers: BTreeMap::new(),
            slots: 0,
            open: 0,
            truncated: Vec::new(),
        };
        let prefix = KeyWriter::new(JobTable::ID).str(pool.as_str()).finish();
        jobs.walk::<JobTable>(view, &prefix, &mut |(_, job), bytes| {
            stats.jobs.push(job_view(view, &pool, &job, &JobTable::decode(bytes)?)?);
            Ok(SMALL_ROW)
        })?;
        let workers = stats.count_workers(view, &pool)?;
        for (page, name) in [(queues, "queues"), (jobs, "jobs"), (tags, "tags"), (workers, "workers")] {
            if page.has_more() {
                stats.truncated.push(name);
            }
        }
        Ok(Json(stats))
    })
    .await
}

impl Stats {
    fn count_workers(&mut self, view: &dyn StoreRead, pool: &Pool) -> Answer<Page> {
        let mut page = Page::first(usize::MAX);
        let prefix = KeyWriter::new(WorkerTable::ID).str(pool.as_str()).finish();
        page.walk::<WorkerTable>(view, &prefix, &mut |_, bytes| {
            let row = WorkerTable::decode(bytes)?;
            *self.workers.entry(row.state.name()).or_default() += 1;
            if row.left_at.is_none() {
                self.slots += u64::from(row.slots);
                self.open += u64::from(row.open);
            }
            // Only counted: it takes no room in the answer.
            Ok(1)
        })?;
        Ok(page)
    }
}
