//! What is asked of the servers for a screen. Of other instances, too: each knows the figures of its own processors only.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::client::{Client, encode, parse};
use super::super::failure::Failure;
use super::place::{Of, Place, Tab, Wanted};
use super::shapes::{
    Grid, Head, Job, Lately, List, Pool, Processor, Queue, Rows, Seen, Slots, Stats, TaskDetail, Worker,
};

/// Pools whose workers are counted.
const POOLS_COUNTED: usize = 50;
/// Requests that one list may take: a filter that little passes looks at many rows for one.
const PAGES_MAX: usize = 5;
/// Rows of one request.
const PAGE_ROWS: usize = 1_000;

/// `/v1/pools`, as far as it is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PoolPage {
    pools: Vec<Pool>,
    elsewhere: Vec<Elsewhere>,
    next_cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Elsewhere {
    partition: i32,
    url: String,
}

/// `/v1/pools/{pool}/stats/windows`, as far as it is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Windows {
    /// Absent when nothing happened.
    total: Option<Lately>,
}

/// `/readyz`, as far as it is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Readiness {
    owned: Vec<Processor>,
    elsewhere: BTreeMap<i32, String>,
    moving: Vec<i32>,
}

/// Looks for what is wanted, at this moment.
pub(super) fn look(client: &Client, wanted: &Wanted, now_ms: u64) -> Result<Seen, Failure> {
    match &wanted.place {
        Place::Grid => grid(client).map(Seen::Grid),
        Place::Pool { pool } => {
            let stats: Stats = one(client, &format!("{}/stats", at(pool)))?;
            let rows = match wanted.tab {
                Tab::Jobs => Rows::Jobs(list(client, pool, "jobs", &states(wanted), wanted.limit)?),
                Tab::Workers => Rows::Workers(list(client, pool, "workers", "", wanted.limit)?),
                Tab::Tasks => Rows::Tasks(list(client, pool, "tasks", &states(wanted), wanted.limit)?),
                Tab::Queues | Tab::Pools | Tab::Processors | Tab::Timeline => Rows::Queues(List {
                    rows: stats.queues.clone(),
                    has_more: stats.truncated.iter().any(|name| name == "queues"),
                }),
            };
            Ok(Seen::Pool(Head::Pool(Box::new(stats), lately(client, pool, "", now_ms)), rows))
        }
        Place::Tasks { pool, of } => {
            let (kind, name) = of.pair();
            let filter = format!("{}&{kind}={}", states(wanted), encode(name));
            let rows = list(client, pool, "tasks", &filter, wanted.limit)?;
            Ok(Seen::Pool(head(client, pool, of, now_ms)?, Rows::Tasks(rows)))
        }
        Place::Task { pool, id } => {
            let task: TaskDetail = one(client, &format!("{}/tasks/{}", at(pool), encode(id)))?;
            Ok(Seen::Task(Box::new(task)))
        }
    }
}

fn at(pool: &str) -> String {
    format!("/v1/pools/{}", encode(pool))
}

fn states(wanted: &Wanted) -> String {
    if wanted.states.is_empty() { String::new() } else { format!("&state={}", wanted.states) }
}

fn one<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Failure> {
    serde_json::from_value(client.get(path)?).map_err(|error| strange(path, &error))
}

fn strange(path: &str, error: &serde_json::Error) -> Failure {
    Failure::Incomplete(format!("the answer to GET {path} is not as it must be: {error}"))
}

/// The beginning of a list of a pool; `filter` begins with `&`.
fn list<T: DeserializeOwned>(
    client: &Client,
    pool: &str,
    what: &str,
    filter: &str,
    limit: usize,
) -> Result<List<T>, Failure> {
    let mut list = List { rows: Vec::new(), has_more: false };
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let rows = limit.saturating_sub(list.rows.len()).min(PAGE_ROWS);
        let path = format!("{}/{what}?limit={rows}{filter}{cursor}", at(pool));
        let mut page = client.get(&path)?;
        let found = page.get_mut(what).map(Value::take).unwrap_or_default();
        let found: Vec<T> = serde_json::from_value(found).map_err(|error| strange(&path, &error))?;
        list.rows.extend(found);
        let next = page.get("next_cursor").and_then(Value::as_str);
        list.has_more = next.is_some();
        match next {
            Some(next) if list.rows.len() < limit => cursor = format!("&cursor={}", encode(next)),
            Some(_) | None => break,
        }
    }
    Ok(list)
}

/// The waits and run times of the last minute. A server that has no such figures is not asked to.
fn lately(client: &Client, pool: &str, filter: &str, now_ms: u64) -> Lately {
    let from = now_ms.saturating_sub(60_000);
    let path = format!("{}/stats/windows?size=5s&limit=20&from_ms={from}{filter}", at(pool));
    let answer: Result<Windows, Failure> = one(client, &path);
    answer.ok().and_then(|windows| windows.total).unwrap_or_default()
}

fn head(client: &Client, pool: &str, of: &Of, now_ms: u64) -> Result<Head, Failure> {
    match of {
        Of::Queue(name) => {
            let mut queues: Vec<Queue> = list(client, pool, "queues", "", PAGE_ROWS)?.rows;
            let found = queues.iter_mut().find(|queue| queue.queue == *name);
            let numbers = found.map(std::mem::take).unwrap_or_default().numbers;
            Ok(Head::Queue(numbers, lately(client, pool, &format!("&queue={}", encode(name)), now_ms)))
        }
        Of::Job(name) => {
            let job: Job = one(client, &format!("{}/jobs/{}", at(pool), encode(name)))?;
            Ok(Head::Job(Box::new(job)))
        }
        Of::Worker(name) => {
            let worker: Worker = one(client, &format!("{}/workers/{}", at(pool), encode(name)))?;
            Ok(Head::Worker(Box::new(worker)))
        }
    }
}

/// All pools and processors, of all instances that answer.
fn grid(client: &Client) -> Result<Grid, Failure> {
    let mut grid = Grid { instances: 1, ..Grid::default() };
    let mut processors: BTreeMap<i32, Processor> = BTreeMap::new();
    let untold = pools(client, &mut grid)?;
    let mut here = ready(client, client.url(), &mut processors)?;
    here.extend(untold.iter().map(|other| (other.partition, other.url.clone())));
    let others: BTreeSet<&str> = here.values().map(String::as_str).collect();
    for url in others {
        grid.instances += 1;
        let there = client.at_another(url);
        let mut heard = ready(&there, url, &mut processors).map(drop);
        // A server that tells of its own pools only leaves the others to be asked for.
        if heard.is_ok() && untold.iter().any(|other| other.url == url) {
            heard = pools(&there, &mut grid).map(drop);
        }
        if heard.is_err() {
            grid.silent.push(url.to_owned());
        }
    }
    for (partition, url) in here {
        let unheard = Processor { partition, url, ..Processor::default() };
        let known = processors.entry(partition).or_insert_with(|| unheard.clone());
        // "Nobody serves it" was said by somebody who did not know yet.
        if known.url.is_empty() {
            *known = unheard;
        }
    }
    grid.processors = processors.into_values().collect();
    grid.pools.rows.sort_by(|one, other| one.pool.cmp(&other.pool));
    grid.pools.rows.dedup_by(|one, other| one.pool == other.pool);
    for pool in grid.pools.rows.iter_mut().take(POOLS_COUNTED) {
        // A pool that moves right now has no slots for a moment; the others are shown.
        let workers: Result<List<Worker>, Failure> = list(client, &pool.pool, "workers", "", PAGE_ROWS);
        pool.slots = workers.ok().map(|workers| Slots::of(&workers.rows));
    }
    Ok(grid)
}

/// The pools that an instance tells of, which are all as long as nothing moves; returns who has the rest.
fn pools(client: &Client, grid: &mut Grid) -> Result<Vec<Elsewhere>, Failure> {
    let path = "/v1/pools?limit=1000";
    let whole = client.raw_get(path)?;
    let page: PoolPage = if whole.status == 503 {
        one(client, &format!("{path}&partial=ok"))?
    } else {
        serde_json::from_value(parse(&whole)?).map_err(|error| strange(path, &error))?
    };
    grid.pools.has_more |= page.next_cursor.is_some();
    grid.pools.rows.extend(page.pools);
    Ok(page.elsewhere)
}

/// The processors of an instance; returns who has the others, as far as it says so.
fn ready(
    client: &Client,
    url: &str,
    processors: &mut BTreeMap<i32, Processor>,
) -> Result<BTreeMap<i32, String>, Failure> {
    // Not ready is an answer, too.
    let ready: Readiness = serde_json::from_str(&client.raw_get("/readyz")?.body).unwrap_or_default();
    for partition in ready.moving {
        processors.entry(partition).or_insert_with(|| Processor { partition, ..Processor::default() });
    }
    for owned in ready.owned {
        processors.insert(owned.partition, Processor { url: url.to_owned(), is_served: true, ..owned });
    }
    Ok(ready.elsewhere)
}
