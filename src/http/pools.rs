//! Reads of pools: which there are, their queues, and exact counts of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use axum::Json;
use axum::extract::{OriginalUri, Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_state::{KEY_END, KeyWriter, StoreRead, Table, prefix_end, read_row};
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::job::{CounterKey, Dimension};
use yardmaster_topologies::tables::{CounterTable, JobTable, WorkerTable};

use super::jobs::job_view;
use super::locate::{caught_up, read};
use super::page::Page;
use super::params::{LIMIT_MAX, Params, path_name};
use super::parts::App;
use super::problem::{Answer, Problem};
use super::views::{JobView, Numbers, PoolView, QueueView, TagView};

/// The pools that are served here, and who serves the others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolPage {
    /// Those here, by name.
    pools: Vec<PoolView>,
    /// Partitions of other instances: their pools are not in the list.
    elsewhere: Vec<Elsewhere>,
    /// Partitions that nobody serves at the moment.
    moving: Vec<i32>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Another instance's partition.
#[derive(Debug, Serialize, ToSchema)]
struct Elsewhere {
    partition: i32,
    url: String,
}

/// A page of queues.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuePage {
    /// By name.
    queues: Vec<QueueView>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

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
    /// The lists that were cut.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    truncated: Vec<&'static str>,
}

/// The pools that have rows, behind `after`, by name; and whether there are more.
pub(crate) fn pools_of(
    view: &dyn StoreRead,
    after: Option<&Pool>,
    limit: usize,
) -> Answer<(Vec<Pool>, bool)> {
    let mut pools = BTreeSet::new();
    let mut more = false;
    for (table, parse) in [
        (CounterTable::ID, (|key: &[u8]| Ok(CounterTable::parse(key)?.pool)) as fn(&[u8]) -> Answer<Pool>),
        (WorkerTable::ID, |key| Ok(WorkerTable::parse(key)?.0)),
    ] {
        let start = KeyWriter::new(table);
        let mut from = match after {
            Some(pool) => prefix_end(&start.str(pool.as_str()).finish()),
            None => start.finish(),
        };
        for _ in 0..=limit {
            let mut found = None;
            view.scan(CounterTable::CLASS, &from, KEY_END, 1, &mut |key, _| {
                found = (key.first() == Some(&table)).then(|| key.to_vec());
                ControlFlow::Break(())
            })?;
            let Some(key) = found else { break };
            let pool = parse(&key)?;
            // On to the first key of another pool.
            from = prefix_end(&KeyWriter::new(table).str(pool.as_str()).finish());
            pools.insert(in_key_order(pool));
        }
    }
    while pools.len() > limit {
        more = true;
        pools.pop_last();
    }
    Ok((pools.into_iter().map(|(_, pool)| pool).collect(), more))
}

/// Keys sort shorter names first.
fn in_key_order(pool: Pool) -> (usize, Pool) {
    (pool.as_str().len(), pool)
}

fn numbers_of(view: &dyn StoreRead, pool: &Pool, dimension: Dimension) -> Answer<Numbers> {
    let counts = read_row::<CounterTable>(view, &CounterKey { pool: pool.clone(), dimension })?;
    Ok(Numbers::from(&counts.unwrap_or_default().counts))
}

/// The pools that are served here, shorter names first; of the others only who serves them.
#[utoipa::path(
    get, path = "/v1/pools", tag = "pools",
    params(("limit" = Option<u64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = PoolPage), (status = 400, body = Problem))
)]
pub(crate) async fn pools(State(app): State<App>, mut params: Params) -> Answer<Json<PoolPage>> {
    let limit = params.limit()?;
    let after = params.name("cursor", Pool::parse)?;
    params.finish()?;
    let registry = &app.parts.registry;
    let mut found = Vec::new();
    let mut more = false;
    let mut moving: BTreeSet<i32> = (0..registry.partitions()).collect();
    for owned in registry.owned() {
        moving.remove(&owned.partition);
        let (partition, after) = (owned.partition, after.clone());
        let here = read(&owned, move |view| {
            let (pools, more) = pools_of(view, after.as_ref(), limit)?;
            let views = pools.into_iter().map(|pool| {
                let numbers = numbers_of(view, &pool, Dimension::Pool)?;
                Ok((in_key_order(pool.clone()), PoolView { pool: pool.to_string(), partition, numbers }))
            });
            Ok((views.collect::<Answer<Vec<_>>>()?, more))
        });
        let (views, has_more) = here.await?;
        found.extend(views);
        more |= has_more;
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    more |= found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|(_, view)| view.pool.clone());
    let elsewhere: Vec<Elsewhere> =
        registry.elsewhere().into_iter().map(|(partition, url)| Elsewhere { partition, url }).collect();
    moving.retain(|partition| elsewhere.iter().all(|other| other.partition != *partition));
    let pools = found.into_iter().map(|(_, view)| view).collect();
    Ok(Json(PoolPage { pools, elsewhere, moving: moving.into_iter().collect(), next_cursor }))
}

/// The queues of a pool with their exact counts.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/queues", tag = "pools",
    params(("pool" = String, Path), ("limit" = Option<u64>, Query), ("cursor" = Option<String>, Query),
        ("min_position" = Option<String>, Query)),
    responses((status = 200, body = QueuePage), (status = 421, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn queues(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Path(pool): Path<String>,
    mut params: Params,
) -> Answer<Json<QueuePage>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let mut page = Page::take(&mut params)?;
    let owned = caught_up(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    read(&owned, move |view| {
        let queues = queue_views(view, &pool, &mut page)?;
        Ok(Json(QueuePage { queues, next_cursor: page.next_cursor() }))
    })
    .await
}

fn queue_views(view: &dyn StoreRead, pool: &Pool, page: &mut Page) -> Answer<Vec<QueueView>> {
    let mut queues = Vec::new();
    let prefix = KeyWriter::new(CounterTable::ID).str(pool.as_str()).u8(1).finish();
    page.walk::<CounterTable>(view, &prefix, &mut |key, bytes| {
        let Dimension::Queue(queue) = key.dimension else {
            return Ok(false);
        };
        let numbers = Numbers::from(&CounterTable::decode(bytes)?.counts);
        queues.push(QueueView { pool: pool.to_string(), queue: queue.to_string(), numbers });
        Ok(true)
    })?;
    Ok(queues)
}

fn tag_views(view: &dyn StoreRead, pool: &Pool, page: &mut Page) -> Answer<Vec<TagView>> {
    let mut tags = Vec::new();
    let prefix = KeyWriter::new(CounterTable::ID).str(pool.as_str()).u8(2).finish();
    page.walk::<CounterTable>(view, &prefix, &mut |key, bytes| {
        let Dimension::Tag(name, value) = key.dimension else {
            return Ok(false);
        };
        let numbers = Numbers::from(&CounterTable::decode(bytes)?.counts);
        tags.push(TagView { name, value, numbers });
        Ok(true)
    })?;
    Ok(tags)
}

/// Exact counts by state: of the pool, its queues, jobs and tags (each list at most 1000 long), and its workers.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/stats", tag = "pools",
    params(("pool" = String, Path), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = Stats), (status = 421, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn stats(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Path(pool): Path<String>,
    mut params: Params,
) -> Answer<Json<Stats>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let owned = caught_up(&app, &pool, &uri, &mut params).await?;
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
            Ok(true)
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
            Ok(true)
        })?;
        Ok(page)
    }
}
